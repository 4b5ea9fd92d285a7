"""What would have happened with other quotas or nodes: the recorded history, scheduled again by the planner.

What people asked for and what the cluster was are taken from the record: nodes, organisation, workloads, pod groups,
and when each pod appeared. What the scheduler decided, and what followed from it, is left out and decided anew: a pod
that gets a place runs for as long as it ran in the record. One that did not end there does not end here either, and one
that is evicted begins again from the start.

Pitfalls. Who submitted what and when is kept, though people would have behaved differently; a pod that the record's own
evictions brought about appears all the same; moments are rounded to whole seconds, after each of which a plan is made.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from muster_contracts import events as e
from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES
from muster_contracts.subjects import Writer
from muster_contracts.values import BoundPod, Placement, PodFacts, PodMark, PodPhase, Victim
from muster_contracts.wire import Envelope, Recorded

from muster_scheduler.core.plan import Plan
from muster_scheduler.core.scenarios.facts import CLUSTER_ID, plan_made, running_pod
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import FINISHED, State

Change = Callable[[e.AnyEvent], Iterable[e.AnyEvent]]
"""What is told instead of an event, for another quota or other nodes."""


PLANS_AT_ONCE = 3
"""What victims free is given in the next plan; more than that waits for the next moment."""


@dataclass(slots=True)
class Life:
    """When a pod of ours appeared, got a place and ended, in the record or in the replay."""

    workload_id: UUID
    facts: PodFacts
    seen: datetime
    bound: datetime | None = None
    ended: datetime | None = None

    @property
    def duration(self) -> timedelta | None:
        """How long it ran; None when it did not end."""
        return self.ended - self.bound if self.bound is not None and self.ended is not None else None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a workload waited for its first place, in the record and in the replay. None: it got none."""

    workload_id: UUID
    name: str
    project: str
    submitted: datetime
    started_before: datetime | None
    started_after: datetime | None


def replay(history: Sequence[Recorded], change: Change, planner: Callable[[Snapshot], Plan]) -> list[Waiting]:
    """Schedule the history again. Returns the workloads in the order in which they came."""
    record = lives_of(history)
    again = _Replay(record, planner)
    for recorded in history:
        for event in _untouched(recorded, record):
            for told in change(event):
                again.expect(recorded.envelope.time, told)
    again.run(until=max((recorded.envelope.time for recorded in history), default=None))
    return _compared(record, again.lives, again.state)


def lives_of(history: Iterable[Recorded]) -> dict[UUID, Life]:
    """Return what became of every pod that was ours to place."""
    lives: dict[UUID, Life] = {}
    for recorded in history:
        moment = recorded.envelope.time
        match recorded.event:
            case e.PodObserved(workload_id=workload_id, pods=pods):
                for facts in pods:
                    if facts.scheduler_name in COMPATIBLE_SCHEDULER_NAMES:
                        _see(lives.setdefault(facts.pod_id, Life(workload_id, facts, moment)), facts, moment)
            case e.PodScheduled(pods=bound):
                for one in bound:
                    if (life := lives.get(one.pod_id)) is not None and life.bound is None:
                        life.bound = moment
            case e.PodGone(pods=marks):
                for mark in marks:
                    if (life := lives.get(mark.pod_id)) is not None and life.ended is None:
                        life.ended = moment
            case _:
                pass
    return lives


def _see(life: Life, facts: PodFacts, moment: datetime) -> None:
    if facts.node and life.bound is None:
        life.bound = moment
    if facts.phase in FINISHED and life.ended is None:
        life.ended = moment


def _untouched(recorded: Recorded, record: dict[UUID, Life]) -> Iterator[e.AnyEvent]:
    """Yield what of an event is not the scheduler's doing, nor follows from it."""
    match recorded.event:
        case e.PodObserved(pods=pods) as event:
            yield event.model_copy(update={"pods": tuple(map(_as_it_came, pods))})
        case e.PodGone(pods=marks) as event:
            cancelled = [mark for mark in marks if (life := record.get(mark.pod_id)) is None or life.bound is None]
            if cancelled:
                yield event.model_copy(update={"pods": tuple(cancelled)})
        case e.WorkloadGone() | e.PodGroupChanged(dissolved=True):
            return
        case event if recorded.subject.writer is not Writer.SCHEDULER:
            yield event
        case _:
            return


def _as_it_came(facts: PodFacts) -> PodFacts:
    if facts.scheduler_name not in COMPATIBLE_SCHEDULER_NAMES:
        return facts
    waiting = {"node": "", "gpus": "", "phase": PodPhase.PENDING, "ready": False, "terminating": False}
    return facts.model_copy(update=waiting)


def _compared(record: dict[UUID, Life], again: dict[UUID, Life], state: State) -> list[Waiting]:
    workloads: dict[UUID, list[Life]] = {}
    for life in record.values():
        workloads.setdefault(life.workload_id, []).append(life)
    after = _first_starts(again.values())
    before = _first_starts(record.values())
    return [
        Waiting(
            workload_id=workload_id,
            name=state.workload(workload_id).name,
            project=state.workload(workload_id).project,
            submitted=min(life.seen for life in lives),
            started_before=before.get(workload_id),
            started_after=after.get(workload_id),
        )
        for workload_id, lives in workloads.items()
    ]


