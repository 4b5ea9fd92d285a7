"""What people who can set nothing but labels, limits and annotations get from the local stack, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from system.conftest import Ran, Running, run

pytestmark = pytest.mark.asyncio(loop_scope="session")
NAMESPACE = "muster-demo"


def pod(name: str, amount: str = "", **metadata: Any) -> dict[str, Any]:
    resources = {"limits": {"nvidia.com/gpu": amount}} if amount else {}
    container = {"name": "main", "image": "train:1", "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


async def kubectl(shared: Running, *arguments: str) -> Ran:
    return await run(["kubectl", *arguments], KUBECONFIG=str(shared.stack.kubeconfig))


async def create(shared: Running, folder: Path, manifest: dict[str, Any], *arguments: str) -> Ran:
    file = folder / f"{manifest['metadata']['name']}.json"
    file.write_text(json.dumps(manifest), encoding="utf-8")
    return await kubectl(shared, "create", "-f", str(file), *arguments)


async def until_running(shared: Running, name: str) -> dict[str, Any]:
    waited = await kubectl(shared, "wait", "--for=condition=Ready", f"pod/{name}", "-n", NAMESPACE, "--timeout=60s")
    assert waited.code == 0, waited
    found = await kubectl(shared, "get", "pod", name, "-n", NAMESPACE, "-o", "json")
    written: dict[str, Any] = found.data
    return written


async def test_a_pod_with_nothing_but_a_label_is_scheduled_by_muster(shared: Running, tmp_path: Path) -> None:
    made = await create(shared, tmp_path, pod("labelled", "1", labels={"project": "demo"}))
    assert made.code == 0, made
    written = await until_running(shared, "labelled")
    assert written["spec"]["schedulerName"] == "muster-scheduler"
    await shared.kubectl("delete", "pod", "labelled", "-n", NAMESPACE)


async def test_half_a_gpu_in_the_limits_is_placed_as_half_a_gpu(shared: Running, tmp_path: Path) -> None:
    made = await create(shared, tmp_path, pod("half", "0.5"))
    assert made.code == 0, made
    written = await until_running(shared, "half")
    assert written["metadata"]["annotations"]["muster.dev/gpu-fraction"] == "0.5"
    assert written["metadata"]["annotations"]["muster.dev/gpus"]
    assert "nvidia.com/gpu" not in written["spec"]["containers"][0]["resources"].get("limits", {})
    await shared.kubectl("delete", "pod", "half", "-n", NAMESPACE)


async def test_nonsense_is_refused_with_a_sentence(shared: Running, tmp_path: Path) -> None:
    refused = await create(shared, tmp_path, pod("nonsense", annotations={"gpu-fraction": "1.5"}))
    assert (refused.code, refused.err.strip()) == (
        1,
        f'Error from server (Forbidden): error when creating "{tmp_path}/nonsense.json": admission webhook '
        "\"pods.admission.muster.dev\" denied the request: '1.5' is no portion of a GPU (the annotation gpu-fraction): "
        "write a number between 0 and 1 with at most six decimals, as 0.5.",
    )


async def test_muster_s_own_labels_are_its_own_and_its_own_workloads_run(shared: Running, tmp_path: Path) -> None:
    forged = pod("forged", labels={"muster.dev/workload-id": "5f4dcc3b-5aa7-65d6-1d83-27deb882cf99"})
    refused = await create(shared, tmp_path, forged, "--as", "alice")
    assert "The label muster.dev/workload-id is written by Muster alone, and not by alice" in refused.err
    await shared.muster("submit", "training", "guarded", "--project", "demo", "--gpu", "1", "--", "sleep", "1")
    await shared.muster("wait", "guarded", "--for", "Completed")
    relabelled = await kubectl(shared, "label", "job", "guarded", "-n", NAMESPACE, "muster.dev/project-")
    assert "The label muster.dev/project is written by Muster alone" in relabelled.err
