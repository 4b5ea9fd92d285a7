"""Argo Workflows and runs of Kubeflow Pipelines: one workload per Workflow, a group per step, schedules as parents."""

import json
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, container, gangs, manifest, owned_by, pod, pod_spec, project, roles, see, uid
from muster_cluster.objects import JOBS
from muster_contracts.values import Outcome, ParentRef
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RESOURCES = {resource.kind: resource for resource in written_resources()}
WORKFLOW = "workflows.argoproj.io/workflow"
SCHEDULED = "scheduledworkflows.kubeflow.org/scheduledWorkflowName"


def workflow(phase: str = "", spec: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    status = parts.pop("status", {}) | ({"phase": phase} if phase else {})
    return manifest(RESOURCES["Workflow"], "etl", spec=spec or {}, status=status, **parts)


def step(owner: dict[str, Any], name: str, **parts: Any) -> dict[str, Any]:
    labels = {WORKFLOW: owner["metadata"]["name"], "workflows.argoproj.io/completed": "false"}
    return pod(name, owner=owner, **({"labels": labels} | parts))


ENDED = {"phase": "Succeeded"}


# ------------------------------------------------------------ pods


def test_every_step_of_a_workflow_starts_alone() -> None:
    owner = workflow("Running")
    found = see(owner, step(owner, "etl-extract-1"), step(owner, "etl-load-2", spec=pod_spec(gpus=2)))
    assert (found.kind, found.identity, found.owner.serving) == ("Workflow", uid("Workflow/etl"), False)
    assert gangs(found) == {"etl-extract-1": (1, {}), "etl-load-2": (1, {})}
    assert set(roles(found).values()) == {"step"}
    assert (found.owner.desired_pods, found.owner.min_pods, found.requests.gpu_millionths) == (2, 1, 2_000_000)


def test_a_workflow_wants_as_many_pods_as_are_alive() -> None:
    owner = workflow("Running")
    assert see(owner).owner.desired_pods == 0
    assert see(owner, step(owner, "a", status=ENDED), step(owner, "b")).owner.desired_pods == 1


@pytest.mark.parametrize(
    ("name", "annotations", "role"),
    [
        ("etl-system-dag-driver-2481919361", {}, "driver"),
        ("etl-system-container-driver-3411391827", {}, "driver"),
        ("etl-system-container-impl-992817722", {}, "launcher"),
        ("etl-992817722", {"pipelines.kubeflow.org/runtime-role": "driver"}, "driver"),
        ("etl-system-container-impl-1", {"pipelines.kubeflow.org/runtime-role": "driver"}, "driver"),
        ("etl-992817722", {"pipelines.kubeflow.org/runtime-role": "chef"}, "step"),
        ("etl-train-992817722", {}, "step"),
    ],
)
def test_pipelines_have_drivers_and_launchers(name: str, annotations: dict[str, str], role: str) -> None:
    owner = workflow()
    assert roles(see(owner, step(owner, name, annotations=annotations))) == {name: role}


def test_the_template_that_argo_writes_into_the_pod_tells_the_role_where_the_name_does_not() -> None:
    owner = workflow()
    variable = {"name": "ARGO_TEMPLATE", "value": json.dumps({"name": "system-container-impl", "inputs": {}})}
    spec = pod_spec(containers=[container(env=[variable])])
    assert roles(see(owner, step(owner, "etl-992817722", spec=spec))) == {"etl-992817722": "launcher"}


@pytest.mark.parametrize(
    ("containers", "mains"),
    [(["main", "wait", "proxy"], ["main"]), (["first", "second", "wait"], ["first", "second"]), (["only"], ["only"])],
)
def test_the_step_itself_decides_not_what_runs_beside_it(containers: list[str], mains: list[str]) -> None:
    owner = workflow()
    spec = pod_spec(containers=[container(name=name) for name in containers])
    found = see(owner, step(owner, "etl-a", spec=spec))
    assert [c.name for facts in found.pods.values() for c in facts.containers if c.role == "main"] == mains


def test_a_run_of_a_pipeline_says_which() -> None:
    labels, annotations = {"pipeline/runid": "6c4d"}, {"pipelines.kubeflow.org/run_name": "Nightly training"}
    assert see(workflow(labels=labels, annotations=annotations)).attributes == {
        "run_id": "6c4d",
        "run_name": "Nightly training",
    }
    assert see(workflow()).attributes == {}


def test_what_a_step_makes_is_a_workload_whose_parent_the_workflow_is() -> None:
    owner = workflow("Running")
    train = manifest(RESOURCES["PyTorchJob"], "train", owner=owner, spec={"pytorchReplicaSpecs": {"Worker": {}}})
    batch = manifest(JOBS, "batch", owner=owner, spec={"template": {}})
    parent = ParentRef(kind="Workflow", name="etl")
    assert see(train, owner).parent == parent
    assert see(batch, owner, pod("batch-a", owner=batch)).parent == parent
    assert see(owner, train, batch, pod("batch-a", owner=batch)).pods == {}


def test_the_parent_of_what_a_step_makes_is_the_workflow_and_not_its_schedule() -> None:
    schedule = manifest(RESOURCES["ScheduledWorkflow"], "nightly")
    owner = workflow("Running", owner=schedule)
    train = manifest(RESOURCES["PyTorchJob"], "train", owner=owner, spec={"pytorchReplicaSpecs": {"Worker": {}}})
    assert see(train, owner, schedule).parent == ParentRef(kind="Workflow", name="etl")


# ------------------------------------------------------------ schedules


@pytest.mark.parametrize("kind", ["ScheduledWorkflow", "CronWorkflow"])
@pytest.mark.parametrize("controller", [True, False])
def test_a_schedule_is_the_parent_and_no_workload(kind: str, controller: bool) -> None:
    schedule = manifest(RESOURCES[kind], "nightly")
    world = World(project())
    owned = workflow(references=[owned_by(schedule, controller=controller)])
    world.show(schedule, owned, step(owned, "etl-a"))
    assert list(world.mirror.workload_ids) == [UUID(uid("Workflow/etl"))]
    assert see(owned, schedule).parent == ParentRef(kind=kind, name="nightly")


@pytest.mark.parametrize(
    ("label", "kind"), [(SCHEDULED, "ScheduledWorkflow"), ("workflows.argoproj.io/cron-workflow", "CronWorkflow")]
)
def test_labels_name_the_schedule_when_no_owner_does(label: str, kind: str) -> None:
    assert see(workflow(labels={label: "nightly"})).parent == ParentRef(kind=kind, name="nightly")


# ------------------------------------------------------------ how it fares


@pytest.mark.parametrize(
    ("phase", "outcome", "ready"),
    [
        ("", Outcome.NONE, None),
        ("Pending", Outcome.NONE, None),
        ("Running", Outcome.NONE, True),
        ("Succeeded", Outcome.SUCCEEDED, None),
        ("Failed", Outcome.FAILED, None),
        ("Error", Outcome.FAILED, None),
        ("Dreaming", Outcome.NONE, None),
    ],
)
def test_the_phase_of_a_workflow_is_its_word(phase: str, outcome: Outcome, ready: bool | None) -> None:
    status = {"message": "child failed", "finishedAt": "2026-11-01T12:00:00Z"}
    facts = see(workflow(phase, status=status)).owner
    assert (facts.outcome, facts.ready) == (outcome, ready)
    assert facts.reason == ("child failed" if outcome is Outcome.FAILED else "")
    assert (facts.finished_at is not None) == (outcome is not Outcome.NONE)


def test_a_failed_pod_that_is_tried_again_is_no_failure_of_the_workflow() -> None:
    owner = workflow("Running")
    facts = see(owner, step(owner, "etl-a", status={"phase": "Failed"}), step(owner, "etl-b")).owner
    assert (facts.outcome, facts.ready) == (Outcome.NONE, True)


def test_a_suspended_workflow_is_stopped_only_when_its_last_step_has_ended() -> None:
    owner = workflow("Running", {"suspend": True})
    assert not see(owner, step(owner, "etl-a")).owner.suspended
    assert see(owner, step(owner, "etl-a", status=ENDED)).owner.suspended
    assert not see(workflow("Running")).owner.suspended


def test_a_workflow_is_stopped_for_good() -> None:
    found = see(workflow("Running", version=9))
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (True, False, True)
    assert [patch.body for patch in found.controls.stop] == [{"spec": {"shutdown": "Stop"}}]
    assert found.controls.activate == ()
    assert found.controls.reason.endswith(".")
    assert [reference.resource for reference in found.controls.delete] == ["workflows"]


@pytest.mark.parametrize(("spec", "status"), [(None, None), ("a", "b"), ([], []), ({"suspend": "yes"}, {"phase": 3})])
def test_a_workflow_in_an_odd_shape_is_a_workload(spec: Any, status: Any) -> None:
    owner = manifest(RESOURCES["Workflow"], "etl", spec=spec, status=status)
    found = see(owner, step(owner, "etl-a"))
    assert (found.kind, found.owner.suspended, found.owner.outcome) == ("Workflow", False, Outcome.NONE)


# ------------------------------------------------------------ without the object


def test_pods_of_a_workflow_that_is_gone_are_known_by_its_name_and_their_schedule() -> None:
    world = World(project())
    world.mirror.reads(("argoproj.io", "Workflow"), Reading.FORBIDDEN)
    labels = {WORKFLOW: "etl", "pipeline/runid": "6c4d", SCHEDULED: "nightly"}
    world.show(*(pod(name, labels=labels) for name in ("etl-a", "etl-b")))
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.kind, found.identity, found.identity_source) == ("Workflow", "muster-demo/etl", "label")
    assert (found.attributes, found.parent) == ({"run_id": "6c4d"}, ParentRef(kind="ScheduledWorkflow", name="nightly"))
    assert len(found.groups) == 2
