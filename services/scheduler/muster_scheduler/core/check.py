"""Lists what is wrong with a plan: plain loops over plain facts, slow and obvious, that share no rule with the planner.

It reads the same snapshot, and believes that: which pool a node is in, what is free on it, and what queues hold.

Runs on every plan in tests, and in production before a plan is written: a plan with a wrong decision is never appended.
A reason that is not true is a fault all the same, but no reason to stop: whoever is left waits either way. Who
gets which place is judged by the nodes, groups and queues that the plan touches; whether a share is due, or a reason
true, by every node of a pool, but once for all who are alike, so that it is cheap beside the plan itself.
"""

from collections.abc import Iterator

from muster_scheduler.core.check_claims import passed_bounds, wrong_victims
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.check_places import wrong_places
from muster_scheduler.core.check_reasons import wrong_reasons
from muster_scheduler.core.check_shares import unfair_reclaims
from muster_scheduler.core.check_spread import uneven
from muster_scheduler.core.check_volumes import too_few_volumes
from muster_scheduler.core.plan import Plan
from muster_scheduler.core.snapshot import Snapshot


def faults(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Return one sentence for each fault, in decisions and in reasons."""
    facts = Facts(snapshot, plan)
    return [*wrong_decisions(facts), *wrong_reasons(facts)]


def wrong_decisions(facts: Facts) -> Iterator[str]:
    """List what is wrong with who gets which place and who has to go."""
    yield from wrong_places(facts)
    yield from uneven(facts)
    yield from too_few_volumes(facts)
    yield from passed_bounds(facts)
    yield from wrong_victims(facts)
    yield from unfair_reclaims(facts)
