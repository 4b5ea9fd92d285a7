"""The notebook controller, v1: a Notebook is a StatefulSet of its name with one pod, or none while it is stopped.

It is stopped by the presence of an annotation, whatever its value. The status shows the pod's conditions and the state
of the container that has the notebook's name.

Not here: culling of idle notebooks, virtual services, the workspaces of version 2.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator
from simcluster.operators.system import System
from simcluster.pods import name_of, namespace_of
from simcluster.resources import Object

NOTEBOOK = CustomKind("kubeflow.org", "Notebook", "notebooks", versions=("v1", "v1beta1", "v1alpha1"))
STATEFUL_SETS = "statefulsets.apps"
STOPPED = "kubeflow-resource-stopped"
_NAME_LABEL = "notebook-name"
_KEPT_BACK = ("kubectl", "notebook")  # annotations with these words do not reach the pod


class NotebookOperator(Operator):
    """Looks after Notebooks."""

    owns = (STATEFUL_SETS, "services", "pods")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(NOTEBOOK, "notebook-controller", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the Notebook in question; a pod names it by its label."""
        labels = change.object["metadata"].get("labels") or {}
        if change.kind == "pods" and _NAME_LABEL in labels:
            return [(namespace_of(change.object), labels[_NAME_LABEL])]
        return super().keys(change)

    def act(self, obj: Object) -> datetime | None:
        """Keep a Notebook's StatefulSet and Service as it says, and report what its pod does."""
        name, wanted = name_of(obj), _stateful_set(obj)
        found = self.client.get(STATEFUL_SETS, namespace_of(obj), name)
        if found is None:
            found = self.create(obj, STATEFUL_SETS, wanted)
        else:
            changed = {key: wanted["spec"][key] for key in ("replicas", "template")}
            found = self.client.update(STATEFUL_SETS, {**found, "spec": {**found["spec"], **changed}})
        if self.client.get("services", namespace_of(obj), name) is None:
            self.create(obj, "services", _service(obj))
        self.report(obj, _status(obj, found, self.client.get("pods", namespace_of(obj), f"{name}-0")))
        return None


def _stateful_set(notebook: Object) -> Object:
    name, metadata = name_of(notebook), notebook["metadata"]
    annotations = metadata.get("annotations") or {}
    carried = {key: text for key, text in annotations.items() if not any(word in key for word in _KEPT_BACK)}
    labels = {**(metadata.get("labels") or {}), "statefulset": name, _NAME_LABEL: name}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0 if STOPPED in annotations else 1,
            "selector": {"matchLabels": {"statefulset": name}},
            "serviceName": "",
            "template": {
                "metadata": {"labels": labels, "annotations": {k: v for k, v in carried.items() if k != STOPPED}},
                "spec": notebook["spec"]["template"]["spec"],
            },
        },
    }


def _service(notebook: Object) -> Object:
    name = name_of(notebook)
    ports = [{"name": f"http-{name}", "port": 80, "targetPort": 8888, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "selector": {"statefulset": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _status(notebook: Object, stateful_set: Object, pod: Object | None) -> dict[str, Any]:
    """Return what the pod says; nothing but the number of ready replicas without one."""
    seen = (pod or {}).get("status", {})
    states = {each["name"]: each["state"] for each in seen.get("containerStatuses", [])}
    return {
        "readyReplicas": stateful_set.get("status", {}).get("readyReplicas", 0),
        "containerState": states.get(name_of(notebook), {}),
        "conditions": list(seen.get("conditions", [])),
    }


SYSTEM = System(kinds=(NOTEBOOK,), operators=(NotebookOperator,))
