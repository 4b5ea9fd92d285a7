"""Seldon Core: SeldonDeployments of version 1, Servers and Models of version 2.

A SeldonDeployment has a Deployment `<name>-<predictor>-<i>-<containers>` for each predictor and each of its component
specs; the engine is a container of the first, or with `seldon.io/engine-separate-pod` a Deployment of its own. Names
over 63 characters become `seldon-<md5>`. A Server is a StatefulSet of its name; a Model owns no pods and is loaded
once a Server of its namespace (the one it names, or any) has a ready replica.

Not here: autoscalers, pipelines, experiments, the control plane of version 2.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators.kept import keep, keep_only
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator
from simcluster.operators.system import System
from simcluster.pods import name_of, namespace_of, with_condition
from simcluster.resources import Object, ScalePaths

DEPLOYMENT = CustomKind(
    "machinelearning.seldon.io",
    "SeldonDeployment",
    "seldondeployments",
    ("v1", "v1alpha2", "v1alpha3"),
    short_names=("sdep",),
    scale=ScalePaths(observed="status.replicas"),
)
SERVER = CustomKind("mlops.seldon.io", "Server", "servers", ("v1alpha1",), scale=ScalePaths())
MODEL = CustomKind("mlops.seldon.io", "Model", "models", ("v1alpha1",), short_names=("mlm",), scale=ScalePaths())

_DEPLOYMENTS, _STATEFUL_SETS = "deployments.apps", "statefulsets.apps"
_ENGINE = "seldon-container-engine"
_SEPARATE_ENGINE = "seldon.io/engine-separate-pod"
_LONGEST_NAME = 63
_ROLES = {
    "MODEL": "model",
    "ROUTER": "router",
    "COMBINER": "combiner",
    "TRANSFORMER": "transformer",
    "OUTPUT_TRANSFORMER": "output-transformer",
}


class SeldonDeploymentOperator(Operator):
    """Keeps the Deployments of predictors."""

    owns = (_DEPLOYMENTS, "services")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(DEPLOYMENT, "seldon-controller-manager", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Bring all Deployments to where the predictors want them and say how they are."""
        wanted = [each for predictor in obj["spec"]["predictors"] for each in _deployments(obj, predictor)]
        kept = [keep(self, obj, _DEPLOYMENTS, each) for each in wanted]
        keep_only(self, obj, _DEPLOYMENTS, {name_of(each) for each in kept})
        self._report(obj, kept)
        return None

    def _report(self, deployment: Object, kept: Iterable[Object]) -> None:
        counts: dict[str, Any] = {}
        for each in kept:
            available = int(each.get("status", {}).get("availableReplicas", 0))
            counts[name_of(each)] = {"replicas": each["spec"].get("replicas", 1), "availableReplicas": available}
        ready = all(each["availableReplicas"] >= each["replicas"] for each in counts.values())
        self.report(
            deployment,
            {
                "state": "Available" if ready else "Creating",
                "deploymentStatus": counts,
                "replicas": sum(each["replicas"] for each in counts.values()),
                "address": {"url": f"http://{name_of(deployment)}.{namespace_of(deployment)}.svc.cluster.local:8000"},
            },
        )


