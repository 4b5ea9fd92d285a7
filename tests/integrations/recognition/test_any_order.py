"""The same objects of Airflow, Spark, MLflow and KubeVirt end in the same workloads, in whatever order they come."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from integrations.kube import World, manifest, pod, project
from integrations.recognition import test_airflow as airflow
from integrations.recognition import test_kubevirt as kubevirt
from integrations.recognition import test_mlflow as mlflow
from integrations.recognition import test_spark as spark

Manifest = dict[str, Any]


def notebook() -> list[Manifest]:
    """A notebook in whose pod the driver of an application lives."""
    owner = manifest(spark.RESOURCES["Notebook"], "lab", spec={"template": {"spec": {}}})
    replicas = {"replicas": 1, "template": {"metadata": {}, "spec": {}}}
    stateful_set = manifest(spark.RESOURCES["StatefulSet"], "lab", owner=owner, spec=replicas)
    cell = pod("lab-0", owner=stateful_set)
    return [owner, stateful_set, cell, *(spark.executor(number, "spark-lab", owner=cell) for number in (1, 2))]


def application(name: str, *, webhook: bool) -> list[Manifest]:
    """An application of the operator, whose webhook names the owner of the driver."""
    app = spark.application(name)
    driver = spark.driver(
        f"spark-{name}", app=name, owner=app if webhook else None, labels={"dag_id": "d", "run_id": "r"}
    )
    return [app, driver, *(spark.executor(number, f"spark-{name}", owner=driver, app=name) for number in (1, 2))]


def machine() -> list[Manifest]:
    """A machine that moves, with a disk."""
    owner = kubevirt.machine()
    instance = kubevirt.instance(owner=owner)
    source = kubevirt.launcher(instance, "a")
    target = kubevirt.launcher(instance, "b", minute=5, labels={kubevirt.MIGRATION: "m1"})
    disk = pod("hp-volume-x", owner=source, labels={"kubevirt.io": "hotplug-disk"})
    return [owner, instance, source, target, disk]


def everything() -> list[Manifest]:
    run = mlflow.job(mlflow.RUN)
    task = airflow.task_pod("spark")
    driver = spark.driver("spark-plain")
    return [
        *notebook(),
        *application("one", webhook=True),
        *application("two", webhook=False),
        *machine(),
        *airflow.job_of_a_task(),
        *(airflow.worker_pod(), airflow.task_pod(), airflow.task_pod(number=2), task),
        *(spark.executor(1, "spark-task", owner=task), spark.executor(2, "spark-task", owner=task)),
        *(driver, spark.executor(1, "spark-plain", owner=driver), spark.executor(7, "spark-client")),
        *(run, pod("project-x", owner=run, spec=mlflow.spec(mlflow.RUN))),
    ]


def written(world: World) -> list[tuple[Any, ...]]:
    """What the journal says in the end."""
    return sorted(
        (
            one.discovered.kind,
            one.discovered.name,
            str(workload_id),
            str(one.discovered.parent),
            sorted(one.discovered.attributes.items()),
            sorted((facts.name, facts.role) for facts in one.pods.values()),
            one.discovered.owner.model_dump_json(),
        )
        for workload_id, one in world.fold.workloads.items()
        if one.discovered is not None
    )


def told(manifests: list[Manifest], pauses: set[int]) -> list[tuple[Any, ...]]:
    world = World(project())
    for number, one in enumerate(manifests):
        world.show(one)
        if number in pauses:
            world.write()
    world.give_up_owners()
    return written(world)


def test_the_pictures_are_what_they_are_meant_to_be() -> None:
    kinds = [found[0] for found in told(everything(), set())]
    assert kinds == [
        "AirflowDagRun",
        "Job",
        "MLflowRun",
        "Notebook",
        *["SparkApp"] * 4,
        *["SparkApplication"] * 2,
        "VirtualMachine",
    ]


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(everything()), pauses=st.sets(st.integers(0, 40), max_size=6))
def test_objects_end_in_the_same_workloads_in_any_order(order: list[Manifest], pauses: set[int]) -> None:
    assert told(order, pauses) == told(everything(), set())
