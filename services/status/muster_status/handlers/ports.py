"""What the handlers need of the tables: to write changes with the position, and to be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from muster_contracts.questions import Answer, Question

from muster_status.core.query import WorkloadQuery
from muster_status.core.rows import Changes, Then

Record = Mapping[str, Any]
"""A row by its columns; moments are datetimes, ids are UUIDs."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the tables have come, and of which journal they are: the id of its first event."""

    position: int
    origin: UUID | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows at one position, by table and key."""

    position: int
    tables: Mapping[str, Mapping[Any, Record]]


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows, and the position at which the tables had them."""

    rows: Sequence[Record]
    position: int


class ReadModels(Protocol):
    """The tables. Every method raises Unavailable when the database does not answer.

    What takes `then` answers from the past instead: the same question, put to the rows as they were.
    """

    async def open(self) -> Standing:
        """Make the tables ready, anew if they are of another version, and say how far they have come."""
        ...

    async def position(self) -> int:
        """Return the position the tables stand at."""
        ...

    async def empty(self) -> None:
        """Throw everything away; the position is 0 again."""
        ...

    async def write(self, changes: Changes, *, after: int, standing: Standing) -> None:
        """Write changes and the position they lead to, all or nothing.

        Raises Unavailable also when the tables do not stand at `after` any more.
        """
        ...

    async def snapshot(self) -> Snapshot:
        """Return all rows and the position they belong to, of one moment."""
        ...

    async def workloads(self, query: WorkloadQuery, then: Then | None = None) -> Listed:
        """Return one page of workloads, and one more if there is one; now, or as they were."""
        ...

    async def count(self, query: WorkloadQuery, then: Then | None = None) -> int:
        """Return how many workloads there are, or were."""
        ...

    async def changed(self, workload_ids: Sequence[UUID], after: int) -> Sequence[UUID]:
        """Return those of some workloads whose rows changed after a position."""
        ...

    async def workload(self, workload_id: UUID, then: Then | None = None) -> Record | None:
        """Return one workload."""
        ...

    async def changed_since(self, version: int, limit: int) -> Sequence[Record]:
        """Return the workloads that changed after a position, in the order of their last change."""
        ...

    async def history(self, workload_id: UUID, *, after: int, limit: int, then: Then | None = None) -> Sequence[Record]:
        """Return what happened to a workload after a position, oldest first."""
        ...

    async def pods(self, workload_id: UUID, *, gone: bool, then: Then | None = None) -> Sequence[Record]:
        """Return the pods of a workload, by name; with those that are gone if asked."""
        ...

    async def projects(self, name: str | None = None) -> Sequence[Record]:
        """Return the projects (or one) that were not removed, with the number of their workloads."""
        ...

    async def departments(self) -> Sequence[Record]:
        """Return the departments that were not removed."""
        ...

    async def node_pools(self) -> Sequence[Record]:
        """Return the node pools that were not removed."""
        ...

    async def nodes(self) -> Sequence[Record]:
        """Return the nodes, with what the pods of workloads hold of each."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


class Scheduler(Protocol):
    """The scheduler, which alone knows what it would do."""

    async def ask(self, question: Question) -> Answer:
        """Return its answer. Raises Unavailable when there is none."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


class Neighbours(Protocol):
    """The other services."""

    async def health(self) -> list[dict[str, Any]]:
        """Return what each says of itself (`Health.report`), or that it does not answer."""
        ...
