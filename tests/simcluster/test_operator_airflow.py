"""DAG runs of Airflow, played from a ConfigMap: pods beside recordings, order, retries, what is left behind."""

import json
import re

import pytest
import yaml

RUN_ID = "scheduled__2026-11-22T00:00:00+00:00"


@pytest.fixture
async def world(opener):
    async with opener(systems=("airflow",)) as opened:
        opened.client.create("namespaces", {"metadata": {"name": "airflow"}})
        yield opened


def task(name, seconds="5", **more):
    annotations = {"sim.run-seconds": seconds, **more.pop("annotations", {})}
    return {"task_id": name, "annotations": annotations, **more}


def create(world, *tasks, **more):
    run = {"dag_id": "nightly_training", "run_id": RUN_ID, "logical_date": RUN_ID[11:], "tasks": list(tasks), **more}
    metadata = {"name": "run", "namespace": "airflow", "labels": {"sim.airflow/dag-run": "true"}}
    return world.client.create("configmaps", {"metadata": metadata, "data": {"dag-run.yaml": yaml.safe_dump(run)}})


def states(world):
    found = world.client.get("configmaps", "airflow", "run")["data"].get("progress", "{}")
    return {name: (each["state"], each["try"]) for name, each in json.loads(found).items()}


def pods(world):
    return world.client.list("pods")


def comparable(pod):
    metadata = pod["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if "sim." not in key}
    name = re.sub(r"-[a-z0-9]{8}$", "", metadata["name"])
    containers = [each["name"] for each in pod["spec"]["containers"]]
    return name, metadata["labels"], annotations, metadata.get("ownerReferences") or [], containers


@pytest.mark.parametrize("name", ["basic", "taskgroup", "mapped-retry"])
async def test_worker_pods_are_those_that_were_recorded(world, recording, name):
    recorded = recording(f"airflow/k8sexecutor-{name}-3.3.2.json").items[0]
    labels = recorded["metadata"]["annotations"]
    more = {"map_index": int(labels["map_index"])} if "map_index" in labels else {}
    failures = int(labels["try_number"]) - 1
    fails = {"annotations": {"sim.fail-times": str(failures)}}
    create(world, task(labels["task_id"], retries=failures, retry_delay=1, **fails, **more))

    def current():
        tries = [pod for pod in pods(world) if pod["metadata"]["labels"]["try_number"] == labels["try_number"]]
        return tries[0] if tries else None

    await world.advance_until(lambda: current() is not None)
    assert comparable(current()) == comparable(recorded)


async def test_operator_pods_are_those_that_were_recorded(world, recording):
    pod = {"namespace": "demo", "labels": {"team": "ml"}}
    failing = {"annotations": {"sim.fail-times": "1"}}
    create(world, task("train_model", retries=1, retry_delay=5, pod=pod, **failing))
    for name in ("kpo-basic", "kpo-retry2"):
        recorded = recording(f"airflow/{name}-3.3.2.json").items[0]
        number = recorded["metadata"]["labels"]["try_number"]

        def current(number=number):
            found = [pod for pod in world.pods() if pod["metadata"]["labels"]["try_number"] == number]
            return found[0] if found else None

        await world.advance_until(lambda current=current: current() is not None)
        assert comparable(current()) == comparable(recorded)
    await world.advance_until(lambda: states(world)["train_model"] == ("success", 2))


async def test_tasks_run_in_order_and_leave_no_pods_when_they_succeed(world):
    create(world, task("a"), task("b", after=["a"], pod={"namespace": "demo"}), task("c", after=["b"]))
    await world.advance(3)
    assert [pod["metadata"]["labels"]["task_id"] for pod in pods(world)] == ["a"]
    await world.advance_until(lambda: states(world)["b"][0] == "running" and len(world.pods()) == 1)
    roles = [pod["metadata"]["labels"].get("kubernetes_executor", "-") for pod in pods(world)]
    assert sorted(roles) == ["-", "True"], "the worker waits beside the pod it has made"
    await world.advance_until(lambda: set(states(world).values()) == {("success", 1)})
    await world.advance(10)
    assert pods(world) == []


async def test_a_worker_ends_well_with_the_pod_it_made_before_it_is_deleted(world):
    create(world, task("a", pod={"namespace": "demo"}))
    await world.advance_until(lambda: len(pods(world)) == 2)
    since = world.store.version
    await world.advance_until(lambda: not pods(world))
    seen = [change.stored.body for change in world.store.since("pods", since)]
    phases = [pod["status"]["phase"] for pod in seen if "kubernetes_executor" in pod["metadata"]["labels"]]
    assert phases[-1] == "Succeeded"


async def test_worker_pods_have_what_the_executors_template_says(world):
    create(world, task("a"), worker={"spec": {"schedulerName": "mine"}})
    await world.advance(1)
    [worker] = pods(world)
    assert worker["spec"]["schedulerName"] == "mine"
    assert [container["name"] for container in worker["spec"]["containers"]] == ["base"]


async def test_a_task_that_fails_for_good_stops_those_after_it_and_is_kept(world):
    create(world, task("a", annotations={"sim.exit-code": "1"}), task("b", after=["a"]))
    await world.advance_until(lambda: states(world).get("b", ("",))[0] == "upstream_failed")
    await world.advance(5)
    [worker] = pods(world)
    assert worker["metadata"]["labels"]["airflow_executor_done"] == "True"
    assert worker["status"]["phase"] == "Failed"


async def test_a_failed_try_waits_before_the_next(world):
    create(world, task("a", retries=1, retry_delay=60, annotations={"sim.fail-times": "1"}))
    await world.advance_until(lambda: states(world).get("a") == ("up_for_retry", 1))
    await world.advance(30)
    assert states(world)["a"] == ("up_for_retry", 1)
    await world.advance_until(lambda: states(world)["a"] == ("success", 2))


async def test_pods_are_kept_where_the_run_says_so(world):
    failing = {"annotations": {"sim.exit-code": "2"}}
    create(world, task("a", pod={"namespace": "demo"}, **failing), on_finish_action="delete_succeeded_pod")
    await world.advance_until(lambda: states(world).get("a") == ("failed", 1))
    await world.advance(5)
    [kept] = world.pods()
    assert kept["metadata"]["labels"]["already_checked"] == "True"


async def test_a_pod_that_is_deleted_fails_its_try(world):
    create(world, task("a", "600", retries=1, retry_delay=5, pod={"namespace": "demo"}), executor="celery")
    await world.advance_until(lambda: len(world.pods()) == 1)
    assert len(pods(world)) == 1, "with Celery there are no worker pods"
    world.client.delete("pods", "demo", world.pods()[0]["metadata"]["name"])
    await world.advance_until(lambda: states(world)["a"] == ("running", 2))


async def test_a_run_that_cannot_be_read_is_set_aside(world):
    world.may_park = True
    metadata = {"name": "run", "namespace": "airflow", "labels": {"sim.airflow/dag-run": "true"}}
    world.client.create("configmaps", {"metadata": metadata, "data": {"dag-run.yaml": "tasks: ["}})
    await world.advance(1)
    assert "is not YAML" in next(iter(world.plane.parked.values()))
