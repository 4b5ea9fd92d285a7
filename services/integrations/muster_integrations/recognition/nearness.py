"""How near to one another the pods of a group must, or should, be: what annotations say, for every kind alike.

What stands on the object is meant of the whole; what stands on the template of a role, of the pods in that role. One
role alone is the whole: there both are said of the same pods.

A level is the key of a node label; nodes with the same value are one domain. No Topology object is read, so the levels
are those that are named, the required one as the wider. A key that no node has is passed on as it stands: the planner
knows the nodes, and says so.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

from muster_contracts import names
from muster_contracts.values import SubGroup, TopologyConstraint

Annotations = Mapping[str, str]


def nearness_of(
    parts: tuple[SubGroup, ...], owner: Sequence[Annotations], by_role: Mapping[str, Sequence[Annotations]]
) -> tuple[TopologyConstraint | None, tuple[SubGroup, ...]]:
    """Return what is asked of a group as a whole, and its parts with what is asked of each."""
    if len(parts) < 2:
        return wanted_nearness([*owner, *chain.from_iterable(by_role.values())]), parts
    return wanted_nearness(owner), tuple(_near(part, by_role.get(part.name, ())) for part in parts)


def _near(part: SubGroup, written: Sequence[Annotations]) -> SubGroup:
    topology = wanted_nearness(written)
    return part.model_copy(update={"topology": topology}) if topology is not None else part


def wanted_nearness(written: Sequence[Annotations]) -> TopologyConstraint | None:
    """Return what annotations ask for, the first that speaks before the others; None without a level."""
    required = _first(written, names.TOPOLOGY_REQUIRED_NAMES)
    preferred = _first(written, names.TOPOLOGY_PREFERRED_NAMES)
    levels = tuple(dict.fromkeys(level for level in (required, preferred) if level))
    return TopologyConstraint(levels=levels, required=required, preferred=preferred) if levels else None


def _first(written: Sequence[Annotations], known_as: Sequence[str]) -> str:
    found = (annotations[name] for annotations in written for name in known_as if name in annotations)
    return next(found, "").strip()
