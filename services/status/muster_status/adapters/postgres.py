"""The read models in PostgreSQL.

A batch is written as JSON that PostgreSQL spreads into rows (`json_populate_recordset`): one statement per table, like
`unnest`, but the columns are named in one place only, the table. The position is moved in the same transaction, and
only from the one we know, so two writers cannot both believe that they wrote.

Pitfalls. A connection that breaks while committing leaves open whether it was committed; whoever writes opens anew and
looks at the position. Everything the network, a restart or a dropped table does is `Unavailable`; data that PostgreSQL
cannot take is ours and stops the projector.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from muster_contracts.errors import Unavailable

from muster_status.adapters.schema import SCHEMA, prepare, statements
from muster_status.adapters.workload_sql import select_workloads
from muster_status.core.query import WorkloadQuery
from muster_status.core.rows import Changes, Tables, Then, values
from muster_status.handlers.ports import Listed, Record, Snapshot, Standing

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

STATEMENT_SECONDS = 60.0
CONNECTIONS = 8

_THE_WORLDS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says when a connection breaks in the middle of a statement
    asyncpg.OperatorInterventionError,  # shutting down, crashed, cancelled
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidCatalogNameError,  # the database is not there yet
    asyncpg.TransactionRollbackError,  # lost against another transaction
    asyncpg.UndefinedTableError,  # somebody dropped the tables; opening makes them
    asyncpg.InvalidSchemaNameError,
)


class PostgresReadModels:
    """See `handlers.ports.ReadModels`. Connects when it is first opened: a service may start before its database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> Standing:
        """Connect, and make the tables ready."""
        with _worldly():
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=CONNECTIONS,
                    command_timeout=STATEMENT_SECONDS,
                    server_settings={
                        "search_path": f"{SCHEMA}, public",
                        "application_name": "muster-status",
                        # Rows lost in a crash of the server are written again from the journal.
                        "synchronous_commit": "off",
                    },
                    init=_read_json,
                )
        async with self._connection() as connection:
            await prepare(connection)
            row = await connection.fetchrow("SELECT position, origin FROM position")
        assert row is not None, "the position is made with its table"
        return Standing(row["position"], row["origin"])

    async def position(self) -> int:
        """Return the position of the tables."""
        (row,) = await self._fetch("SELECT position FROM position")
        return int(row["position"])

    async def empty(self) -> None:
        """Throw everything away."""
        async with self._connection() as connection:
            await prepare(connection, anew=True)

    async def close(self) -> None:
        """Let go of all connections; whoever waits for an answer is told that the connection is gone."""
        if self._pool is not None:
            self._pool.terminate()

    # ------------------------------------------------------------ writing

    async def write(self, changes: Changes, *, after: int, standing: Standing) -> None:
        """Write changes and position in one transaction."""
        async with self._connection() as connection, connection.transaction():
            moved = await connection.execute(_write("position"), after, standing.position, standing.origin)
            if moved != "UPDATE 1":
                raise Unavailable(f"The read models do not stand at {after}; somebody else writes or emptied them.")
            for name, rows in _row_statements(changes):
                await connection.execute(_write(name), json.dumps(rows, default=_to_json))
            ended = [node_id for node_id, node in changes.nodes.items() if node is None]
            if ended:
                await connection.execute(_write("node_ends"), ended)

    # ------------------------------------------------------------ asking

    async def snapshot(self) -> Snapshot:
        """Read all tables in one transaction that sees one moment."""
        async with self._connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            position = await connection.fetchval("SELECT position FROM position")
            tables: dict[str, dict[Any, Record]] = {}
            for table in fields(Tables):
                rows = await connection.fetch(f"SELECT * FROM {table.name}")
                tables[table.name] = {row[0]: dict(row) for row in rows}
        return Snapshot(position, tables)

    async def workloads(self, query: WorkloadQuery, then: Then | None = None) -> Listed:
        """Return a page, and one row more if there is one, with the position of the same moment."""
        statement, arguments = select_workloads("*", query)
        arguments += [query.limit + 1, query.offset]
        paged = f"{statement} LIMIT ${len(arguments) - 1} OFFSET ${len(arguments)}"
        if then is not None:
            return Listed(await self._fetch(paged, *arguments, then=then), then.position)
        async with self._connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            position = await connection.fetchval("SELECT position FROM position")
            return Listed([dict(row) for row in await connection.fetch(paged, *arguments)], position)

    async def count(self, query: WorkloadQuery, then: Then | None = None) -> int:
        """Count them."""
        statement, arguments = select_workloads("count(*) AS count", query)
        (row,) = await self._fetch(statement, *arguments, then=then)
        return int(row["count"])

    async def changed(self, workload_ids: Sequence[UUID], after: int) -> Sequence[UUID]:
        """Return those of some workloads whose rows changed."""
        statement = "SELECT id FROM workload WHERE version > $1 AND id = ANY ($2::uuid[])"
        return [row["id"] for row in await self._fetch(statement, after, workload_ids)]

    async def workload(self, workload_id: UUID, then: Then | None = None) -> Record | None:
        """Return one workload."""
        rows = await self._fetch("SELECT * FROM workload WHERE id = $1", workload_id, then=then)
        return rows[0] if rows else None

    async def changed_since(self, version: int, limit: int) -> Sequence[Record]:
        """Return the workloads that changed after a position."""
        statement = "SELECT * FROM workload WHERE version > $1 ORDER BY version LIMIT $2"
        return await self._fetch(statement, version, limit)

    async def history(self, workload_id: UUID, *, after: int, limit: int, then: Then | None = None) -> Sequence[Record]:
        """Return what happened to a workload."""
        statement = "SELECT * FROM history WHERE workload_id = $1 AND position > $2 ORDER BY position LIMIT $3"
        return await self._fetch(statement, workload_id, after, limit, then=then)

    async def pods(self, workload_id: UUID, *, gone: bool, then: Then | None = None) -> Sequence[Record]:
        """Return the pods of a workload."""
        statement = "SELECT * FROM pod WHERE workload_id = $1 AND ($2 OR gone_at IS NULL) ORDER BY name, pod_id"
        return await self._fetch(statement, workload_id, gone, then=then)

    async def projects(self, name: str | None = None) -> Sequence[Record]:
        """Return projects."""
        return await self._fetch(statements("read")["projects.sql"], name)

    async def departments(self) -> Sequence[Record]:
        """Return departments."""
        return await self._fetch("SELECT * FROM department WHERE removed_at IS NULL ORDER BY name")

    async def node_pools(self) -> Sequence[Record]:
        """Return node pools."""
        return await self._fetch("SELECT * FROM node_pool WHERE removed_at IS NULL ORDER BY name")

    async def nodes(self) -> Sequence[Record]:
        """Return nodes."""
        return await self._fetch(statements("read")["nodes.sql"])

    async def _fetch(self, statement: str, *arguments: Any, then: Then | None = None) -> list[Record]:
        if then is not None:
            statement, arguments = _as_it_was(statement, arguments, then)
        async with self._connection() as connection:
            return [dict(row) for row in await connection.fetch(statement, *arguments)]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise Unavailable("The database of the read models is not connected yet.")
        with _worldly():
            async with self._pool.acquire() as connection:
                yield connection


