"""Takes volumes that lie ready for the claims of promised pods.

As Kubernetes' own scheduler does it, the volume is told whose it is, and whoever brings claims and volumes together
then binds the two.

Volumes are listed once for each plan, and a volume is taken only as it was listed; when somebody else was faster, they
are listed anew. One is taken at a time, so that the pods of a gang do not reach for the same.
"""

import asyncio
from uuid import UUID

from muster_cluster.port import Cluster, ClusterError
from muster_cluster.storage import VOLUMES, PersistentVolume, PersistentVolumeClaim
from muster_cluster.volumes import is_ready, is_within_reach, suits, volume_bytes
from muster_contracts.events import NodeObserved

BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
"""Says that a claim was named by machinery: should the claim go away unbound, the volume is to be had again."""


class Shelf:
    """The volumes there are, as they were listed for one plan."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._plan_id: UUID | None = None
        self._volumes: dict[str, PersistentVolume] = {}
        self._one_at_a_time = asyncio.Lock()

    async def take(self, plan_id: UUID, claim: PersistentVolumeClaim, node: NodeObserved) -> bool:
        """Take the smallest volume that suits a claim and that a node reaches, unless the claim was given one already.

        Returns False when there is none. Raises ClusterError when somebody else was faster.
        """
        async with self._one_at_a_time:
            if plan_id != self._plan_id:
                await self._list(plan_id)
            if any(_is_for(volume, claim) for volume in self._volumes.values()):
                return True
            fitting = [one for one in self._volumes.values() if is_ready(one) and suits(one, claim)]
            within = [one for one in fitting if is_within_reach(one, node.name, node.labels)]
            if not within:
                return False
            await self._reserve(min(within, key=lambda one: (volume_bytes(one), one.metadata.name)), claim)
            return True

    async def _list(self, plan_id: UUID) -> None:
        self._plan_id, following = None, ""
        found: list[PersistentVolume] = []
        while True:
            page = await self._cluster.list_page(VOLUMES, continue_from=following)
            found += page.items
            if not (following := page.next):
                break
        self._volumes = {volume.metadata.name: volume for volume in found}
        self._plan_id = plan_id

    async def _reserve(self, volume: PersistentVolume, claim: PersistentVolumeClaim) -> None:
        try:
            taken = await self._cluster.patch(VOLUMES, "", volume.metadata.name, _reservation(volume, claim))
        except ClusterError:
            self._plan_id = None
            raise
        self._volumes[volume.metadata.name] = taken


def _is_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    reference = volume.spec.claim_ref
    return reference is not None and (reference.namespace, reference.name) == claim.metadata.key


def _reservation(volume: PersistentVolume, claim: PersistentVolumeClaim) -> dict[str, object]:
    """Return the patch, under the version we have seen."""
    namespace, name = claim.metadata.key
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}
    return {
        "metadata": {
            "resourceVersion": volume.metadata.resource_version,
            "annotations": {BOUND_BY_CONTROLLER: "yes"},
        },
        "spec": {"claimRef": {**reference, "uid": claim.metadata.uid}},
    }
