"""What the subresources `binding`, `eviction` and `scale` do to an object. Plain functions; the registry stores."""

from datetime import datetime
from typing import Any

from simcluster import selectors
from simcluster.clock import to_timestamp
from simcluster.errors import ApiError, bad_request, conflict, invalid, too_many_requests
from simcluster.resources import Object, Resource
from simcluster.revisions import Stored
from simcluster.store import Store

_BUDGETS = "poddisruptionbudgets.policy"
_RETRY_SECONDS = 10


def bound(pod: Stored, binding: Object, now: datetime) -> Object:
    """Return a pod as a binding makes it: node, condition, annotations; 409 when it can no longer be bound."""
    _check_bindable(pod, binding)
    body: Object = pod.body | {"metadata": dict(pod.body["metadata"])}
    metadata = body["metadata"]
    annotations = (binding.get("metadata") or {}).get("annotations")
    if annotations:
        metadata["annotations"] = (metadata.get("annotations") or {}) | annotations
    body["spec"] = body["spec"] | {"nodeName": binding["target"]["name"]}
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastTransitionTime": to_timestamp(now),
    }
    status = body.get("status") or {}
    others = [each for each in status.get("conditions") or () if each.get("type") != "PodScheduled"]
    body["status"] = status | {"conditions": [*others, scheduled]}
    return body


def _check_bindable(pod: Stored, binding: Object) -> None:
    target = binding.get("target") or {}
    if target.get("kind") not in (None, "", "Node"):
        raise invalid("Binding", pod.name, "target.kind", f'Unsupported value: "{target["kind"]}"')
    if not target.get("name"):
        raise invalid("Binding", pod.name, "target.name", "Required value")
    if "deletionTimestamp" in pod.body["metadata"]:
        raise conflict("pods/binding", pod.name, f"pod {pod.name} is being deleted, cannot be assigned to a host")
    node = pod.body["spec"].get("nodeName")
    if node:
        raise conflict("pods/binding", pod.name, f'pod {pod.name} is already assigned to node "{node}"')
    if pod.body["spec"].get("schedulingGates"):
        raise conflict("pods/binding", pod.name, f"pod {pod.name} has non-empty .spec.schedulingGates")


def disrupted(pod: Object, now: datetime) -> Object:
    """Return a pod with the condition that says it goes by an eviction, not by a failure of its own."""
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": to_timestamp(now),
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    status = pod.get("status") or {}
    others = [each for each in status.get("conditions") or () if each.get("type") != "DisruptionTarget"]
    metadata = dict(pod["metadata"])
    return pod | {"metadata": metadata, "status": status | {"conditions": [*others, condition]}}


def needs_no_budget(pod: Object) -> bool:
    """Say whether a pod serves nobody, so that no budget protects it."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Pending", "Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]


def spent_budgets(store: Store, pod: Stored, now: datetime) -> list[Object]:
    """Return the new states of the budgets an eviction uses up; 429 when one has nothing left."""
    labels = pod.body["metadata"].get("labels") or {}
    budgets = [
        stored
        for stored in store.find(_BUDGETS, pod.namespace)
        if selectors.selects((stored.body.get("spec") or {}).get("selector"), labels)
    ]
    if len(budgets) > 1:
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "InternalError", why)
    return [_spend(budget, pod, now) for budget in budgets if not _lets_unready_go(budget.body, pod)]


def _lets_unready_go(budget: Object, pod: Stored) -> bool:
    if _is_ready(pod.body):
        return False
    status = budget.get("status") or {}
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    always = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    return always or (desired > 0 and healthy >= desired)


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _spend(budget: Stored, pod: Stored, now: datetime) -> Object:
    status = budget.body.get("status") or {}
    if status.get("observedGeneration", 0) < budget.body["metadata"].get("generation", 0):
        raise too_many_requests(f"The disruption budget {budget.name} is still being processed by the server.", 10)
    allowed = status.get("disruptionsAllowed", 0)
    if allowed <= 0:
        raise _violated(budget, status)
    disrupted = (status.get("disruptedPods") or {}) | {pod.name: to_timestamp(now)}
    spent = status | {"disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}
    body: Object = budget.body | {"metadata": dict(budget.body["metadata"]), "status": spent}
    return body


def _violated(budget: Stored, status: Object) -> ApiError:
    message = (
        f"The disruption budget {budget.name} needs {status.get('desiredHealthy', 0)} healthy pods"
        f" and has {status.get('currentHealthy', 0)} currently"
    )
    error = too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", _RETRY_SECONDS)
    error.details = {"causes": [{"reason": "DisruptionBudget", "message": message}]}
    return error


def read_scale(resource: Resource, stored: Stored) -> Object:
    """Return the `Scale` of an object."""
    assert resource.scale is not None
    body = stored.body
    metadata = {
        name: body["metadata"][name]
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if name in body["metadata"]
    }
    status: Object = {"replicas": _at(body, resource.scale.observed) or 0}
    selector = _scale_selector(resource, body)
    if selector:
        status["selector"] = selector
    spec = {"replicas": _at(body, resource.scale.replicas) or 0}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def scaled(resource: Resource, body: Object, scale: Object) -> Object:
    """Put the replicas of a `Scale` into an object, in place, and return it."""
    assert resource.scale is not None
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request("spec.replicas of a Scale must be an integer")
    if replicas < 0:
        name = body["metadata"]["name"]
        raise invalid("Scale", name, "spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0")
    *parents, last = resource.scale.replicas.split(".")
    target = body
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = replicas
    return body


def _scale_selector(resource: Resource, body: Object) -> str:
    assert resource.scale is not None
    if resource.custom:
        path = resource.scale.selector
        return str(_at(body, path) or "") if path else ""
    return selectors.to_text((body.get("spec") or {}).get("selector"))


def _at(body: Object, path: str) -> Any:
    value: Any = body
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
