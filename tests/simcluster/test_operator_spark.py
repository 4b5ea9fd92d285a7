"""Spark: applications of the operator, schedules, and drivers that spark-submit made."""

import re

import pytest

APP, SCHEDULE = "sparkapplications.sparkoperator.k8s.io", "scheduledsparkapplications.sparkoperator.k8s.io"


@pytest.fixture
async def world(opener):
    async with opener(systems=("spark",)) as opened:
        yield opened


def app_spec(instances=2, policy=None, **annotations):
    sim = {f"sim.{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "type": "Scala",
        "mode": "cluster",
        "image": "spark:3.5.6",
        "sparkVersion": "3.5.6",
        "restartPolicy": policy or {"type": "Never"},
        "driver": {"annotations": sim},
        "executor": {"instances": instances},
    }


def create(world, name, spec, kind="SparkApplication", key=APP):
    body = {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": kind, "metadata": {"name": name, "namespace": "demo"}}
    return world.client.create(key, {**body, "spec": spec})


def state(world, name="etl"):
    return world.found(APP, name).get("status", {}).get("applicationState", {}).get("state", "")


def role(world, name):
    return [pod for pod in world.pods() if pod["metadata"]["labels"].get("spark-role") == name]


def comparable(traits, *names):
    text = repr(traits)
    for pattern in (r"spark-[0-9a-f]{32}", r"(?<=-)[0-9a-f]{16}(?=-)", r"(?<=-)[0-9a-f]{8}(?=-exec)", *names):
        text = re.sub(pattern, "<random>", text)
    return sorted(re.findall(r"'[^']*'(?:: (?:'[^']*'|\w+))?", text))


async def test_an_application_makes_what_was_recorded(world, recording, traits_of):
    recorded = recording("spark/derived-operator-scheduled-app.json")
    create(world, "etl", app_spec(run_seconds="60"))
    await world.advance_until(lambda: len(world.pods()) == 3)
    ids = r"spark-aaa|sub-1|(?<='sparkoperator.k8s.io/submission-id': ')[^']*"
    made = sorted(comparable(traits_of(pod), ids) for pod in world.pods())
    assert made == sorted(comparable(traits_of(pod), ids) for pod in recorded.of_kind("Pod"))


async def test_a_driver_of_spark_submit_makes_the_executors_that_were_recorded(world, recording, traits_of):
    driver = recording("spark/spark-3.5.6-cluster-driver.json").items[0]
    metadata = {**driver["metadata"], "namespace": "demo", "annotations": {"sim.run-seconds": "30"}}
    properties = {"spark.properties": "spark.app.name=x\nspark.executor.instances=3\n"}
    config = {"metadata": {"name": "spark-drv-79b8fba209862c68-conf-map", "namespace": "demo"}, "data": properties}
    world.client.create("configmaps", config)
    world.client.create("pods", {**driver, "metadata": metadata})
    await world.advance_until(lambda: len(role(world, "executor")) == 3)
    recorded = [recording(f"spark/spark-3.5.6-cluster-executor-{n}.json").items[0] for n in (1, 2, 3)]
    made = [comparable(traits_of(pod)) for pod in role(world, "executor")]
    assert sorted(made) == sorted(comparable(traits_of(pod)) for pod in recorded)
    for pod in (*role(world, "executor"), *recorded):
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources == {"limits": {"memory": "1408Mi"}, "requests": {"cpu": "1", "memory": "1408Mi"}}
    await world.advance_until(lambda: role(world, "executor") == [])
    assert role(world, "driver")[0]["status"]["phase"] == "Succeeded"


async def test_executors_are_as_the_application_says(world):
    executor = {"instances": 1, "cores": 2, "memory": "4g", "gpu": {"name": "nvidia.com/gpu", "quantity": 1}}
    executor |= {"labels": {"team": "sales"}, "nodeSelector": {"node-pool": "b"}}
    create(world, "etl", {**app_spec(run_seconds="60"), "executor": executor})
    await world.advance_until(lambda: len(role(world, "executor")) == 1)
    [pod] = role(world, "executor")
    limits = {"memory": "4505Mi", "nvidia.com/gpu": "1"}
    requests = {"cpu": "2", "memory": "4505Mi", "nvidia.com/gpu": "1"}
    assert pod["spec"]["containers"][0]["resources"] == {"limits": limits, "requests": requests}
    assert (pod["metadata"]["labels"]["team"], pod["spec"]["nodeName"][:6]) == ("sales", "pool-b")


async def test_an_application_runs_to_its_end(world):
    create(world, "etl", app_spec(run_seconds="20"))
    await world.advance_until(lambda: state(world) == "RUNNING")
    await world.advance_until(lambda: len(world.found(APP, "etl")["status"].get("executorState", {})) == 2)
    await world.advance_until(lambda: state(world) == "COMPLETED")
    await world.advance(10)
    assert role(world, "executor") == []
    assert set(world.found(APP, "etl")["status"]["executorState"].values()) == {"COMPLETED"}


async def test_a_lost_executor_is_replaced_under_the_next_number(world):
    create(world, "etl", app_spec(run_seconds="60"))
    await world.advance_until(lambda: len(role(world, "executor")) == 2)
    world.client.delete("pods", "demo", role(world, "executor")[0]["metadata"]["name"])
    await world.advance(10)
    assert [pod["metadata"]["labels"]["spark-exec-id"] for pod in role(world, "executor")] == ["2", "3"]


async def test_a_failed_application_is_submitted_again_under_another_id(world):
    policy = {"type": "OnFailure", "onFailureRetries": 2, "onFailureRetryInterval": 10}
    create(world, "etl", app_spec(policy=policy, run_seconds="5", fail_times="1"))
    await world.advance_until(lambda: state(world) == "RUNNING")
    first = world.found(APP, "etl")["status"]
    await world.advance_until(lambda: state(world) == "PENDING_RERUN")
    await world.advance_until(lambda: state(world) == "COMPLETED")
    second = world.found(APP, "etl")["status"]
    assert second["executionAttempts"] == 2
    assert first["submissionID"] != second["submissionID"]
    assert first["sparkApplicationId"] != second["sparkApplicationId"]


async def test_an_application_fails_when_its_driver_does(world):
    create(world, "etl", app_spec(run_seconds="5", exit_code="3"))
    await world.advance_until(lambda: state(world) == "FAILED")
    assert "ExitCode: 3" in world.found(APP, "etl")["status"]["applicationState"]["errorMessage"]


async def test_a_suspended_application_is_submitted_anew(world):
    create(world, "etl", app_spec(run_seconds="60"))
    await world.advance_until(lambda: state(world) == "RUNNING")
    first = world.found(APP, "etl")["status"]["submissionID"]
    world.change_spec(APP, "etl", lambda spec: spec.update(suspend=True))
    await world.advance_until(lambda: state(world) == "SUSPENDED")
    await world.advance(10)
    assert world.pods() == []
    world.change_spec(APP, "etl", lambda spec: spec.update(suspend=False))
    await world.advance_until(lambda: state(world) == "RUNNING")
    assert world.found(APP, "etl")["status"]["submissionID"] != first


async def test_a_schedule_makes_applications_without_a_controller_flag(world):
    spec = {"schedule": "@every 1m", "concurrencyPolicy": "Forbid", "template": app_spec(run_seconds="90")}
    create(world, "cron", spec, "ScheduledSparkApplication", SCHEDULE)
    await world.advance(61)
    [app] = world.client.list(APP, "demo")
    assert app["metadata"]["labels"] == {"sparkoperator.k8s.io/scheduled-app-name": "cron"}
    assert "controller" not in app["metadata"]["ownerReferences"][0]
    await world.advance(60)
    assert len(world.client.list(APP, "demo")) == 1, "the first still runs"
    await world.advance(60)
    assert len(world.client.list(APP, "demo")) == 2
