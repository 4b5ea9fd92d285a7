"""The simulated cluster, as a process of its own and over HTTP, does all that our adapter asks of Kubernetes."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cluster.conformance import CONFIG_MAPS, ClusterConformance, config_map
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NAMESPACES
from muster_cluster.transport import ClientTransport

HISTORY = 400  # changes kept per kind: few, so that a test can have some forgotten


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    """The kubeconfig of a simulated cluster that runs for this module."""
    import subprocess

    with tempfile.TemporaryDirectory(prefix="muster-simcluster-") as folder:
        path = Path(folder) / "kubeconfig"
        command = [sys.executable, "-m", "simcluster", "--kubeconfig", str(path), "--history", str(HISTORY)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().startswith("http://"), "the simulated cluster did not start"
                yield path
            finally:
                process.terminate()
                process.wait(20)


@pytest.fixture
async def cluster(kubeconfig: Path) -> AsyncIterator[KubernetesCluster]:
    connected = await KubernetesCluster.connect(kubeconfig)
    yield connected
    await connected.close()


@pytest.fixture
async def short_watches(kubeconfig: Path) -> AsyncIterator[KubernetesCluster]:
    connected = KubernetesCluster(await ClientTransport.connect(kubeconfig), watch_timeout_seconds=1)
    yield connected
    await connected.close()


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


class TestSimulatedCluster(ClusterConformance):
    """Over real sockets."""
