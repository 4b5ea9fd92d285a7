"""What its project, or a department above it, may hold: a limit, a quota for what is not preemptible, a fair share.

Limit and quota forbid a group even in an empty cluster. Its share is the reason only where there is no room: whoever is
above it may still hold what nobody else wants, but may not have others told to go.
"""

from muster_scheduler.core.accounts import Account, exceeds, involved_in, over_firm_quota, over_limit
from muster_scheduler.core.causes.inquiry import Inquiry
from muster_scheduler.core.causes.room import lacks_only_what_nobody_counts
from muster_scheduler.core.reasons import Cause, amount_of, are_free


def limit_is_passed(inquiry: Inquiry) -> Cause | None:
    """Find the first queue whose limit the item would pass, from the project upwards."""
    account, amounts = over_limit(inquiry.leaf, inquiry.amounts), inquiry.amounts
    if account is None:
        return None
    r = _first_above(amounts, account.allocated, account.limit)
    wanted, held, bound = amounts[r], account.allocated[r], account.limit[r] or 0
    name = account.queue.name
    ending = f"Raise the limit of {name}, or end workloads of it."
    return Cause(
        "OverLimit",
        f"needs {amount_of(r, wanted)}; {name} holds {amount_of(r, held)} and is limited to {amount_of(r, bound)}.",
        (ending if wanted <= bound else _too_much("limit", name)) + _quota_besides(inquiry),
        {"needed": wanted, "held": held, "bound": bound},
    )


def _quota_besides(inquiry: Inquiry) -> str:
    """Say that a higher limit would not be enough, if that is so."""
    account = None if inquiry.item.view.preemptible else over_firm_quota(inquiry.leaf, inquiry.amounts)
    return f" Raise the quota of {account.queue.name}, too: it cannot be preempted." if account else ""


def quota_is_used_up(inquiry: Inquiry) -> Cause | None:
    """Find the first queue whose quota is too small for one more group that cannot be preempted."""
    amounts = inquiry.amounts
    account = None if inquiry.item.view.preemptible else over_firm_quota(inquiry.leaf, amounts)
    if account is None:
        return None
    r = _first_above(amounts, account.firm, account.deserved)
    wanted, held, bound = amounts[r], account.firm[r], account.deserved[r] or 0
    name = account.queue.name
    ending = f"Submit it as preemptible, raise the quota of {name}, or end such workloads of it."
    return Cause(
        "QuotaExceededNonPreemptible",
        f"cannot be preempted and needs {amount_of(r, wanted)}; {name} has a quota of {amount_of(r, bound)}, "
        f"of which such workloads hold {amount_of(r, held)}.",
        ending if wanted <= bound else f"Submit it as preemptible. {_too_much('quota', name)}",
        {"needed": wanted, "held": held, "bound": bound},
    )


def _too_much(bound: str, name: str) -> str:
    return f"It alone asks for more than the whole {bound} of {name}: ask for less, or raise it."


def _first_above(amounts: tuple[int, int, int], held: list[int], bounds: tuple[int | None, ...]) -> int:
    return next(r for r in involved_in(amounts) if exceeds([held[i] + amounts[i] for i in range(3)], bounds, [r]))


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
    within = f", or when {name} holds no more than {amount_of(r, rest)}" if rest >= 0 else ""
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
