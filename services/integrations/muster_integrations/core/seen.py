"""What is seen of one workload or one node, in the contracts' words: the right-hand side of every comparison.

`recognition` makes these from live objects, `decide` compares them with the fold. Everything here is whole: what is
not in `pods` is not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from muster_contracts.phases import WorkloadClass
from muster_contracts.values import (
    Controls,
    OwnerFacts,
    ParentRef,
    PodFacts,
    PodMark,
    Resources,
    SubGroup,
    Supports,
    TopologyConstraint,
)

IdentitySource = Literal["owner", "label", "annotation", "env", "pod", "name"]


@dataclass(frozen=True, slots=True)
class SeenGroup:
    """Pods that are scheduled together; which ones, their `pod_group_id` says."""

    pod_group_id: UUID
    name: str
    min_members: int
    sub_groups: tuple[SubGroup, ...] = ()
    priority_class: str = "train"
    node_pools: tuple[str, ...] = ()
    topology: TopologyConstraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWorkload:
    """A workload as its objects show it. `object_id` is None for what has no object of its own.

    `identity` is the UID of the object, else `namespace/key`.
    """

    workload_id: UUID
    kind: str
    api_version: str
    workload_class: WorkloadClass
    name: str
    namespace: str
    project: str
    object_id: UUID | None
    created_at: datetime
    identity: str = ""
    identity_source: IdentitySource = "owner"
    parent: ParentRef | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    owner: OwnerFacts
    controls: Controls
    supports: Supports
    requests: Resources
    groups: Mapping[UUID, SeenGroup] = field(default_factory=dict)
    pods: Mapping[UUID, PodFacts] = field(default_factory=dict)


SAID: Final = tuple(one.name for one in fields(SeenWorkload) if one.name not in {"groups", "pods"})
"""What is said of a workload when it is discovered. `WorkloadDiscovered` has it under the same names."""


@dataclass(frozen=True, slots=True)
class Departures:
    """What is known of that which is no longer there.

    `moved` says to which workload a pod belongs now, `last_words` how a pod stood in the end if that is known better
    than the journal does. `end_seen`: the object's deletion was told to us, not found out after a gap. `hidden`: the
    object may be there, where we may not look.
    """

    moved: Mapping[UUID, UUID] = field(default_factory=dict)
    last_words: Mapping[UUID, PodMark] = field(default_factory=dict)
    end_seen: bool = False
    hidden: bool = False


NOTHING_KNOWN = Departures()
