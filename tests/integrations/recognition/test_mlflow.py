"""MLflow: which Jobs are runs, what else names a run, and what does not."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, container, manifest, owned_by, pod, project, recorded, submission, uid
from muster_cluster.objects import DEPLOYMENTS, JOBS, REPLICA_SETS
from muster_contracts import names
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import Outcome, ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "mlflow"
RESOURCES = {resource.kind: resource for resource in written_resources()}
RUN = [{"name": "MLFLOW_RUN_ID", "value": "0deee6d4"}, {"name": "MLFLOW_EXPERIMENT_ID", "value": "7"}]


def spec(env: list[dict[str, Any]]) -> dict[str, Any]:
    return {"containers": [container(1, env=env)]}


def job(env: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    written = {"parallelism": 1, "template": {"metadata": {}, "spec": spec(env)}}
    return manifest(JOBS, "project-2026", spec=written, **parts)


def all_seen(world: World) -> list[SeenWorkload]:
    return [seen for one in world.mirror.workload_ids if (seen := world.mirror.seen_workload(one)) is not None]


def the_workload(*manifests: dict[str, Any]) -> SeenWorkload:
    world = World(project())
    world.show(*manifests)
    (found,) = all_seen(world)
    return found


@pytest.mark.parametrize("name", ["project-job.json", "derived-project-job-pod.json"])
def test_a_recorded_run_of_a_project_is_known_by_its_environment(name: str) -> None:
    found = the_workload(*recorded(RECORDED / name))
    assert (found.kind, found.api_version, found.workload_class) == ("MLflowRun", "batch/v1", WorkloadClass.THIRD_PARTY)
    assert found.identity_source == "env"
    assert found.attributes == {"mlflow_run_id": "0deee6d40d9243d7952a33aba5f85141", "mlflow_experiment_id": "1"}
    assert found.requests.gpu_millionths == 1_000_000
    assert {one.role for one in found.pods.values()} <= {"main"}


def test_a_run_ends_and_is_stopped_as_the_job_it_is() -> None:
    found = the_workload(job(RUN, status={"conditions": [{"type": "Failed", "status": "True", "message": "Boom"}]}))
    assert (found.owner.outcome, found.owner.reason) == (Outcome.FAILED, "Boom.")
    assert [patch.body for patch in found.controls.stop] == [{"spec": {"suspend": True}}]
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (True, True, True)
    assert found.object_id == UUID(uid("Job/project-2026"))


def test_a_run_whose_job_may_not_be_read_is_known_by_its_pod() -> None:
    world = World(project())
    world.mirror.reads(("batch", "Job"), Reading.FORBIDDEN)
    world.show(pod("project-x", references=[owned_by(job(RUN))], spec=spec(RUN)))
    (found,) = all_seen(world)
    assert (found.kind, found.identity) == ("MLflowRun", uid("Job/project-2026"))


def test_a_run_does_not_go_when_jobs_may_no_longer_be_read() -> None:
    world = World(project())
    written = job(RUN)
    world.show(written)
    world.write()
    world.mirror.reads(("batch", "Job"), Reading.FORBIDDEN)
    world.step(written, None, seen=False)
    assert not [event for event in world.write() if event.type == "WorkloadGone.v1"]


@pytest.mark.parametrize(
    "env",
    [
        [],
        [{"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow"}],
        [{"name": "MLFLOW_RUN_ID", "value": ""}],
        [{"name": "MLFLOW_RUN_ID", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}],
    ],
)
def test_who_only_talks_to_a_server_is_no_run(env: list[dict[str, Any]]) -> None:
    found = the_workload(job(env))
    assert (found.kind, found.identity_source) == ("Job", "owner")
    assert "mlflow_run_id" not in found.attributes


def test_a_training_of_muster_s_that_names_a_run_stays_a_training() -> None:
    workload_id = UUID(int=42)
    world = World(project(), submission(workload_id, "project-2026"))
    world.show(job(RUN, labels={names.WORKLOAD_ID: str(workload_id)}))
    (found,) = all_seen(world)
    assert (found.kind, found.workload_class, found.attributes["mlflow_run_id"]) == (
        "Job",
        WorkloadClass.NATIVE,
        "0deee6d4",
    )


def test_a_job_that_a_step_of_a_workflow_made_is_a_job_that_names_a_run() -> None:
    workflow = manifest(RESOURCES["Workflow"], "nightly")
    world = World(project())
    world.show(workflow, job(RUN, owner=workflow))
    (found,) = [one for one in all_seen(world) if one.name == "project-2026"]
    assert (found.kind, found.attributes["mlflow_run_id"]) == ("Job", "0deee6d4")
    assert found.parent == ParentRef(kind="Workflow", name="nightly")


def test_of_anything_else_the_run_is_an_attribute() -> None:
    web = manifest(DEPLOYMENTS, "web", spec={"replicas": 1, "template": {"metadata": {}, "spec": {}}})
    replica_set = manifest(REPLICA_SETS, "web-1", owner=web, spec={"replicas": 1, "template": {"metadata": {}}})
    found = the_workload(web, replica_set, pod("web-1-x", owner=replica_set, spec=spec(RUN)))
    assert (found.kind, found.attributes) == ("Deployment", {"mlflow_run_id": "0deee6d4", "mlflow_experiment_id": "7"})


def test_a_run_within_a_task_of_airflow_has_the_dag_run_as_its_parent() -> None:
    labels = {"dag_id": "nightly", "run_id": "manual-1", "task_id": "train", "try_number": "1"}
    owner = job(RUN)
    found = the_workload(owner, pod("project-x", owner=owner, labels=labels, spec=spec(RUN)))
    assert (found.kind, found.parent) == ("MLflowRun", ParentRef(kind="AirflowDagRun", name="nightly/manual-1"))


@pytest.mark.parametrize(
    ("requirements", "framework"), [(["mlflow"], "mlflow"), (["sklearn", 7], None), ("mlflow", None)]
)
def test_a_server_says_that_a_model_in_it_is_mlflow_s(requirements: Any, framework: str | None) -> None:
    server = manifest(RESOURCES["Server"], "mlserver", spec={"replicas": 1})
    model = manifest(RESOURCES["Model"], "wine", spec={"server": "mlserver", "requirements": requirements})
    found = the_workload(server, model)
    assert (found.kind, found.attributes.get("framework")) == ("Server", framework)


def inference_service(model_format: Any) -> dict[str, Any]:
    written = {"predictor": {"model": {"modelFormat": {"name": model_format}}}}
    return manifest(RESOURCES["InferenceService"], "wine", spec=written)


def seldon_deployment(graph: Any) -> dict[str, Any]:
    return manifest(RESOURCES["SeldonDeployment"], "wine", spec={"predictors": [{"name": "default", "graph": graph}]})


@pytest.mark.parametrize(
    ("served", "framework"),
    [
        (inference_service("mlflow"), "mlflow"),
        (inference_service(7), None),
        (seldon_deployment({"implementation": "MLFLOW_SERVER"}), "mlflow"),
        (seldon_deployment({"children": [{"implementation": "MLFLOW_SERVER"}, 7]}), "mlflow"),
        (seldon_deployment("graph"), None),
    ],
)
def test_a_model_that_is_served_says_that_it_is_mlflow_s(served: dict[str, Any], framework: str | None) -> None:
    found = the_workload(served)
    assert (found.kind, found.attributes.get("framework")) == (served["kind"], framework)
