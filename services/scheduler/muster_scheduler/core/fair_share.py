"""The arithmetic of fair share: how a total is divided among queues that want more of it than there is.

The rule is KAI-Scheduler's (`resource_division.go`, commit d5bc503a), restated on integers so that two replays agree to
the last unit. Each resource is divided by itself, level by level of the queue tree: the children of a queue divide its
fair share, the topmost divide the capacity. On one level, with cap = min(request, limit):

1. Deserved: share += min(deserved, cap); unlimited deserved means the total. Deserved amounts that together exceed the
   total are not scaled down; then nothing remains.
2. Surplus, tier by tier from the highest priority: every queue below its cap is offered
   remaining x weight / (sum of the weights of those below their caps). Who needs no more than the offer gets what it
   needs, everybody else the offer rounded down to whole units; as long as somebody needed less than it was offered, the
   rest is offered again. Weight 0 never gets any.
3. What rounding down left over goes out in whole units, one to each queue of the tier, the largest fraction of the last
   offer first, then the older queue, then the smaller name. It may lift a share that ends in a fraction above its cap
   by less than a unit, as it does in the source; a limit is enforced where pods are placed, not here.

With `usage_weight_millionths` k, weights follow past use: w' = max(0, w + k (w - usage)), w being the weight divided by
the sum of weights and usage the part of the capacity used of late.

Units are those of the contracts: millionths of a GPU, thousandths of a processor, bytes; a GPU is rounded to whole
devices, the others to their own unit. Plain integers of any size rather than numpy: remaining x weight passes 64 bits
when the unit is a byte, and 5,000 queues take some 30 ms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby

from muster_contracts.values import WHOLE_GPU

MILLION = 1_000_000


class Resource(StrEnum):
    """What is divided."""

    GPU = "gpu"
    CPU = "cpu"
    MEMORY = "memory"


UNITS = {Resource.GPU: WHOLE_GPU, Resource.CPU: 1, Resource.MEMORY: 1}
"""Surplus is handed out in these, in the quantities of the contracts."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one queue may say to one resource. None is unlimited; `usage_millionths` is past use over the capacity."""

    deserved: int | None = 0
    limit: int | None = None
    weight: int = 0
    request: int = 0
    usage_millionths: int = 0

    @property
    def cap(self) -> int:
        """The most it can make use of."""
        return self.request if self.limit is None else min(self.request, self.limit)


NO_CLAIM = Claim()


@dataclass(frozen=True, slots=True)
class QueueClaims:
    """A queue among its siblings. Of two ages the smaller is the older queue; a parent of "" is the cluster."""

    name: str
    parent: str = ""
    priority: int = 0
    age: int = 0
    claims: Mapping[Resource, Claim] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Division:
    """Who gets how much, by name, and what nobody could use."""

    shares: Mapping[str, int]
    remaining: int


def fair_shares(
    queues: Iterable[QueueClaims], capacity: Mapping[Resource, int], *, usage_weight_millionths: int = 0
) -> dict[str, dict[Resource, int]]:
    """Divide the capacity down the whole tree of queues. Returns the fair share of every queue, by name and resource.

    A queue asks for what its children can make use of, beside its own request. One whose parent is not among the queues
    stands at the top.
    """
    children = _by_parent(queues)
    shares: dict[str, dict[Resource, int]] = {queue.name: {} for level in children.values() for queue in level}
    for resource, total in capacity.items():
        levels = {"": total}
        while levels:
            parent, amount = levels.popitem()
            siblings = _asking(parent, children, resource)
            division = divide(resource, amount, siblings, usage_weight_millionths=usage_weight_millionths)
            for name, share in division.shares.items():
                shares[name][resource] = share
                if name in children:
                    levels[name] = share
    return shares


def divide(
    resource: Resource, total: int, siblings: Sequence[QueueClaims], *, usage_weight_millionths: int = 0
) -> Division:
    """Divide a total of one resource among siblings: deserved first, then the surplus."""
    shares = {}
    for queue in siblings:
        claim = queue.claims.get(resource, NO_CLAIM)
        shares[queue.name] = min(total if claim.deserved is None else claim.deserved, claim.cap)
    surplus = max(0, total - sum(shares.values()))
    return divide_surplus(resource, surplus, siblings, shares, usage_weight_millionths=usage_weight_millionths)


