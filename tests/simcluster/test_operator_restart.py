"""Operators remember nothing: a cluster that is started again from its file goes on where it was."""

import pytest
import yaml

POD = {"spec": {"containers": [{"name": "main", "image": "x"}]}}
HOW = {"sim.run-seconds": "40", "sim.fail-times": "1"}


def ray_job():
    cluster = {
        "headGroupSpec": {"template": POD},
        "workerGroupSpecs": [{"groupName": "w", "replicas": 1, "template": POD}],
    }
    spec = {"rayClusterSpec": cluster, "backoffLimit": 1}
    return "rayjobs.ray.io", {"metadata": {"name": "a", "namespace": "demo", "annotations": HOW}, "spec": spec}


def spark_application():
    policy = {"type": "OnFailure", "onFailureRetries": 1}
    spec = {"driver": {"annotations": HOW}, "executor": {"instances": 1}, "restartPolicy": policy}
    kind = "sparkapplications.sparkoperator.k8s.io"
    return kind, {"metadata": {"name": "a", "namespace": "demo"}, "spec": spec}


def dag_run():
    tasks = [{"task_id": "one", "retries": 1, "retry_delay": 5, "annotations": HOW, "pod": {}}]
    text = yaml.safe_dump({"dag_id": "d", "run_id": "r", "tasks": tasks})
    metadata = {"name": "a", "namespace": "demo", "labels": {"sim.airflow/dag-run": "true"}}
    return "configmaps", {"metadata": metadata, "data": {"dag-run.yaml": text}}


@pytest.mark.parametrize(
    ("system", "make", "done"),
    [
        ("ray", ray_job, '"jobDeploymentStatus": "Complete"'),
        ("spark", spark_application, '"state": "COMPLETED"'),
        ("airflow", dag_run, '"state":"success"'),
    ],
)
async def test_what_was_under_way_comes_to_its_end_after_restarts(opener, tmp_path, system, make, done):
    kind, body = make()
    path, clock = tmp_path / "objects.sqlite3", None
    async with opener(path=path, systems=(system,)) as world:
        world.client.create(kind, body)
        clock = world.clock
    for seconds in (0, 1, 3, 20, 25, 1, 10):  # before the pods, amid the first try, after its failure, amid the second
        async with opener(path=path, systems=(system,), clock=clock) as world:
            await world.advance(seconds)
    async with opener(path=path, systems=(system,), clock=clock) as world:
        await world.advance_until(lambda: is_done(world, kind, done), 300)
        assert len(world.pods()) <= 4, "nothing was made twice"


def is_done(world, kind, done):
    text = repr(world.found(kind, "a")).replace("'", '"')
    return done in text
