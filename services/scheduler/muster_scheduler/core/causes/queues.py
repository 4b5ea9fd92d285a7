"""What its project, or a department above it, may hold: a limit, a quota for what is not preemptible, a fair share.

Limit and quota forbid a group even in an empty cluster. Its share is the reason only where there is no room: whoever is
above it may still hold what nobody else wants, but may not have others told to go.
"""

from dataclasses import dataclass, replace

from muster_scheduler.core.accounts import (
    Account,
    Bounds,
    Triple,
    added,
    exceeds,
    involved_in,
    over_firm_quota,
    over_limit,
)
from muster_scheduler.core.causes.inquiry import Inquiry
from muster_scheduler.core.causes.room import lacks_only_what_nobody_counts
from muster_scheduler.core.reasons import Cause, amount_of, are_free


@dataclass(frozen=True, slots=True)
class _Words:
    """How it is told that a queue would hold more than it may, and what to do; `alone`, if the item is too much."""

    code: str
    sentence: str
    remedy: str
    alone: str


def _too_much(bound: str) -> str:
    return f"It alone asks for more than the whole {bound} of {{name}}: ask for less, or raise it."


LIMIT = _Words(
    "OverLimit",
    "needs {needed}; {name} holds {held} and is limited to {bound}.",
    "Raise the limit of {name}, or end workloads of it.",
    _too_much("limit"),
)
QUOTA = _Words(
    "QuotaExceededNonPreemptible",
    "cannot be preempted and needs {needed}; {name} has a quota of {bound}, of which such workloads hold {held}.",
    "Submit it as preemptible, raise the quota of {name}, or end such workloads of it.",
    "Submit it as preemptible. " + _too_much("quota"),
)


def limit_is_passed(inquiry: Inquiry) -> Cause | None:
    """Find the first queue whose limit the item would pass, from the project upwards."""
    account = over_limit(inquiry.leaf, inquiry.amounts)
    if account is None:
        return None
    cause = _passed(LIMIT, account, inquiry.amounts, account.allocated, account.limit)
    besides = _without_quota(inquiry)
    if besides is None:
        return cause
    return replace(
        cause, remedy=f"{cause.remedy} Raise the quota of {besides.queue.name}, too: it cannot be preempted."
    )


def quota_is_used_up(inquiry: Inquiry) -> Cause | None:
    """Find the first queue whose quota is too small for one more group that cannot be preempted."""
    account = _without_quota(inquiry)
    if account is None:
        return None
    return _passed(QUOTA, account, inquiry.amounts, account.firm, account.deserved)


def _without_quota(inquiry: Inquiry) -> Account | None:
    return None if inquiry.item.view.preemptible else over_firm_quota(inquiry.leaf, inquiry.amounts)


def _passed(words: _Words, account: Account, amounts: Triple, held: list[int], bounds: Bounds) -> Cause:
    """Tell of the first resource of which a queue would hold more than its bound."""
    r = next(r for r in involved_in(amounts) if exceeds(added(held, amounts), bounds, [r]))
    numbers = {"needed": amounts[r], "held": held[r], "bound": bounds[r] or 0}
    told = {name: amount_of(r, value) for name, value in numbers.items()}
    remedy = words.remedy if numbers["needed"] <= numbers["bound"] else words.alone
    name = account.queue.name
    return Cause(words.code, words.sentence.format(name=name, **told), remedy.format(name=name), numbers)


def share_is_passed(inquiry: Inquiry) -> Cause | None:
    """Find the first queue that would hold more than its fair share, where too little is free for it."""
    account = _above_its_share(inquiry)
    if account is None or lacks_only_what_nobody_counts(inquiry):
        return None
    amounts, held, fair = inquiry.amounts, account.allocated, account.fair
    r = next(r for r in involved_in(amounts) if held[r] + amounts[r] > fair[r])
    name, free, rest = account.queue.name, _free(inquiry, r), fair[r] - amounts[r]
    if free >= amounts[r] and all(inquiry.has_room(need) for need in inquiry.needs):
        return None
    most = f"no more than {amount_of(r, rest)}" if rest else "none"
    within = f", or when {name} holds {most}" if rest >= 0 else ""
    left = f"no more than {are_free(amount_of(r, free))}" if free else "nothing is free"
    return Cause(
        "FairShareExceeded",
        f"needs {amount_of(r, amounts[r])}; {name} holds {amount_of(r, held[r])} of its fair share of "
        f"{amount_of(r, fair[r])}, and {left}.",
        f"It starts when enough is free that nobody with a better claim wants{within}.{inquiry.holders(r)}",
        {"needed": amounts[r], "held": held[r], "fair_share": fair[r]},
    )


def _above_its_share(inquiry: Inquiry) -> Account | None:
    """Return the first queue that the item would lift above its share; None if the pool is too small in any case."""
    amounts, involved = inquiry.amounts, involved_in(inquiry.amounts)
    if exceeds(amounts, inquiry.draft.accounts(inquiry.pool).capacity, involved):
        return None
    for account in inquiry.leaf.chain():
        after = [account.allocated[r] + amounts[r] for r in range(3)]
        bounded = any(bound is not None for bound in account.deserved)
        if bounded and exceeds(after, account.fair, involved):
            return account
    return None


def _free(inquiry: Inquiry, resource: int) -> int:
    """Return how much of a resource nobody has on the nodes that take pods."""
    free = inquiry.layer.free
    column = (free.devices.sum(axis=1), free.cpu, free.memory)[resource]
    return max(0, int(column[inquiry.open].sum()))
