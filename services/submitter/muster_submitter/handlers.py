"""What to do on a command: decide from the fold, append, and when somebody was faster let the fold read on and decide
anew.

`core.decisions` says what follows, `deeds` does it in Kubernetes. Both doors (HTTP and the bus) come through here.

Pitfall. The expected sequence guards one workload's subject, not the name two workloads might both want. One process
therefore decides about one name at a time, and goes on only when the fold has seen what it wrote; should two processes
still accept the same name, Kubernetes takes one object, and the other workload fails with its sentence.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random
from uuid import UUID
from weakref import WeakValueDictionary

from muster_chassis.following import Progress
from muster_contracts.commands import (
    CreateProject,
    DepartmentSettings,
    NodePoolSettings,
    ProjectSettings,
    SubmitWorkload,
)
from muster_contracts.events import SubmissionRefused
from muster_contracts.subjects import derived_id
from muster_contracts.values import Caller
from muster_journal.port import Conflict, Journal

from muster_submitter.core.decisions import (
    Already,
    Append,
    Decision,
    decide_activate,
    decide_delete,
    decide_project,
    decide_stop,
    decide_submission,
    project_id_of,
    submission_id,
    warning_before_deletion,
)
from muster_submitter.core.organisation import (
    decide_department,
    decide_department_removal,
    decide_node_pool,
    decide_node_pool_removal,
    decide_project_removal,
    decide_project_settings,
)
from muster_submitter.core.state import State


@dataclass(frozen=True, slots=True)
class Receipt:
    """What whoever asked gets back: the id of what it is about, and the position from which a query sees it.

    `warning` is what to know of what was asked, in a sentence.
    """

    id: UUID
    position: int
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What led to a command: the id of a message on the bus, the trace it is a part of."""

    cause: UUID | None = None
    trace_parent: str = ""


NO_ORIGIN = Origin()


class Desk:
    """Takes commands, one method each. Every method raises Refused, and Unavailable when the journal is away."""

    def __init__(self, journal: Journal, state: State, progress: Progress, random: Random) -> None:
        self._journal = journal
        self._state = state
        self._progress = progress
        self._random = random
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def state(self) -> State:
        """The fold that decisions are made from."""
        return self._state

    async def submit(self, command: SubmitWorkload, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Accept a workload; the same caller, project and key give the same answer for ever."""
        if command.idempotency_key is None:
            command = command.model_copy(update={"idempotency_key": self._new_key()})
        assert command.idempotency_key is not None
        async with self._alone(f"{command.project}/{command.name}"):
            position = await self._settle(lambda: decide_submission(self._state, command, caller), origin)
        return Receipt(submission_id(command.project, caller, command.idempotency_key), position)

    async def stop(self, workload_id: UUID, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Ask that a workload stop."""
        return Receipt(workload_id, await self._settle(lambda: decide_stop(self._state, workload_id, caller), origin))

    async def activate(self, workload_id: UUID, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Ask that a workload run again."""
        position = await self._settle(lambda: decide_activate(self._state, workload_id, caller), origin)
        return Receipt(workload_id, position)

    async def delete(self, workload_id: UUID, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Ask that a workload go away."""
        position = await self._settle(lambda: decide_delete(self._state, workload_id, caller), origin)
        return Receipt(workload_id, position, warning_before_deletion(self._state, workload_id))

    async def create_project(self, command: CreateProject, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Create a project. One at a time, because namespaces must not be shared."""
        return await self._organise(
            project_id_of(command.name), lambda: decide_project(self._state, command, caller), origin
        )

    async def set_project(
        self, name: str, settings: ProjectSettings, version: int | None, caller: Caller, origin: Origin = NO_ORIGIN
    ) -> Receipt:
        """Change a project."""
        return await self._organise(
            derived_id("project", name),
            lambda: decide_project_settings(self._state, name, settings, version, caller),
            origin,
        )

    async def remove_project(self, name: str, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Remove a project."""
        return await self._organise(
            derived_id("project", name), lambda: decide_project_removal(self._state, name, caller), origin
        )

    async def set_department(
        self, name: str, settings: DepartmentSettings, version: int | None, caller: Caller, origin: Origin = NO_ORIGIN
    ) -> Receipt:
        """Create or change a department."""
        return await self._organise(
            derived_id("department", name),
            lambda: decide_department(self._state, name, settings, version, caller),
            origin,
        )

    async def remove_department(self, name: str, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Remove a department."""
        return await self._organise(
            derived_id("department", name), lambda: decide_department_removal(self._state, name, caller), origin
        )

    async def set_node_pool(
        self, name: str, settings: NodePoolSettings, version: int | None, caller: Caller, origin: Origin = NO_ORIGIN
    ) -> Receipt:
        """Create or change a node pool."""
        return await self._organise(
            derived_id("node-pool", name),
            lambda: decide_node_pool(self._state, name, settings, version, caller),
            origin,
        )

    async def remove_node_pool(self, name: str, caller: Caller, origin: Origin = NO_ORIGIN) -> Receipt:
        """Remove a node pool."""
        return await self._organise(
            derived_id("node-pool", name), lambda: decide_node_pool_removal(self._state, name, caller), origin
        )

    async def _organise(self, subject_id: UUID, decide: Callable[[], Decision], origin: Origin) -> Receipt:
        """Change the organisation. One at a time, because its parts name one another."""
        async with self._alone("organisation"):
            return Receipt(subject_id, await self._settle(decide, origin))

    async def refuse_submission(self, event: SubmissionRefused, origin: Origin) -> None:
        """Write down that a submission over the bus was refused, once."""
        await self.ready()
        while event.workload_id not in self._state.refusals:
            expected = self._state.version_of(event.workload_id)
            try:
                position = await self._journal.append(
                    event, expected=expected, cause=origin.cause, trace_parent=origin.trace_parent
                )
            except Conflict as lost:
                position = lost.actual
            await self._progress.reach(position)

    async def _settle(self, decide: Callable[[], Decision], origin: Origin) -> int:
        """Decide until it holds. The fold has seen the answer before it is given."""
        await self.ready()
        while True:
            decision = decide()
            if isinstance(decision, Already):
                return decision.position
            try:
                position = await self._append(decision, origin)
            except Conflict as lost:
                await self._progress.reach(lost.actual)
                continue
            await self._progress.reach(position)
            return position

    async def _append(self, decision: Append, origin: Origin) -> int:
        return await self._journal.append(
            decision.event, expected=decision.expected, cause=origin.cause, trace_parent=origin.trace_parent
        )

    async def ready(self) -> None:
        """Decide nothing from half a journal: wait until the fold has seen its end once, and refuse when it stopped."""
        self._progress.check()
        if not self._progress.caught_up:
            await self._progress.reach(await self._journal.end())

    @contextlib.asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        lock = self._names.setdefault(name, asyncio.Lock())
        async with lock:
            yield

    def _new_key(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))
