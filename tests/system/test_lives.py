"""The life of one object of each system, from its creation to its end, as Muster shows and steers it.

Each example of `examples/` is created as it stands there. Its pods run for a minute; a test that has seen enough lets
them end.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio
from system.conftest import Running
from system.life import Life, Picture, World, world_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.nightly]  # minutes, beside all the rest

STARTED = ["Creating", "Pending", "Initializing", "Running"]
REFUSALS = {"Completed": "has completed; there is nothing to stop", "Stopped": "is stopped already"}
AGAIN = ["Stopped", "Pending", "Initializing", "Running"]


@dataclass(frozen=True, slots=True)
class Case:
    """An example and what Muster shows of it. `ends` is the role whose end is the end of it; a service has none."""

    example: str
    name: str
    kind: str
    gpus: float
    roles: Mapping[str, int]
    ends: str = ""
    last: str = "Completed"
    priority: str = "train"
    sized_by_stop: bool = False  # it is stopped by its size, so that nothing is asked for then

    @property
    def wanted(self) -> int:
        return sum(self.roles.values())

    @property
    def running(self) -> Picture:
        return Picture("Running", f"{self.wanted}/{self.wanted}", self.gpus, self.gpus, self.roles)

    def at_rest(self, phase: str) -> Picture:
        return Picture(phase, f"0/{self.wanted}", self.gpus, 0)

    @property
    def stopped(self) -> Picture:
        return Picture("Stopped", "0/0", 0, 0) if self.sized_by_stop else self.at_rest("Stopped")


CASES = (
    Case("pytorchjob.yaml", "resnet", "PyTorchJob", 3, {"master": 1, "worker": 2}, ends="master"),
    Case("tfjob.yaml", "recommender", "TFJob", 3, {"chief": 1, "ps": 1, "worker": 2}, ends="chief"),
    Case("mpijob.yaml", "horovod", "MPIJob", 2, {"launcher": 1, "worker": 2}, ends="launcher"),
    Case("trainjob.yaml", "llama", "TrainJob", 4, {"node": 2}, ends="node"),
    Case("notebook.yaml", "ada", "Notebook", 1, {"notebook": 1}, priority="build"),
    Case("raycluster.yaml", "lab", "RayCluster", 2, {"head": 1, "worker:gpu": 2}),
    Case("rayjob.yaml", "tune", "RayJob", 2, {"head": 1, "worker:gpu": 2, "submitter": 1}, ends="submitter"),
    Case("rayservice.yaml", "translate", "RayService", 1, {"head": 1, "worker:gpu": 1}, priority="inference"),
    Case("sparkapplication.yaml", "daily-etl", "SparkApplication", 2, {"driver": 1, "executor": 2}, ends="driver"),
    Case(
        "seldondeployment.yaml", "fraud", "SeldonDeployment", 2, {"model": 2}, priority="inference", sized_by_stop=True
    ),
    Case(
        "inferenceservice.yaml",
        "classifier",
        "InferenceService",
        2,
        {"predictor": 2, "transformer": 1},
        priority="inference",
    ),
    Case(
        "virtualmachine.yaml",
        "desktop",
        "VirtualMachine",
        1,
        {"virt-launcher": 1},
        ends="virt-launcher",
        last="Stopped",
    ),
    Case("mlflow-job.yaml", "digits-2026-11-22-09-30-00-123456", "MLflowRun", 1, {"main": 1}, ends="main"),
)


@pytest_asyncio.fixture(loop_scope="session")
async def world(shared: Running) -> AsyncIterator[World]:
    async with world_of(shared) as world:
        yield world


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


# ------------------------------------------------------------ what is peculiar to one system


async def test_a_dag_run_is_one_workload_through_its_tasks_and_a_retry(world: World) -> None:
    await world.create("airflow-dag-run.yaml")
    life = await world.workload("nightly_training")
    row = await life.row()
    assert (row["kind"], row["name"]) == (
        "AirflowDagRun",
        "nightly_training/scheduled__2026-11-22T0000000000-4fb165361",
    )
    await life.shows(Picture("Running", "1/1", 0, 0, {"airflow-worker": 1}))
    await life.shows(Picture("Running", "2/2", 1, 1, {"airflow-worker": 1, "task": 1}))
    assert await life.refusal("stop") == (
        f"Workload '{row['name']}' cannot be stopped: Airflow starts its tasks itself: a DAG run is stopped, and "
        "cleared to run again, in Airflow."
    )
    await world.until(lambda: is_at_task(life, "train", "2"))
    await world.until(lambda: is_at_task(life, "report", "1"))
    await life.reaches("Completed")  # after it has been quiet for a while
    assert "failed_tasks" not in (await life.row())["attributes"], "the second try of train went well"


async def is_at_task(life: Life, task: str, attempt: str) -> bool:
    attributes = (await life.row())["attributes"]
    return (attributes.get("task_id"), attributes.get("try_number")) == (task, attempt)


async def test_a_pipeline_run_goes_from_step_to_step_and_is_stopped_for_good(world: World) -> None:
    [workflow] = await world.create("workflow.yaml")
    life = await world.workload("digits-7mxkz")
    await life.shows(Picture("Running", "1/1", 1, 1, {"step": 1}))
    row = await life.row()
    assert (row["kind"], row["attributes"]["run_name"]) == ("Workflow", "digits of today")
    assert row["actions_supported"] == {"stop": True, "activate": False, "delete": True}
    assert await life.refusal("activate") == "Workload 'digits-7mxkz' is not stopped, so it cannot be activated."
    await life.ask("stop")
    await life.reaches("Failed")
    await life.delete()
    assert await workflow.read() is None


async def test_a_ray_job_that_is_tried_again_on_another_cluster_stays_one_workload(world: World) -> None:
    [job] = await world.create("rayjob.yaml", name="stubborn", backoffLimit=1)
    life = await world.workload("stubborn")
    running = Picture("Running", "4/4", 2, 2, {"head": 1, "worker:gpu": 2, "submitter": 1})
    await life.shows(running)
    first = (await life.row())["attributes"]["ray_cluster"]
    await life.end("submitter", exit_code=1)
    await world.until(lambda: has_another_cluster(life, first))
    await life.shows(running)
    await life.end("submitter")
    await life.reaches("Completed")
    assert (await job.read())["status"]["failed"] == 1
    await life.delete()


async def has_another_cluster(life: Life, first: str) -> bool:
    return (await life.row())["attributes"].get("ray_cluster", first) != first


async def test_a_ray_service_has_two_clusters_while_it_is_upgraded(world: World) -> None:
    [service] = await world.create("rayservice.yaml", name="upgraded")
    life = await world.workload("upgraded")
    await life.shows(Picture("Running", "2/2", 1, 1, {"head": 1, "worker:gpu": 1}))
    spec = (await service.read())["spec"]["rayClusterConfig"]
    spec["headGroupSpec"]["template"]["spec"]["containers"][0]["image"] = "ray:2"
    await service.change(spec={"rayClusterConfig": spec})
    await world.until(lambda: has_two_clusters(life))
    assert await life.phases() == STARTED
    await life.delete()


async def has_two_clusters(life: Life) -> bool:
    """Look at the pods alone: the first cluster stays for a while after it has ceased to be wanted."""
    return (await life.picture()).roles == {"head": 2, "worker:gpu": 2}


async def test_a_served_model_is_scaled_and_stays_one_workload(world: World) -> None:
    [deployment] = await world.create("seldondeployment.yaml", name="popular")
    life = await world.workload("popular")
    await life.shows(Picture("Running", "2/2", 2, 2, {"model": 2}))
    predictor = (await deployment.read())["spec"]["predictors"][0]
    await deployment.change(spec={"predictors": [{**predictor, "replicas": 3}]})
    await life.shows(Picture("Running", "3/3", 3, 3, {"model": 3}))
    await life.delete()
    assert await deployment.read() is None


async def test_a_spark_application_that_is_submitted_again_stays_one_workload(world: World) -> None:
    again = {"type": "OnFailure", "onFailureRetries": 1, "onFailureRetryInterval": 1}
    await world.create("sparkapplication.yaml", name="second-try", restartPolicy=again)
    life = await world.workload("second-try")
    running = Picture("Running", "3/3", 2, 2, {"driver": 1, "executor": 2})
    await life.shows(running)
    first = (await life.row())["attributes"]["spark_app_id"]
    await life.end("driver", exit_code=1)
    await world.until(lambda: has_another_id(life, first))
    await life.shows(running)
    await life.end("driver")
    await life.reaches("Completed")
    await life.delete()


async def has_another_id(life: Life, first: str) -> bool:
    return (await life.row())["attributes"].get("spark_app_id", first) != first


async def test_a_training_fails_with_the_reason_of_its_pod(world: World) -> None:
    [job] = await world.create("pytorchjob.yaml", name="broken")
    replicas = (await job.read())["spec"]["pytorchReplicaSpecs"]
    for replica in replicas.values():
        replica["restartPolicy"] = "Never"
    await job.change(spec={"pytorchReplicaSpecs": replicas})
    life = await world.workload("broken")
    await life.shows(Picture("Running", "3/3", 3, 3, {"master": 1, "worker": 2}))
    await life.end("worker", exit_code=3)
    await life.reaches("Failed")
    assert "container pytorch ended with exit code 3." in (await life.row())["phase_reason"]
    await life.delete()


async def test_a_virtual_machine_that_shut_itself_down_is_not_said_to_start_when_it_would_not(world: World) -> None:
    await world.create("virtualmachine.yaml", name="shut-down")
    life = await world.workload("shut-down")
    await life.shows(Picture("Running", "1/1", 1, 1, {"virt-launcher": 1}))
    await life.end("virt-launcher")
    await life.reaches("Stopped")
    assert "Its guest shut it down" in await life.refusal("activate")
    await life.delete()


async def test_a_virtual_machine_instance_without_a_machine_is_not_stopped(world: World) -> None:
    [machine] = await world.create("virtualmachine.yaml", name="never", runStrategy="Halted")
    spec = (await machine.read())["spec"]["template"]["spec"]
    metadata = {"name": "loose", "namespace": "muster-demo"}
    body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": metadata, "spec": spec}
    await world.create_object(body)
    life = await world.workload("loose")
    await life.shows(Picture("Running", "1/1", 1, 1, {"virt-launcher": 1}))
    assert "An instance without a virtual machine cannot be started again" in await life.refusal("stop")
    await life.delete()
    await (await world.workload("never")).delete()
