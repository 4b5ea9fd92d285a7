"""Lives in which something goes wrong: what fails, what is tried again, and what is lost and made anew.

The examples are those of `test_lives.py`, with fields that say how often something may fail. Whatever happens to its
pods, a workload stays the one row that it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from system.cases import case_of
from system.life import EXAMPLES, Life, Picture, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

RUNTIME = "0.spec.template.spec"


@dataclass(frozen=True, slots=True)
class Trouble:
    """All pods of one role end badly, in an example with these fields. The attribute is one that a retry changes."""

    kind: str
    role: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    exit_code: int = 3
    attribute: str = ""
    reason: str = "ended with exit code 3."


def with_runtime(name: str, restarts: int) -> dict[str, Any]:
    """Return the fields of a TrainJob with a runtime of its own, whose Jobs do not try their pods again."""
    policy = {"maxRestarts": restarts}
    jobs = {f"{RUNTIME}.failurePolicy": policy, f"{RUNTIME}.replicatedJobs.0.template.spec.backoffLimit": 0}
    return {"0.metadata.name": name, "spec.runtimeRef.name": name, **jobs}


def of_submission(name: str) -> dict[str, Any]:
    """Return the fields of another submission by spark-submit: its labels, and properties of its own."""
    labels = {"metadata.labels.spark-app-name": name, "metadata.labels.spark-app-selector": f"spark-{name}"}
    return {"0.metadata.name": name, "spec.volumes.0.configMap.name": name, **labels}


FAILURES = (
    Trouble("PyTorchJob", "worker", {"spec.pytorchReplicaSpecs.Worker.restartPolicy": "Never"}),
    Trouble("TFJob", "chief"),
    Trouble("MPIJob", "launcher", {"spec.runPolicy.backoffLimit": 0}, reason="reached the specified backoff limit."),
    Trouble("TrainJob", "node", with_runtime("impatient", restarts=0)),
    Trouble("RayJob", "submitter"),
    Trouble("SparkApplication", "driver"),
    Trouble("SparkApp", "driver", of_submission("failing-sales-report")),
    Trouble("Workflow", "step"),
    Trouble("MLflowRun", "main"),
)
RETRIES = (
    Trouble("PyTorchJob", "worker", {"spec.pytorchReplicaSpecs.Worker.restartPolicy": "ExitCode"}, exit_code=137),
    Trouble("TFJob", "worker", {"spec.tfReplicaSpecs.Worker.restartPolicy": "ExitCode"}, exit_code=137),
    pytest.param(
        Trouble("MPIJob", "launcher", {"spec.mpiReplicaSpecs.Launcher.restartPolicy": "Never"}),
        marks=pytest.mark.nightly,  # a Job waits ten seconds before it tries again
    ),
    Trouble("TrainJob", "node", with_runtime("patient", restarts=1)),
    Trouble("RayJob", "submitter", {"spec.backoffLimit": 1}, attribute="ray_cluster"),
    Trouble(
        "SparkApplication",
        "driver",
        {"spec.restartPolicy": {"type": "OnFailure", "onFailureRetries": 1, "onFailureRetryInterval": 1}},
        attribute="spark_app_id",
    ),
    pytest.param(
        Trouble("Workflow", "step", {"spec.templates.2.retryStrategy": {"limit": 1}}), marks=pytest.mark.nightly
    ),
    Trouble("VirtualMachine", "virt-launcher"),
)
LOSSES = (
    ("Notebook", "notebook"),
    ("SeldonDeployment", "model"),
    *(
        pytest.param(kind, role, marks=pytest.mark.nightly)  # as these two, and slower
        for kind, role in (
            ("RayCluster", "head"),
            ("RayCluster", "worker:gpu"),
            ("RayService", "worker:gpu"),
            ("SparkApplication", "executor"),
            ("InferenceService", "predictor"),
        )
    ),
)


async def begun(world: World, kind: str, name: str, fields: Mapping[str, Any]) -> Life:
    """Create the example of a kind and wait until it runs."""
    case = case_of(kind)
    await world.create(case.example, name=name, **fields)
    life = await world.workload(name)
    await life.shows(case.running)
    return life


@pytest.mark.parametrize("trouble", FAILURES, ids=lambda trouble: trouble.kind)
async def test_a_failure_is_shown_with_its_reason(world: World, trouble: Trouble) -> None:
    life = await begun(world, trouble.kind, f"failing-{case_of(trouble.kind).name}", trouble.fields)
    await life.end(trouble.role, trouble.exit_code)
    await life.reaches("Failed")
    assert trouble.reason in (await life.row())["phase_reason"]
    await life.shows(case_of(trouble.kind).at_rest("Failed"))
    assert (await life.phases())[-1] == "Failed"
    await life.delete()


@pytest.mark.parametrize("trouble", RETRIES, ids=lambda trouble: trouble.kind)
async def test_what_is_tried_again_stays_one_workload_and_has_not_failed(world: World, trouble: Trouble) -> None:
    case = case_of(trouble.kind)
    life = await begun(world, trouble.kind, f"retried-{case.name}", trouble.fields)
    first, before = await life.row(), await life.living(trouble.role)
    await life.end(trouble.role, trouble.exit_code)
    await life.shows(case.running, without=before)
    changed = (await life.row())["attributes"].get(trouble.attribute)
    assert not trouble.attribute or changed != first["attributes"][trouble.attribute]
    await life.end(case.ends)
    await life.reaches(case.last)
    assert "Failed" not in await life.phases()
    await life.delete()


@pytest.mark.parametrize(("kind", "role"), LOSSES)
async def test_what_is_lost_is_made_anew_in_the_same_workload(world: World, kind: str, role: str) -> None:
    life = await begun(world, kind, f"losing-{role.partition(':')[0]}-{case_of(kind).name}", {})
    before = await life.living(role)
    await life.lose(role)
    await life.shows(case_of(kind).running, without=before)
    assert "Failed" not in await life.phases()
    await life.delete()


@pytest.mark.nightly
async def test_a_dag_run_has_failed_when_it_is_quiet_after_a_last_try_that_failed(world: World) -> None:
    text = (EXAMPLES / "airflow-dag-run.yaml").read_text(encoding="utf-8")
    run = text.replace("nightly_training", "failing_training").replace("retries: 1", "retries: 0")
    body = yaml.safe_load(run)
    body["metadata"]["name"] = "failing-training"
    await world.create_object(body)
    life = await world.workload("failing_training")
    await life.reaches("Running")
    await life.end("airflow-worker")
    await life.shows(Picture("Running", "2/2", 1, 1, {"airflow-worker": 1, "task": 1}))
    await life.end("task", exit_code=1)
    await life.reaches("Failed")
    assert (await life.row())["attributes"]["failed_tasks"] == "train#1"
