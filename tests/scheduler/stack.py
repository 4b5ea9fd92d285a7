"""A simulated cluster over HTTP with integrations and scheduler beside it, each a process of its own, on real NATS."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from integrations.test_integrations_end_to_end import process
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NAMESPACES
from servers import RunningNats

NAMESPACE = "muster-demo"


@asynccontextmanager
async def scheduled_cluster(nats_server: RunningNats, folder: Path, *options: str) -> AsyncIterator[KubernetesCluster]:
    """Run everything until the end of the block; `options` are those of the simulated cluster."""
    kubeconfig = folder / "kubeconfig"
    with ExitStack() as running:
        simulated = running.enter_context(process("simcluster", "--kubeconfig", str(kubeconfig), *options))
        assert simulated.stdout is not None
        assert simulated.stdout.readline().startswith("http://")
        for service in ("integrations", "scheduler"):
            environment = {
                "MUSTER_NATS_URL": nats_server.url,
                "MUSTER_NATS_PASSWORD": nats_server.password_of(service),
                "MUSTER_KUBECONFIG": str(kubeconfig),
            }
            running.enter_context(process(f"muster_{service}", **environment))
        connected = await KubernetesCluster.connect(kubeconfig)
        await connected.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        yield connected
        await connected.close()
