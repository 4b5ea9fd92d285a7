"""Binds one promised pod, or gives its promise up in a way that no earlier request can undo.

A binding carries the pod's UID and resource version, so it happens to the pod the plan saw or not at all. When it is
refused, the pod is looked at: bound as promised (our answer was lost) is a success. A promise is given up only after a
patch has moved the pod's resource version, for a binding that was sent before may still be on its way.

Pitfall. Who is refused by Kubernetes itself (rights, a webhook, a namespace that ends) would be planned again at once,
many times a second and for ever; therefore it is tried again for a while, with the pauses of all deeds, before that.
"""

from collections import Counter
from uuid import UUID

from muster_cluster.objects import PODS, Pod
from muster_cluster.port import Binding, Cluster, Conflicted, NotFound, PatchType, Rejected
from muster_contracts.errors import Unavailable
from muster_contracts.names import GPUS
from muster_contracts.values import Placement

from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.promises import Promise
from muster_scheduler.execution.reservations import Reservations

EPOCH = "muster.dev/epoch"
"""The annotation that moves a pod's resource version, so that nobody can bind it by an older promise."""


class Binder:
    """Carries out placements. What it returns is why a promise was not kept; None when the pod is bound."""

    def __init__(self, cluster: Cluster, reservations: Reservations, patience: int) -> None:
        self._cluster = cluster
        self._reservations = reservations
        self._patience = patience
        self._refusals: Counter[UUID] = Counter()

    def forget(self) -> None:
        """Forget which GPUs are reserved, for another scheduler may have led since."""
        self._reservations.forget()

    async def bind(self, promise: Promise) -> str | None:
        """Bind the pod as promised. Raises Unavailable when nobody knows what became of it."""
        placement = promise.placement
        await self._reservations.prepare(placement)
        try:
            await self._cluster.bind(_binding(placement))
        except NotFound:
            return _gone(placement)
        except Conflicted as error:
            return await self._look(promise, error.message)
        except Rejected as error:
            return await self._bear(promise, f"Kubernetes refused to bind {placement.name}: {error.message}")
        self._refusals.pop(placement.pod_id, None)
        return None

    async def _bear(self, promise: Promise, reason: str) -> str | None:
        """Let it be tried again, up to so many times in a row; then give up."""
        pod_id = promise.placement.pod_id
        self._refusals[pod_id] += 1
        if self._refusals[pod_id] <= self._patience:
            raise Unavailable(reason)
        del self._refusals[pod_id]
        return await self.give_up(promise, reason)

    async def give_up(self, promise: Promise, reason: str) -> str | None:
        """Fence the pod and return the reason; None if it turns out to be bound as promised."""
        placement = promise.placement
        body = {"metadata": {"uid": str(placement.pod_id), "annotations": {EPOCH: str(promise.plan_id)}}}
        try:
            pod = await self._cluster.patch(PODS, placement.namespace, placement.name, body, patch_type=PatchType.MERGE)
        except (NotFound, Conflicted):
            return _gone(placement)
        except Rejected as error:  # an earlier binding may still come: the promise must not be given up unfenced
            raise Unavailable(f"Pod {placement.name} may not be patched: {error.message}") from error
        return None if pod.spec.node_name == placement.node else reason

    async def _look(self, promise: Promise, message: str) -> str | None:
        """Find out what the pod is now that it was not bound as asked."""
        placement = promise.placement
        pod = await self._pod(placement)
        if pod is None:
            return _gone(placement)
        if pod.spec.node_name == placement.node:
            return None  # bound by an answer that was lost
        if pod.spec.node_name:
            return f"Pod {placement.name} is bound to {pod.spec.node_name} by somebody else."
        return await self.give_up(promise, f"Kubernetes refused to bind {placement.name}: {message}")

    async def _pod(self, placement: Placement) -> Pod | None:
        try:
            pod = await self._cluster.get(PODS, placement.namespace, placement.name)
        except NotFound:
            return None
        except Rejected as error:  # nobody knows yet what the pod is, so the promise stays
            raise Unavailable(f"Pod {placement.name} may not be looked at: {error.message}") from error
        return pod if pod.metadata.uid == str(placement.pod_id) else None


def _gone(placement: Placement) -> str:
    return f"Pod {placement.name} is gone."


def _binding(placement: Placement) -> Binding:
    annotations = {GPUS: format_devices(placement.devices)} if placement.devices else {}
    return Binding(
        namespace=placement.namespace,
        name=placement.name,
        uid=str(placement.pod_id),
        resource_version=placement.resource_version,
        node=placement.node,
        annotations=annotations,
    )
