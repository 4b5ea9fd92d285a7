"""From an annotation on a Job, or on one role of a job, to pods within one rack.

Simulated cluster over HTTP, real NATS, and two services.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from integrations.kube import project
from integrations.test_integrations_end_to_end import Reader, training
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import JOBS
from muster_contracts import events as e
from muster_contracts import names
from muster_contracts.subjects import Writer
from muster_integrations.recognition.table import written_resources
from muster_journal.jetstream import JetStreamJournal
from scheduler.stack import NAMESPACE, scheduled_cluster
from servers import RunningNats

CAPACITY = {"nvidia.com/gpu": 2, "cpu": "16", "memory": "64Gi"}
RACKS = {"a": "1", "b": "2", "c": "1", "d": "2"}
"""By node. Those who may go anywhere take the nodes in the order of their names."""
SHOULD, MUST = names.TOPOLOGY_PREFERRED_NAMES[1], names.TOPOLOGY_REQUIRED_NAMES[1]


@pytest.fixture
async def cluster(
    tmp_path: Path,
    nats_server: RunningNats,
    open_journal: Callable[..., Awaitable[JetStreamJournal]],
) -> AsyncIterator[KubernetesCluster]:
    """A cluster of two racks with integrations and scheduler beside it, and a project."""
    await (await open_journal(Writer.SUBMITTER)).append(project())
    nodes = tmp_path / "nodes.yaml"
    named = [{"name": name, "labels": {"rack": rack}, "capacity": CAPACITY} for name, rack in RACKS.items()]
    nodes.write_text(yaml.safe_dump(named))
    async with scheduled_cluster(nats_server, tmp_path, "--nodes", str(nodes)) as connected:
        yield connected


@pytest.fixture
async def reader(open_journal: Callable[..., Awaitable[JetStreamJournal]]) -> Reader:
    return Reader(await open_journal(Writer.STATUS))


async def gang_of_four(cluster: KubernetesCluster, **annotations: str) -> UUID:
    manifest = training("train", 4, {names.MIN_MEMBERS: "4", **annotations})
    return UUID((await cluster.create(JOBS, manifest)).metadata.uid)


@pytest.mark.parametrize("name", [SHOULD, MUST])
async def test_a_gang_that_is_annotated_starts_within_one_rack(
    cluster: KubernetesCluster, reader: Reader, name: str
) -> None:
    workload_id = await gang_of_four(cluster, **{name: "rack"})
    placed = await reader.until(lambda: [s for s in reader.of(workload_id) if isinstance(s, e.PodScheduled)])
    pods = [pod for scheduled in placed for pod in scheduled.pods]
    assert len(pods) == 4
    assert len({RACKS[pod.node[0]] for pod in pods}) == 1


async def torch_job(cluster: KubernetesCluster, workers: int) -> UUID:
    """A master that may be anywhere, and workers of which all must be in one rack; one GPU each."""
    resource = next(one for one in written_resources() if one.kind == "PyTorchJob")
    template = training("train", 1, {})["spec"]["template"]
    near = {**template, "metadata": {"annotations": {names.TOPOLOGY_REQUIRED: "rack"}}}
    replicas = {"Master": {"replicas": 1, "template": template}, "Worker": {"replicas": workers, "template": near}}
    manifest = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "torch", "namespace": NAMESPACE},
        "spec": {"pytorchReplicaSpecs": replicas},
    }
    return UUID((await cluster.create(resource, manifest)).metadata.uid)


async def test_the_workers_of_a_job_start_within_one_rack_and_its_master_anywhere(
    cluster: KubernetesCluster, reader: Reader
) -> None:
    workload_id = await torch_job(cluster, workers=4)
    placed = await reader.until(lambda: [s for s in reader.of(workload_id) if isinstance(s, e.PodScheduled)])
    racks = {pod.name: RACKS[pod.node[0]] for scheduled in placed for pod in scheduled.pods}
    assert len({rack for name, rack in racks.items() if "worker" in name}) == 1
    assert len(racks) == 5
    assert len(set(racks.values())) == 2  # a rack holds four of them


async def test_workers_that_no_rack_holds_are_told_so(cluster: KubernetesCluster, reader: Reader) -> None:
    workload_id = await torch_job(cluster, workers=5)
    (blocked, *_) = await reader.until(
        lambda: [b for b in reader.of(workload_id) if isinstance(b, e.WorkloadBlocked) and b.code != "PodsMissing"]
    )
    assert blocked.code == "GangDoesNotFit"
    assert "5 pods" in blocked.reason
    assert "rack" in blocked.reason


async def test_a_gang_that_names_a_label_no_node_has_is_told_so(cluster: KubernetesCluster, reader: Reader) -> None:
    workload_id = await gang_of_four(cluster, **{MUST: "block"})
    (blocked, *_) = await reader.until(
        lambda: [b for b in reader.of(workload_id) if isinstance(b, e.WorkloadBlocked) and b.code != "PodsMissing"]
    )
    assert blocked.code == "NodesUnsuitable"
    assert "the node label block, and no node it could use has that label" in blocked.reason
