"""Answers questions about workloads, projects, and nodes, from the tables as they stand, or as they stood.

Who passes `at_least` waits until the tables have come that far, and so reads what he just wrote. Whoever passes `at` is
answered from the rows of then (`earlier`). Logs are not in the journal: they are read from the cluster, of pods that
belong to the workload and of no others.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from muster_chassis.following import Progress
from muster_chassis.health import Health
from muster_cluster.port import Cluster, NotFound, Rejected
from muster_contracts.errors import RefusalCode, Refused, Unavailable
from muster_contracts.questions import Answer, NotAnswered, Question, WhyDoesItWait

from muster_status.core.query import WorkloadQuery
from muster_status.core.rows import Then
from muster_status.handlers.earlier import Earlier
from muster_status.handlers.ports import Neighbours, ReadModels, Record, Scheduler


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, the offset or position where it goes on, and the position at which it was like that."""

    rows: Sequence[Record]
    next: int | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class LogWish:
    """Which log, and how much of it. An empty pod or container means the first that has one."""

    pod: str = ""
    container: str = ""
    follow: bool = False
    tail_lines: int | None = None
    previous: bool = False


class Questions:
    """Everything that can be asked but the live stream and the audit."""

    def __init__(
        self,
        tables: ReadModels,
        progress: Progress,
        cluster: Cluster,
        neighbours: Neighbours,
        health: Health,
        scheduler: Scheduler | None,
        earlier: Earlier,
        *,
        patience_seconds: float,
    ) -> None:
        self._tables = tables
        self._progress = progress
        self._cluster = cluster
        self._neighbours = neighbours
        self._health = health
        self._scheduler = scheduler
        self._earlier = earlier
        self._patience_seconds = patience_seconds

    async def reach(self, position: int) -> None:
        """Wait until the tables have come to a position. Raises Unavailable when that takes too long."""
        await self._progress.reach(position, timeout_seconds=self._patience_seconds)

    async def workloads(self, query: WorkloadQuery, at: int | None = None) -> Page:
        """Return a page of workloads."""
        listed = await (self._tables.workloads(query) if at is None else self._earlier.workloads(query, at))
        more = len(listed.rows) > query.limit
        return Page(listed.rows[: query.limit], query.offset + query.limit if more else None, listed.position)

    async def count(self, query: WorkloadQuery, at: int | None = None) -> int:
        """Return how many there are."""
        whole = replace(query, limit=1, offset=0)
        return await (self._tables.count(whole) if at is None else self._earlier.count(whole, at))

    async def workload(self, workload_id: UUID, at: int | None = None) -> Record:
        """Return one workload. Raises Refused when there is none."""
        row, _ = await self._workload(workload_id, at)
        return row

    async def _workload(self, workload_id: UUID, at: int | None) -> tuple[Record, Then | None]:
        then = None if at is None else await self._earlier.one(workload_id, at)
        row = await self._tables.workload(workload_id, then)
        if row is None:
            there = f"There is no workload {workload_id}." if at is None else f"There was no workload {workload_id}."
            raise Refused(RefusalCode.NOT_FOUND, there)
        return row, then

    async def history(self, workload_id: UUID, *, after: int, limit: int, at: int | None = None) -> Page:
        """Return what happened to a workload, oldest first."""
        _, then = await self._workload(workload_id, at)
        rows = await self._tables.history(workload_id, after=after, limit=limit + 1, then=then)
        return Page(rows[:limit], rows[limit - 1]["position"] if len(rows) > limit else None)

    async def pods(self, workload_id: UUID, *, gone: bool, at: int | None = None) -> Sequence[Record]:
        """Return the pods of a workload."""
        _, then = await self._workload(workload_id, at)
        return await self._tables.pods(workload_id, gone=gone, then=then)

    async def projects(self) -> Sequence[Record]:
        """Return the projects."""
        return await self._tables.projects()

    async def project(self, name: str) -> Record:
        """Return one project. Raises Refused when there is none."""
        rows = await self._tables.projects(name)
        if not rows:
            raise Refused(RefusalCode.NOT_FOUND, f"There is no project {name!r}.")
        return rows[0]

    async def departments(self) -> Sequence[Record]:
        """Return the departments."""
        return await self._tables.departments()

    async def node_pools(self) -> Sequence[Record]:
        """Return the node pools."""
        return await self._tables.node_pools()

    async def nodes(self) -> Sequence[Record]:
        """Return the nodes."""
        return await self._tables.nodes()

    async def system(self) -> dict[str, Any]:
        """Return how every service is doing."""
        services = [*await self._neighbours.health(), self._health.report()]
        return {"well": all(service.get("well") for service in services), "services": services}

    # ------------------------------------------------------------ scheduling

    async def ask_scheduler(self, question: Question) -> Answer:
        """Pass a question on. Raises Refused when it makes no sense, Unavailable when nobody answers."""
        if self._scheduler is None:
            raise Unavailable("No scheduler is there to answer.")
        answer = await self._scheduler.ask(question)
        if isinstance(answer, NotAnswered):
            assert answer.code != "Failed", answer.sentence
            if answer.code == "Busy":
                raise Unavailable(answer.sentence)
            raise Refused(RefusalCode(answer.code), answer.sentence)
        return answer

    async def why_it_waits(self, question: WhyDoesItWait) -> Answer:
        """Ask why a workload waits, if there is such a workload."""
        await self.workload(question.workload_id)
        return await self.ask_scheduler(question)

    # ------------------------------------------------------------ logs

    async def logs(self, workload_id: UUID, wish: LogWish) -> AsyncGenerator[bytes, None]:
        """Return the log of a container as it comes. Raises Refused when there is none, or none yet."""
        pod = _choose(await self.pods(workload_id, gone=True), wish.pod)
        container = wish.container or _first_container(pod)
        chunks = self._cluster.logs(
            pod["namespace"],
            pod["name"],
            container=container,
            follow=wish.follow,
            tail_lines=wish.tail_lines,
            previous=wish.previous,
        )
        try:
            first = await anext(chunks, b"")  # what is wrong shows before the answer begins
        except NotFound:
            raise Refused(RefusalCode.NOT_FOUND, f"Pod {pod['name']} is gone, and its log with it.") from None
        except Rejected as error:
            raise Refused(RefusalCode.CONFLICT, f"There is no log of {pod['name']} yet: {error.message}") from error
        return after_the_first(first, chunks)


def _choose(pods: Sequence[Record], name: str) -> Record:
    """Return the pod of a name, or the one somebody most likely means: one that exists, runs, and comes first."""
    if name:
        found = next((pod for pod in pods if pod["name"] == name), None)
        if found is None:
            known = ", ".join(pod["name"] for pod in pods[:5]) or "none yet"
            raise Refused(RefusalCode.NOT_FOUND, f"The workload has no pod {name!r}; it has {known}.")
        return found
    if not pods:
        raise Refused(RefusalCode.NOT_FOUND, "The workload has no pods yet, and so no log.")
    return min(pods, key=lambda pod: (pod["gone_at"] is not None, pod["phase"] == "Pending", pod["name"]))


def _first_container(pod: Record) -> str:
    mains = [container["name"] for container in pod["containers"] if container["role"] == "main"]
    return mains[0] if mains else ""


async def after_the_first(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield what was read already, then the rest: what goes wrong at the start can still be an answer of its own."""
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
