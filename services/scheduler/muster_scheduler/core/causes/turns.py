"""What is said of those whose turn did not come, and of those who have been promised their places."""

from collections.abc import Sequence

from muster_contracts.values import Placement

from muster_scheduler.core.draft import Draft
from muster_scheduler.core.reasons import Cause, counted, listed


def turn_did_not_come(draft: Draft) -> Cause:
    """Say that the steps of the plan were used up before."""
    limit = draft.limits.step_limit
    return Cause(
        "BudgetExhausted",
        f"was not considered to the end: the plan stopped after {limit} steps before its turn came.",
        "It is considered again in the next plan, which follows the next change. If that lasts, raise the step limit "
        "(MUSTER_STEP_LIMIT).",
        {"step_limit": limit},
    )


def places_are_promised(places: Sequence[Placement]) -> Cause:
    """Say where the group has been promised places."""
    nodes = listed(sorted({place.node for place in places}))
    return Cause(
        "RoomIsBeingMade",
        f"is promised {counted(len(places), 'place', 'places')} on {nodes}; "
        "it starts when the pods that are there have gone.",
        "Nothing has to be done: evicted pods are given their grace period to end.",
        {"places": len(places)},
    )
