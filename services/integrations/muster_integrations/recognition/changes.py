"""Whom something concerns that came in: who has to be compared, and what has to be found out.

The parts of the mirror note it as they find it; whoever writes takes all of it away when it is his turn.
"""

from dataclasses import dataclass, field, replace
from uuid import UUID

from muster_integrations.recognition.kinds import KindName


@dataclass(slots=True)
class Changes:
    """Who is due: workloads and nodes (by name) to compare, labels to verify, objects that wait for an owner.

    `kinds` are owners' kinds that nobody reads yet.
    """

    workloads: dict[UUID, None] = field(default_factory=dict)
    nodes: dict[str, None] = field(default_factory=dict)
    doubts: dict[UUID, None] = field(default_factory=dict)
    orphans: dict[str, None] = field(default_factory=dict)
    kinds: dict[KindName, None] = field(default_factory=dict)

    def hand_over(self) -> "Changes":
        """Return all of it, and begin anew."""
        handed_over = replace(self)
        self.workloads, self.nodes, self.doubts, self.orphans, self.kinds = {}, {}, {}, {}, {}
        return handed_over
