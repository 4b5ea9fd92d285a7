"""A real Kubernetes does all that our adapter asks, when `MUSTER_TEST_KUBECONFIG` names one.

It should have been running for ten minutes, its API server a shorter time than its store (so that the first versions
are forgotten by both), and have a node that takes pods. Everything happens in namespaces of the tests' own, which are
deleted.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cluster.conformance import ClusterConformance, until
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NAMESPACES, AnyObject
from muster_cluster.port import Resource
from muster_cluster.transport import ClientTransport

KUBECONFIG = os.environ.get("MUSTER_TEST_KUBECONFIG", "")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", AnyObject)

if not KUBECONFIG:
    pytest.skip("MUSTER_TEST_KUBECONFIG names no cluster", allow_module_level=True)


@pytest.fixture
async def cluster() -> AsyncIterator[KubernetesCluster]:
    connected = await KubernetesCluster.connect(Path(KUBECONFIG))
    yield connected
    await connected.close()


@pytest.fixture
async def short_watches() -> AsyncIterator[KubernetesCluster]:
    connected = KubernetesCluster(await ClientTransport.connect(Path(KUBECONFIG)), watch_timeout_seconds=5)
    yield connected
    await connected.close()


@pytest.fixture
async def namespace(cluster: KubernetesCluster) -> AsyncIterator[str]:
    created = await cluster.create(NAMESPACES, {"metadata": {"generateName": "muster-conformance-"}})
    name = created.metadata.name

    async def ready_for_pods() -> bool:
        page = await cluster.list_page(SERVICE_ACCOUNTS, namespace=name)
        return any(account.metadata.name == "default" for account in page.items)

    await until(ready_for_pods)
    yield name
    await cluster.delete(NAMESPACES, "", name)


@pytest.fixture
def too_old() -> str:
    """The first version there ever was: compaction has forgotten it."""
    return "1"


class TestRealCluster(ClusterConformance):
    """Whatever the kubeconfig points at."""
