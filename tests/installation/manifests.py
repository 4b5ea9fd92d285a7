"""The manifests of `deploy/kubernetes`, read as `kubectl apply -k` reads them, and a cluster they are applied to.

Only `resources` of a kustomization are followed: they are all that decides which objects there are.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import Resource

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"


@cache
def manifests(place: Path = KUBERNETES) -> Sequence[Any]:
    """Return every object of a kustomization, or of a file, in the order in which it is written."""
    return list(_read(place))


def _read(place: Path) -> Iterator[Any]:
    if place.is_dir():
        for resource in yaml.safe_load((place / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]:
            yield from _read(place / resource)
    else:
        yield from yaml.safe_load_all(place.read_text(encoding="utf-8"))


def of_kind(kind: str, *places: Path) -> Sequence[Any]:
    """Return all objects of a kind; of everything there is, if no places are named."""
    everything = places or (KUBERNETES, KUBERNETES / "servers")
    return [each for place in everything for each in manifests(place) if each["kind"] == kind]


async def apply(cluster: KubernetesCluster, objects: Sequence[Any]) -> None:
    """Apply objects one after the other; each must be accepted."""
    served = {(kind.group, kind.kind): kind for kind in (await cluster.served_kinds()).kinds}
    for each in objects:
        group, _, version = each["apiVersion"].rpartition("/")
        kind = served[group, each["kind"]]
        await cluster.apply(Resource(group, version, kind.plural, kind.kind, dict, kind.namespaced), each)
