"""The whole of Muster with no more rights than `deploy/kubernetes` gives it, on a cluster that refuses everything else.

Each service comes with the token of its own account, and integrations is asked through a Service, as on a real cluster.
The cluster logs what it refuses; there must be nothing.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from installation.manifests import KUBERNETES, apply, manifests
from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts.names import RESERVATIONS_NAMESPACE
from muster_contracts.subjects import Writer
from muster_local.stack import LOOPBACK, StackSettings, local_stack
from muster_local.up import create_demo_project
from servers import free_port
from system.cases import CASES, Case
from system.conftest import Running, run
from system.life import World, world_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = "muster-demo"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A stack on a cluster that goes by roles, and the log of that cluster."""

    running: Running
    log: Path

    def refusals(self) -> list[str]:
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if "Refused" in line]


@contextlib.contextmanager
def simulated_cluster(folder: Path, port: int) -> Iterator[Path]:
    """Run a cluster that goes by roles; its log is beside the kubeconfig of its administrator."""
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "simcluster", "--authorization-mode", "RBAC", "--listen", f"{LOOPBACK}:{port}"]
    with (
        (folder / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            [*command, "--kubeconfig", str(kubeconfig)], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("http://")
            yield kubeconfig
        finally:
            process.terminate()


def kubeconfig_of(folder: Path, port: int, account: str) -> str:
    """Write how a service account reaches the cluster, which believes a token that is a name."""
    file = folder / account
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://{LOOPBACK}:{port}"}}],
        "users": [{"name": "u", "user": {"token": f"system:serviceaccount:muster:{account}"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(json.dumps(config), encoding="utf-8")
    return str(file)


async def install(kubeconfig: Path, admission_port: int) -> None:
    """Apply the rights, and the Service by which the webhook is found, which leads to this machine."""
    services = [each for each in manifests(KUBERNETES / "services") if each["kind"] == "Service"]
    place = {"addresses": [{"ip": LOOPBACK}], "ports": [{"name": "admission", "port": admission_port}]}
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "admission", "namespace": "muster"},
        "subsets": [place],
    }
    cluster = await KubernetesCluster.connect(kubeconfig)
    namespaces, rights = manifests(KUBERNETES / "namespaces.yaml"), manifests(KUBERNETES / "rights")
    await apply(cluster, [*namespaces, *rights, *services, endpoints])
    await cluster.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    folder, port, admission_port = tmp_path_factory.mktemp("guarded"), free_port(), free_port()
    environment = {f"MUSTER_{name}_KUBECONFIG".upper(): kubeconfig_of(folder, port, name) for name in Writer}
    environment |= {
        "MUSTER_INTEGRATIONS_ADMISSION_TARGET": "muster/admission:443",
        "MUSTER_INTEGRATIONS_ADMISSION_PORT": str(admission_port),
    }
    with simulated_cluster(folder, port) as kubeconfig:
        await install(kubeconfig, admission_port)
        settings = StackSettings(
            folder / "state", port=free_port(), kubeconfig=kubeconfig, durable=False, environment=environment
        )
        async with local_stack(settings, report=print) as stack:
            stack.ports["cluster"] = port
            await create_demo_project(stack.url)
            yield Guarded(Running(stack), folder / "log")


@pytest_asyncio.fixture(loop_scope="module")
async def world(guarded: Guarded) -> AsyncIterator[World]:
    async with world_of(guarded.running) as world:
        yield world


async def test_people_submit_see_read_logs_stop_and_delete(guarded: Guarded) -> None:
    muster = guarded.running.muster
    await muster("submit", "training", "hello", "-p", "demo", "--gpu", "1", "--annotation", "sim.log=hi", "--", "true")
    await muster("wait", "hello", "--for", "Completed", "--timeout", "90s")
    assert "hi" in (await muster("logs", "hello")).out
    await muster("submit", "workspace", "notes", "-p", "demo", "--gpu", "0.5", "--", "sleep", "3600")
    await muster("wait", "notes", "--for", "Running", "--timeout", "90s")
    held = await guarded.running.kubectl("get", "pods", "-n", RESERVATIONS_NAMESPACE, "-o", "name")
    assert len(held.out.split()) == 1
    for verb, phase in (("stop", "Stopped"), ("activate", "Running")):
        await muster(verb, "notes")
        await muster("wait", "notes", "--for", phase, "--timeout", "90s")
    await muster("delete", "notes")
    assert (await muster("status", "-o", "json")).data["well"]
    assert guarded.refusals() == []


async def test_workloads_of_every_kind_are_seen_stopped_activated_and_deleted(guarded: Guarded, world: World) -> None:
    async def live(case: Case) -> None:
        await world.create(case.example)
        life = await world.workload(case.name)
        await life.shows(case.running)
        await life.ask("stop")
        await life.shows(case.stopped)
        await life.ask("activate")
        await life.shows(case.running)
        await life.delete()

    async with asyncio.TaskGroup() as lives:
        for case in CASES:
            lives.create_task(live(case))
    assert guarded.refusals() == []


async def test_volumes_are_asked_for_on_the_planned_node(guarded: Guarded, world: World, tmp_path: Path) -> None:
    file = tmp_path / "claim.json"
    file.write_text(json.dumps(with_claim("scratch")), encoding="utf-8")
    await guarded.running.kubectl("apply", "-f", str(file))
    life = await world.workload("scratch")
    await life.reaches("Completed")
    assert guarded.refusals() == []


async def test_room_is_made_by_eviction(guarded: Guarded) -> None:
    muster = guarded.running.muster
    await muster(
        "submit", "training", "greedy", "-p", "demo", "--gpu", "8", "--parallelism", "8", "--", "sleep", "3600"
    )
    await muster("wait", "greedy", "--for", "Running", "--timeout", "90s")
    await muster("submit", "workspace", "urgent", "-p", "demo", "--gpu", "8", "--", "sleep", "3600")
    await muster("wait", "urgent", "--for", "Running", "--timeout", "90s")
    for name in ("greedy", "urgent"):
        await muster("delete", name)
    assert guarded.refusals() == []


async def test_whoever_has_no_rights_is_refused(guarded: Guarded) -> None:
    """Last, for it leaves a refusal in the log: so that the tests above could have failed."""
    scheduler = ["--as", "system:serviceaccount:muster:scheduler"]
    refused = await run(["kubectl", "get", "secrets", *scheduler], KUBECONFIG=str(guarded.running.stack.kubeconfig))
    assert 'cannot list resource "secrets"' in refused.err
    assert len(guarded.refusals()) == 1


def with_claim(name: str) -> Any:
    """A Job whose pod has a claim that waits for its node."""
    claim = {
        "storageClassName": "local",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    template = {
        "metadata": {"annotations": {"sim.run-seconds": "1"}},
        "spec": {
            "schedulerName": "muster-scheduler",
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "train:1"}],
            "volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": name}}],
        },
    }
    named = {"name": name, "namespace": NAMESPACE}
    storage = {"provisioner": "sim.csi", "volumeBindingMode": "WaitForFirstConsumer", "metadata": {"name": "local"}}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", **storage},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": named, "spec": claim},
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": named, "spec": {"template": template}},
        ],
    }
