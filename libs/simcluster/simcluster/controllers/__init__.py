"""Everything that moves in the cluster beside the API server: kubelets, default scheduler, controllers and operators.

`build_machinery` puts them together. Each is a `machinery.Reconciler`; none knows another, they meet in the store.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.controllers.deployment import DeploymentController
from simcluster.controllers.disruption import DisruptionController
from simcluster.controllers.garbage import GarbageCollector
from simcluster.controllers.job import JobController
from simcluster.controllers.namespace import NamespaceController
from simcluster.controllers.node_lifecycle import NodeLifecycleController
from simcluster.controllers.pod_garbage import PodGarbageCollector
from simcluster.controllers.replicaset import ReplicaSetController
from simcluster.controllers.statefulset import StatefulSetController
from simcluster.controllers.volume import VolumeController
from simcluster.default_scheduler import DefaultScheduler
from simcluster.kube_events import EventRecorder
from simcluster.kubelet import Kubelet
from simcluster.machinery import Machinery, Reconciler
from simcluster.resources import ResourceTable


@dataclass(frozen=True)
class ControlPlane:
    """What runs, and the kubelet that answers for logs."""

    machinery: Machinery
    kubelet: Kubelet

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do before time passes or something changes."""
        return self.machinery.idle

    @property
    def parked(self) -> dict[str, str]:
        """What no controller can work on, and why: for whoever operates the cluster."""
        return self.machinery.parked

    async def run(self) -> None:
        """Run until cancelled; an exception is a bug of ours."""
        await self.machinery.run()


OperatorFactory = Callable[[Client, Clock, EventRecorder], Reconciler]


def build_machinery(
    client: Client, clock: Clock, resources: ResourceTable, operators: Iterable[OperatorFactory] = ()
) -> ControlPlane:
    """Put kubelets, scheduler, controllers and what operators are wanted together over one client."""
    events = EventRecorder(client, clock)
    kubelet = Kubelet(client, clock, events)
    reconcilers: tuple[Reconciler, ...] = (
        kubelet,
        DefaultScheduler(client, clock, events),
        JobController(client, clock, events),
        ReplicaSetController(client, clock, events),
        DeploymentController(client, clock, events),
        StatefulSetController(client, clock, events),
        DisruptionController(client, clock),
        NodeLifecycleController(client, clock, events),
        VolumeController(client, clock, events),
        PodGarbageCollector(client),
        GarbageCollector(client, resources),
        NamespaceController(client, resources),
        *(build(client, clock, events) for build in operators),
    )
    return ControlPlane(Machinery(client, clock, resources, reconcilers), kubelet)
