"""What a pod says about itself: pure answers that kubelet, scheduler and controllers share.

A pod is a plain dict as the API serves it. Nothing here changes one: `with_condition` returns a new list.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from simcluster.clock import to_timestamp
from simcluster.quantities import Amounts, add_to, highest, to_amounts
from simcluster.resources import Object

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})


def spec_of(obj: Object) -> Object:
    """Return the desired state, empty for an object that was made without."""
    spec: Object = obj.get("spec") or {}
    return spec


def name_of(obj: Object) -> str:
    """Return the object's name."""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """Return the object's namespace, empty for one of the whole cluster."""
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Object) -> str:
    """Return the identity that outlives no deletion."""
    return str(obj["metadata"]["uid"])


def phase_of(pod: Object) -> str:
    """Return the phase, `Pending` while there is no status."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def is_finished(pod: Object) -> bool:
    """Say whether all its containers have ended for good."""
    return phase_of(pod) in TERMINAL_PHASES


def is_terminating(obj: Object) -> bool:
    """Say whether its deletion has been asked for."""
    return "deletionTimestamp" in obj["metadata"]


def is_active(pod: Object) -> bool:
    """Say whether a controller still counts on it: neither finished nor on its way out."""
    return not is_finished(pod) and not is_terminating(pod)


def condition_of(obj: Object, kind: str) -> Mapping[str, Any] | None:
    """Return the condition of that type."""
    conditions: list[dict[str, Any]] = obj.get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == kind), None)


def is_true(obj: Object, kind: str) -> bool:
    """Say whether the condition of that type is there and `True`."""
    condition = condition_of(obj, kind)
    return condition is not None and condition["status"] == "True"


def is_ready(pod: Object) -> bool:
    """Say whether the pod may be sent traffic."""
    return is_true(pod, "Ready")


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """Return the owner reference that is marked as the controller."""
    owners: list[dict[str, Any]] = obj["metadata"].get("ownerReferences", [])
    return next((owner for owner in owners if owner.get("controller")), None)


def with_condition(
    conditions: Iterable[Mapping[str, Any]], kind: str, status: str, now: datetime, reason: str = "", message: str = ""
) -> list[dict[str, Any]]:
    """Return the conditions with one set; its transition time moves only when its status does."""
    before = [dict(condition) for condition in conditions]
    old = next((condition for condition in before if condition["type"] == kind), None)
    new: dict[str, Any] = {"type": kind, "status": status, "lastTransitionTime": to_timestamp(now)}
    if old is not None and old["status"] == status:
        new["lastTransitionTime"] = old.get("lastTransitionTime", new["lastTransitionTime"])
    new |= ({"reason": reason} if reason else {}) | ({"message": message} if message else {})
    if old is None:
        return [*before, new]
    return [new if condition is old else condition for condition in before]


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Say whether an init container stays on beside the others."""
    return container.get("restartPolicy") == "Always"


def requests_of(pod: Object) -> Amounts:
    """Return what the pod takes of its node, the pod slot included.

    As Kubernetes reckons it: the containers and sidecars together, or the hungriest moment of the init containers
    when that is more, plus overhead. A limit without a request is a request.
    """
    spec = pod["spec"]
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers", []):
        moment = dict(sidecars)
        add_to(moment, container_requests(container))
        peak = highest(peak, moment)
        if is_sidecar(container):
            sidecars = moment
    total = dict(sidecars)
    for container in spec.get("containers", []):
        add_to(total, container_requests(container))
    total = highest(total, peak)
    add_to(total, to_amounts(spec.get("overhead")))
    return total | {"pods": 1}


def container_requests(container: Mapping[str, Any]) -> Amounts:
    """Return one container's requests, limits standing in for those not given."""
    resources = container.get("resources", {})
    return to_amounts(resources.get("limits")) | to_amounts(resources.get("requests"))


def expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether one `matchExpressions` entry holds, numbers compared for `Gt` and `Lt`."""
    found, values = labels.get(expression["key"]), expression.get("values", [])
    operator = _OPERATORS.get(expression["operator"])
    return operator is not None and operator(found, values)


def _compare(found: str | None, values: Sequence[str]) -> int:
    """Return the sign of found minus value; 0, which satisfies neither `Gt` nor `Lt`, when they are no integers."""
    try:
        difference = int(found or "") - int(values[0])
    except (ValueError, IndexError):
        return 0
    return (difference > 0) - (difference < 0)


_OPERATORS: Mapping[str, Callable[[str | None, Sequence[str]], bool]] = {
    "In": lambda found, values: found in values,
    "NotIn": lambda found, values: found not in values,
    "Exists": lambda found, _: found is not None,
    "DoesNotExist": lambda found, _: found is None,
    "Gt": lambda found, values: _compare(found, values) > 0,
    "Lt": lambda found, values: _compare(found, values) < 0,
}
