"""Lists what is wrong with a plan. Shares no code with the planner: plain loops over plain facts, slow and obvious.

Runs on every plan in tests, and in production before a plan is written: a plan with a fault is never appended. It looks
only at nodes, groups and queues that the plan touches, so it is cheap beside the plan itself.
"""

from muster_scheduler.core.check_claims import passed_bounds, wrong_reasons, wrong_victims
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.check_places import wrong_places
from muster_scheduler.core.check_spread import uneven
from muster_scheduler.core.plan import Plan
from muster_scheduler.core.snapshot import Snapshot


def faults(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Return one sentence for each fault."""
    facts = Facts(snapshot, plan)
    return [*wrong_places(facts), *uneven(facts), *passed_bounds(facts), *wrong_victims(facts), *wrong_reasons(facts)]
