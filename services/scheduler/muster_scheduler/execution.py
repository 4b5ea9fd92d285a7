"""The deeds: bind what a plan promised, workload by workload, and write what became of it. No choices are made here.

A promise found in the fold is kept, whoever made it: that is how a scheduler that starts adopts what its earlier life
left open. A binding carries the pod's UID and resource version, so it happens to the pod the plan saw or not at all.
When it is refused, the pod is looked at: bound as promised (our answer was lost) is a success; anything else releases
the promise, and the next plan decides anew.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import structlog
from muster_cluster.objects import PODS, Pod
from muster_cluster.port import Binding, Cluster, Conflicted, NotFound, PatchType, Rejected
from muster_contracts.errors import Unavailable
from muster_contracts.events import PlacementReleased, PodScheduled
from muster_contracts.names import GPUS
from muster_contracts.values import BoundPod, Placement
from muster_journal.port import Conflict, Journal

from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.state import Promise
from muster_scheduler.planning import Planning

log = structlog.get_logger()

EPOCH = "muster.dev/epoch"
"""The annotation that moves a pod's resource version, so that nobody can bind it by an older promise."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A promise that was not kept, and why."""

    promise: Promise
    reason: str


class Execution:
    """Keeps promises, workload by workload: two deeds on the same subject would only lose races to each other."""

    def __init__(self, planning: Planning, journal: Journal, cluster: Cluster, concurrency: int) -> None:
        self._planning = planning
        self._journal = journal
        self._cluster = cluster
        self._slots = asyncio.Semaphore(concurrency)

    def open_workloads(self) -> list[UUID]:
        """Return the workloads with promises that are still open."""
        return list(dict.fromkeys(p.placement.workload_id for p in self._planning.state.promises.values()))

    async def keep(self, workload_id: UUID) -> None:
        """Bind every promised pod of a workload; then write who is bound and which promises were given up."""
        state = self._planning.state
        entry = state.workloads.get(workload_id)
        if entry is None or not entry.promised or not self._planning.leads:
            return
        promises = [state.promises[pod_id] for pod_id in entry.promised]
        version = entry.version
        results = await asyncio.gather(*(self._bind(promise) for promise in promises))
        refusals = [result for result in results if result is not None]
        refused = {refusal.promise.placement.pod_id for refusal in refusals}
        bound = [promise for promise in promises if promise.placement.pod_id not in refused]
        await self._report(bound, refusals, version)

    async def _bind(self, promise: Promise) -> Refusal | None:
        placement = promise.placement
        async with self._slots:
            try:
                await self._cluster.bind(_binding(placement))
                return None
            except NotFound:
                return Refusal(promise, f"Pod {placement.name} is gone.")
            except Conflicted as error:
                return await self._look(promise, error.message)
            except Rejected as error:
                return await self._fence(promise, error.message)

    async def _look(self, promise: Promise, message: str) -> Refusal | None:
        """Find out what the pod is now that it was not bound as asked."""
        pod = await self._pod(promise.placement)
        if pod is None:
            return Refusal(promise, f"Pod {promise.placement.name} is gone.")
        if pod.spec.node_name == promise.placement.node:
            return None  # bound by an answer that was lost
        if pod.spec.node_name:
            return Refusal(promise, f"Pod {promise.placement.name} is bound to {pod.spec.node_name} by somebody else.")
        return await self._fence(promise, message)

    async def _pod(self, placement: Placement) -> Pod | None:
        try:
            pod = await self._cluster.get(PODS, placement.namespace, placement.name)
        except NotFound:
            return None
        except Rejected as error:  # nobody knows yet what the pod is, so the promise stays
            raise Unavailable(f"Pod {placement.name} may not be looked at: {error.message}") from error
        return pod if pod.metadata.uid == str(placement.pod_id) else None

    async def _fence(self, promise: Promise, message: str) -> Refusal | None:
        """Give up the promise of a live, unbound pod, moving its resource version so that a late binding fails."""
        placement = promise.placement
        body = {"metadata": {"uid": str(placement.pod_id), "annotations": {EPOCH: str(promise.plan_id)}}}
        try:
            pod = await self._cluster.patch(PODS, placement.namespace, placement.name, body, patch_type=PatchType.MERGE)
        except (NotFound, Conflicted):
            return Refusal(promise, f"Pod {placement.name} is gone.")
        except Rejected as error:  # an earlier binding may still come: the promise must not be given up unfenced
            raise Unavailable(f"Pod {placement.name} may not be patched: {error.message}") from error
        if pod.spec.node_name == placement.node:
            return None
        return Refusal(promise, f"Kubernetes refused to bind {placement.name}: {message}")

    async def _report(self, bound: list[Promise], refusals: list[Refusal], version: int) -> None:
        for (plan_id, group_id), kept in _by_plan_and_group(bound).items():
            scheduled = PodScheduled(
                workload_id=kept[0].placement.workload_id,
                pod_group_id=group_id,
                plan_id=plan_id,
                pods=tuple(_bound(promise.placement) for promise in kept),
            )
            version = await self._append(scheduled, version)
        reasons = {refusal.promise.placement.pod_id: refusal.reason for refusal in refusals}
        for (plan_id, group_id), broken in _by_plan_and_group([refusal.promise for refusal in refusals]).items():
            reason = reasons[broken[0].placement.pod_id]
            log.info("Promises were given up.", reason=reason, pods=len(broken))
            released = PlacementReleased(
                workload_id=broken[0].placement.workload_id,
                pod_group_id=group_id,
                plan_id=plan_id,
                pod_ids=tuple(promise.placement.pod_id for promise in broken),
                reason=reason,
            )
            version = await self._append(released, version)

    async def _append(self, event: PodScheduled | PlacementReleased, version: int) -> int:
        """Append under the version the promises were read at, and wait for the fold, which then sees them closed."""
        try:
            position = await self._journal.append(event, expected=version)
        except Conflict as lost:
            await self._planning.progress.reach(lost.actual)
            raise Unavailable("The workload changed while its pods were bound.") from lost
        await self._planning.progress.reach(position)
        return position


def _by_plan_and_group(promises: list[Promise]) -> dict[tuple[UUID, UUID], list[Promise]]:
    sorted_out: dict[tuple[UUID, UUID], list[Promise]] = {}
    for promise in promises:
        sorted_out.setdefault((promise.plan_id, promise.placement.pod_group_id), []).append(promise)
    return sorted_out


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


def _bound(placement: Placement) -> BoundPod:
    return BoundPod(pod_id=placement.pod_id, name=placement.name, node=placement.node, devices=placement.devices)
