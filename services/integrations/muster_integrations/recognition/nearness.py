"""How near to one another the pods of a group must, or should, be: what annotations say, for every kind alike.

A level is the key of a node label; nodes with the same value are one domain. No Topology object is read, so the levels
are those that are named, the required one as the wider. A key that no node has is passed on as it stands: the planner
knows the nodes, and says so.
"""

from collections.abc import Mapping, Sequence

from muster_contracts import names
from muster_contracts.values import TopologyConstraint


def wanted_nearness(written: Sequence[Mapping[str, str]]) -> TopologyConstraint | None:
    """Return what annotations ask for, those of the owner before those of its templates; None without a level."""
    required = _first(written, names.TOPOLOGY_REQUIRED_NAMES)
    preferred = _first(written, names.TOPOLOGY_PREFERRED_NAMES)
    levels = tuple(dict.fromkeys(level for level in (required, preferred) if level))
    return TopologyConstraint(levels=levels, required=required, preferred=preferred) if levels else None


def _first(written: Sequence[Mapping[str, str]], known_as: Sequence[str]) -> str:
    found = (annotations[name] for annotations in written for name in known_as if name in annotations)
    return next(found, "").strip()
