"""A cluster of its own for each test, and the webhook beside it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from integrations.admission.stage import ELSEWHERE, HOME, OpenJournal, SetClock, Stage
from integrations.kube import project
from integrations.test_integrations_end_to_end import process
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NAMESPACES
from muster_contracts.subjects import Writer
from muster_integrations.handlers import Recorder
from servers import free_port


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    path = tmp_path / "kubeconfig"
    with process("simcluster", "--kubeconfig", str(path), "--seed", "1", "--authorization-mode", "RBAC") as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("http://")
        connected = await KubernetesCluster.connect(path)
        yield connected
        await connected.close()


@pytest.fixture
async def stage(cluster: KubernetesCluster, open_journal: OpenJournal) -> AsyncIterator[Stage]:
    await (await open_journal(Writer.SUBMITTER)).append(project())
    await cluster.create(NAMESPACES, {"metadata": {"name": HOME, "labels": {"muster.dev/project": "demo"}}})
    await cluster.create(NAMESPACES, {"metadata": {"name": ELSEWHERE}})
    journal = await open_journal(Writer.INTEGRATIONS)
    recorder = Recorder(journal, random=Random(1), owner_wait_seconds=0, append_concurrency=1)
    health = Health("integrations")
    stage = Stage(cluster, recorder, journal, free_port(), SetClock(datetime.now(UTC) - timedelta(hours=40)))
    stage.reads_on.set()
    following = asyncio.create_task(follow_into(journal, stage.follow, recorder.progress, health, "fold"))
    yield stage
    following.cancel()