def divide_surplus(
    resource: Resource,
    surplus: int,
    siblings: Sequence[QueueClaims],
    granted: Mapping[str, int],
    *,
    usage_weight_millionths: int = 0,
) -> Division:
    """Divide what is left once everybody has what was granted; the shares returned contain that."""
    shares = dict(granted)
    by_rank = sorted(siblings, key=lambda queue: (-queue.priority, queue.age, queue.name))
    for _, tier in groupby(by_rank, key=lambda queue: queue.priority):
        surplus = _Tier(resource, tuple(tier), usage_weight_millionths).divide(surplus, shares)
    return Division(shares, surplus)


class _Tier:
    """Siblings of one priority, older first."""

    def __init__(self, resource: Resource, queues: Sequence[QueueClaims], usage_weight_millionths: int) -> None:
        self._unit = UNITS[resource]
        self._usage_weight = usage_weight_millionths
        self._claims = {queue.name: queue.claims.get(resource, NO_CLAIM) for queue in queues}

    def divide(self, surplus: int, shares: dict[str, int]) -> int:
        """Add to the shares what these queues get; return what they leave."""
        below = [name for name, claim in self._claims.items() if claim.weight > 0 and claim.cap > shares[name]]
        fractions: dict[str, int] = {}
        offering = True
        while offering and surplus > 0 and below:
            surplus, offering, fractions = self._offer(surplus, shares, below)
            below = [name for name in below if self._claims[name].cap > shares[name]]
        return self._hand_out_leftover(surplus, shares, fractions)

    def _offer(self, surplus: int, shares: dict[str, int], below: Sequence[str]) -> tuple[int, bool, dict[str, int]]:
        """Offer the surplus once. Returns what is left, whether somebody needed less than its offer, the fractions.

        An offer is a fraction over `total`, the same for all, so that offers compare by their numerators alone.
        """
        weights = self._effective_weights(below)
        total, left, declined = sum(weights), surplus, False
        fractions: dict[str, int] = {}
        if total == 0:
            return surplus, False, fractions
        for name, weight in zip(below, weights, strict=True):
            offer, need = surplus * weight, self._claims[name].cap - shares[name]
            if need * total <= offer:
                given, declined = need, declined or need * total < offer
            else:
                given = offer // (total * self._unit) * self._unit
                fractions[name] = offer - given * total
            shares[name] += given
            left -= given
        return left, declined, fractions

    def _effective_weights(self, below: Sequence[str]) -> list[int]:
        claims = [self._claims[name] for name in below]
        if self._usage_weight == 0:
            return [claim.weight for claim in claims]
        total = sum(claim.weight for claim in claims)
        return [
            max(
                0,
                claim.weight * MILLION * MILLION
                + self._usage_weight * (claim.weight * MILLION - claim.usage_millionths * total),
            )
            for claim in claims
        ]

    def _hand_out_leftover(self, surplus: int, shares: dict[str, int], fractions: Mapping[str, int]) -> int:
        entitled = sorted((name for name in fractions if fractions[name] > 0), key=lambda name: -fractions[name])
        for name in entitled:  # sorting keeps the older first among equals
            given = min(self._unit, surplus)
            shares[name] += given
            surplus -= given
        return surplus


def _by_parent(queues: Iterable[QueueClaims]) -> dict[str, list[QueueClaims]]:
    known = {queue.name: queue for queue in queues}
    children: dict[str, list[QueueClaims]] = {}
    for queue in known.values():
        children.setdefault(queue.parent if queue.parent in known else "", []).append(queue)
    return children


def _asking(parent: str, children: Mapping[str, Sequence[QueueClaims]], resource: Resource) -> list[QueueClaims]:
    """Return the children of a queue, each asking for what its own children can make use of, too."""
    level = []
    for queue in children.get(parent, ()):
        below = _asking(queue.name, children, resource) if queue.name in children else []
        level.append(_with_more(queue, resource, sum(child.claims.get(resource, NO_CLAIM).cap for child in below)))
    return level


def _with_more(queue: QueueClaims, resource: Resource, request: int) -> QueueClaims:
    if request == 0:
        return queue
    claim = queue.claims.get(resource, NO_CLAIM)
    return replace(queue, claims={**queue.claims, resource: replace(claim, request=claim.request + request)})
