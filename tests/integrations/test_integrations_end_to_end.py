"""The service as a process, between a simulated cluster and a real NATS server: from a Job's creation to its end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import project
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import DEPLOYMENTS, JOBS, NAMESPACES
from muster_cluster.port import Binding
from muster_contracts.events import (
    AnyEvent,
    NodeObserved,
    OwnerObserved,
    PodGone,
    PodGroupFormed,
    PodObserved,
    WorkloadDiscovered,
    WorkloadGone,
)
from muster_contracts.subjects import Writer
from muster_contracts.values import Outcome, PodFacts
from muster_integrations.core.fold import Fold
from muster_journal.jetstream import JetStreamJournal
from servers import RunningNats

SECONDS = 60.0
NAMESPACE = "muster-demo"
OpenJournal = Callable[..., Awaitable[JetStreamJournal]]


@contextlib.contextmanager
def process(module: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module in a process of its own until the block ends."""
    command = [sys.executable, "-m", module, *options]
    surroundings = os.environ | environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) as running:
        try:
            yield running
        finally:
            running.terminate()
            running.wait(20)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "kubeconfig"
    with process("simcluster", "--kubeconfig", str(path), "--seed", "1") as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("http://")
        yield path


@pytest.fixture
async def cluster(kubeconfig: Path) -> AsyncIterator[KubernetesCluster]:
    connected = await KubernetesCluster.connect(kubeconfig)
    yield connected
    await connected.close()


@pytest.fixture
def service(nats_server: RunningNats, kubeconfig: Path) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Return what starts the service on the cluster and the journal."""

    def start() -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        return process(
            "muster_integrations",
            MUSTER_NATS_URL=nats_server.url,
            MUSTER_NATS_PASSWORD=nats_server.password_of("integrations"),
            MUSTER_KUBECONFIG=str(kubeconfig),
        )

    return start


class Reader:
    """Reads the journal as another service does, and waits for what it should say."""

    def __init__(self, journal: JetStreamJournal) -> None:
        self._batches = journal.follow(0)
        self.events: list[AnyEvent] = []
        self.fold = Fold()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Read on until something holds, and return it."""
        async with asyncio.timeout(SECONDS):
            while not (found := condition()):
                batch = await anext(self._batches)
                for recorded in batch.events:
                    self.events.append(recorded.event)
                    self.fold.follow(recorded.position, recorded.event)
        return found

    def of(self, workload_id: UUID) -> list[AnyEvent]:
        return [event for event in self.events if getattr(event, "workload_id", None) == workload_id]

    def pods(self, workload_id: UUID) -> dict[str, PodFacts]:
        workload = self.fold.workloads.get(workload_id)
        return {facts.name: facts for facts in workload.pods.values()} if workload else {}


@pytest.fixture
async def reader(open_journal: OpenJournal) -> Reader:
    """A reader of a journal with one project, `demo`."""
    await (await open_journal(Writer.SUBMITTER)).append(project())
    return Reader(await open_journal(Writer.STATUS))


def training(name: str, pods: int, annotations: Mapping[str, str] = {}, scheduler: str = "muster-scheduler") -> Any:
    container = {"name": "main", "image": "train:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "template": {
                "metadata": {"annotations": {"sim.run-seconds": "1", "sim.pull-seconds": "0", **annotations}},
                "spec": {"schedulerName": scheduler, "restartPolicy": "Never", "containers": [container]},
            },
        },
    }


async def bind_all(cluster: KubernetesCluster, pods: Mapping[str, PodFacts]) -> None:
    """Do what the scheduler does, with what the journal says: the resource version must still be the pod's."""
    for number, facts in enumerate(pods.values()):
        await cluster.bind(
            Binding(facts.namespace, facts.name, str(facts.pod_id), facts.resource_version, NODES[number])
        )


NODES: list[str] = []


async def test_a_job_is_told_from_its_creation_to_its_end(
    cluster: KubernetesCluster, service: Callable[[], Any], reader: Reader
) -> None:
    with service():
        await reader.until(lambda: len(reader.fold.nodes) == 8)
        NODES[:] = sorted(reader.fold.nodes)
        await cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        job = await cluster.create(JOBS, training("hello", 2))
        workload_id = UUID(job.metadata.uid)
        await reader.until(lambda: len(reader.pods(workload_id)) == 2)
        await bind_all(cluster, reader.pods(workload_id))
        await reader.until(lambda: {facts.phase for facts in reader.pods(workload_id).values()} == {"Succeeded"})
        await reader.until(lambda: reader.fold.workloads[workload_id].discovered.owner.outcome is Outcome.SUCCEEDED)
        await cluster.delete(JOBS, NAMESPACE, "hello")
        await reader.until(lambda: workload_id in reader.fold.gone)

    told = reader.of(workload_id)
    assert isinstance(told[0], WorkloadDiscovered)
    assert (told[0].kind, told[0].name, told[0].project, told[0].owner.desired_pods) == ("Job", "hello", "demo", 2)
    assert told[0].requests.gpu_millionths == 2_000_000
    assert isinstance(told[-1], WorkloadGone)
    assert told[-1].end_seen
    formed = [told.index(event) for event in told if isinstance(event, PodGroupFormed)]
    observed = [told.index(event) for event in told if isinstance(event, PodObserved)]
    gone = [told.index(event) for event in told if isinstance(event, PodGone)]
    owner = [event.owner for event in told if isinstance(event, OwnerObserved)]
    assert len(formed) == 2
    assert min(formed) < min(observed)
    assert max(observed) < min(gone)
    assert owner[0].finished_at is not None
    assert any(event.pods[0].ready for event in told if isinstance(event, PodObserved))


