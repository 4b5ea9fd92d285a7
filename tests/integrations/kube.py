"""Small Kubernetes objects, decoded as the adapter decodes them, and a world without I/O that folds what it decides."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
from muster_cluster.objects import NODES, PODS, Node
from muster_cluster.port import Resource
from muster_contracts.events import AnyEvent, PodGone, ProjectChanged, WorkloadGone, WorkloadSubmitted
from muster_contracts.phases import WorkloadKind
from muster_contracts.subjects import derived_id
from muster_contracts.values import Caller, WorkloadSpec
from muster_integrations.core.decide import decide_node
from muster_integrations.core.fold import Fold
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.handlers import missing_events
from muster_integrations.recognition.kinds import Known
from muster_integrations.recognition.mirror import Mirror
from muster_integrations.recognition.table import TABLE

ROOT = UUID("11111111-2222-3333-4444-555555555555")
NAMESPACE = "muster-demo"
SOMEBODY = Caller(name="ada")


def uid(name: str) -> str:
    """A UID for what is called so."""
    return str(uuid5(ROOT, name))


def manifest(resource: Resource[Any], name: str, **parts: Any) -> dict[str, Any]:
    """A manifest; `owner` is a manifest too, `namespace`, `labels`, `annotations`, `version`, `deleting` go into it."""
    owner = parts.pop("owner", None)
    metadata: dict[str, Any] = {
        "name": name,
        "uid": parts.pop("uid", uid(f"{resource.kind}/{name}")),
        "resourceVersion": str(parts.pop("version", 1)),
        "creationTimestamp": "2026-11-01T10:00:00Z",
        "labels": parts.pop("labels", {}),
        "annotations": parts.pop("annotations", {}),
    }
    if resource.namespaced:
        metadata["namespace"] = parts.pop("namespace", NAMESPACE)
    if parts.pop("deleting", False):
        metadata["deletionTimestamp"] = "2026-11-01T11:00:00Z"
    if owner is not None:
        metadata["ownerReferences"] = [owned_by(owner)]
    if "references" in parts:
        metadata["ownerReferences"] = parts.pop("references")
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata} | parts


def owned_by(owner: dict[str, Any], *, controller: bool = True) -> dict[str, Any]:
    """A reference to an owner."""
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": controller}
    return reference | {"name": metadata["name"], "uid": metadata["uid"]}


def container(gpus: int = 0, **parts: Any) -> dict[str, Any]:
    """One container."""
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return {"name": "main", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": limits}} | parts


def pod_spec(gpus: int = 0, node: str = "", **parts: Any) -> dict[str, Any]:
    """What a pod asks for."""
    return {"schedulerName": "muster-scheduler", "nodeName": node, "containers": [container(gpus)]} | parts


def running(name: str = "main") -> dict[str, Any]:
    """The status of a pod that runs and is ready."""
    conditions = [{"type": t, "status": "True"} for t in ("Initialized", "Ready")]
    state = {"name": name, "ready": True, "state": {"running": {"startedAt": "2026-11-01T10:01:00Z"}}}
    return {"phase": "Running", "conditions": conditions, "containerStatuses": [state]}


def template(gpus: int = 0, **metadata: Any) -> dict[str, Any]:
    """What a controller makes its pods of."""
    return {"metadata": metadata, "spec": pod_spec(gpus)}


def read(resource: Resource[Any], written: dict[str, Any]) -> Any:
    """The object as the adapter decodes it."""
    return msgspec.json.decode(json.dumps(written), type=resource.model)


def known(written: dict[str, Any] | None) -> Known | None:
    """The object with its kind."""
    if written is None:
        return None
    group = written["apiVersion"].rpartition("/")[0]
    kind = TABLE[group, written["kind"]]
    assert kind.watch is not None
    return Known(kind, written["apiVersion"], msgspec.json.decode(json.dumps(written), type=kind.watch.model))


def project(name: str = "demo", *, namespace: str = "", removed: bool = False) -> ProjectChanged:
    """A project was created, or removed."""
    return ProjectChanged(
        project_id=derived_id("project", name),
        name=name,
        namespace=namespace or f"muster-{name}",
        removed=removed,
        changed_by=SOMEBODY,
    )


def submission(workload_id: UUID, name: str = "hello", **spec: Any) -> WorkloadSubmitted:
    """A training was accepted; its object is a Job of the same name."""
    return WorkloadSubmitted(
        workload_id=workload_id,
        name=name,
        project_id=derived_id("project", "demo"),
        project="demo",
        namespace=NAMESPACE,
        object_name=name,
        spec=WorkloadSpec(kind=WorkloadKind.TRAINING, image="train:1", **spec),
        submitted_by=SOMEBODY,
        idempotency_key=name,
        request_digest="",
    )


class World:
    """The mirror and the fold with nothing in between but time: what is decided is folded at once."""

    def __init__(self, *earlier: AnyEvent) -> None:
        self.fold = Fold()
        self.mirror = Mirror(self.fold)
        self.last: dict[str, Known] = {}
        self.events: list[AnyEvent] = []
        for event in earlier:
            self.hear(event)

    def hear(self, event: AnyEvent) -> None:
        """Read an event of the stream."""
        self.events.append(event)
        self.fold.follow(len(self.events), event)
        if isinstance(event, ProjectChanged):
            self.mirror.namespace_changed(event.namespace)
        if isinstance(event, WorkloadSubmitted):
            self.mirror.submission_changed(event.workload_id)
        if isinstance(event, PodGone):
            self.mirror.written_gone(event.workload_id, [mark.pod_id for mark in event.pods])
        if isinstance(event, WorkloadGone):
            self.mirror.written_end(event.workload_id)

    def show(self, *manifests: dict[str, Any]) -> None:
        """See objects that are new."""
        for written in manifests:
            self.step(None, written)

    def step(self, old: dict[str, Any] | None, new: dict[str, Any] | None, *, seen: bool = True) -> None:
        """See one object change."""
        if (old or new or {})["kind"] == "Node":
            nodes: list[Node | None] = [read(NODES, m) if m else None for m in (old, new)]
            self.mirror.take_node(nodes[0], nodes[1])
        else:
            self._step(known(old), known(new), seen=seen)

    def _step(self, old: Known | None, new: Known | None, *, seen: bool) -> None:
        """Tell the mirror; `old` is the very object it was told as `new`, as a reflector has it."""
        either = new or old
        assert either is not None
        identity = either.metadata.uid
        before = self.last.pop(identity, None) if old is not None else None
        if new is not None:
            self.last[identity] = new
        self.mirror.take(before or old, new, seen=seen)

    def write(self) -> list[AnyEvent]:
        """Decide and write for whoever is due; returns the events."""
        changes = self.mirror.changes()
        return self._write(changes.workloads, changes.nodes)

    def write_everybody(self) -> list[AnyEvent]:
        """Decide and write for everybody, as after a start."""
        workloads, nodes = (
            {*self.fold.workloads, *self.mirror.workload_ids},
            {*self.fold.nodes, *self.mirror.node_names},
        )
        for workload_id in workloads:
            self.mirror.distrust(workload_id)
        return self._write(workloads, nodes)

    def give_up_owners(self) -> None:
        """Let everybody who waits for an owner wait no longer, and write."""
        for orphan in self.mirror.changes().orphans:
            self.mirror.give_up_owner(orphan)
        self.write_everybody()

    def _write(self, workloads: Iterable[UUID], nodes: Iterable[str]) -> list[AnyEvent]:
        new: list[AnyEvent] = []
        for workload_id in workloads:
            passing = self.mirror.passing_pods(workload_id)
            new += self._take_down(missing_events(self.fold, self.mirror, workload_id))
            self.mirror.told(workload_id, passing)
        for name in nodes:
            new += self._take_down(decide_node(self.fold.nodes.get(name), self.mirror.seen_node(name)))
        return new

    def _take_down(self, events: Sequence[AnyEvent]) -> list[AnyEvent]:
        for event in events:
            self.hear(event)
        return list(events)


def pod(name: str, **parts: Any) -> dict[str, Any]:
    """A pod that waits, unless it says otherwise."""
    return manifest(PODS, name, **({"spec": pod_spec()} | parts))


def see(*manifests: dict[str, Any], workload: dict[str, Any] | None = None) -> SeenWorkload:
    """What is seen of a workload (the first object, unless another is named) when these objects are there."""
    world = World(project())
    world.show(*manifests)
    found = world.mirror.seen_workload(UUID((workload or manifests[0])["metadata"]["uid"]))
    assert found is not None
    return found


def roles(found: SeenWorkload) -> dict[str, str]:
    """The role of every pod, by its name."""
    return {facts.name: facts.role for facts in found.pods.values()}


def gangs(found: SeenWorkload) -> dict[str, tuple[int, dict[str, int]]]:
    """The minimum of every pod group, and of its parts, by their names."""
    return {
        group.name: (group.min_members, {part.name: part.min_members for part in group.sub_groups})
        for group in found.groups.values()
    }


def recorded(path: Path, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """The objects of a recorded file, moved into a namespace that is a project's."""
    written = json.loads(path.read_text())
    items: list[dict[str, Any]] = written["items"] if written["kind"] == "List" else [written]
    for item in items:
        item["metadata"]["namespace"] = namespace
        item["metadata"].setdefault("uid", uid(f"{item['kind']}/{item['metadata']['name']}"))
    return items
