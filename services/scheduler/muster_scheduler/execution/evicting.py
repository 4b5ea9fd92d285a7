"""Evicts one victim through the eviction API, which marks it `DisruptionTarget` and minds disruption budgets.

The request carries the pod's UID, so it happens to the pod the plan saw or not at all; a resource version would be in
vain, for every sign of life of a running pod moves it. The pod's own grace period holds. Evicting a pod that is on its
way out already is a success, which makes repeating harmless.
"""

from muster_cluster.port import Cluster, Conflicted, EvictionBlocked, NotFound, Rejected

from muster_scheduler.core.state import Eviction


class Evictor:
    """Carries out evictions. What it returns is why a victim stays, or went without us; None when it was evicted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def evict(self, eviction: Eviction) -> str | None:
        """Evict the victim. Raises Unavailable when nobody knows what became of it."""
        victim = eviction.victim
        try:
            await self._cluster.evict(victim.namespace, victim.name, uid=str(victim.pod_id))
        except (NotFound, Conflicted):
            return f"Pod {victim.name} is gone."
        except EvictionBlocked as error:
            return f"A disruption budget protects {victim.name}: {error}"
        except Rejected as error:
            return f"Kubernetes refused to evict {victim.name}: {error.message}"
        return None
