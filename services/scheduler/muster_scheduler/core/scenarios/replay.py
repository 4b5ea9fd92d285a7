"""What would have happened with other quotas or nodes: the recorded history, scheduled again by the planner.

What people asked for and what the cluster was are taken from the record: nodes, organisation, workloads, pod groups,
and when each pod appeared. What the scheduler decided, and what followed from it, is left out and decided anew: a pod
that gets a place runs for as long as it ran in the record. One that did not end there does not end here either, and one
that is evicted begins again from the start.

An eviction of the record ends no run: it was a decision too. The pods that came in a victim's stead are left out, and
the victim runs for as long as the last of them did, or until the moment at which somebody deleted that one; a victim
that nothing replaced has no end that is known.

Pitfalls. Who submitted what and when is kept, though people would have behaved differently; which pod replaced which is
guessed from workload, sub-group and role, in order of arrival; moments are rounded to whole seconds, after each of
which a plan is made.
"""

import heapq
from collections import deque
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
from muster_scheduler.core.pods import FINISHED
from muster_scheduler.core.scenarios.facts import CLUSTER_ID, plan_made, running_pod
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import State, Workload

Change = Callable[[e.AnyEvent], Iterable[e.AnyEvent]]
"""What is told instead of an event, for another quota or other nodes."""


PLANS_AT_ONCE = 3
"""What victims free is given in the next plan; more than that waits for the next moment."""


@dataclass(slots=True)
class Life:
    """When a pod of ours appeared, got a place and ended, in the record or in the replay.

    `first` is the pod in whose stead it stands after evictions, itself if there were none; `successor` is who came in
    its own stead. `deleted` is who was told to go before it had finished, by others than the scheduler.
    """

    workload_id: UUID
    facts: PodFacts
    seen: datetime
    first: UUID
    bound: datetime | None = None
    ended: datetime | None = None
    evicted: bool = False
    deleted: bool = False
    successor: "Life | None" = None

    @property
    def last(self) -> "Life":
        """Who stands in its stead when all is over, perhaps itself."""
        life = self
        while life.successor is not None:
            life = life.successor
        return life

    @property
    def duration(self) -> timedelta | None:
        """How long it, or the last in its stead, ran; None when that did not end by itself."""
        last = self.last
        if last.bound is None or last.ended is None or last.evicted or last.cut_short:
            return None
        return last.ended - last.bound

    @property
    def cut_short(self) -> bool:
        """Whether it went before its run was over: before it had a place, or deleted while it made up for evictions."""
        return self.bound is None or (self.deleted and self.first != self.facts.pod_id)

    def succeeded_by(self, life: "Life") -> None:
        """Let another pod stand in its stead."""
        self.successor, life.first = life, self.first


@dataclass(frozen=True, slots=True)
class Course:
    """How it went for a workload: when it got its first place, and what evictions cost it.

    `lost_seconds` is what evicted pods had run, `waited_again_seconds` what those in their stead waited; both are sums
    over pods, up to the end of the history.
    """

    started: datetime | None
    evictions: int
    lost_seconds: float
    waited_again_seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """How it went for a workload in the record and in the replay."""

    workload_id: UUID
    name: str
    project: str
    submitted: datetime
    before: Course
    after: Course


def replay(history: Sequence[Recorded], change: Change, planner: Callable[[Snapshot], Plan]) -> list[Waiting]:
    """Schedule the history again. Returns the workloads in the order in which they came."""
    record = lives_of(history)
    again = _Replay(record, planner)
    for recorded in history:
        for event in _untouched(recorded, record):
            for told in change(event):
                again.expect(recorded.envelope.time, told)
    if not history:
        return []
    until = max(recorded.envelope.time for recorded in history)
    again.run(until)
    return _compared(record, again.lives, again.state, until)


def lives_of(history: Iterable[Recorded]) -> dict[UUID, Life]:
    """Return what became of every pod that was ours to place."""
    record = _Record()
    for recorded in history:
        record.apply(recorded.event, recorded.envelope.time)
    return record.lives


