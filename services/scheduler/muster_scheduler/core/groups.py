"""A pod group as the planner sees it: who waits, who has a place, and how many of them must run together.

Views are frozen and kept from plan to plan; only groups that changed are looked at again. A pod is *releasing* when it
was told to go and is still there: it holds its node, but counts neither for its gang nor for its queue.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import lcm
from operator import itemgetter
from uuid import UUID

from muster_contracts.values import DeviceShare, PodFacts

from muster_scheduler.core.gang import Part, pick_core
from muster_scheduler.core.need import Need


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod that wants a place."""

    facts: PodFacts
    need: Need


@dataclass(frozen=True, slots=True)
class Bound:
    """A pod that has a place, or the promise of one. Only our own may be told to go."""

    facts: PodFacts
    need: Need
    node: str
    devices: tuple[DeviceShare, ...]
    releasing: bool
    ours: bool

    @property
    def use(self) -> tuple[Need, tuple[DeviceShare, ...]]:
        """What it holds of its node."""
        return self.need, self.devices


@dataclass(frozen=True, slots=True)
class Awaited:
    """The successor of a pod that had to move, which is not there yet: its place is kept until then."""

    pod: Waiting
    until: datetime


@dataclass(frozen=True)
class GroupView:
    """One pod group. `finished` counts succeeded pods by leaf; they count for the gang and hold nothing.

    Pods that are held back do not wait yet: `gates` are those by which somebody does that, pod by pod; `rests` tells of
    pods that Kubernetes refused to bind until when they are not planned again.
    """

    id: UUID
    workload_id: UUID
    name: str
    queue: str
    priority: int
    preemptible: bool
    node_pools: tuple[str, ...]
    min_members: int
    tree: Part
    created_at: datetime
    started_at: datetime | None
    shrunk_at: datetime | None
    waiting: tuple[Waiting, ...]
    bound: tuple[Bound, ...]
    finished: Mapping[str, int]
    gates: tuple[tuple[str, ...], ...] = ()
    rests: tuple[datetime, ...] = ()
    awaited: tuple[Awaited, ...] = ()

    @property
    def is_held_back(self) -> bool:
        """Whether none of its pods waits, and some are held back."""
        return not self.waiting and bool(self.gates or self.rests)

    @cached_property
    def staying(self) -> tuple[Bound, ...]:
        """The pods that have a place and keep it."""
        return tuple(pod for pod in self.bound if not pod.releasing)

    @cached_property
    def held(self) -> Mapping[str, int]:
        """How many pods count for the gang, by leaf."""
        held = Counter(self.finished)
        held.update(self.leaf_of(pod.facts) for pod in self.staying)
        return held

    @property
    def order(self) -> tuple[datetime, int]:
        """Older groups first, then by id, which as a number is compared ten times as fast, and the same."""
        return self.created_at, self.id.int

    def leaf_of(self, facts: PodFacts) -> str:
        """Return the part a pod belongs to."""
        return facts.sub_group if self.tree.parts else ""

    def is_whole(self, held: Mapping[str, int]) -> bool:
        """Say whether so many pods, by leaf, are enough."""
        return sum(held.values()) >= self.min_members and self.tree.is_whole(held)

    @cached_property
    def is_short(self) -> bool:
        """Whether it runs without being whole."""
        return bool(self.staying) and not self.is_whole(self.held)

    @property
    def short_since(self) -> datetime | None:
        """Since when it may be short: it was formed, started or lost a pod then."""
        return max((time for time in (self.started_at, self.shrunk_at) if time is not None), default=None)

    @cached_property
    def core(self) -> tuple[Waiting, ...] | None:
        """The pods that must be placed at once for the group to be whole; None if there are too few."""
        by_leaf: dict[str, list[Waiting]] = {}
        for pod in self.waiting:
            by_leaf.setdefault(self.leaf_of(pod.facts), []).append(pod)
        core = pick_core(self.tree, self.held, by_leaf)
        return None if core is None else self._filled_up(core)

    def _filled_up(self, core: Sequence[Waiting]) -> tuple[Waiting, ...] | None:
        """Add pods until the minimum of the whole group is met, too."""
        more = self.min_members - sum(self.held.values()) - len(core)
        if more <= 0:
            return tuple(core)
        chosen = {pod.facts.pod_id for pod in core}
        others = [pod for pod in self.waiting if pod.facts.pod_id not in chosen]
        return (*core, *others[:more]) if more <= len(others) else None

    @property
    def extras(self) -> list[tuple[Waiting, ...]]:
        """The pods beyond the core: first what makes another part whole, then one by one; last those of no part.

        One by one they go to the part that has the least beside its minimum, so that all parts of a gang grow.
        """
        core = self.core or ()
        if len(core) == len(self.waiting):
            return []
        chosen = {pod.facts.pod_id for pod in core}
        held = Counter(self.held) + Counter(self.leaf_of(pod.facts) for pod in core)
        by_leaf: dict[str, list[Waiting]] = {}
        for pod in self.waiting:
            if pod.facts.pod_id not in chosen:
                by_leaf.setdefault(self.leaf_of(pod.facts), []).append(pod)
        leaves = self.tree.leaves()
        scale = lcm(*(max(1, leaf.minimum) for leaf in leaves))
        wholes: list[tuple[Waiting, ...]] = []
        singles: list[tuple[int, int, Waiting]] = []
        for position, leaf in enumerate(leaves):
            pods = by_leaf.pop(leaf.name, [])
            missing = max(0, leaf.minimum - held[leaf.name]) if self.tree.parts else 0
            if missing > len(pods):
                continue
            wholes += [tuple(pods[:missing])] if missing else []
            share = scale // max(1, leaf.minimum)
            singles += [
                (number * share, position, pod)
                for number, pod in enumerate(pods[missing:], start=held[leaf.name] + missing)
            ]
        singles.sort(key=itemgetter(0, 1))
        outside = [pod for pods in by_leaf.values() for pod in pods]
        return wholes + [(pod,) for pod in [*(pod for *_, pod in singles), *outside]]

    @cached_property
    def has_surplus(self) -> bool:
        """Whether it holds more than it needs."""
        return sum(self.held.values()) > max(self.min_members, sum(leaf.minimum for leaf in self.tree.leaves()))
