"""Whom something concerns that came in: who has to be compared, how much of it, and what has to be found out.

The parts of the mirror note it as they find it; whoever writes takes all of it away when it is his turn. A pod that
changes is mostly alone in that: its container starts, it becomes ready. So once a workload was told as a whole, single
pods of it are enough, until anything else changes that it is made of; then it is compared as a whole again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from muster_contracts.values import PodFacts

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


class Agenda:
    """The changes since they were last taken away, and the workloads of which only single pods changed."""

    def __init__(self) -> None:
        self._changes = Changes()
        self._retold: dict[UUID, dict[UUID, PodFacts]] = {}

    def compare(self, workload_id: UUID) -> None:
        """Have a workload compared as a whole."""
        self._changes.workloads[workload_id] = None
        self.distrust(workload_id)

    def retell(self, workload_id: UUID, facts: PodFacts) -> None:
        """Have one pod of a workload compared, because nothing else changed."""
        self._changes.workloads[workload_id] = None
        if workload_id in self._retold:
            self._retold[workload_id][facts.pod_id] = facts

    def compare_node(self, name: str) -> None:
        """Have a node compared."""
        self._changes.nodes[name] = None

    def verify(self, workload_id: UUID) -> None:
        """Have it found out whether a label is true."""
        self._changes.doubts[workload_id] = None

    def wait(self, uid: str) -> None:
        """Have somebody give up, in time, the owner that an object waits for."""
        self._changes.orphans[uid] = None

    def meet(self, kinds: Iterable[KindName]) -> None:
        """Have kinds read that nobody reads yet."""
        self._changes.kinds.update(dict.fromkeys(kinds))

    def hand_over(self) -> Changes:
        """Return who is due, and begin anew."""
        changes, self._changes = self._changes, Changes()
        return changes

    def tell(self, workload_id: UUID) -> None:
        """Take a workload as told; whoever then fails to tell it has to `distrust` that."""
        self._retold[workload_id] = {}

    def distrust(self, workload_id: UUID) -> None:
        """Take nothing of a workload as told."""
        self._retold.pop(workload_id, None)

    def retold(self, workload_id: UUID) -> list[PodFacts] | None:
        """Return the pods that changed since a workload was told; None if it has to be compared as a whole."""
        pods = self._retold.get(workload_id)
        return None if pods is None else sorted(pods.values(), key=lambda facts: (facts.namespace, facts.name))