async def test_a_service_killed_while_workloads_come_and_go_tells_everything_once(
    cluster: KubernetesCluster, service: Callable[[], Any], reader: Reader
) -> None:
    await cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    jobs: list[UUID] = []
    for number in range(6):
        with service() as running:
            seen = len(reader.events)
            created = await cluster.create(JOBS, training(f"job-{number}", 3, scheduler="default-scheduler"))
            jobs.append(UUID(created.metadata.uid))
            await reader.until(lambda seen=seen, number=number: len(reader.events) >= seen + 1 + number)
            running.send_signal(signal.SIGKILL)
            running.wait(20)
        if number % 2:
            await cluster.delete(JOBS, NAMESPACE, f"job-{number}")
    with service():
        alive, deleted = jobs[0::2], set(jobs[1::2])
        await reader.until(lambda: deleted <= reader.fold.gone | (deleted - set(reader.fold.workloads)))
        await reader.until(lambda: all(len(reader.pods(one)) == 3 for one in alive))
        await reader.until(lambda: all(phases(reader, one) == {"Succeeded"} for one in alive))
        await reader.until(
            lambda: all(reader.fold.workloads[one].discovered.owner.outcome is Outcome.SUCCEEDED for one in alive)
        )
    discovered = Counter(e.workload_id for e in reader.events if isinstance(e, WorkloadDiscovered))
    assert set(discovered.values()) == {1}
    assert set(alive) <= set(discovered) <= set(jobs)
    gone_pods = Counter(mark.pod_id for e in reader.events if isinstance(e, PodGone) for mark in e.pods)
    assert set(gone_pods.values()) <= {1}
    assert Counter(e.name for e in reader.events if isinstance(e, NodeObserved)).keys() == reader.fold.nodes.keys()


def phases(reader: Reader, workload_id: UUID) -> set[str]:
    return {facts.phase for facts in reader.pods(workload_id).values()}


async def test_a_deployment_that_is_rolled_scaled_and_deleted_is_one_workload(
    cluster: KubernetesCluster, service: Callable[[], Any], reader: Reader
) -> None:
    container = {"name": "main", "image": "web:1"}
    web = {
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }
    await cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    with service():
        workload_id = UUID((await cluster.create(DEPLOYMENTS, web)).metadata.uid)
        await reader.until(lambda: ready(reader, workload_id) == 2)
        first = set(reader.pods(workload_id))
        new_image = {"spec": {"template": {"spec": {"containers": [container | {"image": "web:2"}]}}}}
        await cluster.patch(DEPLOYMENTS, NAMESPACE, "web", new_image)
        await reader.until(lambda: ready(reader, workload_id) == 2 and not first & set(reader.pods(workload_id)))
        controls = reader.fold.workloads[workload_id].discovered.controls
        await cluster.patch(DEPLOYMENTS, NAMESPACE, "web", controls.stop[0].body)
        await reader.until(lambda: not reader.pods(workload_id))
        await reader.until(lambda: reader.fold.workloads[workload_id].discovered.owner.suspended)
        controls = reader.fold.workloads[workload_id].discovered.controls
        await cluster.patch(DEPLOYMENTS, NAMESPACE, "web", controls.activate[0].body)
        await reader.until(lambda: ready(reader, workload_id) == 2)
        await cluster.delete(DEPLOYMENTS, NAMESPACE, "web")
        await reader.until(lambda: workload_id in reader.fold.gone)
    discovered = [event for event in reader.events if isinstance(event, WorkloadDiscovered)]
    assert [event.workload_id for event in discovered] == [workload_id]
    assert isinstance(reader.of(workload_id)[-1], WorkloadGone)
    assert reader.of(workload_id)[-1].end_seen


def ready(reader: Reader, workload_id: UUID) -> int:
    return sum(facts.ready for facts in reader.pods(workload_id).values())
