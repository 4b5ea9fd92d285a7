"""Other quotas, weights and nodes than the record has, as a file says them, put in place of the recorded ones.

A change holds for the whole replay: every recorded version of the project or node is told with it. What the file does
not name stays as it was.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid5

from muster_contracts import events as e
from muster_contracts.values import WHOLE_GPU, PoolQuota
from muster_contracts.weights import OverQuotaWeight
from muster_contracts.wire import Recorded

from muster_scheduler.core.scenarios.document import Part

Fields = Mapping[str, Any]

DEFAULT_POOL = "default"
"""The pool of all nodes that are in no other; nobody has to create it."""


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """Which fields of the quota for one node pool are other."""

    node_pool: str
    fields: Fields

    def applied(self, quotas: tuple[PoolQuota, ...]) -> tuple[PoolQuota, ...]:
        """Return the quotas with the one for the pool changed, or added."""
        found = [quota for quota in quotas if quota.node_pool == self.node_pool] or [
            PoolQuota(node_pool=self.node_pool)
        ]
        others = [quota for quota in quotas if quota.node_pool != self.node_pool]
        return (*others, found[0].model_copy(update=dict(self.fields)))


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What is other about a node: gone from the start, of another size, or new and like another."""

    removed: bool = False
    gpus: int | None = None
    like: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """All that is other, by name."""

    projects: Mapping[str, QuotaChange]
    departments: Mapping[str, QuotaChange]
    nodes: Mapping[str, NodeChange]

    def __call__(self, event: e.AnyEvent) -> Iterator[e.AnyEvent]:
        """Yield what is told instead of an event."""
        match event:
            case e.ProjectChanged(name=name) if name in self.projects:
                yield event.model_copy(update={"quotas": self.projects[name].applied(event.quotas)})
            case e.DepartmentChanged(name=name) if name in self.departments:
                yield event.model_copy(update={"quotas": self.departments[name].applied(event.quotas)})
            case e.NodeObserved() | e.NodeGone():
                yield from self._nodes(event)
            case _:
                yield event

    def unknown(self, history: Iterable[Recorded]) -> list[tuple[str, str]]:
        """Return the field and the name of whatever the file names and the history does not know."""
        known = {_name_of(recorded.event) for recorded in history} | {f"node pool {DEFAULT_POOL}"}
        return [(field, name) for field, name in self._named() if name not in known]

    def _named(self) -> Iterator[tuple[str, str]]:
        for name, change in self.projects.items():
            yield f"projects.{name}", f"project {name}"
            yield f"projects.{name}.node_pool", f"node pool {change.node_pool}"
        for name, change in self.departments.items():
            yield f"departments.{name}", f"department {name}"
            yield f"departments.{name}.node_pool", f"node pool {change.node_pool}"
        for name, node in self.nodes.items():
            yield (f"nodes.{name}.like", f"node {node.like}") if node.like else (f"nodes.{name}", f"node {name}")

    def _nodes(self, event: e.NodeObserved | e.NodeGone) -> Iterator[e.AnyEvent]:
        own = self.nodes.get(event.name, NodeChange())
        if not own.removed:
            yield _resized(event, own.gpus)
        for name, change in self.nodes.items():
            if change.like == event.name:
                new = event.model_copy(update={"name": name, "node_id": uuid5(event.node_id, name)})
                yield _resized(new, change.gpus)


def _resized(event: e.NodeObserved | e.NodeGone, gpus: int | None) -> e.AnyEvent:
    if gpus is None or isinstance(event, e.NodeGone):
        return event
    allocatable = event.allocatable.model_copy(update={"gpu_millionths": gpus * WHOLE_GPU})
    return event.model_copy(update={"gpu_devices": gpus, "allocatable": allocatable})


def _name_of(event: e.AnyEvent) -> str:
    match event:
        case e.ProjectChanged(name=name):
            return f"project {name}"
        case e.DepartmentChanged(name=name):
            return f"department {name}"
        case e.NodeObserved(name=name):
            return f"node {name}"
        case e.NodePoolChanged(name=name):
            return f"node pool {name}"
        case _:
            return ""


NO_CHANGES = Changes({}, {}, {})


def read_changes(document: Part) -> Changes:
    """Read a file of changes. Raises Unreadable with file and field; nothing unknown is passed over here."""
    changes = Changes(
        projects={name: _quota(part) for name, part in document.named_parts("projects").items()},
        departments={name: _quota(part) for name, part in document.named_parts("departments").items()},
        nodes={name: _node(part) for name, part in document.named_parts("nodes").items()},
    )
    for path in document.take_unread():
        document.refuse(path, "It is not known.")
    return changes


def _quota(part: Part) -> QuotaChange:
    pool = part.text("node_pool", DEFAULT_POOL)
    limits = {
        "gpu_millionths": ("deserved_gpus", WHOLE_GPU),
        "gpu_limit_millionths": ("max_allowed_gpus", WHOLE_GPU),
        "cpu_milli": ("deserved_cpu_milli", 1),
        "cpu_limit_milli": ("max_allowed_cpu_milli", 1),
        "memory_bytes": ("deserved_memory", 1),
        "memory_limit_bytes": ("max_allowed_memory", 1),
    }
    fields: dict[str, Any] = {
        field: part.limit(name, unit=unit) for field, (name, unit) in limits.items() if part.has(name)
    }
    if part.has("over_quota_weight"):
        fields["over_quota_weight"] = _weight(part)
    if part.has("priority"):
        fields["priority"] = part.whole("priority")
    return QuotaChange(pool, fields)


def _weight(part: Part) -> int:
    if isinstance(part.content["over_quota_weight"], str):
        return OverQuotaWeight(part.one_of("over_quota_weight", [*OverQuotaWeight])).number
    return part.whole("over_quota_weight")


def _node(part: Part) -> NodeChange:
    return NodeChange(
        removed=part.flag("removed", default=False),
        gpus=part.whole("gpus") if part.has("gpus") else None,
        like=part.text("like", ""),
    )
