"""Pod groups that are set aside: planning failed with them, and all others are planned without them meanwhile.

Whatever somebody asks for, only they may wait for it. That a group is set aside is written as its reason to wait, with
the time in it, so the journal says at every moment what a plan left out, and planning again gives the same plan.
`planning` finds out which group it is; the fold keeps it (`state`), and a snapshot leaves it out (`snapshot`).
"""

from dataclasses import dataclass
from datetime import datetime

from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.reasons import Blocked

SET_ASIDE = "PlanningFailed"
FIRST_SECONDS, MOST_SECONDS = 60, 960
LONGEST_FAULT = 200
"""Characters of a fault that a sentence quotes; the log has it all."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Until when a group is left out of plans, and what it is told."""

    until: datetime
    told: Blocked


def set_aside(view: GroupView, fault: str, before: Aside | None) -> Blocked:
    """Return what a group is told, which waits twice as long as the time before."""
    seconds = min(MOST_SECONDS, 2 * before.told.numbers["seconds"]) if before else FIRST_SECONDS
    return Blocked(
        view.workload_id,
        view.id,
        SET_ASIDE,
        f"{view.name} is set aside: the scheduler could not plan for it: {fault[:LONGEST_FAULT].rstrip('.')}.",
        f"It is tried again after {seconds} seconds. The fault is the scheduler's; its log says more.",
        {"seconds": seconds},
    )
