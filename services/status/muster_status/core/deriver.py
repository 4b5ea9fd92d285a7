"""Which transitions follow from the journal, and which of them stand in it already.

Every phase is worked out from the events of other services alone; a recorded `PhaseChanged` only confirms what was
worked out. So the same fold tells the deriver what is still to be published and the auditor what should never have
been recorded. Which table holds is itself folded: an adoption speaks of the events after it, and whatever came before
the first one belongs to the first one.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import assert_never
from uuid import UUID, uuid5

from muster_contracts.events import (
    AccessRuleChanged,
    ActivateRequested,
    AttemptRefused,
    DeadlinePassed,
    DeleteRequested,
    DepartmentChanged,
    GpuBusy,
    GpuIdle,
    LeadershipTaken,
    LimitReached,
    NodeGone,
    NodeObserved,
    NodePoolChanged,
    ObjectsApplied,
    ObjectsRefused,
    OwnerObserved,
    PhaseChanged,
    PhaseTableAdopted,
    PlacementReleased,
    PlanMade,
    PodGone,
    PodGroupChanged,
    PodGroupFormed,
    PodMoved,
    PodObserved,
    PodPreempted,
    PodScheduled,
    PolicyChanged,
    ProjectChanged,
    SessionClosed,
    SessionOpened,
    StopRequested,
    SubmissionRefused,
    TokenIssued,
    TokenRevoked,
    WorkloadBlocked,
    WorkloadDiscovered,
    WorkloadEvent,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_contracts.phases import Phase
from muster_contracts.wire import Recorded

from muster_status.core.phase_table import CURRENT_TABLE, FIRST_PHASE, TABLES, next_phase
from muster_status.core.sentences import reason_of
from muster_status.core.situation import Situation, situation_of
from muster_status.core.workload import Workload


@dataclass(frozen=True, slots=True)
class Difference:
    """A record and what was worked out do not agree; `position` is the record's, or the cause's when it is missing."""

    position: int
    workload_id: UUID
    sentence: str


@dataclass(slots=True)
class Derived:
    """The phase of one workload and what it comes from; the facts are let go when the workload is gone.

    `version` is the position of the last record on the workload's subject of ours.
    """

    workload: Workload | None
    phase: Phase | None = None
    version: int = 0


@dataclass
class Derivation:
    """All workloads, and per workload the transitions that are worked out and not recorded yet, oldest first.

    `table` is the number of the first table that was adopted; without any, of the one that will be. The fields are all
    that a checkpoint keeps.
    """

    table: int = CURRENT_TABLE
    adopted: bool = False
    table_version: int = 0
    position: int = 0
    derived: dict[UUID, Derived] = field(default_factory=dict)
    open: dict[UUID, deque[PhaseChanged]] = field(default_factory=dict)
    confirmed: int = 0

    def apply(self, recorded: Recorded) -> Difference | None:
        """Fold the next event of the stream; return what is wrong with it if it is a record that should not be."""
        if recorded.position <= self.position:
            return None
        self.position = recorded.position
        return self._apply(recorded)

    def _apply(self, recorded: Recorded) -> Difference | None:
        event = recorded.event
        match event:
            case PhaseChanged():
                return self._confirm(recorded.position, event)
            case PhaseTableAdopted():
                self._adopt(recorded.position, event)
            case GpuIdle() | GpuBusy():
                self.of(event.workload_id).version = recorded.position
            case (
                WorkloadSubmitted()
                | ObjectsApplied()
                | ObjectsRefused()
                | StopRequested()
                | ActivateRequested()
                | DeleteRequested()
                | LimitReached()
                | WorkloadDiscovered()
                | WorkloadGone()
                | OwnerObserved()
                | PodGroupFormed()
                | PodGroupChanged()
                | PodObserved()
                | PodGone()
                | PodMoved()
                | PodScheduled()
                | PodPreempted()
                | WorkloadBlocked()
            ):
                self._derive(recorded, event)
            case (
                SubmissionRefused()
                | SessionOpened()
                | SessionClosed()
                | PlacementReleased()
                | DeadlinePassed()
                | ProjectChanged()
                | DepartmentChanged()
                | NodePoolChanged()
                | PolicyChanged()
                | AccessRuleChanged()
                | AttemptRefused()
                | TokenIssued()
                | TokenRevoked()
                | NodeObserved()
                | NodeGone()
                | LeadershipTaken()
                | PlanMade()
            ):
                pass
            case _:
                assert_never(event)
        return None

    def of(self, workload_id: UUID) -> Derived:
        """Return the entry of a workload, made when it is first asked for."""
        entry = self.derived.get(workload_id)
        if entry is None:
            entry = self.derived[workload_id] = Derived(Workload(workload_id))
        return entry

    def situation(self, workload_id: UUID) -> Situation | None:
        """Return how a workload stands, None when it is gone."""
        workload = self.of(workload_id).workload
        return None if workload is None else situation_of(workload)

    # ------------------------------------------------------------ working out

    def _derive(self, recorded: Recorded, event: WorkloadEvent) -> None:
        entry = self.of(event.workload_id)
        workload = entry.workload
        if workload is None:
            return
        workload.apply(recorded.position, recorded.envelope.time, event)
        if not workload.known:
            return
        step = 0
        while (transition := self._next(entry, workload, recorded.position, step)) is not None:
            entry.phase = transition.current
            self.open.setdefault(workload.id, deque()).append(transition)
            step += 1
        if workload.gone:
            entry.workload = None

    def _next(self, entry: Derived, workload: Workload, cause: int, step: int) -> PhaseChanged | None:
        situation = situation_of(workload)
        current = FIRST_PHASE if entry.phase is None else next_phase(self.table, entry.phase, situation)
        if current is None:
            return None
        return PhaseChanged(
            workload_id=workload.id,
            previous=entry.phase,
            current=current,
            reason=reason_of(workload, situation, entry.phase, current),
            cause=cause,
            step=step,
            table=self.table,
        )

    # ------------------------------------------------------------ what is recorded

    def stored(self, transition: PhaseChanged, position: int) -> None:
        """Note that our own append of the oldest open transition succeeded; its record will come by and say nothing."""
        self._confirm(position, transition)

    def _confirm(self, position: int, record: PhaseChanged) -> Difference | None:
        entry = self.of(record.workload_id)
        if position <= entry.version:
            return None
        entry.version = position
        queue = self.open.get(record.workload_id)
        if not queue or not any(same_step(expected, record) for expected in queue):
            return Difference(position, record.workload_id, f"{_say(record)} follows from nothing before it.")
        missing = self._skip_to(queue, record)
        expected = queue.popleft()
        self.confirmed += 1
        if not queue:
            del self.open[record.workload_id]
        if missing:
            return Difference(position, record.workload_id, f"{_say(record)} stands where {_say(missing)} should.")
        if expected != record:
            return Difference(position, record.workload_id, f"{_say(record)} should be {_say(expected)}.")
        return None

    def _skip_to(self, queue: "deque[PhaseChanged]", record: PhaseChanged) -> PhaseChanged | None:
        first = None
        while not same_step(queue[0], record):
            skipped = queue.popleft()
            first = first or skipped
        return first

    def _adopt(self, position: int, event: PhaseTableAdopted) -> None:
        assert event.table in TABLES, f"Phase table {event.table} is of a newer version of this service."
        self.table, self.adopted, self.table_version = event.table, True, position


def transition_id(transition: PhaseChanged) -> UUID:
    """Return the id of the record of a transition: the same whoever works it out, and whenever."""
    return uuid5(transition.workload_id, f"{transition.cause}/{transition.step}")


def same_step(one: PhaseChanged, other: PhaseChanged) -> bool:
    """Say whether both are about the same step from the same cause."""
    return (one.cause, one.step) == (other.cause, other.step)


def _say(record: PhaseChanged) -> str:
    return (
        f"{record.previous or 'nothing'} → {record.current} (cause {record.cause}, step {record.step}, table "
        f"{record.table}: {record.reason!r})"
    )
