"""Pods and pod groups as the fold knows them, one by one; who is in which group or on which node is `PodsBy`'s.

Neighbours: `state` folds events into them, `groups` is what a plan sees of them.

Pitfall. A pod that was once assigned (seen bound, or reported bound by us) stays assigned until it is gone or finished:
an older sighting that arrives later must not free its place.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from muster_contracts.events import PodGroupChanged
from muster_contracts.values import DeviceShare, PodFacts, PodPhase, SubGroup, TopologyConstraint

from muster_scheduler.core.aside import Aside
from muster_scheduler.core.devices import devices_held

FINISHED = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a pod is: on which node, with which devices (none known when another scheduler bound it)."""

    node: str
    devices: tuple[DeviceShare, ...]


@dataclass(slots=True)
class Pod:
    """One pod: its last facts, its workload, and where it is once it is somewhere."""

    workload_id: UUID
    facts: PodFacts
    assignment: Assignment | None = None
    condemned_by: UUID | None = None  # the plan that told it to go; it holds its place until it is gone

    @property
    def live(self) -> bool:
        """Whether the pod still needs, or holds, a place."""
        return self.facts.phase not in FINISHED

    @property
    def is_going(self) -> bool:
        """Whether it has ended, or was told to, by whomever."""
        return self.facts.terminating or not self.live

    @property
    def is_releasing(self) -> bool:
        """Whether it was told to go."""
        return self.condemned_by is not None or self.facts.terminating

    def is_lost_by(self, facts: PodFacts) -> bool:
        """Say whether its group has it no longer, by what is seen of it now."""
        is_other = (facts.terminating, facts.phase) != (self.facts.terminating, self.facts.phase)
        return is_other and (facts.terminating or facts.phase in FINISHED)

    def see(self, facts: PodFacts) -> None:
        """Take over what is seen of it now."""
        self.facts = facts
        if facts.node and (self.assignment is None or self.assignment.node != facts.node):
            self.assignment = Assignment(facts.node, devices_held(facts))


@dataclass(slots=True)
class Group:
    """One pod group: who belongs together and how many are enough."""

    id: UUID
    workload_id: UUID
    name: str
    min_members: int
    sub_groups: tuple[SubGroup, ...]
    priority_class: str
    node_pools: tuple[str, ...]
    priority: int | None = None
    preemptible: bool | None = None
    topology: TopologyConstraint | None = None
    min_sub_groups: int | None = None
    oldest_at: datetime | None = None  # creation of its first pod; one that comes in the stead of another is as old
    started_at: datetime | None = None  # when pods of it were last bound
    shrunk_at: datetime | None = None  # when it was formed, or last lost a pod
    blocked: str = ""  # the essence of the reason last written
    aside: Aside | None = None  # if that says that planning failed with it

    def meet(self, facts: PodFacts) -> None:
        """Grow as old as a pod of it."""
        self.oldest_at = min(self.oldest_at or facts.created_at, facts.created_at)

    def reshape(self, event: PodGroupChanged) -> None:
        """Take over how many are enough now, and how near to each other."""
        self.min_members, self.sub_groups = event.min_members, event.sub_groups
        self.min_sub_groups, self.topology = event.min_sub_groups, event.topology


Key = TypeVar("Key", bound=Hashable)


class PodsBy(dict[Key, dict[UUID, None]]):
    """Pods by something they have in common; what no pod has is not in it."""

    def add(self, key: Key, pod_id: UUID) -> None:
        """Note that a pod has it."""
        self.setdefault(key, {})[pod_id] = None

    def move(self, pod_id: UUID, before: Key | None, after: Key | None) -> None:
        """Note that a pod has one thing instead of another; None is nothing."""
        if before != after:
            if before is not None:
                self.discard(before, pod_id)
            if after is not None:
                self.add(after, pod_id)

    def discard(self, key: Key, pod_id: UUID) -> None:
        """Note that a pod does not have it any more."""
        if (pods := self.get(key)) is not None:
            pods.pop(pod_id, None)
            if not pods:
                del self[key]
