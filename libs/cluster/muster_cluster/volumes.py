"""Which of the volumes that lie ready suit a claim, by the rules of Kubernetes' own matching.

Who tells where a pod could go and who then takes a volume for it must mean the same volumes; both ask here. Which nodes
reach a volume is a question of its own.
"""

from collections.abc import Mapping
from typing import Any, Final

from muster_cluster.quantities import Quantity, to_units
from muster_cluster.storage import PersistentVolume, PersistentVolumeClaim

Raw = dict[str, Any]
_STORAGE: Final = "storage"


def is_ready(volume: PersistentVolume) -> bool:
    """Say whether a volume is nobody's, and to be had."""
    is_nobodys = volume.spec.claim_ref is None and volume.metadata.deletion_timestamp is None
    return is_nobodys and volume.status.phase == "Available"


def suits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Say whether a claim could have a volume."""
    has, asks = volume.spec, claim.spec
    alike = (has.storage_class_name, has.volume_mode) == (asks.storage_class_name, asks.volume_mode)
    return (
        alike
        and set(asks.access_modes) <= set(has.access_modes)
        and _selects(asks.selector, volume.metadata.labels)
        and volume_bytes(volume) >= asked_bytes(claim)
    )


def is_within_reach(volume: PersistentVolume, node: str, labels: Mapping[str, str]) -> bool:
    """Say whether a node of this name and these labels reaches a volume."""
    affinity = volume.spec.node_affinity
    terms = (affinity.required or {}).get("nodeSelectorTerms") or () if affinity is not None else ()
    return not terms or any(_admits(term, node, labels) for term in terms)


def _admits(term: Raw, node: str, labels: Mapping[str, str]) -> bool:
    by_label, by_field = term.get("matchExpressions") or (), term.get("matchFields") or ()
    named = all(_holds(one, {"metadata.name": node}) for one in by_field)
    return bool(by_label or by_field) and named and all(_holds(one, labels) for one in by_label)


def asked_bytes(claim: PersistentVolumeClaim) -> int:
    """Return how large a volume a claim asks for."""
    return size_bytes(claim.spec.resources.requests.get(_STORAGE))


def volume_bytes(volume: PersistentVolume) -> int:
    """Return how large a volume is."""
    return size_bytes(volume.spec.capacity.get(_STORAGE))


def size_bytes(quantity: Quantity | None) -> int:
    """Return a size; 0 for one that is not said or cannot be read."""
    try:
        return to_units(quantity) if quantity is not None else 0
    except ValueError:
        return 0


def _selects(selector: Raw | None, labels: Mapping[str, str]) -> bool:
    written = selector or {}
    exact = all(labels.get(key) == value for key, value in (written.get("matchLabels") or {}).items())
    return exact and all(_holds(one, labels) for one in written.get("matchExpressions") or ())


def _holds(expression: Raw, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
