"""Recurring pipeline runs: one Workflow after the other."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

SCHEDULES = "scheduledworkflows.kubeflow.org"
WORKFLOWS = "workflows.argoproj.io"
MARK = "scheduledworkflows.kubeflow.org"


@pytest.fixture
async def world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("argo", "pipelines")) as opened:
        yield opened


def schedule(seconds: str = "5", *, as_text: bool = False, **spec: Any) -> Any:
    metadata = {"annotations": {"sim.run-seconds": seconds}}
    step = {"name": "entry", "metadata": metadata, "container": {"image": "step:1"}}
    workflow: Any = {"entrypoint": "entry", "templates": [step]}
    body = {"enabled": True, "trigger": {"periodicSchedule": {"intervalSecond": 60}}, **spec}
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "ScheduledWorkflow",
        "metadata": {"name": "nightly", "namespace": "demo"},
        "spec": {**body, "workflow": {"spec": json.dumps(workflow) if as_text else workflow}},
    }


def runs(world: Any) -> list[Any]:
    found = world.client.list(WORKFLOWS, "demo")
    return sorted(found, key=lambda run: int(run["metadata"]["labels"][f"{MARK}/workflowIndex"]))


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_run_is_made_each_time_the_interval_is_over(world, traits_of, as_text):
    world.client.create(SCHEDULES, schedule(as_text=as_text))
    await world.advance(59)
    assert runs(world) == []
    await world.advance(1)
    (run,) = runs(world)
    labels = traits_of(run)["labels"]
    assert labels[f"{MARK}/isOwnedByScheduledWorkflow"] == "true"
    assert labels[f"{MARK}/scheduledWorkflowName"] == "nightly"
    assert traits_of(run)["owners"][0]["kind"] == "ScheduledWorkflow"
    assert run["metadata"]["name"].startswith("nightly-1-")
    await world.advance(60)
    assert [each["status"]["phase"] for each in runs(world)] == ["Succeeded", "Running"]
    history = world.found(SCHEDULES, "nightly")["status"]["workflowHistory"]
    assert (len(history["active"]), len(history["completed"])) == (1, 1)


async def test_a_run_waits_while_as_many_run_as_may(world):
    world.client.create(SCHEDULES, schedule(seconds="100"))
    await world.advance(60)
    await world.advance(90)
    assert len(runs(world)) == 1
    await world.advance(20)
    assert len(runs(world)) == 2


async def test_a_schedule_that_is_not_enabled_makes_nothing(world):
    world.client.create(SCHEDULES, schedule(enabled=False))
    await world.advance(100)
    assert runs(world) == []
    assert world.conditions(SCHEDULES, "nightly") == {"Disabled": "True"}
    world.change_spec(SCHEDULES, "nightly", lambda spec: spec.update(enabled=True))
    await world.advance(30)
    assert len(runs(world)) == 1, "one was due, however many were missed"