class _worldly:  # noqa: N801  # used as a function in a with statement
    """Turns what the world does to a database into Unavailable."""

    def __enter__(self) -> None:
        """Watch."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        """Turn the error, if it is the world's."""
        if isinstance(error, _THE_WORLDS):
            raise Unavailable(f"The database of the read models does not answer: {error or kind}.") from error


def _as_it_was(statement: str, arguments: Sequence[Any], then: Then) -> tuple[str, tuple[Any, ...]]:
    """Return the same statement, for which the tables it names have the rows of then.

    A name in WITH goes before that of a table, so what is asked, filtered and sorted is the very statement that is put
    to the tables of now.
    """
    first, tables = len(arguments) + 1, then.tables
    rows = [json.dumps([values(row) for row in table.values()], default=_to_json) for table in _past_tables(tables)]
    numbers = {"workload": first, "pod": first + 1, "history": first + 2, "position": first + 3}
    return f"{statements('read')['then.sql'].format(**numbers)} {statement}", (*arguments, *rows, then.position)


def _past_tables(tables: Tables) -> Iterable[Mapping[Any, Any]]:
    return tables.workload, tables.pod, tables.history


def _write(name: str) -> str:
    return statements("write")[f"{name}.sql"]


def _row_statements(changes: Changes) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Yield the statements there are rows for, in the order they have to be run, with their rows."""
    groups: tuple[tuple[str, Iterable[Any]], ...] = (
        ("workloads", changes.workloads.values()),
        ("phases", changes.phases.values()),
        ("pods", changes.pods.values()),
        ("pod_ends", changes.pod_ends.values()),
        ("pod_homes", changes.pod_homes.values()),
        ("history", changes.history),
        ("projects", changes.projects.values()),
        ("departments", changes.departments.values()),
        ("node_pools", changes.node_pools.values()),
        ("nodes", filter(None, changes.nodes.values())),
    )
    for name, rows in groups:
        if written := [values(row) for row in rows]:
            yield name, written


def _to_json(value: object) -> str:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a row")


async def _read_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=str, decoder=json.loads, schema="pg_catalog")
