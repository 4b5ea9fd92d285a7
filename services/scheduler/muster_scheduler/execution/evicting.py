"""Evicts one victim through the eviction API, which marks it `DisruptionTarget` and minds disruption budgets.

The request carries the pod's UID, so it happens to the pod the plan saw or not at all; a resource version would be in
vain, for every sign of life of a running pod moves it. The pod's own grace period holds. Evicting a pod that is on its
way out already is a success, which makes repeating harmless.

Pitfall. When an answer is lost the pod may have gone by the time we ask again. It went because of us, as far as anybody
knows, and its owner is to be told so; who is gone before we ever asked has gone by itself.
"""

from uuid import UUID

from muster_cluster.objects import PODS
from muster_cluster.port import Cluster, Conflicted, EvictionBlocked, NotFound, Rejected
from muster_contracts.errors import Unavailable
from muster_contracts.values import Victim

from muster_scheduler.core.promises import Eviction


class Evictor:
    """Carries out evictions. What it returns is why a victim stays, or went without us; None when it was evicted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._unanswered: set[UUID] = set()

    async def evict(self, eviction: Eviction) -> str | None:
        """Evict the victim. Raises Unavailable when nobody knows what became of it."""
        victim = eviction.victim
        try:
            refusal = await self._ask(victim)
        except EvictionBlocked as error:
            refusal = f"A disruption budget protects {victim.name}: {error}"
        except Unavailable:
            self._unanswered.add(victim.pod_id)
            raise
        self._unanswered.discard(victim.pod_id)
        return refusal

    async def _ask(self, victim: Victim) -> str | None:
        try:
            await self._cluster.evict(victim.namespace, victim.name, uid=str(victim.pod_id))
        except NotFound:
            return self._gone(victim)
        except Conflicted as error:
            if await self._is_there(victim):
                raise Unavailable(f"Pod {victim.name} was not evicted: {error.message}") from error
            return self._gone(victim)
        except Rejected as error:
            return f"Kubernetes refused to evict {victim.name}: {error.message}"
        return None

    def _gone(self, victim: Victim) -> str | None:
        return None if victim.pod_id in self._unanswered else f"Pod {victim.name} is gone."

    async def _is_there(self, victim: Victim) -> bool:
        try:
            pod = await self._cluster.get(PODS, victim.namespace, victim.name)
        except NotFound:
            return False
        return pod.metadata.uid == str(victim.pod_id)
