"""The simulated cluster does all that our adapter asks of Kubernetes: as a process over HTTP, and in this process."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest
from cluster.conformance import CONFIG_MAPS, ClusterConformance, ConfigMap, config_map
from cluster.in_process import InProcessTransport
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.metadata import Key
from muster_cluster.objects import NAMESPACES
from muster_cluster.reflector import Patience, Reflector
from muster_cluster.transport import ClientTransport
from simcluster.cluster import Cluster as SimulatedCluster
from simcluster.settings import Settings

HISTORY = 400  # changes kept per kind: few, so that a test can have some forgotten
SECONDS = 30.0


@contextlib.contextmanager
def process(kubeconfig: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a simulated cluster until the block ends; it is ready when the block begins."""
    command = [sys.executable, "-m", "simcluster", "--kubeconfig", str(kubeconfig), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("http://"), "the simulated cluster did not start"
            yield running
        finally:
            running.terminate()
            running.wait(20)


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    """The kubeconfig of a simulated cluster that runs for this module."""
    with tempfile.TemporaryDirectory(prefix="muster-simcluster-") as folder:
        path = Path(folder) / "kubeconfig"
        with process(path, "--history", str(HISTORY)):
            yield path


@pytest.fixture
async def namespace(cluster: KubernetesCluster) -> AsyncIterator[str]:
    created = await cluster.create(NAMESPACES, {"metadata": {"generateName": "conformance-"}})
    yield created.metadata.name
    await cluster.delete(NAMESPACES, "", created.metadata.name)


@pytest.fixture
async def too_old(cluster: KubernetesCluster, namespace: str) -> str:
    """A version after which so much has happened that the server has forgotten it."""
    version = (await cluster.list_page(CONFIG_MAPS)).resource_version
    await cluster.create(CONFIG_MAPS, config_map(namespace, "busy"))
    changes = (
        cluster.patch(CONFIG_MAPS, namespace, "busy", {"data": {"key": str(number)}}) for number in range(HISTORY + 1)
    )
    await asyncio.gather(*changes)
    return version


class TestOverHttp(ClusterConformance):
    """A process of its own behind real sockets."""

    @pytest.fixture
    async def cluster(self, kubeconfig: Path) -> AsyncIterator[KubernetesCluster]:
        connected = await KubernetesCluster.connect(kubeconfig)
        yield connected
        await connected.close()

    @pytest.fixture
    async def short_watches(self, kubeconfig: Path) -> AsyncIterator[KubernetesCluster]:
        connected = KubernetesCluster(await ClientTransport.connect(kubeconfig), watch_timeout_seconds=1)
        yield connected
        await connected.close()


class TestInProcess(ClusterConformance):
    """The same on this event loop, as simulations run it."""

    @pytest.fixture
    async def simulated(self) -> AsyncIterator[SimulatedCluster]:
        async with SimulatedCluster(Settings(history_changes=HISTORY, seed=1)) as simulated:
            yield simulated

    @pytest.fixture
    async def cluster(self, simulated: SimulatedCluster) -> KubernetesCluster:
        return KubernetesCluster(InProcessTransport(simulated.api))

    @pytest.fixture
    async def short_watches(self, simulated: SimulatedCluster) -> KubernetesCluster:
        return KubernetesCluster(InProcessTransport(simulated.api), watch_timeout_seconds=1)


async def test_a_mirror_survives_the_death_of_the_api_server(tmp_path: Path) -> None:
    path, data = tmp_path / "kubeconfig", str(tmp_path / "data")
    told: dict[Key, ConfigMap] = {}
    gone: Counter[str] = Counter()

    async def mirror(reflector: Reflector[ConfigMap]) -> None:
        async with aclosing(reflector.run()) as batches:
            async for batch in batches:
                for delta in batch.deltas:
                    known = delta.new or delta.old
                    assert known is not None
                    assert told.pop(known.metadata.key, None) is delta.old
                    if delta.new is None:
                        gone[known.metadata.name] += 1
                    else:
                        told[known.metadata.key] = delta.new

    async def caught_up(cluster: KubernetesCluster) -> None:
        page = await cluster.list_page(CONFIG_MAPS)
        wanted = {item.metadata.key: item.metadata.resource_version for item in page.items}
        async with asyncio.timeout(SECONDS):
            while {key: item.metadata.resource_version for key, item in told.items()} != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    with process(path, "--data", data) as first:
        cluster = await KubernetesCluster.connect(path)
        reflector = Reflector(cluster, CONFIG_MAPS, random=Random(1), page_size=3, patience=Patience(0.05, 0.2))
        mirroring = asyncio.create_task(mirror(reflector))
        for number in range(10):
            await cluster.create(CONFIG_MAPS, config_map("default", f"map-{number}"))
        await caught_up(cluster)
        address = kubeconfig_address(path)
        first.send_signal(signal.SIGKILL)
        first.wait(20)

    with process(path, "--data", data, "--listen", address):
        for number in range(5):
            await cluster.delete(CONFIG_MAPS, "default", f"map-{number}")
        await cluster.create(CONFIG_MAPS, config_map("default", "map-0", key="again"))
        await caught_up(cluster)
        mirroring.cancel()
        await asyncio.gather(mirroring, return_exceptions=True)
        await cluster.close()
    assert gone == Counter(f"map-{number}" for number in range(5))


def kubeconfig_address(path: Path) -> str:
    """Return the host and port a kubeconfig names."""
    return path.read_text().partition("server: http://")[2].split()[0]
