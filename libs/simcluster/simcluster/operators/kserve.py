"""KServe: InferenceServices in standard mode, a Deployment `<service>-<component>` for each component.

The service's labels and annotations flow to the pods, so that its `sim.` annotations say how they fare.
`serving.kserve.io/stop: "true"` takes the Deployments away; `minReplicas: 0` is a size like any other, and the service
stays ready at it. Not here: the Knative mode, canaries, autoscalers, InferenceGraphs.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.operators.kept import keep, keep_only
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator
from simcluster.operators.system import System
from simcluster.pods import name_of, namespace_of, with_condition
from simcluster.resources import Object

INFERENCE_SERVICE = CustomKind(
    "serving.kserve.io", "InferenceService", "inferenceservices", ("v1beta1",), short_names=("isvc",)
)
_DEPLOYMENTS = "deployments.apps"
_STOP = "serving.kserve.io/stop"
_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
_COMPONENTS = ("predictor", "transformer", "explainer")
_CONTAINER = "kserve-container"
_NOT_A_POD_FIELD = (
    "model",
    "minReplicas",
    "maxReplicas",
    "scaleTarget",
    "scaleMetric",
    "labels",
    "annotations",
    "canaryTrafficPercent",
    "deploymentStrategy",
    "workerSpec",
)


class InferenceServiceOperator(Operator):
    """Keeps a Deployment and a Service for each component."""

    owns = (_DEPLOYMENTS, "services")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(INFERENCE_SERVICE, "v1beta1Controllers", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Bring the components to where the service wants them and say how they are."""
        components = [name for name in _COMPONENTS if obj["spec"].get(name) is not None]
        if _is_stopped(obj):
            keep_only(self, obj, _DEPLOYMENTS, set())
            keep_only(self, obj, "services", set())
            self._report(obj, dict.fromkeys(components, False), stopped=True)
            return None
        ready = {component: self._keep(obj, component) for component in components}
        names = {_child_name(obj, component) for component in components}
        keep_only(self, obj, _DEPLOYMENTS, names)
        keep_only(self, obj, "services", names)
        self._report(obj, ready, stopped=False)
        return None

    def _keep(self, service: Object, component: str) -> bool:
        deployment = keep(self, service, _DEPLOYMENTS, _deployment(service, component))
        keep(self, service, "services", _service(service, component))
        wanted = deployment["spec"].get("replicas", 1)
        status = deployment.get("status", {})
        seen = status.get("observedGeneration") == deployment["metadata"].get("generation")
        return bool(seen) and int(status.get("availableReplicas", 0)) >= wanted

    def _report(self, service: Object, ready: Mapping[str, bool], *, stopped: bool) -> None:
        status = dict(service.get("status", {}))
        facts = {f"{component.title()}Ready": holds for component, holds in ready.items()}
        every = all(ready.values()) and not stopped
        facts |= {"IngressReady": every, "Ready": every, "Stopped": stopped}
        conditions = status.get("conditions", [])
        for kind, holds in facts.items():
            reason = "Stopped" if stopped and kind != "Stopped" else ""
            conditions = with_condition(conditions, kind, str(holds), self.clock.now(), reason)
        status |= {
            "conditions": conditions,
            "deploymentMode": "Standard",
            "observedGeneration": service["metadata"].get("generation", 1),
            "components": {name: {"url": f"http://{_host(service, name)}"} for name in ready},
            "modelStatus": _model_status(every),
        }
        if every:
            status["url"] = f"http://{name_of(service)}-{namespace_of(service)}.example.com"
        else:
            status.pop("url", None)
        self.report(service, status)


def _model_status(ready: bool) -> dict[str, Any]:
    state = "Loaded" if ready else "Pending"
    return {
        "states": {"activeModelState": state if ready else "", "targetModelState": state},
        "transitionStatus": "UpToDate" if ready else "InProgress",
    }


def _deployment(service: Object, component: str) -> Object:
    name = _child_name(service, component)
    spec = service["spec"][component]
    labels = _own_labels(service, component)
    pod_labels = {**(service["metadata"].get("labels") or {}), **(spec.get("labels") or {}), **labels}
    annotations = {
        key: value
        for key, value in {**(service["metadata"].get("annotations") or {}), **(spec.get("annotations") or {})}.items()
        if key not in (_STOP, "kubectl.kubernetes.io/last-applied-configuration")
    }
    source = (spec.get("model") or {}).get("storageUri")
    if source:
        annotations["internal.serving.kserve.io/storage-initializer-sourceuri"] = source
    replicas = spec.get("minReplicas")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": pod_labels},
        "spec": {
            "replicas": 1 if replicas is None else replicas,
            "selector": {"matchLabels": {"app": labels["app"]}},
            "template": {"metadata": {"labels": pod_labels, "annotations": annotations}, "spec": _pod_spec(spec)},
        },
    }


def _pod_spec(component: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod of a component: its own containers, or one that serves its model."""
    spec = {name: value for name, value in component.items() if name not in _NOT_A_POD_FIELD}
    model = component.get("model") or {}
    if not spec.get("containers"):
        runtime = (model.get("modelFormat") or {}).get("name", "custom")
        image = model.get("image") or f"kserve/{runtime}"
        spec["containers"] = [{"name": _CONTAINER, "image": image, "resources": model.get("resources") or {}}]
    if model:
        initialiser = {"name": "storage-initializer", "image": "kserve/storage-initializer"}
        spec["initContainers"] = [*spec.get("initContainers", []), initialiser]
    return spec


def _service(service: Object, component: str) -> Object:
    name, labels = _child_name(service, component), _own_labels(service, component)
    ports = [{"name": name, "port": 80, "targetPort": 8080}]
    spec = {"selector": {"app": labels["app"]}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _own_labels(service: Object, component: str) -> dict[str, str]:
    return {
        "app": f"isvc.{_child_name(service, component)}",
        "component": component,
        _SERVICE_LABEL: name_of(service),
    }


def _child_name(service: Object, component: str) -> str:
    return f"{name_of(service)}-{component}"


def _host(service: Object, component: str) -> str:
    return f"{_child_name(service, component)}.{namespace_of(service)}.svc.cluster.local"


def _is_stopped(service: Object) -> bool:
    return (service["metadata"].get("annotations") or {}).get(_STOP) == "true"


SYSTEM = System(kinds=(INFERENCE_SERVICE,), operators=(InferenceServiceOperator,))
