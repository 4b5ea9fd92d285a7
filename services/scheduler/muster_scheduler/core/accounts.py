"""Who may have how much: the projects and departments of one node pool, with quota, fair share and what they hold.

Amounts are triples: millionths of GPUs, thousandths of processors, bytes of memory; None is no limit. What runs counts
for its project and for every department above it. Every change is recorded so that a failed attempt can be undone.

A project or department without any quota is not limited. One that has quotas, but none for this pool, has no GPU quota
here, as much of the rest as it likes, and an equal part in what is left over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from muster_contracts.values import WHOLE_GPU, PoolQuota

from muster_scheduler.core.fair_share import Claim, QueueClaims, Resource, fair_shares

Triple = tuple[int, int, int]
Bounds = tuple[int | None, int | None, int | None]

RESOURCES = (Resource.GPU, Resource.CPU, Resource.MEMORY)
NO_BOUNDS: Bounds = (None, None, None)
NOTHING: Triple = (0, 0, 0)
MILLION = 1_000_000
MEDIUM = 2
"""The weight of a project that names none."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A project or department as it was last written. The smaller the age the older the queue."""

    key: str
    name: str
    parent: str
    age: int
    quotas: tuple[PoolQuota, ...] = ()
    preempt_minimum_seconds: int = 0
    reclaim_minimum_seconds: int = 0

    @property
    def is_department(self) -> bool:
        """Whether it is there for other queues."""
        return self.key.startswith("department/")


@dataclass(eq=False, slots=True)
class Account:
    """A queue in one pool.

    `weights` count for GPUs in millionths. `allocatable` is the larger of quota and fair share, within the limit: what
    it may come to hold before others have a better claim. `firm` is the part of `allocated` that may not be taken back,
    `fresh` what the plan in the making gives it: that counts for the queue, but nobody can be told to go from it yet.
    """

    queue: Queue
    parent: "Account | None" = None
    children: list["Account"] = field(default_factory=list)
    deserved: Bounds = NO_BOUNDS
    limit: Bounds = NO_BOUNDS
    weights: Triple = (MEDIUM * WHOLE_GPU, 1, 1)
    priority: int = 0
    fair: list[int] = field(default_factory=lambda: [0, 0, 0])
    allocatable: list[int] = field(default_factory=lambda: [0, 0, 0])
    allocated: list[int] = field(default_factory=lambda: [0, 0, 0])
    firm: list[int] = field(default_factory=lambda: [0, 0, 0])
    fresh: list[int] = field(default_factory=lambda: [0, 0, 0])

    @property
    def held(self) -> Triple:
        """What it holds now, as a value that stays."""
        gpu, cpu, memory = self.allocated
        return gpu, cpu, memory

    @property
    def settled(self) -> Triple:
        """What it held before the plan, less who was told to go."""
        held, fresh = self.allocated, self.fresh
        return held[0] - fresh[0], held[1] - fresh[1], held[2] - fresh[2]

    def add_fresh(self, amounts: Triple) -> None:
        """Note what the plan in the making gives, here and above."""
        for account in self.chain():
            for r in range(3):
                account.fresh[r] += amounts[r]

    def chain(self) -> Iterator["Account"]:
        """Walk from this account up to the topmost."""
        account: Account | None = self
        while account is not None:
            yield account
            account = account.parent


def exceeds(amounts: Sequence[int], bounds: Sequence[int | None], involved: Iterable[int]) -> bool:
    """Say whether any of the involved resources is above its bound; None bounds nothing."""
    return any((bound := bounds[r]) is not None and amounts[r] > bound for r in involved)


def involved_in(amounts: Triple) -> tuple[int, ...]:
    """Return which resources are asked for at all."""
    return tuple(r for r in range(3) if amounts[r] > 0)


class Accounts:
    """All accounts of one pool, and the record of what was charged."""

    def __init__(self, pool: str, queues: Iterable[Queue], capacity: Triple) -> None:
        self.pool = pool
        self.capacity = capacity
        self.by_key = {queue.key: _account(queue, pool) for queue in queues}
        self.roots: list[Account] = []
        for account in self.by_key.values():
            account.parent = self.by_key.get(account.queue.parent)
            (account.parent.children if account.parent else self.roots).append(account)
        self._charged: list[tuple[Account, Triple, bool, int]] = []

    def leaf(self, key: str) -> Account:
        """Return the account of a project; one that nobody described is not limited and the youngest."""
        if key not in self.by_key:
            self.by_key[key] = Account(Queue(key, key.partition("/")[2], "", age=MILLION * MILLION))
            self.roots.append(self.by_key[key])
        return self.by_key[key]

    def fill(self, leaf: Account, held: Triple, firm: Triple) -> None:
        """Enter what a queue held before the plan."""
        self._change(leaf, firm, True, 1)
        self._change(leaf, (held[0] - firm[0], held[1] - firm[1], held[2] - firm[2]), False, 1)

    def charge(self, leaf: Account, amounts: Triple, *, firm: bool, sign: int = 1) -> None:
        """Add an amount to a queue and to all above it."""
        self._change(leaf, amounts, firm, sign)
        self._charged.append((leaf, amounts, firm, sign))

    def mark(self) -> int:
        """Return a point to which `restore` can go back."""
        return len(self._charged)

    def restore(self, mark: int) -> None:
        """Undo every charge since the mark."""
        while len(self._charged) > mark:
            leaf, amounts, firm, sign = self._charged.pop()
            self._change(leaf, amounts, firm, -sign)

    def _change(self, leaf: Account, amounts: Triple, firm: bool, sign: int) -> None:
        for account in leaf.chain():
            for r in range(3):
                account.allocated[r] += sign * amounts[r]
                if firm:
                    account.firm[r] += sign * amounts[r]

    def divide(self, requests: Mapping[str, Triple]) -> None:
        """Work out everybody's fair share. `requests` are what projects hold and want, by key."""
        claims = [_claims(account, requests.get(key, NOTHING)) for key, account in self.by_key.items()]
        capacity = {resource: max(0, self.capacity[r]) for r, resource in enumerate(RESOURCES)}
        for key, shares in fair_shares(claims, capacity).items():
            account = self.by_key[key]
            account.fair = [shares.get(resource, 0) for resource in RESOURCES]
            account.allocatable = [self._allocatable(account, r) for r in range(3)]

    def _allocatable(self, account: Account, resource: int) -> int:
        due, limit = account.deserved[resource], account.limit[resource]
        most = self.capacity[resource] if due is None else max(due, account.fair[resource])
        return most if limit is None else min(most, limit)


