"""Custom kinds: from an applied CustomResourceDefinition to a `Resource` the server treats like any other.

Schemas are kept for OpenAPI and `kubectl explain`; objects are neither pruned nor checked by them, and all versions of
a kind are the same object with another `apiVersion` (conversion "None").
"""

from collections.abc import Iterable
from typing import Any

from simcluster.resources import Column, Object, Resource, ResourceTable, ScalePaths


def serve(resources: ResourceTable, definition: Object) -> None:
    """Serve the kind a definition describes, from now on."""
    resources.add(to_resource(definition))


def to_resource(definition: Object) -> Resource:
    """Return the kind a definition describes, under its storage version."""
    spec = definition["spec"]
    names = spec["names"]
    versions = [version for version in spec["versions"] if version.get("served", True)]
    storage = next(version for version in spec["versions"] if version.get("storage"))
    subresources = storage.get("subresources") or {}
    return Resource(
        group=spec["group"],
        version=storage["name"],
        plural=names["plural"],
        kind=names["kind"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=spec.get("scope") != "Cluster",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("status", "scale") if name in subresources),
        custom=True,
        columns=tuple(_columns(storage.get("additionalPrinterColumns") or ())),
        scale=_scale(subresources.get("scale")),
        schema=(storage.get("schema") or {}).get("openAPIV3Schema"),
        served_versions=tuple(version["name"] for version in versions),
    )


def accepted_status(definition: Object, now: str) -> Object:
    """Return the status of a definition whose kind is served."""
    spec = definition["spec"]
    reasons = (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    return {
        "acceptedNames": spec["names"],
        "storedVersions": [version["name"] for version in spec["versions"] if version.get("storage")],
        "conditions": [
            {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": now}
            for kind, reason in reasons
        ],
    }


def _columns(columns: Iterable[Any]) -> Iterable[Column]:
    for column in columns:
        yield Column(
            name=column["name"],
            type=column.get("type", "string"),
            path=column["jsonPath"],
            priority=column.get("priority", 0),
            description=column.get("description", ""),
        )


def _scale(scale: Object | None) -> ScalePaths | None:
    if scale is None:
        return None
    return ScalePaths(
        replicas=scale["specReplicasPath"].lstrip("."),
        observed=scale["statusReplicasPath"].lstrip("."),
        selector=(scale.get("labelSelectorPath") or "").lstrip(".") or None,
    )
