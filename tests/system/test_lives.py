"""The life of one object of each system, from its creation to its end, as Muster shows and steers it.

Each example of `examples/` is created as it stands there. Its pods run for a minute, so that nothing is missed on a
machine that is busy; a test that has seen enough lets them end. What goes wrong is in `test_lives_in_trouble.py`.
"""

from dataclasses import dataclass, replace

import pytest
from system.cases import CASES, STARTED, Case, case_of
from system.life import Life, Picture, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGAIN = ["Stopped", "Pending", "Initializing", "Running"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
async def test_a_life_from_its_creation_over_a_stop_to_its_end(world: World, case: Case) -> None:
    *_, thing = await world.create(case.example)
    life = await world.workload(case.name)
    await life.shows(case.running)
    await assert_is_of(life, case)
    assert await life.phases() == STARTED

    await life.ask("stop")
    await life.shows(case.stopped)
    await life.ask("activate")
    await life.shows(case.running)
    assert await life.phases() == STARTED + AGAIN

    if case.ends:
        await life.end(case.ends)
        await life.shows(case.at_rest(case.last))
        assert (await life.phases())[-2:] == ["Running", case.last]
    await life.delete()
    assert await thing.read() is None
    assert await world.only_row(case.name) is None
    assert (await world.only_row(case.name, deleted="true"))["id"] == life.id


async def assert_is_of(life: Life, case: Case) -> None:
    row = await life.row()
    assert (row["kind"], row["class"], row["name"]) == (case.kind, "third-party", case.name)
    assert (row["project"], row["parent"], row["priority_class"]) == ("demo", None, case.priority)
    assert row["actions_supported"] == {"stop": True, "activate": True, "delete": True}


# ------------------------------------------------------------ another size


@dataclass(frozen=True, slots=True)
class Growth:
    """One replica more than an example has, and where it is written in the spec."""

    case: Case
    field: str
    size: int
    role: str


GROWTHS = (
    Growth(case_of("RayCluster"), "workerGroupSpecs.0.replicas", 3, "worker:gpu"),
    Growth(case_of("RayService"), "rayClusterConfig.workerGroupSpecs.0.replicas", 2, "worker:gpu"),
    Growth(case_of("SeldonDeployment"), "predictors.0.replicas", 3, "model"),
    Growth(case_of("InferenceService"), "predictor.minReplicas", 3, "predictor"),
)


@pytest.mark.parametrize("growth", GROWTHS, ids=lambda growth: growth.case.kind)
async def test_what_grows_and_shrinks_stays_one_workload(world: World, growth: Growth) -> None:
    case, name = growth.case, f"growing-{growth.case.name}"
    [thing] = await world.create(case.example, name=name)
    life = await world.workload(name)
    await life.shows(case.running)
    await thing.put(growth.field, growth.size)
    grown = replace(case, gpus=case.gpus + 1, roles={**case.roles, growth.role: growth.size})
    await life.shows(grown.running)
    await thing.put(growth.field, growth.size - 1)
    await life.shows(case.running)
    assert "Stopped" not in await life.phases()
    await thing.delete()  # by whoever made it
    await life.goes()
    assert await world.only_row(name) is None


# ------------------------------------------------------------ suspended by others


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("PyTorchJob", "runPolicy.suspend"),
        ("TFJob", "runPolicy.suspend"),
        ("MPIJob", "runPolicy.suspend"),
        ("TrainJob", "suspend"),
        ("RayCluster", "suspend"),
        ("RayJob", "suspend"),
        ("RayService", "suspend"),
        ("SparkApplication", "suspend"),
        ("MLflowRun", "suspend"),
    ],
)
async def test_what_somebody_suspends_in_kubernetes_is_stopped_until_they_resume_it(
    world: World, kind: str, field: str
) -> None:
    case = case_of(kind)
    name = f"suspended-{case.name}"
    # A runtime of its own, where there is one: the example's is there already.
    own = {"0.metadata.name": name, "spec.runtimeRef.name": name} if kind == "TrainJob" else {}
    *_, thing = await world.create(case.example, name=name, **own)
    life = await world.workload(name)
    await life.shows(case.running)
    await thing.put(field, True)
    await life.shows(case.stopped)
    await thing.put(field, False)
    await life.shows(case.running)
    seen = [phase for phase in await life.phases() if phase != "Degraded"]  # a pod may be seen to go before the reason
    assert seen == STARTED + AGAIN
    await thing.delete()
    await life.goes()


# ------------------------------------------------------------ what is peculiar to one system


