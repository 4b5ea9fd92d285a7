"""Whether a pod may be on a node: selectors, taints and room, asked by the default scheduler and by the kubelet."""

from collections.abc import Iterable, Mapping
from typing import Any

from simcluster.pods import expression_holds, is_true, name_of, spec_of
from simcluster.quantities import Amounts, to_amounts
from simcluster.resources import Object


def allocatable(node: Object) -> Amounts:
    """Return what pods may have of a node."""
    status = node.get("status", {})
    return to_amounts(status.get("allocatable") or status.get("capacity"))


def lacking(free: Amounts, wanted: Amounts) -> str:
    """Return the first resource that does not suffice, or nothing; the pod slot is looked at first."""
    for resource, amount in sorted(wanted.items(), key=lambda item: (item[0] != "pods", item[0])):
        if amount > free.get(resource, 0) and amount > 0:
            return resource
    return ""


def selects(pod: Object, node: Object) -> bool:
    """Say whether the pod's node selector and required node affinity admit the node."""
    labels: Mapping[str, str] = node["metadata"].get("labels", {})
    wanted = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term_holds(term, node) for term in required.get("nodeSelectorTerms", []))


def _term_holds(term: Mapping[str, Any], node: Object) -> bool:
    labels: Mapping[str, str] = node["metadata"].get("labels", {})
    expressions, fields = term.get("matchExpressions", []), term.get("matchFields", [])
    if not expressions and not fields:
        return False  # an empty term selects nothing
    return all(expression_holds(each, labels) for each in expressions) and all(
        expression_holds(each, {"metadata.name": name_of(node)}) for each in fields
    )


def untolerated(pod: Object, node: Object, effects: Iterable[str]) -> Mapping[str, Any] | None:
    """Return the first taint of one of the effects that the pod does not tolerate."""
    tolerations = pod["spec"].get("tolerations") or []
    for taint in spec_of(node).get("taints") or []:
        if taint.get("effect") in effects and not any(tolerates(each, taint) for each in tolerations):
            found: Mapping[str, Any] = taint
            return found
    return None


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Say whether a toleration covers a taint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def takes_pods(node: Object) -> bool:
    """Say whether a node is ready and not cordoned."""
    return is_true(node, "Ready") and not spec_of(node).get("unschedulable")
