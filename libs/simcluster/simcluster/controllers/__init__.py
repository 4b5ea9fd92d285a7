"""Everything that moves in the cluster beside the API server: kubelets, the default scheduler and the controllers.

`build_machinery` puts them together. Each is a `machinery.Reconciler`; none knows another, they meet in the store.
"""

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
from simcluster.default_scheduler import DefaultScheduler
from simcluster.kube_events import EventRecorder
from simcluster.kubelet import Kubelet
from simcluster.machinery import Machinery
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


def build_machinery(client: Client, clock: Clock, resources: ResourceTable) -> ControlPlane:
    """Put kubelets, scheduler and controllers together over one client."""
    events = EventRecorder(client, clock)
    kubelet = Kubelet(client, clock, events)
    reconcilers = (
        kubelet,
        DefaultScheduler(client, clock, events),
        JobController(client, clock, events),
        ReplicaSetController(client, clock, events),
        DeploymentController(client, clock, events),
        StatefulSetController(client, clock, events),
        DisruptionController(client, clock),
        NodeLifecycleController(client, clock, events),
        PodGarbageCollector(client),
        GarbageCollector(client, resources),
        NamespaceController(client, resources),
    )
    return ControlPlane(Machinery(client, clock, resources, reconcilers), kubelet)
