"""Makes the tables of the read models, and makes them anew when they are of another version.

Everything in them can be worked out again, so there is nothing to migrate: the version is the digest of the numbered
`.sql` files, and tables of another version are dropped and filled from the journal. A lock keeps two services that
start together from doing it at once.
"""

import hashlib
from functools import cache
from importlib.resources import files

import asyncpg
import structlog

log = structlog.get_logger()

SCHEMA = "muster"
LOCK = 0x6D757374
"""Any number nobody else uses for an advisory lock of this database."""


@cache
def statements(folder: str) -> dict[str, str]:
    """Return the `.sql` files of a folder by name, in order."""
    found = (each for each in files("muster_status.adapters").joinpath("sql", folder).iterdir())
    return {each.name: each.read_text(encoding="utf-8") for each in sorted(found, key=lambda each: each.name)}


@cache
def schema_version() -> str:
    """Return what tells this version of the tables from any other."""
    return hashlib.sha256("".join(statements("schema").values()).encode()).hexdigest()[:16]


async def prepare(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", *, anew: bool = False) -> None:
    """See to it that the tables exist in this version; `anew` empties them whatever they are."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        found = await _version(connection)
        if found == schema_version() and not anew:
            return
        if found is not None:
            log.warning("The read models are dropped and built anew.", found=found, expected=schema_version())
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        await connection.execute(f"SET LOCAL search_path TO {SCHEMA}, public")
        for statement in statements("schema").values():
            await connection.execute(statement)
        await connection.execute("CREATE TABLE schema_version (version text NOT NULL)")
        await connection.execute("INSERT INTO schema_version VALUES ($1)", schema_version())


async def _version(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> str | None:
    """Return the version of the tables, `unknown` for a schema of ours that does not say, None when there is none."""
    if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SCHEMA):
        return None
    if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{SCHEMA}.schema_version"):
        return "unknown"
    return str(await connection.fetchval(f"SELECT version FROM {SCHEMA}.schema_version"))
