"""What goes together when pods are told to go: one pod that its gang can spare, or all that are no good without others.

Neighbours: `victims` finds the units of a pool, `forecast` adds up what they hold.
"""

from dataclasses import dataclass

from muster_scheduler.core.accounts import Triple
from muster_scheduler.core.groups import Bound, GroupView


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Pods of one group that go together. Without its core the rest of a gang is good for nothing."""

    view: GroupView
    pods: tuple[Bound, ...]
    amounts: Triple
    is_core: bool = False
