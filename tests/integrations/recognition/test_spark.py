"""Spark: which application a driver or an executor belongs to, its size, how it fares, and how it is stopped."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import NAMESPACE, World, container, manifest, owned_by, pod, project, recorded, template, uid
from muster_contracts.values import Outcome, OwnerFacts, ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "spark"
RESOURCES = {resource.kind: resource for resource in written_resources()}
APPLICATION = ("sparkoperator.k8s.io", "SparkApplication")
OPERATOR_LABEL = "sparkoperator.k8s.io/app-name"
CONNECT_LABEL = "sparkoperator.k8s.io/connect-name"


def application(name: str = "etl", *, state: str = "", **parts: Any) -> dict[str, Any]:
    spec = {"type": "Scala", "driver": {}, "executor": {"instances": 2}} | parts.pop("spec", {})
    status = {"applicationState": {"state": state}} | parts.pop("status", {})
    return manifest(RESOURCES["SparkApplication"], name, spec=spec, status=status, **parts)


def driver(selector: str = "spark-1", *, app: str = "", status: Any = None, **parts: Any) -> dict[str, Any]:
    labels = {"spark-role": "driver", "spark-app-selector": selector, "spark-app-name": "etl", "spark-version": "3.5.6"}
    labels |= {OPERATOR_LABEL: app} if app else {}
    spec = {"containers": [container(name="spark-kubernetes-driver"), container(name="log-shipper")]}
    name = parts.pop("name", f"etl-{selector}-driver")
    return pod(name, labels=labels | parts.pop("labels", {}), spec=spec, status=status or {"phase": "Running"}, **parts)


def executor(
    number: int = 1, selector: str = "spark-1", *, owner: dict[str, Any] | None = None, app: str = "", **parts: Any
) -> dict[str, Any]:
    labels = {"spark-role": "executor", "spark-app-selector": selector, "spark-app-name": "etl"}
    labels |= {"spark-exec-id": str(number)} | ({OPERATOR_LABEL: app} if app else {}) | parts.pop("labels", {})
    spec = {"containers": [container(1, name="spark-kubernetes-executor")]}
    return pod(f"etl-{selector}-exec-{number}", owner=owner, labels=labels, spec=spec, **parts)


def all_seen(world: World) -> list[SeenWorkload]:
    return [seen for one in world.mirror.workload_ids if (seen := world.mirror.seen_workload(one)) is not None]


def the_workload(*manifests: dict[str, Any]) -> SeenWorkload:
    world = World(project())
    world.show(*manifests)
    (found,) = all_seen(world)
    return found


def facts(**parts: Any) -> OwnerFacts:
    return the_workload(application(**parts)).owner


# ------------------------------------------------------------ the operator's applications


def test_a_recorded_application_is_one_workload_with_its_schedule_as_parent() -> None:
    found = the_workload(*recorded(RECORDED / "derived-operator-scheduled-app.json"))
    assert (found.kind, found.name, found.identity_source) == ("SparkApplication", "etl", "owner")
    assert found.parent == ParentRef(kind="ScheduledSparkApplication", name="etl-cron")
    assert {one.name: one.role for one in found.pods.values()} == {
        "etl-driver": "driver",
        "etl-9f3a1b2c-exec-1": "executor",
        "etl-9f3a1b2c-exec-2": "executor",
    }
    assert [(group.name, group.min_members) for group in found.groups.values()] == [("etl", 1)]
    assert (found.owner.desired_pods, found.owner.min_pods) == (3, 1)
    assert found.attributes == {"spark_app_id": "spark-aaa", "spark_version": "3.5.6"}


def test_a_schedule_that_only_a_label_names_is_the_parent_too() -> None:
    found = the_workload(application(labels={"sparkoperator.k8s.io/scheduled-app-name": "nightly"}))
    assert found.parent == ParentRef(kind="ScheduledSparkApplication", name="nightly")


def test_an_application_that_is_submitted_again_stays_the_same() -> None:
    app = application()
    first = driver("spark-1", app="etl", owner=app)
    again = driver("spark-2", app="etl", owner=app)
    world = World(project())
    world.show(app, first)
    world.write()
    world.step(first, None)
    world.show(again, executor(1, "spark-2", owner=again, app="etl"))
    world.write()
    (found,) = all_seen(world)
    assert found.object_id == UUID(uid("SparkApplication/etl"))
    assert found.attributes["spark_app_id"] == "spark-2"


def test_without_the_operator_s_webhook_labels_lead_to_the_application() -> None:
    app, lone = application(), driver(app="etl")
    found = the_workload(app, lone, executor(owner=lone, app="etl"))
    assert (found.kind, found.object_id) == ("SparkApplication", UUID(uid("SparkApplication/etl")))
    assert len(found.pods) == 2


def test_an_application_that_may_not_be_read_is_known_by_the_reference_of_its_driver() -> None:
    world = World(project())
    world.mirror.reads(APPLICATION, Reading.FORBIDDEN)
    its_driver = driver(app="etl", owner=application())
    world.show(executor(owner=its_driver, app="etl"), its_driver)
    (found,) = all_seen(world)
    assert (found.kind, found.identity) == ("SparkApplication", uid("SparkApplication/etl"))
    assert len(found.pods) == 2


def test_an_application_that_may_not_be_read_nor_is_referred_to_is_known_by_its_name() -> None:
    world = World(project())
    world.mirror.reads(APPLICATION, Reading.FORBIDDEN)
    lone = driver(app="etl")
    world.show(lone, executor(owner=lone, app="etl"))
    (found,) = all_seen(world)
    assert (found.kind, found.identity, found.identity_source) == ("SparkApplication", f"{NAMESPACE}/etl", "label")
    assert len(found.pods) == 2


def test_executors_whose_driver_is_gone_are_still_the_application_s() -> None:
    world = World(project())
    world.show(application(), executor(owner=driver(app="etl"), app="etl"))
    world.give_up_owners()
    (found,) = all_seen(world)
    assert [one.role for one in found.pods.values()] == ["executor"]


@pytest.mark.parametrize(
    ("state", "outcome", "ready"),
    [
        ("", Outcome.NONE, None),
        ("SUBMITTED", Outcome.NONE, None),
        ("RUNNING", Outcome.NONE, True),
        ("SUCCEEDING", Outcome.NONE, None),
        ("FAILING", Outcome.NONE, None),
        ("PENDING_RERUN", Outcome.NONE, None),
        ("INVALIDATING", Outcome.NONE, None),
        ("SUBMISSION_FAILED", Outcome.NONE, False),
        ("UNKNOWN", Outcome.NONE, False),
        ("COMPLETED", Outcome.SUCCEEDED, None),
        ("FAILED", Outcome.FAILED, None),
        ("NEVER_HEARD_OF", Outcome.NONE, None),
    ],
)
def test_a_retry_is_no_failure_and_only_the_operator_ends_an_application(
    state: str, outcome: Outcome, ready: bool | None
) -> None:
    found = facts(state=state)
    assert (found.outcome, found.ready) == (outcome, ready)


def test_a_failed_application_says_why_and_when() -> None:
    status = {
        "applicationState": {"state": "FAILED", "errorMessage": "driver container failed"},
        "terminationTime": "2026-11-01T12:00:00Z",
    }
    found = facts(status=status)
    assert (found.reason, found.finished_at and found.finished_at.hour) == ("driver container failed", 12)


def test_an_application_is_stopped_and_activated_by_its_suspension() -> None:
    found = the_workload(application(spec={"suspend": True}, version=9))
    assert found.owner.suspended
    assert [(patch.body, patch.resource_version) for patch in found.controls.stop] == [
        ({"spec": {"suspend": True}}, "9")
    ]
    assert [patch.body for patch in found.controls.activate] == [{"spec": {"suspend": False}}]
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (True, True, True)


# ------------------------------------------------------------ sizes


@pytest.mark.parametrize(
    ("spec", "pods"),
    [
        ({"executor": {}}, 2),
        ({"executor": {"instances": 0}}, 1),
        ({"executor": {"instances": "many"}}, 2),
        ({"executor": {"instances": 1}, "dynamicAllocation": {"enabled": True, "initialExecutors": 4}}, 5),
        ({"executor": {}, "dynamicAllocation": {"enabled": True, "minExecutors": 2, "maxExecutors": 9}}, 3),
        ({"executor": {}, "dynamicAllocation": {"enabled": True}}, 1),
        ({"executor": {"instances": 3}, "dynamicAllocation": {"enabled": False, "initialExecutors": 9}}, 4),
        ({"executor": {}, "sparkConf": {"spark.executor.instances": "3"}}, 4),
        ({"executor": {"instances": 5}, "sparkConf": {"spark.executor.instances": "3"}}, 6),
        ({"executor": {}, "sparkConf": {"spark.executor.instances": "a few"}}, 2),
        (
            {
                "executor": {},
                "sparkConf": {
                    "spark.dynamicAllocation.enabled": "true",
                    "spark.dynamicAllocation.initialExecutors": "2",
                },
            },
            3,
        ),
    ],
)
def test_an_application_has_a_driver_and_so_many_executors(spec: dict[str, Any], pods: int) -> None:
    found = facts(spec=spec)
    assert (found.desired_pods, found.min_pods) == (pods, 1)


def test_what_spark_adds_by_itself_counts() -> None:
    app = application(spec={"dynamicAllocation": {"enabled": True}})
    its_driver = driver(app="etl", owner=app)
    found = the_workload(app, its_driver, *(executor(n, owner=its_driver, app="etl") for n in range(4)))
    assert found.owner.desired_pods == 5


@pytest.mark.parametrize(
    ("part", "of", "mebibytes"),
    [
        ({"memory": "512m"}, {}, 512 + 384),
        ({"memory": "10g"}, {}, 10240 + 1024),
        ({"memory": "10g"}, {"type": "Python"}, 10240 + 4096),
        ({"memory": "1g", "memoryOverhead": "1g"}, {}, 2048),
        ({"memory": "10g"}, {"memoryOverheadFactor": "0.5"}, 15360),
        ({"memory": "10g"}, {"memoryOverheadFactor": "half"}, 11264),
        ({}, {}, 1024 + 384),
        ({"memory": "lots"}, {}, 0),
    ],
)
def test_memory_is_that_of_the_heap_with_what_spark_adds(
    part: dict[str, Any], of: dict[str, Any], mebibytes: int
) -> None:
    found = the_workload(application(spec=of | {"driver": part, "executor": {"instances": 0}}))
    assert found.requests.memory_bytes == mebibytes * 1024 * 1024


def test_cores_and_gpus_are_summed_over_driver_and_executors() -> None:
    gpu = {"name": "nvidia.com/gpu", "quantity": 2}
    spec = {"driver": {"cores": 2}, "executor": {"instances": 3, "coreRequest": "500m", "cores": 4, "gpu": gpu}}
    found = the_workload(application(spec=spec))
    assert (found.requests.cpu_milli, found.requests.gpu_millionths) == (2000 + 1500, 6_000_000)


@pytest.mark.parametrize(
    "asked",
    [
        {"executor": {"instances": 2, "gpu": {"name": "nvidia.com/gpu", "quantity": 1}}},
        {
            "executor": {"instances": 2},
            "sparkConf": {
                "spark.executor.resource.gpu.amount": "1",
                "spark.executor.resource.gpu.vendor": "nvidia.com",
            },
        },
        {"executor": {"instances": 2, "template": template(gpus=1)}},
    ],
)
def test_gpus_may_be_asked_for_in_a_field_in_a_setting_or_in_a_template(asked: dict[str, Any]) -> None:
    assert the_workload(application(spec=asked)).requests.gpu_millionths == 2_000_000


@pytest.mark.parametrize("spec", [None, "text", [], {"driver": 3, "executor": []}, {"driver": {"cores": []}}])
@pytest.mark.parametrize("status", [None, "text", {"applicationState": "RUNNING"}])
def test_an_application_in_an_odd_shape_is_still_one(spec: Any, status: Any) -> None:
    written = application() | {"spec": spec, "status": status, "apiVersion": "sparkoperator.k8s.io/v2"}
    found = the_workload(written)
    assert (found.kind, found.api_version, found.owner.desired_pods) == (
        "SparkApplication",
        "sparkoperator.k8s.io/v2",
        2,
    )


# ------------------------------------------------------------ plain applications


def test_a_recorded_spark_submit_is_one_workload_known_by_its_spark_id() -> None:
    names = ("driver", "executor-1", "executor-2", "executor-3")
    found = the_workload(*(one for name in names for one in recorded(RECORDED / f"spark-3.5.6-cluster-{name}.json")))
    selector = "spark-7f61ab99a583417ca0e1cdabe1a5327b"
    assert (found.kind, found.name, found.object_id) == ("SparkApp", "daily-etl-sales-report-2026", None)
    assert (found.identity, found.identity_source) == (f"{NAMESPACE}/{selector}", "label")
    assert sorted(one.role for one in found.pods.values()) == ["driver", "executor", "executor", "executor"]
    assert [group.min_members for group in found.groups.values()] == [1]
    assert found.owner.desired_pods == 4
    assert found.attributes == {"spark_app_id": selector, "spark_version": "3.5.6"}


def test_deleting_a_plain_application_deletes_its_driver_which_takes_the_executors_along() -> None:
    its_driver = driver()
    found = the_workload(executor(owner=its_driver), its_driver)
    assert [ref.name for ref in found.controls.delete] == ["etl-spark-1-driver"]
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (False, False, True)
    assert found.controls.reason == "What spark-submit started cannot be suspended; it can only be deleted."


def test_in_client_mode_there_are_only_executors_and_all_are_deleted() -> None:
    found = the_workload(executor(1), executor(2))
    assert (found.kind, found.owner.outcome) == ("SparkApp", Outcome.NONE)
    assert [ref.name for ref in found.controls.delete] == ["etl-spark-1-exec-1", "etl-spark-1-exec-2"]


def test_executors_of_a_driver_in_a_notebook_are_an_application_within_the_notebook() -> None:
    notebook = manifest(RESOURCES["Notebook"], "lab", spec={"template": {"spec": {}}})
    stateful_set = manifest(
        RESOURCES["StatefulSet"], "lab", owner=notebook, spec={"replicas": 1, "template": {"metadata": {}, "spec": {}}}
    )
    cell = pod("lab-0", owner=stateful_set)
    world = World(project())
    world.show(notebook, stateful_set, cell, executor(owner=cell))
    found = {seen.kind: seen for seen in all_seen(world)}
    assert sorted(found) == ["Notebook", "SparkApp"]
    assert [one.name for one in found["Notebook"].pods.values()] == ["lab-0"]
    assert found["SparkApp"].parent == ParentRef(kind="Notebook", name="lab")


def test_executors_of_a_driver_in_a_task_of_airflow_are_an_application_within_the_run() -> None:
    labels = {"dag_id": "nightly", "run_id": "manual-1", "task_id": "etl", "try_number": "1"}
    task = pod("etl-x", labels=labels)
    world = World(project())
    world.show(task, executor(owner=task))
    found = {seen.kind: seen for seen in all_seen(world)}
    assert sorted(found) == ["AirflowDagRun", "SparkApp"]
    assert found["SparkApp"].parent == ParentRef(kind="AirflowDagRun", name="nightly/manual-1")


def test_before_spark_3_3_an_application_has_no_name_but_its_id() -> None:
    labels = {"spark-role": "executor", "spark-app-selector": "spark-1"}
    found = the_workload(pod("exec-1", labels=labels))
    assert (found.kind, found.name) == ("SparkApp", "spark-1")


@pytest.mark.parametrize("labels", [{"spark-role": "driver"}, {"spark-app-selector": "spark-1"}])
def test_half_of_spark_s_labels_make_no_application(labels: dict[str, str]) -> None:
    assert the_workload(pod("a", labels=labels)).kind == "Pod"


@pytest.mark.parametrize(("code", "outcome"), [(0, Outcome.SUCCEEDED), (1, Outcome.FAILED)])
def test_the_driver_s_container_ends_a_plain_application_whatever_runs_beside_it(code: int, outcome: Outcome) -> None:
    states = [
        {"name": "spark-kubernetes-driver", "state": {"terminated": {"exitCode": code}}},
        {"name": "log-shipper", "state": {"running": {}}},
    ]
    its_driver = driver(status={"phase": "Running", "containerStatuses": states})
    found = the_workload(its_driver, executor(owner=its_driver, status={"phase": "Failed"}))
    assert found.owner.outcome is outcome
    main = next(one for one in found.pods.values() if one.role == "driver").containers
    assert {one.name: one.role for one in main} == {"spark-kubernetes-driver": "main", "log-shipper": "sidecar"}


def test_executors_that_fail_are_replaced_and_fail_nothing() -> None:
    its_driver = driver()
    failed = executor(1, owner=its_driver, status={"phase": "Failed"})
    assert the_workload(its_driver, failed, executor(2, owner=its_driver)).owner.outcome is Outcome.NONE


# ------------------------------------------------------------ Airflow's operator, and Spark Connect


@pytest.mark.parametrize("marker", ["kubernetes_pod_operator", "spark_kubernetes_operator"])
def test_an_application_of_a_task_has_the_run_as_its_parent_once_a_pod_tells(marker: str) -> None:
    labels = {"dag_id": "nightly", "run_id": "manual-1", "task_id": "etl", "try_number": "1", marker: "True"}
    app = application()
    found = the_workload(app, driver(app="etl", owner=app, labels=labels))
    assert (found.kind, found.parent) == (
        "SparkApplication",
        ParentRef(kind="AirflowDagRun", name="nightly/manual-1"),
    )
    assert found.attributes["task_id"] == "etl"


def connect(**parts: Any) -> dict[str, Any]:
    spec = {"server": {"cores": 1}, "executor": {"instances": 2, "cores": 1, "memory": "512m"}} | parts.pop("spec", {})
    return manifest(RESOURCES["SparkConnect"], "lab", spec=spec, **parts)


def test_a_connect_server_serves_with_its_executors() -> None:
    owner = connect(status={"state": "Ready"})
    server = pod("lab-server", owner=owner, labels={CONNECT_LABEL: "lab", "spark-role": "connect-server"})
    labels = {CONNECT_LABEL: "lab", "spark-role": "executor", "spark-app-selector": "spark-7"}
    found = the_workload(owner, server, pod("lab-exec-1", owner=server, labels=labels))
    assert (found.kind, found.owner.serving, found.owner.ready, found.owner.desired_pods) == (
        "SparkConnect",
        True,
        True,
        3,
    )
    assert {one.role for one in found.pods.values()} == {"connect-server", "executor"}
    assert not found.controls.stop
    assert "only be deleted" in found.controls.reason


def test_a_connect_server_that_is_not_there_is_known_by_its_label() -> None:
    world = World(project())
    labels = {CONNECT_LABEL: "lab", "spark-role": "connect-server"}
    world.mirror.reads(("sparkoperator.k8s.io", "SparkConnect"), Reading.ABSENT)
    world.show(pod("lab-server", labels=labels))
    (found,) = all_seen(world)
    assert (found.kind, found.identity) == ("SparkConnect", f"{NAMESPACE}/lab")


def test_a_template_of_a_connect_server_that_asks_for_something_is_believed() -> None:
    spec = {"server": {"cores": 9, "template": {"spec": {"containers": [container(1)]}}}, "executor": {"instances": 0}}
    found = the_workload(connect(spec=spec))
    assert (found.requests.cpu_milli, found.requests.gpu_millionths) == (500, 1_000_000)


def test_a_reference_counts_more_than_a_label_that_lies() -> None:
    app, other = application("etl"), application("other")
    world = World(project())
    world.show(app, other, driver(app="other", references=[owned_by(app)]))
    assert {seen.name: len(seen.pods) for seen in all_seen(world)} == {"etl": 1, "other": 0}
