"""Sees to it that the volumes of a promised pod are where it is promised to be, before it is bound.

A claim of a storage class that waits for its first consumer gets its volume when a node is written on it, in the
annotation `volume.kubernetes.io/selected-node`; whoever provisions makes the volume there, or takes the annotation
away, which says that it cannot be there. A claim of a class that nobody provisions takes one that lies ready (`shelf`).
That a claim is bound is not asked of Kubernetes but read in the fold, as everything is: `integrations` then tells which
nodes reach the volume, and no claim of the pod waits any more. Until then nobody of the gang is bound. A node where a
volume cannot be is shunned by the plans that follow, for a while.

A claim that is unbound for another reason is on its way, or will never be: its pod waits as long. One that is not there
at all is no concern of ours; the kubelet waits for it.

Pitfall. Pods that share a claim have one node written on it. Whose node that is not is told by the fold, when the
volume is there, whether it reaches it all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from muster_cluster.port import Cluster, ClusterError, NotFound
from muster_cluster.storage import CLAIMS, PersistentVolumeClaim
from muster_contracts.errors import Unavailable
from muster_contracts.values import Placement, PlacementRules, PodFacts

from muster_scheduler.core.promises import Promise
from muster_scheduler.core.state import State
from muster_scheduler.core.terrain import meets
from muster_scheduler.execution.shelf import Shelf

SELECTED_NODE = "volume.kubernetes.io/selected-node"

LAG_SECONDS = 2.0
"""How long the fold may take to say of a bound claim which nodes reach it; nobody says it who may not read volumes."""

ClaimKey = tuple[str, str]
"""Namespace and name."""

Serve = Callable[[Promise, PersistentVolumeClaim], Awaitable[str]]
"""What is done for a claim that is not bound yet; returns why it cannot be, or ""."""


@dataclass(slots=True)
class _Wait:
    """Since when a promised pod waits, by the clock of the loop, and which claims were served for it."""

    since_seconds: float
    claims: list[ClaimKey] = field(default_factory=list)


class Volumes:
    """The claims that wait for promised pods.

    What is remembered is for which plan each was served, by a node written on it or a volume taken for it, and since
    when its pod waits. It stays after a refusal, so that asking again within the same plan gives the same answer, until
    the promise is closed.
    """

    def __init__(self, cluster: Cluster, state: State, patience_seconds: float) -> None:
        self._cluster = cluster
        self._state = state
        self._patience_seconds = patience_seconds
        self._shelf = Shelf(cluster)
        self._served: dict[ClaimKey, UUID] = {}
        self._waits: dict[tuple[UUID, UUID], _Wait] = {}

    def forget(self) -> None:
        """Forget what was written in an earlier lead."""
        self._served.clear()
        self._waits.clear()

    def close(self, promise: Promise) -> None:
        """Forget what was written for a promise that was kept or taken back."""
        wait = self._waits.pop((promise.plan_id, promise.pod.pod_id), None)
        for key in wait.claims if wait is not None else ():
            if self._served.get(key) == promise.plan_id:
                del self._served[key]

    def may_be_ready(self, pod: PodFacts) -> bool:
        """Say whether a pod is promised a place that may have waited for a volume, and has its volume now."""
        return bool(pod.rules and pod.rules.volumes) and pod.pod_id in self._state.promises

    async def prepare(self, promise: Promise) -> str | None:
        """Return why the pod cannot be where it is promised, None when it can. Raises Unavailable while that is open.

        A volume that is not there after the patience of the settings counts as one that cannot be.
        """
        placement = promise.placement
        pod = self._state.pods.get(placement.pod_id)
        rules = pod.facts.rules if pod is not None else None
        if rules is None:
            return None
        choosing = [choice.claim for choice in rules.claims_choosing]
        for names, serve in ((rules.claims_waiting, self._select), (choosing, self._take)):
            for name in names:
                if refusal := await self._serve(promise, name, serve):
                    return refusal
        open_claims = [
            *rules.claims_waiting,
            *choosing,
            *[one for one in rules.claims_unbound if await self._comes(promise, one)],
        ]
        if open_claims:
            return self._be_patient(promise, open_claims)
        return self._out_of_reach(placement, rules)

    def _be_patient(self, promise: Promise, claims: Sequence[str]) -> str:
        """Raise Unavailable for as long as there is patience; then return that there is none any more."""
        placement = promise.placement
        if self._waited_seconds(promise) < self._patience_seconds:
            raise Unavailable(f"Pod {placement.name} waits for its volumes: {', '.join(claims)}.")
        return f"The volumes of {placement.name} were not made within {self._patience_seconds:g} s."

    def _waited_seconds(self, promise: Promise) -> float:
        return asyncio.get_running_loop().time() - self._wait(promise).since_seconds

    def _wait(self, promise: Promise) -> _Wait:
        key = (promise.plan_id, promise.pod.pod_id)
        if key not in self._waits:
            self._waits[key] = _Wait(asyncio.get_running_loop().time())
        return self._waits[key]

    async def _comes(self, promise: Promise, name: str) -> bool:
        """Say whether to wait for a claim that was seen unbound, or not at all: it is so, or the fold lags behind."""
        try:
            claim = await self._cluster.get(CLAIMS, promise.placement.namespace, name)
            return not claim.spec.volume_name or self._waited_seconds(promise) < LAG_SECONDS
        except NotFound:
            return False
        except ClusterError as error:
            raise Unavailable(f"The claim {name} cannot be looked at: {error.message}") from error

    async def _serve(self, promise: Promise, name: str, serve: Serve) -> str:
        """See to one claim, unless it is bound; return why that cannot be done, or ""."""
        placement = promise.placement
        try:
            claim = await self._cluster.get(CLAIMS, placement.namespace, name)
            return "" if claim.spec.volume_name else await serve(promise, claim)
        except NotFound:
            return f"The claim {name} of {placement.name} is gone."
        except ClusterError as error:
            raise Unavailable(f"The claim {name} cannot be seen to: {error.message}") from error

    async def _select(self, promise: Promise, claim: PersistentVolumeClaim) -> str:
        """Write the node on a claim, unless somebody of the same plan did; return why not, or ""."""
        placement, (namespace, name) = promise.placement, claim.metadata.key
        chosen = claim.metadata.annotations.get(SELECTED_NODE, "")
        if self._is_served(promise, claim):
            gone = f"No volume for the claim {name} of {placement.name} can be made on {placement.node}."
            return "" if chosen else gone
        if chosen != placement.node:
            await self._cluster.patch(CLAIMS, namespace, name, _selection(claim, placement.node))
        self._note(promise, claim)
        return ""

    async def _take(self, promise: Promise, claim: PersistentVolumeClaim) -> str:
        """Take a volume that lies ready for a claim, unless that was done for this plan; return why not, or ""."""
        if self._is_served(promise, claim):
            return ""
        placement, node = promise.placement, self._state.nodes.get(promise.placement.node)
        if node is None or not await self._shelf.take(promise.plan_id, claim, node):
            name = claim.metadata.name
            return f"No volume that suits the claim {name} of {placement.name} lies ready on {placement.node}."
        self._note(promise, claim)
        return ""

    def _is_served(self, promise: Promise, claim: PersistentVolumeClaim) -> bool:
        return self._served.get(claim.metadata.key) == promise.plan_id

    def _note(self, promise: Promise, claim: PersistentVolumeClaim) -> None:
        self._served[claim.metadata.key] = promise.plan_id
        self._wait(promise).claims.append(claim.metadata.key)

    def _out_of_reach(self, placement: Placement, rules: PlacementRules) -> str | None:
        node = self._state.nodes.get(placement.node)
        if node is None or all(meets(node, terms) for terms in rules.volumes):
            return None
        return f"A volume of {placement.name} is not within reach of {placement.node}."


def _selection(claim: PersistentVolumeClaim, node: str) -> dict[str, object]:
    """Return the patch; under the version we have seen, for it may have been bound meanwhile."""
    return {"metadata": {"resourceVersion": claim.metadata.resource_version, "annotations": {SELECTED_NODE: node}}}
