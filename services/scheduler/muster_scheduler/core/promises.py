"""What plans decided, until it is reported: who is to be bound, who is to be evicted, and the places that are kept.

A promise is a placement of a `PlanMade` that neither `PodScheduled` confirmed nor `PlacementReleased` took back; until
then it counts as used. An eviction is open until `PodPreempted` or `PlacementReleased` says what became of it. Both are
carried out workload by workload (`execution.deeds`), whether the workload is still there or not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from muster_contracts.values import Placement, PodFacts, Victim

from muster_scheduler.core.pods import PodsBy


@dataclass(frozen=True, slots=True)
class Promise:
    """A placement of a plan that is still open."""

    plan_id: UUID
    placement: Placement

    @property
    def pod_group_id(self) -> UUID:
        """The group of the pod."""
        return self.placement.pod_group_id

    @property
    def pod(self) -> Placement:
        """The pod it is about."""
        return self.placement


@dataclass(frozen=True, slots=True)
class Eviction:
    """What a plan decided about a victim, and nobody has reported yet as done or as refused.

    `epoch` is that of the plan: whoever leads in a later one cannot know whether it was carried out. `went_alone` says
    that the victim was on its way before the plan was written, or was seen to have ended without being told to go.
    """

    plan_id: UUID
    pod_group_id: UUID
    victim: Victim
    epoch: int
    went_alone: bool = False

    @property
    def pod(self) -> Victim:
        """The pod it is about."""
        return self.victim


Decided = TypeVar("Decided", Promise, Eviction)


@dataclass
class Open(Generic[Decided]):
    """Decisions of one kind that are open, one for each pod."""

    by_pod: dict[UUID, Decided] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_workload: PodsBy[UUID] = PodsBy()
        for pod_id, decided in self.by_pod.items():
            self._by_workload.add(decided.pod.workload_id, pod_id)

    def __bool__(self) -> bool:
        """Say whether any is open."""
        return bool(self.by_pod)

    def __contains__(self, pod_id: UUID) -> bool:
        """Say whether one about a pod is open."""
        return pod_id in self.by_pod

    def get(self, pod_id: UUID) -> Decided | None:
        """Return what is decided about a pod."""
        return self.by_pod.get(pod_id)

    def of(self, workload_id: UUID) -> list[Decided]:
        """Return what is decided about the pods of a workload."""
        return [self.by_pod[pod_id] for pod_id in self._by_workload.get(workload_id, ())]

    @property
    def workloads(self) -> Collection[UUID]:
        """The workloads about whose pods anything is open."""
        return self._by_workload.keys()

    def open(self, decided: Decided) -> None:
        """Note what a plan decided; a pod has one such decision, the last."""
        pod = decided.pod
        if (before := self.by_pod.get(pod.pod_id)) is not None:
            self.close(before.plan_id, pod.pod_id)
        self.by_pod[pod.pod_id] = decided
        self._by_workload.add(pod.workload_id, pod.pod_id)

    def close(self, plan_id: UUID, pod_id: UUID) -> Decided | None:
        """Close and return what that plan decided, and no other: a later one may have decided about the pod again."""
        decided = self.by_pod.get(pod_id)
        if decided is None or decided.plan_id != plan_id:
            return None
        del self.by_pod[pod_id]
        self._by_workload.discard(decided.pod.workload_id, pod_id)
        return decided


SUCCESSOR_SECONDS = 60
"""How long the place of a pod that moved is kept once it is gone. Kubernetes makes a Job's next pod after ten seconds,
and takes longer from failure to failure; a pod that nobody owns has no successor."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A pod that was told to go to another place and is gone, and until when its place is kept for its successor."""

    facts: PodFacts
    until: datetime


@dataclass(frozen=True, slots=True)
class Nomination:
    """The places that a group is to have when its victims are gone, and the plan that says so."""

    plan_id: UUID
    places: tuple[Placement, ...]
    moved: tuple[Moved, ...] = ()

    def after(self, gone: PodFacts, now: datetime) -> "Nomination":
        """Return what is nominated now that a pod is gone: its place is kept for a while if it has one here."""
        is_known = any(one.facts.pod_id == gone.pod_id for one in self.moved)
        if is_known or all(place.pod_id != gone.pod_id for place in self.places):
            return self
        return replace(self, moved=(*self.moved, Moved(gone, now + timedelta(seconds=SUCCESSOR_SECONDS))))


def nominate(nominations: dict[UUID, Nomination], plan_id: UUID, places: Iterable[Placement]) -> None:
    """Keep the places that groups are to have; those of a later plan take the place of earlier ones, by group."""
    for place in places:
        known = nominations.get(place.pod_group_id)
        before = known.places if known is not None and known.plan_id == plan_id else ()
        nominations[place.pod_group_id] = Nomination(plan_id, (*before, place))
