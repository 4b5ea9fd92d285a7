"""The state as arrays and views, kept from one snapshot to the next; `state` holds it, `drawing` keeps it true."""

from dataclasses import dataclass, field
from uuid import UUID

from muster_contracts.values import DeviceShare, PodFacts

from muster_scheduler.core.accounts import Queue, Triple
from muster_scheduler.core.amounts import Amounts
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.need import Need
from muster_scheduler.core.terrain import Terrain

Holding = dict[tuple[str, str], tuple[Triple, Triple]]
"""By pool and queue: what is held, and the part of it that may not be taken back."""


@dataclass(slots=True)
class Picture:
    """Terrain, free and releasing amounts, a view of every group, and what every queue holds in every pool."""

    terrain: Terrain
    idle: Amounts
    releasing: Amounts
    devices: dict[UUID, tuple[DeviceShare, ...]] = field(default_factory=dict)
    views: dict[UUID, GroupView] = field(default_factory=dict)
    waiting: dict[UUID, None] = field(default_factory=dict)
    short: dict[UUID, None] = field(default_factory=dict)
    holding: Holding = field(default_factory=dict)
    queues: tuple[Queue, ...] = ()
    needs: dict[Need, Need] = field(default_factory=dict)
    facts: dict[UUID, tuple[PodFacts, Need]] = field(default_factory=dict)
