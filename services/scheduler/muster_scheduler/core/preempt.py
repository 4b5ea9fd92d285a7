"""Making way for the more important: inside one project and pool, preemptible groups of strictly lower priority."""

from collections.abc import Iterator

from muster_scheduler.core.disrupt import Disruption
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.victims import Unit, Victims


def preempt(draft: Draft, item: Item, pool: str, victims: Victims) -> bool:
    """Make room for an item at the expense of lower priorities of its project; say whether it was possible."""

    def candidates() -> Iterator[Unit]:
        for unit in victims.of(draft.account(item.view, pool)):
            if unit.view.priority < item.view.priority and not victims.is_protected(unit, reclaim=False):
                yield unit

    return Disruption(draft, item, pool).make_room_of(candidates, lambda _: True, "preempt")
