"""Notebooks: one pod, stopped and started by an annotation."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

NOTEBOOKS = "notebooks.kubeflow.org"
STOPPED = "kubeflow-resource-stopped"


@pytest.fixture
async def world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("notebook",)) as opened:
        yield opened


def notebook(recording, **metadata: Any) -> Any:
    container = {"name": "my-nb", "image": "notebook:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    played = recording("kubeflow/derived-notebook-v1.json").played(template={"spec": {"containers": [container]}})
    return {**played, "metadata": {**played["metadata"], "labels": {"app": "my-nb"}, **metadata}}


def annotate(world: Any, **annotations: str) -> None:
    found = world.found(NOTEBOOKS, "my-nb")
    named = {key.replace("_", "-"): value for key, value in annotations.items()}
    world.client.update(NOTEBOOKS, {**found, "metadata": {**found["metadata"], "annotations": named}})


async def test_the_pod_of_a_notebook_is_the_one_that_was_recorded(world, recording, traits_of):
    recorded = recording("kubeflow/derived-notebook-v1.json")
    world.client.create(NOTEBOOKS, notebook(recording))
    await world.advance(5)
    (expected,), made = recorded.of_kind("Pod"), traits_of(world.pod("my-nb-0"))
    hashed = "controller-revision-hash"
    assert made["labels"].pop(hashed).startswith("my-nb-")
    expected["metadata"]["labels"].pop(hashed)
    assert made == traits_of(expected)
    (owner,) = recorded.of_kind("StatefulSet")
    assert traits_of(world.found("statefulsets.apps", "my-nb"))["owners"] == traits_of(owner)["owners"]


async def test_a_status_shows_what_the_pod_does(world, recording):
    world.client.create(NOTEBOOKS, notebook(recording))
    await world.advance(5)
    status = world.found(NOTEBOOKS, "my-nb")["status"]
    assert status["readyReplicas"] == 1
    assert "running" in status["containerState"]
    assert world.conditions(NOTEBOOKS, "my-nb")["Ready"] == "True"


async def test_an_annotation_stops_a_notebook_and_its_absence_starts_it(world, recording):
    world.client.create(NOTEBOOKS, notebook(recording))
    await world.advance(5)
    annotate(world, kubeflow_resource_stopped="")
    await world.advance(5)
    assert world.pods() == []
    assert world.found(NOTEBOOKS, "my-nb")["status"] == {"readyReplicas": 0, "containerState": {}, "conditions": []}
    annotate(world)
    await world.advance(5)
    assert world.phase("my-nb-0") == "Running"


async def test_annotations_reach_the_pod_unless_they_are_the_notebooks_own(world, recording):
    annotations = {"sim.ready-seconds": "3", "notebooks.kubeflow.org/last-activity": "now", "kubectl.x/y": "z"}
    world.client.create(NOTEBOOKS, notebook(recording, annotations=annotations))
    await world.advance(5)
    assert world.pod("my-nb-0")["metadata"]["annotations"] == {"sim.ready-seconds": "3"}


async def test_a_deleted_notebook_takes_everything_with_it(world, recording):
    world.client.create(NOTEBOOKS, notebook(recording))
    await world.advance(5)
    world.client.delete(NOTEBOOKS, "demo", "my-nb")
    await world.advance(5)
    for kind in ("pods", "statefulsets.apps", "services"):
        assert world.client.list(kind, "demo") == []