class ServerOperator(Operator):
    """Keeps the StatefulSet of a server."""

    owns = (_STATEFUL_SETS,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(SERVER, "server-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Bring a server to its replicas and say how many are ready."""
        kept = keep(self, obj, _STATEFUL_SETS, _stateful_set(obj))
        ready = int(kept.get("status", {}).get("readyReplicas", 0)) >= kept["spec"].get("replicas", 1)
        status = dict(obj.get("status", {}))
        conditions = status.get("conditions", [])
        for kind in ("StatefulSetReady", "Ready"):
            conditions = with_condition(conditions, kind, str(ready), self.clock.now())
        selector = f"seldon-server-name={name_of(obj)}"
        status |= {"conditions": conditions, "replicas": kept["spec"].get("replicas", 1), "selector": selector}
        self.report(obj, status)
        return None


class ModelOperator(Operator):
    """Says of models whether a server holds them."""

    owns = (SERVER.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(MODEL, "model-controller", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the model itself, or all models of a server's namespace."""
        namespace = namespace_of(change.object)
        if change.kind == SERVER.key:
            return [(namespace, name_of(model)) for model in self.client.list(MODEL.key, namespace)]
        return super().keys(change)

    def act(self, obj: Object) -> datetime | None:
        """Find a server for a model and say so."""
        named = obj["spec"].get("server")
        servers = self.client.list(SERVER.key, namespace_of(obj))
        holding = [each for each in servers if named in (None, "", name_of(each)) and _is_serving(each)]
        status = dict(obj.get("status", {}))
        conditions = status.get("conditions", [])
        reason = "ModelAvailable" if holding else "ModelStateUnknown"
        for kind in ("ModelReady", "Ready"):
            conditions = with_condition(conditions, kind, str(bool(holding)), self.clock.now(), reason)
        status |= {"conditions": conditions, "replicas": int(obj["spec"].get("replicas", 1)) if holding else 0}
        self.report(obj, status)
        return None


def _deployments(owner: Object, predictor: Mapping[str, Any]) -> list[Object]:
    """Return the Deployments of one predictor."""
    graph = predictor.get("graph") or {}
    specs = predictor.get("componentSpecs") or [_prepackaged(graph)]
    bare = _is_annotated(owner, predictor, "seldon.io/no-engine")
    separate = _is_annotated(owner, predictor, _SEPARATE_ENGINE)
    made = [
        _component(owner, predictor, index, written, with_engine=index == 0 and not separate and not bare)
        for index, written in enumerate(specs)
    ]
    if separate:
        name = _shortened(f"{name_of(owner)}-{predictor['name']}-svc-orch")
        labels = {"seldon-app": _shortened(f"{name_of(owner)}-{predictor['name']}")}
        sized = {"replicas": (predictor.get("svcOrchSpec") or {}).get("replicas")}
        made.append(_deployment(owner, predictor, name, labels, {"containers": [_engine()]}, sized, with_engine=True))
    explainer = predictor.get("explainer") or {}
    if explainer.get("type"):
        name = _shortened(f"{name_of(owner)}-{predictor['name']}-explainer")
        labels = {"seldon-app": name, "seldon.io/explainer": "true"}
        container = {"name": f"{predictor['name']}-explainer", "image": "seldonio/alibiexplainer"}
        # Not sized by what it explains, but gone with it.
        sized = {"replicas": explainer.get("replicas", 1) if _replicas(predictor, owner["spec"]) else 0}
        made.append(_deployment(owner, predictor, name, labels, {"containers": [container]}, sized, with_engine=False))
    return made


def _component(
    owner: Object, predictor: Mapping[str, Any], index: int, written: Mapping[str, Any], *, with_engine: bool
) -> Object:
    spec = dict(written["spec"])
    containers = [each["name"] for each in spec["containers"]]
    service = f"{name_of(owner)}-{predictor['name']}"
    labels = {f"seldon-app-svc-{each}": _shortened(f"{service}-{each}") for each in containers}
    labels |= _role_labels(predictor, containers)
    if not _is_annotated(owner, predictor, _SEPARATE_ENGINE):
        labels["seldon-app"] = _shortened(service)
    if with_engine:
        spec["containers"] = [*spec["containers"], _engine()]
    name = _shortened(f"{service}-{index}-{'-'.join(containers)}")
    return _deployment(owner, predictor, name, labels, spec, written, with_engine=with_engine)


def _deployment(
    owner: Object,
    predictor: Mapping[str, Any],
    name: str,
    labels: Mapping[str, str],
    spec: Mapping[str, Any],
    written: Mapping[str, Any],
    *,
    with_engine: bool,
) -> Object:
    """Return a Deployment; the user's labels overwrite any of its own, as they do in Seldon."""
    own = {"seldon-deployment-id": _shortened(name_of(owner)), "app": name, "fluentd": "true"}
    metadata = written.get("metadata") or {}
    marks = {**own, **labels, "app.kubernetes.io/managed-by": "seldon-core"}
    pod_labels = marks | _merged("labels", predictor, metadata)
    annotations = _merged("annotations", owner["spec"], predictor, metadata) | {"prometheus.io/scrape": "true"}
    mark = {"seldon-deployment-contains-svcorch": "true"} if with_engine else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": own | mark},
        "spec": {
            "replicas": _replicas(written, predictor, owner["spec"]),
            "selector": {"matchLabels": {name: pod_labels[name] for name in ("app", "seldon-deployment-id")}},
            "template": {"metadata": {"labels": pod_labels, "annotations": annotations}, "spec": dict(spec)},
        },
    }


def _merged(field: str, *levels: Mapping[str, Any]) -> dict[str, str]:
    """Return labels or annotations of several levels, the more specific ones last."""
    return {name: value for level in levels for name, value in (level.get(field) or {}).items()}


def _replicas(*levels: Mapping[str, Any]) -> int:
    """Return the number that the most specific level gives."""
    return next((int(each["replicas"]) for each in levels if each.get("replicas") is not None), 1)


def _role_labels(predictor: Mapping[str, Any], containers: Iterable[str]) -> dict[str, str]:
    """Return what marks the parts containers play in the predictor's graph, as booleans."""
    nodes = {node.get("name"): node for node in _nodes(predictor.get("graph") or {})}
    labels = {}
    for name in containers:
        role = _ROLES.get(nodes.get(name, {}).get("type") or "MODEL")
        if role is not None:
            labels[f"seldon.io/{role}"] = "true"
    if predictor.get("shadow"):
        labels["seldon.io/shadow"] = "true"
    return labels


def _nodes(graph: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield graph
    for child in graph.get("children") or ():
        yield from _nodes(child)


def _prepackaged(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Return the component of a model that is served without a container of the user's."""
    name = graph.get("name") or "model"
    image = f"seldonio/{str(graph.get('implementation') or 'model').lower()}"
    spec: dict[str, Any] = {"containers": [{"name": name, "image": image}]}
    if graph.get("modelUri"):
        spec["initContainers"] = [{"name": f"{name}-model-initializer", "image": "seldonio/rclone-storage-initializer"}]
    return {"spec": spec}


def _engine() -> dict[str, Any]:
    return {"name": _ENGINE, "image": "seldonio/seldon-core-executor"}


def _is_annotated(owner: Object, predictor: Mapping[str, Any], name: str) -> bool:
    annotations = {**(owner["spec"].get("annotations") or {}), **(predictor.get("annotations") or {})}
    return annotations.get(name) == "true"


def _stateful_set(server: Object) -> Object:
    labels = {"seldon-server-name": name_of(server), "app.kubernetes.io/name": "seldon-server"}
    spec = server["spec"]
    written = spec.get("podSpec") or {}
    name = spec.get("serverConfig") or "mlserver"
    usual = {"name": name, "image": f"seldonio/{name}"}  # what a server leaves out, its configuration says
    containers = [{**usual, **each} for each in written.get("containers") or [usual]]
    annotations = {
        key: value for key, value in (server["metadata"].get("annotations") or {}).items() if key.startswith("sim.")
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name_of(server), "labels": labels},
        "spec": {
            "replicas": spec.get("replicas", 1),
            "serviceName": name_of(server),
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": {**(server["metadata"].get("labels") or {}), **labels},
                    "annotations": annotations,
                },
                "spec": {**written, "containers": containers},
            },
        },
    }


def _is_serving(server: Object) -> bool:
    conditions = (server.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and server["spec"].get("replicas", 1) > 0


def _shortened(name: str) -> str:
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return name if len(name) <= _LONGEST_NAME else f"seldon-{digest}"


SYSTEM = System(kinds=(DEPLOYMENT, SERVER, MODEL), operators=(SeldonDeploymentOperator, ServerOperator, ModelOperator))
