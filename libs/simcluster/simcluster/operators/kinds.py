"""Custom kinds as operators bring them: a `CustomKind` is what its CustomResourceDefinition says; `install` creates it.

The definitions take any fields. One that is there already, applied by somebody from the system's own release or kept
from an earlier start, is left as it is: its schema and columns are better than ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simcluster.client import Client
from simcluster.resources import Object, ScalePaths

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
_ANY_FIELDS = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}


@dataclass(frozen=True)
class CustomKind:
    """A kind of object that an operator serves."""

    group: str
    kind: str
    plural: str
    versions: tuple[str, ...] = ("v1",)  # the first is the stored one, and the one in owner references
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = True  # a subresource; without it the status is a field like others
    scale: ScalePaths | None = None

    @property
    def key(self) -> str:
        """The kind's name throughout this package."""
        return f"{self.plural}.{self.group}"

    @property
    def api_version(self) -> str:
        """What its objects carry as `apiVersion`."""
        return f"{self.group}/{self.versions[0]}"

    def definition(self) -> Object:
        """Return its CustomResourceDefinition."""
        names: dict[str, Any] = {"plural": self.plural, "singular": self.kind.lower(), "kind": self.kind}
        if self.short_names:
            names["shortNames"] = list(self.short_names)
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.key},
            "spec": {
                "group": self.group,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "names": names,
                "versions": [self._version(name) for name in self.versions],
            },
        }

    def _version(self, name: str) -> dict[str, Any]:
        subresources: dict[str, Any] = {"status": {}} if self.has_status else {}
        if self.scale is not None:
            subresources["scale"] = _scale(self.scale)
        return {
            "name": name,
            "served": True,
            "storage": name == self.versions[0],
            "schema": _ANY_FIELDS,
            "subresources": subresources,
        }


def install(client: Client, kinds: Iterable[CustomKind]) -> None:
    """Create the definitions that are not there yet."""
    for kind in kinds:
        if client.get(DEFINITIONS, None, kind.key) is None:
            client.create(DEFINITIONS, kind.definition())


def _scale(paths: ScalePaths) -> dict[str, str]:
    scale = {"specReplicasPath": f".{paths.replicas}", "statusReplicasPath": f".{paths.observed}"}
    return scale | ({"labelSelectorPath": f".{paths.selector}"} if paths.selector else {})
