"""How lists and maps of built-in kinds merge: which are keyed, which are sets, which are replaced whole.

Kubernetes says so per field of each type. Field names are used with so little ambiguity that a table by name does; the
one exception, `ports`, is told apart by what its items look like. Custom kinds merge nothing but their metadata.
"""

from typing import Any

from simcluster.resources import Resource

# List field → keys for server-side apply; the first is the key of strategic merge patches.
_KEYED: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "schedulingGates": ("name",),
    "resourceClaims": ("name",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "addresses": ("type",),
    "podIPs": ("ip",),
    "hostIPs": ("ip",),
    "secrets": ("name",),
    "webhooks": ("name",),
}
_SETS = frozenset({"finalizers"})
_ATOMIC_MAPS = frozenset(
    {"selector", "nodeSelector", "secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef", "targetRef"}
)
_OF_EVERY_KIND = frozenset({"ownerReferences", "finalizers"})

# A key that may be left out of an item stands for its default.
_KEY_DEFAULTS = {"protocol": "TCP"}


class Shapes:
    """What the fields of one kind are to a merge."""

    def __init__(self, resource: Resource) -> None:
        self._custom = resource.custom

    def keys(self, field: str, items: list[Any]) -> tuple[str, ...] | None:
        """Return the keys by which a list's items are known, or None when the list is no such list."""
        if self._custom and field not in _OF_EVERY_KIND:
            return None
        if field == "ports":
            return _port_keys(items)
        return _KEYED.get(field)

    def is_set(self, field: str) -> bool:
        """Say whether a list holds plain values, each at most once."""
        return field in _SETS

    def is_atomic_map(self, field: str) -> bool:
        """Say whether a map is replaced whole by an apply."""
        return not self._custom and field in _ATOMIC_MAPS


def _port_keys(items: list[Any]) -> tuple[str, ...] | None:
    for item in items:
        if isinstance(item, dict):
            if "containerPort" in item:
                return ("containerPort", "protocol")
            return ("port", "protocol") if "port" in item else None
    return None


def key_of(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Return what an item is known by; None when it lacks a key that has no default."""
    if not isinstance(item, dict):
        return None
    values = tuple(item.get(name, _KEY_DEFAULTS.get(name)) for name in keys)
    return values if values[0] is not None else None
