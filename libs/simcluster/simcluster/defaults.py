"""What Kubernetes writes into an object that does not say: defaults and the few admission rules people rely on.

`fill` changes the object in place, on creation and again on every update, so that a field taken away comes back with
its default. What is looked up (a priority class, a cluster IP) is looked up on creation alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simcluster import custom, webhooks
from simcluster.clock import to_timestamp
from simcluster.errors import forbidden
from simcluster.resources import Object, Resource
from simcluster.store import Store

_PRIORITY_CLASSES = "priorityclasses.scheduling.k8s.io"
_STORAGE_CLASSES = "storageclasses.storage.k8s.io"
_QUANTITIES = ("limits", "requests")
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_FIRST_STATUS: dict[str, Object] = {
    "deployments.apps": {},
    "replicasets.apps": {"replicas": 0},
    "statefulsets.apps": {"replicas": 0, "availableReplicas": 0},
    "jobs.batch": {},
    "cronjobs.batch": {},
}
"""What Kubernetes writes before any controller has seen the object: clients read fields of it without a look first."""


@dataclass(frozen=True)
class Birth:
    """Among what and when an object is created."""

    store: Store
    now: datetime


def fill(resource: Resource, body: Object, birth: Birth | None = None) -> None:
    """Complete an object as the API server would before it looks at it, with more at its birth than later."""
    complete = _FILLERS.get(resource.key)
    if complete is not None:
        complete(body)
    if birth is not None:
        _fill_once(resource, body, birth)


def _fill_once(resource: Resource, body: Object, birth: Birth) -> None:
    admit = _ADMISSION.get(resource.key)
    if admit is not None:
        admit(body, birth)
    if resource.key in _FIRST_STATUS:
        body["status"] = dict(_FIRST_STATUS[resource.key])


def canonicalise(body: Any) -> None:
    """Write quantities given as numbers as the text they are stored as, in place: `nvidia.com/gpu: 1` means "1"."""
    if isinstance(body, list):
        for item in body:
            canonicalise(item)
    if not isinstance(body, dict):
        return
    for name, value in body.items():
        if name in _QUANTITIES and isinstance(value, dict):
            body[name] = {key: _as_text(amount) for key, amount in value.items()}
        elif isinstance(value, dict | list):
            canonicalise(value)


def _as_text(amount: Any) -> Any:
    return str(amount) if isinstance(amount, int | float) and not isinstance(amount, bool) else amount


def _set_defaults(target: Object, **values: Any) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = value


def _spec(body: Object) -> Object:
    if body.get("spec") is None:
        body["spec"] = {}
    spec: Object = body["spec"]
    return spec


def _fill_pod(body: Object) -> None:
    spec = _spec(body)
    _fill_pod_spec(spec)
    _set_defaults(spec, serviceAccountName="default", enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority")


def _fill_pod_spec(spec: Object) -> None:
    _set_defaults(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    if spec.get("serviceAccount") and not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            _fill_container(container)


def _fill_container(container: Object) -> None:
    image = container.get("image") or ""
    last = image.rsplit("/", 1)[-1]
    moving = "@" not in image and (":" not in last or last.endswith(":latest"))
    _set_defaults(
        container,
        imagePullPolicy="Always" if moving else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    resources = container["resources"]
    for part in ("limits", "requests"):
        if resources.get(part):
            resources[part] = {name: _as_text(amount) for name, amount in resources[part].items()}
    if resources.get("limits"):
        resources["requests"] = resources["limits"] | (resources.get("requests") or {})
    for port in container.get("ports") or ():
        _set_defaults(port, protocol="TCP")


def _fill_template(spec: Object) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        template.setdefault("metadata", {})
        _fill_pod_spec(_spec(template))


def _fill_deployment(body: Object) -> None:
    spec = _spec(body)
    _set_defaults(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    _set_defaults(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        _set_defaults(spec["strategy"], rollingUpdate={})
        _set_defaults(spec["strategy"]["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    _fill_template(spec)


def _fill_replica_set(body: Object) -> None:
    spec = _spec(body)
    _set_defaults(spec, replicas=1)
    _fill_template(spec)


def _fill_stateful_set(body: Object) -> None:
    spec = _spec(body)
    _set_defaults(spec, replicas=1, podManagementPolicy="OrderedReady", revisionHistoryLimit=10, updateStrategy={})
    _set_defaults(spec["updateStrategy"], type="RollingUpdate")
    _fill_template(spec)


def _fill_job(body: Object) -> None:
    spec = _spec(body)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _set_defaults(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="TerminatingOrFailed",
    )
    _fill_template(spec)


def _fill_cron_job(body: Object) -> None:
    _set_defaults(
        _spec(body),
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )


def _fill_service(body: Object) -> None:
    spec = _spec(body)
    _set_defaults(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    for port in spec.get("ports") or ():
        _set_defaults(port, protocol="TCP", targetPort=port.get("port"))


def _fill_definition(body: Object) -> None:
    spec = _spec(body)
    _set_defaults(spec, scope="Namespaced", conversion={"strategy": "None"})
    names = spec.get("names") or {}
    _set_defaults(names, singular=(names.get("kind") or "").lower(), listKind=f"{names.get('kind')}List")


def _fill_secret(body: Object) -> None:
    _set_defaults(body, type="Opaque")


def _fill_event(body: Object) -> None:
    _set_defaults(body, type="Normal")


def _fill_claim(body: Object) -> None:
    _set_defaults(_spec(body), volumeMode="Filesystem")


def _admit_pod(body: Object, birth: Birth) -> None:
    spec = body["spec"]
    spec["priority"] = _priority(body, birth)
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *_node_tolerations(spec.get("tolerations") or ())]
    body["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}


def _priority(body: Object, birth: Birth) -> int:
    spec = body["spec"]
    name = spec.get("priorityClassName")
    if name in _SYSTEM_PRIORITIES:
        return _SYSTEM_PRIORITIES[name]
    if name:
        found = birth.store.get(_PRIORITY_CLASSES, None, name)
        if found is None:
            raise forbidden("pods", body["metadata"]["name"], f"no PriorityClass with name {name} was found")
        return _adopt_priority(spec, found.body)
    for stored in birth.store.find(_PRIORITY_CLASSES):
        if stored.body.get("globalDefault"):
            spec["priorityClassName"] = stored.name
            return _adopt_priority(spec, stored.body)
    return 0


def _adopt_priority(spec: Object, priority_class: Object) -> int:
    if priority_class.get("preemptionPolicy"):
        spec["preemptionPolicy"] = priority_class["preemptionPolicy"]
    return int(priority_class.get("value", 0))


def _node_tolerations(tolerations: Any) -> list[Object]:
    """Return the five minutes every pod is given on a node that fails."""
    missing = []
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(_tolerates_no_execute(toleration, key) for toleration in tolerations):
            missing.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    return missing


def _tolerates_no_execute(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (None, "", key) and toleration.get("effect") in (None, "", "NoExecute")


def qos_class(spec: Object) -> str:
    """Return the quality of service Kubernetes derives from CPU and memory."""
    counted = ("cpu", "memory")
    guaranteed, any_set = True, False
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        limits = container["resources"].get("limits") or {}
        requests = container["resources"].get("requests") or {}
        any_set = any_set or any(name in limits or name in requests for name in counted)
        guaranteed = guaranteed and all(name in limits and limits[name] == requests.get(name) for name in counted)
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _admit_namespace(body: Object, _birth: Birth) -> None:
    name = body["metadata"]["name"]
    labels = body["metadata"].get("labels") or {}
    body["metadata"]["labels"] = labels | {"kubernetes.io/metadata.name": name}
    body["spec"] = {"finalizers": ["kubernetes"]}
    body["status"] = {"phase": "Active"}


def _admit_job(body: Object, _birth: Birth) -> None:
    """Give a job the labels by which it knows its pods."""
    spec, metadata = body["spec"], body["metadata"]
    if spec["manualSelector"] or not isinstance(spec.get("template"), dict):
        return
    uid, name = metadata["uid"], metadata["name"]
    template = spec["template"]["metadata"]
    own = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    template["labels"] = (template.get("labels") or {}) | own
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def _admit_service(body: Object, birth: Birth) -> None:
    spec = body["spec"]
    if spec["type"] == "ExternalName" or spec.get("clusterIP"):
        return
    spec["clusterIP"] = _free_address(birth)
    spec["clusterIPs"] = [spec["clusterIP"]]
    body["status"] = {"loadBalancer": {}}


def _free_address(birth: Birth) -> str:
    taken = {(stored.body.get("spec") or {}).get("clusterIP") for stored in birth.store.find("services")}
    numbers = range(1, 65_535)
    return next(address for number in numbers if (address := f"10.96.{number // 256}.{number % 256}") not in taken)


def _admit_definition(body: Object, birth: Birth) -> None:
    if (body["spec"].get("names") or {}).get("plural") and body["spec"].get("versions"):
        body["status"] = custom.accepted_status(body, to_timestamp(birth.now))


def _admit_claim(body: Object, birth: Birth) -> None:
    body["status"] = {"phase": "Pending"}
    if "storageClassName" not in body["spec"]:
        classes = [stored for stored in birth.store.find(_STORAGE_CLASSES) if _is_default(stored.body)]
        body["spec"] |= {"storageClassName": classes[0].name} if classes else {}


def _is_default(storage: Object) -> bool:
    annotations = storage["metadata"].get("annotations") or {}
    return bool(annotations.get("storageclass.kubernetes.io/is-default-class") == "true")


_FILLERS: dict[str, Callable[[Object], None]] = {
    "pods": _fill_pod,
    "services": _fill_service,
    "secrets": _fill_secret,
    "events": _fill_event,
    "persistentvolumeclaims": _fill_claim,
    "deployments.apps": _fill_deployment,
    "replicasets.apps": _fill_replica_set,
    "statefulsets.apps": _fill_stateful_set,
    "daemonsets.apps": _fill_replica_set,
    "jobs.batch": _fill_job,
    "cronjobs.batch": _fill_cron_job,
    "customresourcedefinitions.apiextensions.k8s.io": _fill_definition,
    webhooks.MUTATING: webhooks.fill_mutating,
    webhooks.VALIDATING: webhooks.fill_validating,
}

_ADMISSION: dict[str, Callable[[Object, Birth], None]] = {
    "pods": _admit_pod,
    "namespaces": _admit_namespace,
    "services": _admit_service,
    "persistentvolumeclaims": _admit_claim,
    "jobs.batch": _admit_job,
    "customresourcedefinitions.apiextensions.k8s.io": _admit_definition,
}