@dataclass(slots=True)
class _Record:
    """The lives as they are told. `vacant` are victims in whose stead nobody came yet, by the place they left."""

    lives: dict[UUID, Life] = field(default_factory=dict)
    vacant: dict[tuple[UUID, str, str], deque[Life]] = field(default_factory=dict)

    def apply(self, event: e.AnyEvent, moment: datetime) -> None:
        match event:
            case e.PodObserved(workload_id=workload_id, pods=pods):
                for facts in pods:
                    if facts.scheduler_name in COMPATIBLE_SCHEDULER_NAMES:
                        self._see(workload_id, facts, moment)
            case e.PodScheduled(pods=bound):
                for life in self._known(one.pod_id for one in bound):
                    life.bound = life.bound or moment
            case e.PodPreempted(pod_ids=victims):
                for life in self._known(victims):
                    self._evict(life)
            case e.PodGone(pods=marks):
                for mark in marks:
                    self._go(mark, moment)
            case _:
                pass

    def _known(self, pod_ids: Iterable[UUID]) -> list[Life]:
        return [self.lives[pod_id] for pod_id in pod_ids if pod_id in self.lives]

    def _see(self, workload_id: UUID, facts: PodFacts, moment: datetime) -> None:
        if facts.pod_id not in self.lives:
            self._begin(Life(workload_id, facts, moment, facts.pod_id))
        life = self.lives[facts.pod_id]
        if facts.node:
            life.bound = life.bound or moment
        if facts.phase in FINISHED:
            life.ended = life.ended or moment
        elif facts.terminating and not life.evicted:
            life.deleted = True

    def _go(self, mark: PodMark, moment: datetime) -> None:
        for life in self._known([mark.pod_id]):
            if life.ended is None and not life.evicted:
                life.deleted = life.deleted or mark.last_phase is not PodPhase.SUCCEEDED  # a failed one would stay
            life.ended = life.ended or moment

    def _begin(self, life: Life) -> None:
        self.lives[life.facts.pod_id] = life
        if vacant := self.vacant.get(_place_of(life)):
            vacant.popleft().succeeded_by(life)

    def _evict(self, life: Life) -> None:
        if not life.evicted:
            life.evicted = True
            self.vacant.setdefault(_place_of(life), deque()).append(life)


def _place_of(life: Life) -> tuple[UUID, str, str]:
    return life.workload_id, life.facts.sub_group, life.facts.role


def _untouched(recorded: Recorded, record: dict[UUID, Life]) -> Iterator[e.AnyEvent]:
    """Yield what of an event is not the scheduler's doing, nor follows from it."""
    match recorded.event:
        case e.PodObserved(pods=pods) as event:
            came = [_as_it_came(facts) for facts in pods if _first(facts.pod_id, record) == facts.pod_id]
            if came:
                yield event.model_copy(update={"pods": tuple(came)})
        case e.PodGone(pods=marks) as event:
            cancelled = [
                mark.model_copy(update={"pod_id": _first(mark.pod_id, record)})
                for mark in marks
                if (life := record.get(mark.pod_id)) is None or life.cut_short
            ]
            if cancelled:
                yield event.model_copy(update={"pods": tuple(cancelled)})
        case e.WorkloadGone() | e.PodGroupChanged(dissolved=True):
            return
        case event if recorded.subject.writer is not Writer.SCHEDULER:
            yield event
        case _:
            return


def _first(pod_id: UUID, record: dict[UUID, Life]) -> UUID:
    life = record.get(pod_id)
    return pod_id if life is None else life.first


def _as_it_came(facts: PodFacts) -> PodFacts:
    if facts.scheduler_name not in COMPATIBLE_SCHEDULER_NAMES:
        return facts
    waiting = {"node": "", "gpus": "", "phase": PodPhase.PENDING, "ready": False, "terminating": False}
    return facts.model_copy(update=waiting)


