"""Evicts one victim through the eviction API, which marks it `DisruptionTarget` and minds disruption budgets.

The request carries the pod's UID, so it happens to the pod the plan saw or not at all; a resource version would be in
vain, for every sign of life of a running pod moves it. The pod's own grace period holds. Evicting a pod that is on its
way out already is a success, which makes repeating harmless.

Pitfall. Between an eviction and its report anything may happen: the answer is lost, the report meets a conflict, we die
or sleep and another scheduler leads. Who asks next finds nothing, for a pod may stop in no time. Whose work that was
follows from who may have asked before: we ourselves, which is remembered until the report is written, or an earlier
leader, which the journal says. If anybody may have, the pod went because of us, unless it was seen to go by itself
(decision 53). Who is gone before anybody asked was not evicted.
"""

from uuid import UUID

from muster_cluster.objects import PODS
from muster_cluster.port import Cluster, Conflicted, EvictionBlocked, NotFound, Rejected
from muster_contracts.errors import Unavailable
from muster_contracts.values import Victim

from muster_scheduler.core.promises import Eviction, Open
from muster_scheduler.planning import Planning


class Evictor:
    """Carries out evictions. What it returns is why a victim stays, or went without us; None when it was evicted."""

    def __init__(self, cluster: Cluster, planning: Planning) -> None:
        self._cluster = cluster
        self._planning = planning
        self._asked: set[UUID] = set()
        """The victims that a request of ours may have told to go, until that is reported."""

    def keep(self, open_evictions: Open[Eviction]) -> None:
        """Forget whom we asked to go and others have reported."""
        self._asked = {pod_id for pod_id in self._asked if pod_id in open_evictions}

    def close(self, eviction: Eviction) -> None:
        """Forget a victim, now that it is reported."""
        self._asked.discard(eviction.victim.pod_id)

    async def evict(self, eviction: Eviction) -> str | None:
        """Evict the victim. Raises Unavailable when nobody knows what became of it."""
        if self._went_alone(eviction):
            return _not_by_us(eviction.victim)
        pod_id = eviction.victim.pod_id
        is_first = pod_id not in self._asked
        self._asked.add(pod_id)
        try:
            refusal = await self._ask(eviction.victim)
        except NotFound:
            if is_first:
                self._asked.discard(pod_id)
                return self._why_gone(eviction)
            return None
        if refusal is not None:
            self._asked.discard(pod_id)
        return refusal

    def _went_alone(self, eviction: Eviction) -> bool:
        """Say whether a victim is known to have ended, or to be leaving, before anybody can have told it to."""
        pod = self._planning.state.pods.get(eviction.victim.pod_id)
        may_have_been_told = eviction.victim.pod_id in self._asked or self._is_adopted(eviction)
        return eviction.went_alone or (pod is not None and pod.is_going and not may_have_been_told)

    def _is_adopted(self, eviction: Eviction) -> bool:
        """Say whether an earlier leader, or we in an earlier life, may have asked already."""
        return eviction.epoch != self._planning.epoch

    def _why_gone(self, eviction: Eviction) -> str | None:
        """Return why a victim is gone whom we asked too late. Raises Unavailable while another may lead and have asked.

        Another leader's request would be in no journal that we have read: we may have slept before we asked.
        """
        if self._is_adopted(eviction):
            return None
        if not self._planning.leads:
            raise Unavailable(f"Pod {eviction.victim.name} is gone, perhaps by another scheduler.")
        return _not_by_us(eviction.victim)

    async def _ask(self, victim: Victim) -> str | None:
        """Ask Kubernetes once, and return what it has against it. Raises NotFound when the pod is gone."""
        try:
            await self._cluster.evict(victim.namespace, victim.name, uid=str(victim.pod_id))
        except EvictionBlocked as error:
            return f"A disruption budget protects {victim.name}: {error}"
        except Conflicted as error:
            pod = await self._cluster.get(PODS, victim.namespace, victim.name)
            if pod.metadata.uid != str(victim.pod_id):
                raise NotFound(error.message) from error
            raise Unavailable(f"Pod {victim.name} was not evicted: {error.message}") from error
        except Rejected as error:
            return f"Kubernetes refused to evict {victim.name}: {error.message}"
        return None


def _not_by_us(victim: Victim) -> str:
    return f"Pod {victim.name} went without being evicted."
