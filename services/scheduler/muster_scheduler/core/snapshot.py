"""The frozen picture a plan is made from: what is free, who waits, who runs, and what every queue holds.

`idle` is what a node can allocate less what others use, what assigned pods hold and what open promises hold;
`releasing` is the part held by pods that have been told to go. Both are copies, so the fold may go on while a plan is
made.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from muster_contracts.values import Placement

from muster_scheduler.core.accounts import Queue
from muster_scheduler.core.amounts import Amounts
from muster_scheduler.core.aside import Aside
from muster_scheduler.core.drawing import refresh
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.picture import Holding
from muster_scheduler.core.refusals import Refusal
from muster_scheduler.core.state import State
from muster_scheduler.core.terrain import Terrain


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a plan may look at. `position` is where the journal stood, `now` the time of its last event.

    `groups` have pods that want a place, oldest first; `views` are all groups by id; `short` run without being whole.
    `spared` are groups of pods whose eviction was refused, and until when they are left alone, `refusals` these pods;
    `shunned` groups of pods that keep off a node, and until when; `resting` groups of pods that were refused again and
    again, and until when they are not placed. `aside` are groups with which planning failed: they are in `views` alone.
    """

    position: int
    now: datetime | None
    terrain: Terrain
    idle: Amounts
    releasing: Amounts | None
    groups: tuple[GroupView, ...]
    views: Mapping[UUID, GroupView]
    short: tuple[UUID, ...]
    queues: tuple[Queue, ...]
    holding: Holding
    nominations: Mapping[UUID, tuple[Placement, ...]]
    spared: tuple[tuple[UUID, datetime], ...] = ()
    refusals: Mapping[UUID, Refusal] = field(default_factory=dict)
    shunned: tuple[tuple[UUID, datetime], ...] = ()
    resting: tuple[tuple[UUID, datetime], ...] = ()
    aside: Mapping[UUID, Aside] = field(default_factory=dict)

    @property
    def undecided(self) -> tuple[UUID, ...]:
        """The groups that a plan may be made for, each once; those that wait last, the youngest at the end."""
        nominated = (group_id for group_id in self.nominations if group_id in self.views)
        return tuple(dict.fromkeys((*self.short, *nominated, *(view.id for view in self.groups))))

    def without(self, left_out: Container[UUID]) -> "Snapshot":
        """Return the snapshot as if nothing were to be decided for some groups; what they hold they hold."""
        return replace(
            self,
            groups=tuple(view for view in self.groups if view.id not in left_out),
            short=tuple(group_id for group_id in self.short if group_id not in left_out),
            nominations={key: places for key, places in self.nominations.items() if key not in left_out},
        )


def take_snapshot(state: State) -> Snapshot:
    """Freeze the state."""
    picture = refresh(state)
    known = (picture.views[group_id] for group_id in picture.waiting)
    waiting = [view for view in known if view.waiting or view.is_held_back]
    perhaps = ((group_id, state.aside(group_id)) for group_id in (*picture.waiting, *picture.short))
    aside = {group_id: aside for group_id, aside in perhaps if aside is not None}
    snapshot = Snapshot(
        position=state.position,
        now=state.now,
        terrain=picture.terrain,
        idle=picture.idle.copy(),
        releasing=picture.releasing.copy() if picture.releasing.pods.any() else None,
        groups=tuple(sorted(waiting, key=lambda view: view.order)),
        views=dict(picture.views),
        short=tuple(sorted(picture.short)),
        queues=picture.queues,
        holding=dict(picture.holding),
        nominations={group_id: one.places for group_id, one in state.nominations.items()},
        spared=_by_group(state, ((pod_id, refusal.until) for pod_id, refusal in state.refusals.spared.items())),
        refusals=dict(state.refusals.spared),
        shunned=_by_group(state, ((pod_id, min(nodes.values())) for pod_id, nodes in state.refusals.shunned.items())),
        resting=_by_group(state, state.refusals.resting(state.now) if state.now else ()),
        aside=aside,
    )
    return snapshot.without(aside) if aside else snapshot


def _by_group(state: State, pods: Iterable[tuple[UUID, datetime]]) -> tuple[tuple[UUID, datetime], ...]:
    groups = ((state.pods[pod_id].facts.pod_group_id, at) for pod_id, at in pods if pod_id in state.pods)
    return tuple((group_id, at) for group_id, at in groups if group_id is not None)