def _compared(record: dict[UUID, Life], again: dict[UUID, Life], state: State, until: datetime) -> list[Waiting]:
    before, after = _by_workload(record), _by_workload(again)
    known, nobody = state.workloads, Workload()
    return [
        Waiting(
            workload_id=workload_id,
            name=known.get(workload_id, nobody).name,
            project=known.get(workload_id, nobody).project,
            submitted=min(life.seen for life in lives),
            before=_course(lives, until),
            after=_course(after.get(workload_id, []), until),
        )
        for workload_id, lives in before.items()
    ]


def _by_workload(lives: dict[UUID, Life]) -> dict[UUID, list[Life]]:
    workloads: dict[UUID, list[Life]] = {}
    for life in lives.values():
        workloads.setdefault(life.workload_id, []).append(life)
    return workloads


def _course(lives: Sequence[Life], until: datetime) -> Course:
    lost = [(life.ended or until) - life.bound for life in lives if life.evicted and life.bound is not None]
    again = [(life.bound or life.ended or until) - life.seen for life in lives if life.first != life.facts.pod_id]
    return Course(
        started=min((life.bound for life in lives if life.bound is not None), default=None),
        evictions=sum(life.evicted for life in lives),
        lost_seconds=sum(one.total_seconds() for one in lost),
        waited_again_seconds=sum(one.total_seconds() for one in again),
    )


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

    def run(self, until: datetime) -> None:
        while self.agenda and self.agenda[0][0] <= _whole_second(until):
            moment = self.agenda[0][0]
            while self.agenda and self.agenda[0][0] == moment:
                self._happen(heapq.heappop(self.agenda)[2], moment)
            self._plan(moment)

    def _happen(self, what: e.AnyEvent | UUID, moment: datetime) -> None:
        if isinstance(what, UUID):
            self._end(what, moment)
            return
        if isinstance(what, e.PodGone):
            for mark in what.pods:
                self._cancel(what.workload_id, mark, moment)
            return
        if isinstance(what, e.PodObserved):
            waiting = [facts for facts in what.pods if not self._runs(facts.pod_id)]
            for facts in waiting:
                if facts.pod_id in self.record:
                    self.lives.setdefault(facts.pod_id, Life(what.workload_id, facts, moment, facts.pod_id))
            what = what.model_copy(update={"pods": tuple(waiting)})
        self._tell(what, moment)

    def _cancel(self, workload_id: UUID, mark: PodMark, moment: datetime) -> None:
        """Let a pod go that went before it had a place, and with it whoever is in its stead by now."""
        if (life := self.lives.get(mark.pod_id)) is not None:
            self._end(life.last.facts.pod_id, moment)
        else:
            self._tell(e.PodGone(workload_id=workload_id, pods=(mark,)), moment)

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
        if (duration := self.record[life.first].duration) is not None:
            self.expect(moment + max(duration, timedelta(seconds=1)), placement.pod_id)

    def _evict(self, victim: Victim, moment: datetime) -> None:
        """Let another pod wait in the victim's stead, for as long a run as the victim's."""
        pod_id = uuid5(victim.pod_id, f"evicted/{self.position}")
        life = self.lives[victim.pod_id]
        life.evicted = True
        self._forget(victim.pod_id, moment)
        facts = _as_it_came(life.facts).model_copy(update={"pod_id": pod_id, "created_at": moment})
        self.lives[pod_id] = Life(life.workload_id, facts, moment, pod_id)
        life.succeeded_by(self.lives[pod_id])
        self._tell(e.PodObserved(workload_id=life.workload_id, pods=(facts,)), moment)

    def _end(self, pod_id: UUID, moment: datetime) -> None:
        if (life := self.lives.get(pod_id)) is not None and life.ended is None:
            self._forget(pod_id, moment)

    def _forget(self, pod_id: UUID, moment: datetime) -> None:
        life = self.lives[pod_id]
        life.ended = moment
        mark = PodMark(pod_id=pod_id, name=life.facts.name, last_phase=life.facts.phase, node=life.facts.node)
        self._tell(e.PodGone(workload_id=life.workload_id, pods=(mark,)), moment)

    def _tell(self, event: e.AnyEvent, moment: datetime) -> None:
        self.position += 1
        self.state.apply(Recorded(self.position, Envelope(uuid5(CLUSTER_ID, str(self.position)), moment), event))


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
