"""Sees whom evictions tell to go, whether or not anybody hears the answer; `laws` holds the journal to it."""

from http import HTTPStatus
from uuid import UUID

from cluster.in_process import InProcessTransport
from muster_cluster.transport import Answer, Request
from simcluster.cluster import Cluster


class Witness(InProcessTransport):
    """A way to a cluster that notes the pods for which an eviction was what told them to go."""

    def __init__(self, simulated: Cluster, evicted: list[UUID]) -> None:
        super().__init__(simulated.api)
        self._pods = simulated.client
        self._evicted = evicted

    async def request(self, request: Request) -> Answer:
        """Ask, and note whom that evicted."""
        victim = self._staying(request.path) if request.path.endswith("/eviction") else None
        answer = await super().request(request)
        if victim is not None and answer.status == HTTPStatus.CREATED:
            self._evicted.append(victim)
        return answer

    def _staying(self, path: str) -> UUID | None:
        """Return the pod of an eviction, unless it is gone, has ended or is on its way out already."""
        namespace, _, name, _ = path.rsplit("/", 4)[1:]
        pod = self._pods.get("pods", namespace, name)
        if pod is None or "deletionTimestamp" in pod["metadata"] or pod["status"]["phase"] in {"Succeeded", "Failed"}:
            return None
        return UUID(pod["metadata"]["uid"])