def _first_starts(lives: Iterable[Life]) -> dict[UUID, datetime]:
    starts: dict[UUID, datetime] = {}
    for life in lives:
        if life.bound is not None:
            starts[life.workload_id] = min(life.bound, starts.get(life.workload_id, life.bound))
    return starts


@dataclass(slots=True)
class _Replay:
    """The second run. `agenda` holds (moment, order, event or the pod that ends then)."""

    record: dict[UUID, Life]
    planner: Callable[[Snapshot], Plan]
    state: State = field(default_factory=State)
    lives: dict[UUID, Life] = field(default_factory=dict)
    agenda: list[tuple[datetime, int, e.AnyEvent | UUID]] = field(default_factory=list)
    order: int = 0
    position: int = 0

    def expect(self, moment: datetime, what: e.AnyEvent | UUID) -> None:
        self.order += 1
        heapq.heappush(self.agenda, (_whole_second(moment), self.order, what))

    def run(self, until: datetime | None) -> None:
        while self.agenda and until is not None and self.agenda[0][0] <= _whole_second(until):
            moment = self.agenda[0][0]
            while self.agenda and self.agenda[0][0] == moment:
                self._happen(heapq.heappop(self.agenda)[2], moment)
            self._plan(moment)

    def _happen(self, what: e.AnyEvent | UUID, moment: datetime) -> None:
        if isinstance(what, UUID):
            self._end(what, moment)
            return
        if isinstance(what, e.PodObserved):
            waiting = [facts for facts in what.pods if not self._runs(facts.pod_id)]
            for facts in waiting:
                if facts.pod_id in self.record:
                    self.lives.setdefault(facts.pod_id, Life(what.workload_id, facts, moment))
            what = what.model_copy(update={"pods": tuple(waiting)})
        self._tell(what, moment)

    def _runs(self, pod_id: UUID) -> bool:
        return (life := self.lives.get(pod_id)) is not None and life.bound is not None

    def _plan(self, moment: datetime) -> None:
        """Plan, and plan again where victims left: what they free is given in the next plan."""
        for _ in range(PLANS_AT_ONCE):
            made = self.planner(take_snapshot(self.state))
            plan_id = uuid5(CLUSTER_ID, f"replay/{self.position}")
            if made.placements or made.victims or made.nominations:
                self._tell(plan_made(made, plan_id), moment)
            for victim in made.victims:
                self._evict(victim, moment)
            for placement in made.placements:
                self._bind(placement, plan_id, moment)
            if not made.victims:
                return

    def _bind(self, placement: Placement, plan_id: UUID, moment: datetime) -> None:
        life = self.lives[placement.pod_id]
        life.bound = moment
        life.facts = running_pod(life.facts, placement.node, placement.devices)
        bound = BoundPod(pod_id=placement.pod_id, name=placement.name, node=placement.node, devices=placement.devices)
        self._tell(
            e.PodScheduled(
                workload_id=placement.workload_id,
                pod_group_id=placement.pod_group_id,
                plan_id=plan_id,
                pods=(bound,),
            ),
            moment,
        )
        self._tell(e.PodObserved(workload_id=life.workload_id, pods=(life.facts,)), moment)
        if (duration := self.record[placement.pod_id].duration) is not None:
            self.expect(moment + max(duration, timedelta(seconds=1)), placement.pod_id)

    def _evict(self, victim: Victim, moment: datetime) -> None:
        """Let another pod wait in the victim's stead, for as long a run as the victim's."""
        pod_id = uuid5(victim.pod_id, f"evicted/{self.position}")
        life, again = self.lives[victim.pod_id], self.record[victim.pod_id]
        self._forget(victim.pod_id, moment)
        facts = _as_it_came(life.facts).model_copy(update={"pod_id": pod_id, "created_at": moment})
        self.record[pod_id] = again
        self.lives[pod_id] = Life(life.workload_id, facts, moment)
        self._tell(e.PodObserved(workload_id=life.workload_id, pods=(facts,)), moment)

    def _end(self, pod_id: UUID, moment: datetime) -> None:
        if (life := self.lives.get(pod_id)) is not None and life.ended is None:
            self._forget(pod_id, moment)

    def _forget(self, pod_id: UUID, moment: datetime) -> None:
        life = self.lives[pod_id]
        life.ended = moment
        mark = PodMark(pod_id=pod_id, name=life.facts.name, last_phase=PodPhase.RUNNING, node=life.facts.node)
        self._tell(e.PodGone(workload_id=life.workload_id, pods=(mark,)), moment)

    def _tell(self, event: e.AnyEvent, moment: datetime) -> None:
        self.position += 1
        self.state.apply(Recorded(self.position, Envelope(uuid5(CLUSTER_ID, str(self.position)), moment), event))


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
