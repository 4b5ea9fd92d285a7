"""What Kubernetes refused us about a pod, and how long we keep from asking for it again.

Whatever is refused may be planned again at once, refused again, and so on for ever. So every refusal ends in a pause:
whose eviction was refused is no victim for a while, where no volume could be made a pod is not placed again for some
minutes, and who was not bound is planned again only when it was seen to have changed, and from the second time on after
a pause that doubles. Pauses end by the time of the journal; `deadlines` sees to it that the time comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from uuid import UUID

SPARED_FOR = timedelta(seconds=60)
"""How long a pod is no victim after its eviction was refused: disruption budgets fill up again as pods get ready."""
SHUNNED_FOR = timedelta(minutes=5)
"""How long a pod is not placed again where its volumes could not be made: room may be found there later."""
FIRST_REST, LONGEST_REST = timedelta(seconds=1), timedelta(seconds=64)
"""How long a pod is not placed again after its second refusal in a row, and after many."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pod may not be evicted, in the words of whoever refused, and until when it is not asked for again."""

    until: datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class Unbound:
    """That a pod was not bound: under which version, for how many times in a row, and until when it rests."""

    version: str
    times: int
    until: datetime


@dataclass
class Refusals:
    """All refusals, by pod, until their pauses are over, the pod is bound or the pod is gone."""

    spared: dict[UUID, Refusal] = field(default_factory=dict)
    shunned: dict[UUID, dict[str, datetime]] = field(default_factory=dict)  # until when, by node
    unbound: dict[UUID, Unbound] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ends = [(refusal.until, pod_id) for pod_id, refusal in self.spared.items()]
        self._ends += [(until, pod_id) for pod_id, nodes in self.shunned.items() for until in nodes.values()]
        self._ends += [(unbound.until, pod_id) for pod_id, unbound in self.unbound.items()]
        heapify(self._ends)

    def spare(self, pod_id: UUID, now: datetime, sentence: str) -> None:
        """Note that an eviction was refused."""
        self.spared[pod_id] = Refusal(now + SPARED_FOR, sentence)
        heappush(self._ends, (now + SPARED_FOR, pod_id))

    def shun(self, pod_id: UUID, node: str, now: datetime) -> None:
        """Note that a pod's volumes cannot be where it was to be."""
        self.shunned.setdefault(pod_id, {})[node] = now + SHUNNED_FOR
        heappush(self._ends, (now + SHUNNED_FOR, pod_id))

    def leave_unbound(self, pod_id: UUID, version: str, now: datetime) -> None:
        """Note that a pod was not bound at a version."""
        before = self.unbound.get(pod_id)
        times = 1 if before is None else before.times + 1
        until = now + _rest(times)
        self.unbound[pod_id] = Unbound(version, times, until)
        heappush(self._ends, (until, pod_id))

    def bound(self, pod_id: UUID) -> None:
        """Note that a pod was bound after all."""
        self.unbound.pop(pod_id, None)

    def forbid(self, pod_id: UUID, version: str, now: datetime | None) -> bool:
        """Say whether a pod is not to be placed yet, as it was last seen."""
        unbound = self.unbound.get(pod_id)
        if unbound is None:
            return False
        return unbound.version == (version or None) or (now is not None and now < unbound.until)

    def rest_of(self, pod_id: UUID, now: datetime | None) -> datetime | None:
        """Return until when a pod rests, None if it does not."""
        unbound = self.unbound.get(pod_id)
        return unbound.until if unbound is not None and now is not None and now < unbound.until else None

    def resting(self, now: datetime) -> Iterator[tuple[UUID, datetime]]:
        """Yield the pods that rest, and until when."""
        return ((pod_id, unbound.until) for pod_id, unbound in self.unbound.items() if unbound.until > now)

    def forget(self, pod_id: UUID) -> None:
        """Forget a pod that is gone."""
        self.spared.pop(pod_id, None)
        self.shunned.pop(pod_id, None)
        self.unbound.pop(pod_id, None)

    def end(self, now: datetime) -> list[UUID]:
        """End what is over by now; return the pods that may be asked for again, some perhaps twice."""
        ended = []
        while self._ends and self._ends[0][0] <= now:
            ended.append(heappop(self._ends)[1])
        for pod_id in ended:
            self._end_of(pod_id, now)
        return ended

    def _end_of(self, pod_id: UUID, now: datetime) -> None:
        if (refusal := self.spared.get(pod_id)) is not None and refusal.until <= now:
            del self.spared[pod_id]
        nodes = {node: until for node, until in self.shunned.get(pod_id, {}).items() if until > now}
        if nodes:
            self.shunned[pod_id] = nodes
        else:
            self.shunned.pop(pod_id, None)


def _rest(times: int) -> timedelta:
    """Return how long a pod rests after so many refusals in a row: not at all after the first."""
    return min(LONGEST_REST, FIRST_REST * 2 ** min(times - 2, 10)) if times > 1 else timedelta()
