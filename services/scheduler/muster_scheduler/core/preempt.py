"""Making way for the more important: inside one project and pool, preemptible groups of strictly lower priority."""

from muster_scheduler.core.disrupt import Disruption
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.victims import Victims


def preempt(draft: Draft, item: Item, pool: str, victims: Victims) -> bool:
    """Make room for an item at the expense of lower priorities of its project; say whether it was possible."""
    candidates = (
        unit
        for unit in victims.of(draft.account(item.view, pool))
        if unit.view.priority < item.view.priority and not victims.is_protected(unit, reclaim=False)
    )
    return Disruption(draft, item, pool).make_room(candidates, lambda _: True, "preempt")