def over_limit(leaf: Account, amounts: Triple) -> Account | None:
    """Return the first queue that would pass its hard limit, from the project upwards."""
    involved = involved_in(amounts)
    return next((a for a in leaf.chain() if exceeds(added(a.allocated, amounts), a.limit, involved)), None)


def over_firm_quota(leaf: Account, amounts: Triple) -> Account | None:
    """Return the first queue whose quota is too small for what may not be taken back."""
    involved = involved_in(amounts)
    return next((a for a in leaf.chain() if exceeds(added(a.firm, amounts), a.deserved, involved)), None)


def is_forbidden(leaf: Account, amounts: Triple, *, firm: bool) -> bool:
    """Say whether a limit, or the quota of what may not be taken back, is in the way of so much more."""
    return over_limit(leaf, amounts) is not None or (firm and over_firm_quota(leaf, amounts) is not None)


def rank(account: Account, wanted: Triple, allocated: Iterable[int]) -> tuple[int, ...]:
    """Rank a queue among its siblings, the smallest first: who is served next with `wanted` for its next group.

    First those not above their fair share, then as `standing` says.
    """
    held = tuple(allocated)
    return exceeds(held, account.fair, range(3)), *standing(account, wanted, held)


def standing(account: Account, wanted: Triple, held: Sequence[int]) -> tuple[int, ...]:
    """Rank a queue among its siblings, whoever of them is above its fair share.

    First those that stay within their quota of everything, then by priority; then those that get nothing of what is not
    theirs to hold, then the smallest dominant share (the largest part of what is allocatable to it that it would hold
    of any resource, then that it holds), then the smaller, then the older.
    """
    after = added(held, wanted)
    share = account.allocatable
    return (
        exceeds(after, account.deserved, range(3)),
        -account.priority,
        any(share[r] == 0 < after[r] for r in range(3)),
        saturation(after, share, range(3)),
        saturation(held, share, range(3)),
        *share,
        account.queue.age,
    )


def saturation(held: Iterable[int], fair: Iterable[int], resources: Iterable[int]) -> int:
    """Return the largest part of its fair share that a queue holds, in millionths; more than any if it has none."""
    amounts, shares = tuple(held), tuple(fair)
    return max(
        (amounts[r] * MILLION // shares[r] if shares[r] else amounts[r] * MILLION * 1000 for r in resources), default=0
    )


def added(first: Iterable[int], second: Triple) -> Triple:
    """Return the sum of two amounts."""
    a, b, c = first
    return a + second[0], b + second[1], c + second[2]


def _account(queue: Queue, pool: str) -> Account:
    if not queue.quotas:
        return Account(queue)
    unnamed = PoolQuota(node_pool=pool, over_quota_weight=MEDIUM)
    quota = next((quota for quota in queue.quotas if quota.node_pool == pool), unnamed)
    return Account(
        queue,
        deserved=(quota.gpu_millionths, quota.cpu_milli, quota.memory_bytes),
        limit=(quota.gpu_limit_millionths, quota.cpu_limit_milli, quota.memory_limit_bytes),
        weights=(_gpu_weight(queue, quota), quota.cpu_over_quota_weight, quota.memory_over_quota_weight),
        priority=quota.priority,
    )


def _gpu_weight(queue: Queue, quota: PoolQuota) -> int:
    """Return the weight, in millionths; a department that names none weighs what it deserves."""
    if quota.over_quota_weight is not None:
        return quota.over_quota_weight * WHOLE_GPU
    if queue.is_department and quota.gpu_millionths is not None:
        return quota.gpu_millionths
    return MEDIUM * WHOLE_GPU


def _claims(account: Account, request: Triple) -> QueueClaims:
    claims = {
        resource: Claim(account.deserved[r], account.limit[r], account.weights[r], request[r])
        for r, resource in enumerate(RESOURCES)
    }
    queue = account.queue
    return QueueClaims(queue.key, queue.parent, account.priority, queue.age, claims)