async def test_a_dag_run_is_one_workload_through_its_tasks_and_a_retry(world: World) -> None:
    await world.create("airflow-dag-run.yaml")
    life = await world.workload("nightly_training")
    row = await life.row()
    assert (row["kind"], row["name"]) == (
        "AirflowDagRun",
        "nightly_training/scheduled__2026-11-22T0000000000-4fb165361",
    )
    alone = Picture("Running", "1/1", 0, 0, {"airflow-worker": 1})
    training = Picture("Running", "2/2", 1, 1, {"airflow-worker": 1, "task": 1})
    await life.shows(alone)
    await life.end("airflow-worker")
    await life.shows(training)
    assert await life.refusal("stop") == (
        f"Workload '{row['name']}' cannot be stopped: Airflow starts its tasks itself: a DAG run is stopped, and "
        "cleared to run again, in Airflow."
    )
    await life.end("task", exit_code=1)
    await life.tells(task_id="train", try_number="2")
    await life.shows(training)
    await life.end("task")
    await life.tells(task_id="report", try_number="1")
    await life.shows(alone)
    await life.end("airflow-worker")
    await life.reaches("Completed")  # after it has been quiet for a while
    assert "failed_tasks" not in (await life.row())["attributes"], "the second try of train went well"


async def test_a_pipeline_run_goes_from_step_to_step_to_its_end(world: World) -> None:
    await world.create("workflow.yaml", name="digits-of-old")
    life = await world.workload("digits-of-old")
    await life.shows(case_of("Workflow").running)
    await life.end("step")
    await life.shows(case_of("Workflow").at_rest("Completed"))
    assert (await life.phases())[:4] == STARTED
    assert {"Degraded", "Failed"}.isdisjoint(await life.phases())
    await life.delete()


async def test_a_pipeline_run_goes_from_step_to_step_and_is_stopped_for_good(world: World) -> None:
    [workflow] = await world.create("workflow.yaml")
    life = await world.workload("digits-7mxkz")
    await life.shows(case_of("Workflow").running)
    row = await life.row()
    assert (row["kind"], row["attributes"]["run_name"]) == ("Workflow", "digits of today")
    assert row["actions_supported"] == {"stop": True, "activate": False, "delete": True}
    assert await life.refusal("activate") == "Workload 'digits-7mxkz' is not stopped, so it cannot be activated."
    await life.ask("stop")
    await life.reaches("Failed")
    await life.delete()
    assert await workflow.read() is None


async def test_a_ray_service_has_two_clusters_while_it_is_upgraded(world: World) -> None:
    [service] = await world.create("rayservice.yaml", name="upgraded")
    life = await world.workload("upgraded")
    await life.shows(Picture("Running", "2/2", 1, 1, {"head": 1, "worker:gpu": 1}))
    await service.put("rayClusterConfig.headGroupSpec.template.spec.containers.0.image", "ray:2")
    await world.until(lambda: has_two_clusters(life))
    assert await life.phases() == STARTED
    await life.delete()


async def has_two_clusters(life: Life) -> bool:
    """Look at the pods alone: the first cluster stays for a while after it has ceased to be wanted."""
    return (await life.picture()).roles == {"head": 2, "worker:gpu": 2}


async def test_what_spark_submit_made_is_one_workload_until_its_driver_ends(world: World) -> None:
    [_, driver] = await world.create("spark-submit.yaml")
    life = await world.workload("sales-report")
    await life.shows(case_of("SparkApp").running)
    row = await life.row()
    assert (row["kind"], row["name"]) == ("SparkApp", "sales-report")
    assert row["actions_supported"] == {"stop": False, "activate": False, "delete": True}
    await life.end("driver")
    await life.reaches("Completed")
    await life.shows(case_of("SparkApp").at_rest("Completed"))
    assert await life.phases() == [*STARTED, "Completed"]
    await life.delete()
    assert await driver.read() is None


async def test_a_virtual_machine_that_shut_itself_down_is_not_said_to_start_when_it_would_not(world: World) -> None:
    await world.create("virtualmachine.yaml", name="shut-down")
    life = await world.workload("shut-down")
    await life.shows(Picture("Running", "1/1", 1, 1, {"virt-launcher": 1}))
    await life.end("virt-launcher")
    await life.reaches("Stopped")
    assert "Its guest shut it down" in await life.refusal("activate")
    await life.delete()


async def test_a_virtual_machine_instance_without_a_machine_is_not_stopped(world: World) -> None:
    [machine] = await world.create("virtualmachine.yaml", name="never", **{"spec.runStrategy": "Halted"})
    spec = (await machine.read())["spec"]["template"]["spec"]
    metadata = {"name": "loose", "namespace": "muster-demo"}
    body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": metadata, "spec": spec}
    await world.create_object(body)
    life = await world.workload("loose")
    await life.shows(Picture("Running", "1/1", 1, 1, {"virt-launcher": 1}))
    assert "An instance without a virtual machine cannot be started again" in await life.refusal("stop")
    await life.delete()
    await (await world.workload("never")).delete()
