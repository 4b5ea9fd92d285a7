"""Services killed in the middle of binding, as processes on a real NATS: all pods get one place, and there is silence.

The same in virtual time, with worse weather and the whole stack: `simulation/test_coming_to_rest.py`.
"""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from integrations.kube import project
from integrations.test_integrations_end_to_end import Reader, process
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NAMESPACES, PODS
from muster_contracts import events as e
from muster_contracts.names import SCHEDULER_NAME
from muster_contracts.subjects import Writer
from muster_journal.jetstream import JetStreamJournal
from scheduler.scene import of_type
from servers import RunningNats

NAMESPACE = "muster-demo"
PODS_BOUND, RESTARTS = 240, 3
PATIENCE_SECONDS, SILENCE_SECONDS = 120, 3
MOST_PROMISES = 2
"""To one pod: another one after a release, of what was bound at a version that had passed."""


class Stack:
    """The services beside a simulated cluster, each of which can be killed and started again."""

    def __init__(self, nats: RunningNats, kubeconfig: Path, running: ExitStack) -> None:
        self._nats, self._kubeconfig, self._running = nats, kubeconfig, running
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, service: str) -> None:
        environment = {
            "MUSTER_NATS_URL": self._nats.url,
            "MUSTER_NATS_PASSWORD": self._nats.password_of(service),
            "MUSTER_KUBECONFIG": str(self._kubeconfig),
        }
        self._processes[service] = self._running.enter_context(process(f"muster_{service}", **environment))

    def restart(self, service: str) -> None:
        self._processes[service].kill()
        self._processes[service].wait(20)
        self.start(service)


async def test_who_is_killed_in_the_middle_of_binding_goes_on_where_it_was_and_comes_to_rest(
    nats_server: RunningNats, open_journal: Callable[[Writer], Awaitable[JetStreamJournal]], tmp_path: Path
) -> None:
    await (await open_journal(Writer.SUBMITTER)).append(project())
    journal = await open_journal(Writer.STATUS)
    reader = Reader(journal)
    with ExitStack() as running:
        simulated = running.enter_context(process("simcluster", "--kubeconfig", str(tmp_path / "kubeconfig")))
        assert simulated.stdout is not None
        assert simulated.stdout.readline().startswith("http://")
        stack = Stack(nats_server, tmp_path / "kubeconfig", running)
        for service in ("integrations", "scheduler"):
            stack.start(service)
        cluster = await KubernetesCluster.connect(tmp_path / "kubeconfig")
        await cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        creating = asyncio.create_task(_create_pods(cluster))
        for turn in range(1, RESTARTS + 1):
            await reader.until(lambda turn=turn: _bound(reader) >= turn * PODS_BOUND // (RESTARTS + 2))
            stack.restart("scheduler")
            stack.restart("integrations")
        await creating
        await reader.until(lambda: _bound(reader) == PODS_BOUND)
        await _silence(journal)
        await cluster.close()
    promised = Counter(place.pod_id for made in of_type(reader.events, e.PlanMade) for place in made.placements)
    assert len(promised) == PODS_BOUND
    assert max(promised.values()) <= MOST_PROMISES


async def _create_pods(cluster: KubernetesCluster) -> None:
    """Create pods one after the other, each a workload of its own, that end at once."""
    container = {"name": "main", "image": "train:1", "resources": {"requests": {"cpu": "100m"}}}
    spec = {"schedulerName": SCHEDULER_NAME, "restartPolicy": "Never", "containers": [container]}
    for number in range(PODS_BOUND):
        metadata = {"name": f"pod-{number}", "namespace": NAMESPACE, "annotations": {"sim.run-seconds": "1"}}
        await cluster.create(PODS, {"metadata": metadata, "spec": spec})


def _bound(reader: Reader) -> int:
    return sum(len(event.pods) for event in of_type(reader.events, e.PodScheduled))


async def _silence(journal: JetStreamJournal) -> None:
    """Wait until nothing has been written for a while; of a silence nothing tells but time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        before = -1
        while (end := await journal.end()) != before:
            before = end
            await asyncio.sleep(SILENCE_SECONDS)
