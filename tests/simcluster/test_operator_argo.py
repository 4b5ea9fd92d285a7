"""Workflows: the pods of a pipeline run, one after the other, and what ends it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from simcluster.operators.argo_text import fnv32, holds

WORKFLOWS = "workflows.argoproj.io"
MARK = "workflows.argoproj.io"


@pytest.fixture
async def world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("argo",)) as opened:
        yield opened


def step(name: str, inputs: Any = (), outputs: Any = None, annotations: Any = None, **course: str) -> dict[str, Any]:
    named = {f"sim.{key.replace('_', '-')}": value for key, value in course.items()}
    template = {
        "name": name,
        "metadata": {"annotations": {**named, **(annotations or {})}},
        "container": {"name": "", "image": "step:1"},
        "inputs": {"parameters": [{"name": each} for each in inputs]},
    }
    outs = [
        {"name": key, "valueFrom": {"path": f"/tmp/{key}", "default": text}} for key, text in (outputs or {}).items()
    ]
    return template | ({"outputs": {"parameters": outs}} if outs else {})


def task(name: str, template: str, depends: str = "", arguments: Any = None, **more: Any) -> dict[str, Any]:
    given = [{"name": key, "value": value} for key, value in (arguments or {}).items()]
    waits = {"depends": depends} if depends else {}
    return {"name": name, "template": template, "arguments": {"parameters": given}, **waits, **more}


def workflow(*templates: Any, name: str = "run", entrypoint: str = "entry", **spec: Any) -> Any:
    body = {"entrypoint": entrypoint, "templates": list(templates), **spec}
    metadata = {"name": name, "namespace": "demo", "labels": {"pipeline/runid": "r-1"}}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": body}


def pipeline(cached: str = "", **course: str) -> Any:
    """A run of Kubeflow Pipelines as its compiler writes it: a driver and a launcher for one component."""
    decided = {"sim.output.cached-decision": cached} if cached else {}
    outputs = {"pod-spec-patch": "", "cached-decision": "false"}
    decision = {"cached-decision": "{{tasks.add-driver.outputs.parameters.cached-decision}}"}
    impl = task(
        "executor", "system-container-impl", when="{{inputs.parameters.cached-decision}} != true", arguments={"x": "1"}
    )
    inputs = {"parameters": [{"name": "cached-decision", "default": "false"}]}
    return workflow(
        step("system-dag-driver", run_seconds="2", outputs={"execution-id": "7"}),
        step("system-container-driver", run_seconds="2", outputs=outputs, annotations=decided),
        step("system-container-impl", inputs=("x",), **{"run_seconds": "10", **course}),
        {"name": "system-container-executor", "inputs": inputs, "dag": {"tasks": [impl]}},
        {
            "name": "root",
            "dag": {
                "tasks": [
                    task("add-driver", "system-container-driver"),
                    task("add", "system-container-executor", "add-driver.Succeeded", decision),
                ]
            },
        },
        {
            "name": "entrypoint",
            "dag": {"tasks": [task("root-driver", "system-dag-driver"), task("root", "root", "root-driver.Succeeded")]},
        },
        entrypoint="entrypoint",
        podMetadata={"labels": {"pipeline/runid": "r-1", "pipelines.kubeflow.org/v2_component": "true"}},
    )


def nodes(world: Any, name: str = "run") -> dict[str, str]:
    found = world.found(WORKFLOWS, name)["status"]["nodes"]
    return {node["name"]: node["phase"] for node in found.values()}


def phase(world: Any, name: str = "run") -> str:
    return str(world.found(WORKFLOWS, name)["status"]["phase"])


async def test_the_companion_of_a_step_ends_after_it(world):
    world.client.create(WORKFLOWS, workflow(step("entry", run_seconds="forever")))
    await world.advance(10)
    [pod] = world.pods()
    annotations = {**pod["metadata"]["annotations"], "sim.run-seconds": "0"}
    since = world.store.version
    world.client.update("pods", {**pod, "metadata": {**pod["metadata"], "annotations": annotations}})
    await world.advance(1)
    states = [
        {each["name"]: next(iter(each["state"])) for each in change.stored.body["status"]["containerStatuses"]}
        for change in world.store.since("pods", since)
    ]
    assert {"main": "terminated", "wait": "running"} in states
    assert {"main": "running", "wait": "terminated"} not in states
    assert world.pods()[0]["status"]["phase"] == "Succeeded"


async def test_a_pipeline_run_goes_from_driver_to_driver_to_launcher(world):
    world.client.create(WORKFLOWS, pipeline())
    await world.advance(5)
    assert nodes(world) == {"run": "Running", "run.root-driver": "Running"}
    await world.advance(3)
    assert nodes(world)["run.root.add-driver"] in {"Pending", "Running"}
    await world.advance(6)
    assert nodes(world)["run.root.add.executor"] == "Running"
    assert phase(world) == "Running"
    await world.advance(20)
    assert set(nodes(world).values()) == {"Succeeded"}
    found = world.found(WORKFLOWS, "run")
    assert (found["status"]["phase"], found["status"]["progress"]) == ("Succeeded", "3/3")
    assert found["metadata"]["labels"] == {
        "pipeline/runid": "r-1",
        f"{MARK}/phase": "Succeeded",
        f"{MARK}/completed": "true",
    }


async def test_a_pod_says_which_node_of_which_workflow_it_is(world, traits_of):
    world.client.create(WORKFLOWS, pipeline())
    await world.advance(3)
    (pod,) = world.pods()
    number = fnv32("run.root-driver")
    assert traits_of(pod) == {
        "name": f"run-system-dag-driver-{number}",
        "labels": {
            f"{MARK}/workflow": "run",
            f"{MARK}/completed": "false",
            "pipeline/runid": "r-1",
            "pipelines.kubeflow.org/v2_component": "true",
        },
        "owners": [
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "name": "run",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
        "containers": ["wait", "main"],
    }
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["init"]
    annotations = pod["metadata"]["annotations"]
    assert annotations[f"{MARK}/node-name"] == "run.root-driver"
    assert annotations[f"{MARK}/node-id"] == f"run-{number}"
    await world.advance(5)
    assert world.pod(pod["metadata"]["name"])["metadata"]["labels"][f"{MARK}/completed"] == "true"


def test_names_are_hashed_as_argo_hashes_them():
    assert (fnv32(""), fnv32("a"), fnv32("foobar")) == (0x811C9DC5, 0xE40C292C, 0xBF9CF968)


def test_a_condition_compares_texts():
    assert holds("")
    assert holds("'false' != true && a == a")
    assert not holds("true != true")
    assert holds("a == b || c == c")


async def test_a_cached_step_has_a_driver_and_no_launcher(world):
    world.client.create(WORKFLOWS, pipeline(cached="true"))
    await world.advance(30)
    assert nodes(world)["run.root.add.executor"] == "Skipped"
    assert phase(world) == "Succeeded"
    assert len(world.pods()) == 2


async def test_a_failed_step_fails_the_run(world):
    world.client.create(WORKFLOWS, pipeline(exit_code="3"))
    await world.advance(40)
    assert phase(world) == "Failed"
    (failed,) = [each for each in world.found(WORKFLOWS, "run")["status"]["nodes"].values() if each["type"] == "Pod"][
        2:
    ]
    assert failed["message"] == "Error (exit code 3)"


@pytest.mark.parametrize(("limit", "outcome", "pods"), [(1, "Failed", 2), (2, "Succeeded", 3)])
async def test_a_step_is_tried_again_under_a_name_of_its_own(world, limit, outcome, pods):
    again = step("entry", run_seconds="2", fail_times="2") | {"retryStrategy": {"limit": str(limit)}}
    world.client.create(WORKFLOWS, workflow(again))
    await world.advance(40)
    assert phase(world) == outcome
    assert sorted(nodes(world)) == ["run", *(f"run({attempt})" for attempt in range(pods))]
    expected = {f"run-entry-{fnv32(f'run({attempt})')}" for attempt in range(pods)}
    assert {pod["metadata"]["name"] for pod in world.pods()} == expected


async def test_the_pod_of_a_workflow_of_one_step_has_its_name(world):
    world.client.create(WORKFLOWS, workflow(step("entry")))
    await world.advance(10)
    assert [pod["metadata"]["name"] for pod in world.pods()] == ["run"]
    assert phase(world) == "Succeeded"


async def test_steps_go_group_by_group(world):
    steps = [
        [{"name": "a", "template": "work"}, {"name": "b", "template": "work"}],
        [{"name": "c", "template": "work"}],
    ]
    world.client.create(WORKFLOWS, workflow({"name": "entry", "steps": steps}, step("work", run_seconds="5")))
    await world.advance(3)
    assert sorted(nodes(world)) == ["run", "run[0]", "run[0].a", "run[0].b"]
    await world.advance(20)
    assert nodes(world)["run[1].c"] == "Succeeded"
    assert phase(world) == "Succeeded"


async def test_a_task_may_depend_on_the_failure_of_another(world):
    tasks = [task("a", "bad"), task("b", "good", "a.Succeeded"), task("c", "good", "a.Failed")]
    entry = {"name": "entry", "dag": {"tasks": tasks}}
    world.client.create(WORKFLOWS, workflow(entry, step("bad", exit_code="1"), step("good")))
    await world.advance(30)
    assert nodes(world)["run.c"] == "Succeeded"
    assert nodes(world)["run.b"] == "Omitted"
    assert phase(world) == "Succeeded"


async def test_a_suspended_workflow_begins_nothing_new_and_ends_what_it_began(world):
    world.client.create(WORKFLOWS, pipeline())
    await world.advance(3)
    world.change_spec(WORKFLOWS, "run", lambda spec: spec.update(suspend=True))
    await world.advance(30)
    assert nodes(world)["run.root-driver"] == "Succeeded"
    assert (len(world.pods()), phase(world)) == (1, "Running")
    world.change_spec(WORKFLOWS, "run", lambda spec: spec.update(suspend=None))
    await world.advance(40)
    assert phase(world) == "Succeeded"


@pytest.mark.parametrize("seconds", [0, 3])
async def test_a_workflow_that_is_shut_down_has_failed_for_good(world, seconds):
    world.client.create(WORKFLOWS, pipeline())
    await world.advance(seconds)
    world.change_spec(WORKFLOWS, "run", lambda spec: spec.update(shutdown="Stop"))
    await world.advance(10)
    assert phase(world) == "Failed"
    assert world.found(WORKFLOWS, "run")["status"]["message"] == "Stopped with strategy 'Stop'"
    assert world.pods() == []


async def test_pods_are_collected_and_the_workflow_expires_as_it_says(world):
    spec = {"podGC": {"strategy": "OnPodSuccess"}, "ttlStrategy": {"secondsAfterCompletion": 60}}
    world.client.create(WORKFLOWS, workflow(step("entry"), **spec))
    await world.advance(10)
    assert (phase(world), world.pods()) == ("Succeeded", [])
    await world.advance(60)
    assert world.client.get(WORKFLOWS, "demo", "run") is None


async def test_labels_are_resolved_in_name_and_value_and_left_out_when_they_cannot_be(world):
    labels = {"{{workflow.parameters.key}}": "{{workflow.parameters.value}}", "{{inputs.parameters.no}}": "x"}
    entry = step("entry") | {"metadata": {"labels": labels}}
    arguments = {"parameters": [{"name": "key", "value": "team"}, {"name": "value", "value": "a"}]}
    world.client.create(WORKFLOWS, workflow(entry, arguments=arguments))
    await world.advance(5)
    marked = {key: value for key, value in world.pod("run")["metadata"]["labels"].items() if MARK not in key}
    assert marked == {"team": "a"}


async def test_a_pod_that_can_never_be_made_is_an_error_and_stops_no_other(world):
    broken = step("broken") | {"metadata": {"labels": {"not a label!": "x"}}}
    tasks = [task("a", "broken"), task("b", "good")]
    world.client.create(WORKFLOWS, workflow({"name": "entry", "dag": {"tasks": tasks}}, broken, step("good")))
    await world.advance(10)
    assert (nodes(world)["run.a"], nodes(world)["run.b"], phase(world)) == ("Error", "Succeeded", "Failed")


async def test_a_node_whose_pod_is_deleted_is_an_error(world):
    world.client.create(WORKFLOWS, workflow(step("entry", run_seconds="60")))
    await world.advance(5)
    world.client.delete("pods", "demo", "run", grace_seconds=0)
    await world.advance(5)
    assert phase(world) == "Error"


async def test_a_deleted_workflow_takes_its_pods_with_it(world):
    world.client.create(WORKFLOWS, pipeline())
    await world.advance(3)
    world.client.delete(WORKFLOWS, "demo", "run")
    await world.advance(5)
    assert world.pods() == []
