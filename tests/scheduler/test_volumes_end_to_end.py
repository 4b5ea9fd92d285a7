"""From a claim to a pod that runs beside its volume: simulated cluster over HTTP, real NATS, and two services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import project
from integrations.test_integrations_end_to_end import Reader, training
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import JOBS
from muster_cluster.storage import CLAIMS, STORAGE_CAPACITIES, STORAGE_CLASSES, STORAGE_DRIVERS, VOLUMES
from muster_contracts import events as e
from muster_contracts.subjects import Writer
from muster_journal.jetstream import JetStreamJournal
from scheduler.stack import NAMESPACE, scheduled_cluster
from servers import RunningNats


@pytest.fixture
async def cluster(
    tmp_path: Path,
    nats_server: RunningNats,
    open_journal: Callable[..., Awaitable[JetStreamJournal]],
) -> AsyncIterator[KubernetesCluster]:
    """A cluster with integrations and scheduler beside it, and a project."""
    await (await open_journal(Writer.SUBMITTER)).append(project())
    async with scheduled_cluster(nats_server, tmp_path, "--seed", "1") as connected:
        yield connected


async def with_claim(cluster: KubernetesCluster, provisioner: str = "sim.csi", **annotations: str) -> UUID:
    """Create a Job whose pod has a claim that waits for it."""
    storage = {"metadata": {"name": "local", "annotations": annotations}, "provisioner": provisioner}
    await cluster.create(STORAGE_CLASSES, {**storage, "volumeBindingMode": "WaitForFirstConsumer"})
    claim = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"]}
    claim |= {"resources": {"requests": {"storage": "1Gi"}}}
    await cluster.create(CLAIMS, {"metadata": {"name": "scratch", "namespace": NAMESPACE}, "spec": claim})
    manifest: Any = training("train", 1)
    volume = {"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}}
    manifest["spec"]["template"]["spec"]["volumes"] = [volume]
    return UUID((await cluster.create(JOBS, manifest)).metadata.uid)


def of(reader: Reader, workload_id: UUID, kind: type[e.AnyEvent]) -> list[Any]:
    return [event for event in reader.of(workload_id) if isinstance(event, kind)]


@pytest.fixture
async def reader(open_journal: Callable[..., Awaitable[JetStreamJournal]]) -> Reader:
    return Reader(await open_journal(Writer.STATUS))


async def test_the_volume_is_there_before_the_pod_and_both_on_one_node(
    cluster: KubernetesCluster, reader: Reader
) -> None:
    workload_id = await with_claim(cluster, **{"sim.provision-seconds": "0.5"})
    (scheduled,) = await reader.until(lambda: of(reader, workload_id, e.PodScheduled))
    told = [facts.rules for event in of(reader, workload_id, e.PodObserved) for facts in event.pods if not facts.node]
    assert [bool(rules.claims_waiting) for rules in told] == [True, False]
    claim = await cluster.get(CLAIMS, NAMESPACE, "scratch")
    (term,) = (await cluster.get(VOLUMES, "", claim.spec.volume_name)).spec.node_affinity.required["nodeSelectorTerms"]
    (bound,) = scheduled.pods
    assert term["matchExpressions"][0]["values"] == [bound.node]
    (made,) = [event for event in reader.events if isinstance(event, e.PlanMade)]
    assert [place.node for place in made.placements] == [bound.node]


async def test_a_node_without_room_for_the_volume_is_left_for_another(
    cluster: KubernetesCluster, reader: Reader
) -> None:
    workload_id = await with_claim(cluster, **{"sim.full-on": "pool-a-0", "sim.provision-seconds": "0.1"})
    (scheduled,) = await reader.until(lambda: of(reader, workload_id, e.PodScheduled))
    (released,) = of(reader, workload_id, e.PlacementReleased)
    assert "can be made on pool-a-0" in released.reason
    assert scheduled.pods[0].node != "pool-a-0"


async def lay_ready(cluster: KubernetesCluster, node: str, size: str) -> None:
    """Lay a local volume ready on one node."""
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    spec = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}}
    spec |= {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}, "local": {"path": "/mnt/disk"}}
    await cluster.create(VOLUMES, {"metadata": {"name": f"disk-{node}-{size.lower()}"}, "spec": spec})


async def test_a_pod_goes_where_a_volume_lies_ready_that_is_large_enough_and_takes_the_smallest(
    cluster: KubernetesCluster, reader: Reader
) -> None:
    for node, size in (("pool-a-0", "512Mi"), ("pool-a-1", "8Gi"), ("pool-a-1", "2Gi")):
        await lay_ready(cluster, node, size)
    workload_id = await with_claim(cluster, "kubernetes.io/no-provisioner")
    (scheduled,) = await reader.until(lambda: of(reader, workload_id, e.PodScheduled))
    assert [pod.node for pod in scheduled.pods] == ["pool-a-1"]
    assert (await cluster.get(CLAIMS, NAMESPACE, "scratch")).spec.volume_name == "disk-pool-a-1-2gi"
    assert of(reader, workload_id, e.PlacementReleased) == []


async def test_a_pod_waits_until_a_volume_lies_ready_for_it_and_is_told_so(
    cluster: KubernetesCluster, reader: Reader
) -> None:
    workload_id = await with_claim(cluster, "kubernetes.io/no-provisioner")
    (told, *_) = await reader.until(lambda: of(reader, workload_id, e.WorkloadBlocked))
    assert told.code == "NodesUnsuitable"
    assert "lack a volume that lies ready for scratch" in told.reason
    assert of(reader, workload_id, e.PodScheduled) == []
    await lay_ready(cluster, "pool-a-1", "2Gi")
    (scheduled,) = await reader.until(lambda: of(reader, workload_id, e.PodScheduled))
    assert [pod.node for pod in scheduled.pods] == ["pool-a-1"]


async def test_a_volume_is_made_where_its_driver_says_that_there_is_room(
    cluster: KubernetesCluster, reader: Reader
) -> None:
    await cluster.create(STORAGE_DRIVERS, {"metadata": {"name": "sim.csi"}, "spec": {"storageCapacity": True}})
    for node, size in (("pool-a-0", "100Mi"), ("pool-a-1", "100Gi")):
        topology = {"matchLabels": {"kubernetes.io/hostname": node}}
        room = {"storageClassName": "local", "nodeTopology": topology, "capacity": size}
        await cluster.create(STORAGE_CAPACITIES, {"metadata": {"name": node, "namespace": NAMESPACE}, **room})
    workload_id = await with_claim(cluster, **{"sim.provision-seconds": "0.1"})
    (scheduled,) = await reader.until(lambda: of(reader, workload_id, e.PodScheduled))
    assert [pod.node for pod in scheduled.pods] == ["pool-a-1"]
    assert of(reader, workload_id, e.PlacementReleased) == []
