"""Airflow: which run a task's pod belongs to, what of it failed, when it is over, and what it is the parent of."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import NAMESPACE, World, container, manifest, pod, project, recorded, template, uid
from muster_cluster.objects import JOBS
from muster_contracts.events import (
    LimitReached,
    OwnerObserved,
    PodMoved,
    ProjectChanged,
    WorkloadDiscovered,
    WorkloadGone,
)
from muster_contracts.values import Outcome, ParentRef
from muster_integrations.core.seen import SeenWorkload

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "airflow"
RUN = "scheduled__2026-11-22T0000000000-4fb165361"
TRUE_RUN = "scheduled__2026-11-22T00:00:00+00:00"


def labels(
    task: str = "train", number: int = 1, *, dag: str = "nightly", run: str = RUN, **more: str
) -> dict[str, str]:
    return {"dag_id": dag, "task_id": task, "run_id": run, "try_number": str(number), **more}


def task_pod(task: str = "train", number: int = 1, phase: str = "Running", **parts: Any) -> dict[str, Any]:
    """A pod of the KubernetesPodOperator."""
    written = labels(task, number, kubernetes_pod_operator="True", **parts.pop("labels", {}))
    spec = {"containers": [container(1, name="base")]}
    name = parts.pop("name", f"{task}-{number}")
    return pod(name, labels=written, **({"spec": spec, "status": {"phase": phase}} | parts))


def worker_pod(task: str = "train", number: int = 1, phase: str = "Running", **more: str) -> dict[str, Any]:
    """A pod of the KubernetesExecutor: it alone has the true names."""
    written = labels(task, number, kubernetes_executor="True", tier="airflow", component="worker", **more)
    true_names = {"dag_id": "nightly", "task_id": task, "run_id": TRUE_RUN, "try_number": str(number)}
    spec = {"containers": [container(name="base")]}
    status = {"phase": phase}
    return pod(f"worker-{task}-{number}", labels=written, annotations=true_names, spec=spec, status=status)


def all_seen(world: World) -> list[SeenWorkload]:
    return [seen for one in world.mirror.workload_ids if (seen := world.mirror.seen_workload(one)) is not None]


def the_run(*manifests: dict[str, Any]) -> SeenWorkload:
    world = World(project())
    world.show(*manifests)
    (found,) = all_seen(world)
    return found


def finer_project() -> ProjectChanged:
    return project().model_copy(update={"airflow_unit": "task"})


# ------------------------------------------------------------ whose pod it is


def test_pods_of_one_run_are_one_workload_whoever_made_them() -> None:
    found = the_run(worker_pod("extract"), worker_pod("train"), task_pod("train"))
    assert (found.kind, found.api_version, found.name) == ("AirflowDagRun", "", f"nightly/{RUN}")
    assert (found.identity, found.object_id) == (f"{NAMESPACE}/nightly/{RUN}", None)
    assert {facts.name: facts.role for facts in found.pods.values()} == {
        "worker-extract-1": "airflow-worker",
        "worker-train-1": "airflow-worker",
        "train-1": "task",
    }
    assert found.requests.gpu_millionths == 1_000_000


def test_tasks_start_one_by_one_so_every_pod_is_scheduled_alone() -> None:
    found = the_run(task_pod("extract"), task_pod("train"))
    assert sorted((group.name, group.min_members) for group in found.groups.values()) == [
        ("extract-1", 1),
        ("train-1", 1),
    ]


def test_runs_differ_by_their_labels_and_end_at_the_border_of_a_project() -> None:
    world = World(project(), project("other"))
    world.show(
        task_pod(), task_pod(name="b", labels={"run_id": "manual-1"}), task_pod(name="c", namespace="muster-other")
    )
    assert sorted((found.namespace, found.name) for found in all_seen(world)) == [
        (NAMESPACE, "nightly/manual-1"),
        (NAMESPACE, f"nightly/{RUN}"),
        ("muster-other", f"nightly/{RUN}"),
    ]


def test_the_true_names_come_from_a_pod_of_the_executor_and_are_kept_when_it_is_gone() -> None:
    world = World(project())
    worker = worker_pod()
    world.show(task_pod())
    world.write()
    assert all_seen(world)[0].attributes["run_id"] == RUN
    world.show(worker)
    world.write()
    assert all_seen(world)[0].attributes["run_id"] == TRUE_RUN
    world.step(worker, None)
    world.write()
    assert all_seen(world)[0].attributes["run_id"] == TRUE_RUN


def test_a_run_of_before_airflow_2_2_is_known_by_its_date() -> None:
    old = labels() | {"execution_date": "2021-01-01T00_00_00"}
    del old["run_id"]
    assert the_run(pod("a", labels=old)).name == "nightly/2021-01-01T00_00_00"


@pytest.mark.parametrize("missing", ["dag_id", "task_id", "run_id"])
def test_labels_that_name_no_task_of_a_run_make_a_bare_pod(missing: str) -> None:
    written = {name: value for name, value in labels().items() if name != missing}
    assert the_run(pod("a", labels=written)).kind == "Pod"


def test_airflow_s_own_components_are_no_tasks() -> None:
    written = {"tier": "airflow", "component": "scheduler", "release": "airflow"}
    assert the_run(pod("scheduler-0", labels=written)).kind == "Pod"


def test_a_number_of_a_try_that_is_none_is_the_first() -> None:
    written = labels() | {"try_number": "two"}
    assert the_run(pod("a", labels=written)).attributes["try_number"] == "1"


# ------------------------------------------------------------ tasks as workloads


def test_a_project_may_have_every_task_as_a_workload_with_the_run_as_its_parent() -> None:
    world = World(finer_project())
    world.show(worker_pod(), task_pod(), task_pod("shard", labels={"map_index": "7"}))
    found = {seen.name: seen for seen in all_seen(world)}
    assert sorted(found) == [f"nightly/{RUN}/shard/7", f"nightly/{RUN}/train"]
    assert {seen.kind for seen in found.values()} == {"AirflowTask"}
    assert found[f"nightly/{RUN}/train"].parent == ParentRef(kind="AirflowDagRun", name=f"nightly/{RUN}")
    assert found[f"nightly/{RUN}/shard/7"].attributes["map_index"] == "7"


def test_pods_move_when_a_project_changes_its_mind() -> None:
    world = World(project())
    world.show(task_pod())
    world.write()
    world.hear(finer_project())
    assert [event for event in world.write() if isinstance(event, PodMoved)]
    assert [seen.kind for seen in all_seen(world)] == ["AirflowTask"]


@pytest.mark.parametrize(
    ("phase", "reason"), [("Succeeded", "It has no pod at the moment."), ("Failed", "Its last try failed.")]
)
def test_a_task_speaks_of_itself_and_not_of_tasks(phase: str, reason: str) -> None:
    world = World(finer_project())
    world.show(task_pod(phase=phase))
    assert [seen.owner.reason for seen in all_seen(world)] == [reason]


# ------------------------------------------------------------ tries


def test_a_failed_try_is_no_failure_once_there_is_another() -> None:
    found = the_run(task_pod(number=1, phase="Failed"), task_pod(number=2))
    assert (found.owner.ready, found.owner.outcome) == (None, Outcome.NONE), "its pods tell whether it runs"
    assert found.owner.quiet_outcome is Outcome.SUCCEEDED
    assert found.attributes["try_number"] == "2"


def test_a_failed_pod_that_is_kept_is_no_failure_when_the_pod_of_the_try_that_went_well_is_gone() -> None:
    world = World(project())
    second = worker_pod(number=2)
    world.show(worker_pod(number=1, phase="Failed"), second)
    world.write()
    world.step(second, None)
    world.write()
    (found,) = all_seen(world)
    assert (found.owner.ready, found.owner.quiet_outcome) == (True, Outcome.SUCCEEDED)
    assert "failed_tasks" not in found.attributes
    world.show(worker_pod("report"))
    world.write()
    (found,) = all_seen(world)
    assert (found.attributes["task_id"], found.attributes["retried_tasks"]) == ("report", "train#2")


def test_a_run_is_not_well_while_others_go_on_after_a_last_try_failed() -> None:
    facts = the_run(task_pod("train", phase="Failed"), task_pod("report")).owner
    assert (facts.ready, facts.outcome, facts.quiet_outcome) == (False, Outcome.NONE, Outcome.FAILED)
    assert facts.reason == "The last try failed of train."


def test_between_tasks_a_run_is_well_whatever_will_become_of_it() -> None:
    facts = the_run(task_pod("extract", phase="Succeeded"), task_pod("train", phase="Failed")).owner
    assert (facts.ready, facts.outcome, facts.quiet_outcome) == (True, Outcome.NONE, Outcome.FAILED)
    facts = the_run(task_pod("extract", phase="Succeeded")).owner
    assert (facts.ready, facts.reason) == (True, "No task of it has a pod at the moment.")


def test_either_pod_of_a_try_fails_it_and_every_index_of_a_mapped_task_has_its_own() -> None:
    assert the_run(worker_pod(phase="Succeeded"), task_pod(phase="Failed")).owner.quiet_outcome is Outcome.FAILED
    mapped = [
        task_pod("shard", 1, "Failed", name="a", labels={"map_index": "1"}),
        task_pod("shard", 2, "Running", name="b", labels={"map_index": "2"}),
    ]
    found = the_run(*mapped)
    assert found.attributes["failed_tasks"] == "shard[1]#1"
    assert found.attributes["tasks"] == "shard[1]#1 shard[2]#2"


def test_the_container_of_the_task_decides_not_the_one_that_holds_its_result() -> None:
    spec = {"containers": [container(name="base"), container(name="airflow-xcom-sidecar")]}
    states = [
        {"name": "base", "state": {"terminated": {"exitCode": 1}}},
        {"name": "airflow-xcom-sidecar", "state": {"running": {}}},
    ]
    found = the_run(task_pod(spec=spec, status={"phase": "Running", "containerStatuses": states}))
    assert found.owner.quiet_outcome is Outcome.FAILED
    (facts,) = found.pods.values()
    assert {one.name: one.role for one in facts.containers} == {"base": "main", "airflow-xcom-sidecar": "sidecar"}


def test_a_container_that_was_given_another_name_is_the_first() -> None:
    spec = {"containers": [container(name="training"), container(name="airflow-xcom-sidecar")]}
    (facts,) = the_run(task_pod(spec=spec)).pods.values()
    assert [one.role for one in facts.containers] == ["main", "sidecar"]


# ------------------------------------------------------------ pods that are gone


def test_a_failed_task_is_remembered_when_its_pod_is_gone_until_a_later_try() -> None:
    world = World(project())
    failed, other = task_pod("train", phase="Failed"), task_pod("report")
    world.show(failed, other)
    world.write()
    world.step(failed, None)
    world.write()
    assert all_seen(world)[0].owner.ready is False
    assert all_seen(world)[0].attributes["failed_tasks"] == "train#1"
    world.show(task_pod("train", 2))
    world.write()
    assert "failed_tasks" not in all_seen(world)[0].attributes
    assert all_seen(world)[0].owner.quiet_outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("others", [[], [task_pod("report")]])
def test_a_task_that_failed_and_went_before_it_was_written_is_remembered(others: list[dict[str, Any]]) -> None:
    world = World(project())
    runs = task_pod("train")
    world.show(runs, *others)
    world.write()
    (one,) = all_seen(world)
    failed = task_pod("train", phase="Failed", version=2)
    world.step(runs, failed)
    world.step(failed, None)
    world.write()
    written = world.fold.workloads[one.workload_id].discovered
    assert written is not None
    assert (written.attributes["failed_tasks"], written.attributes["dag_id"]) == ("train#1", "nightly")
    assert written.owner.quiet_outcome is Outcome.FAILED
    assert world.write() == []


def test_a_task_whose_pods_went_is_not_said_to_run_beside_the_next() -> None:
    world = World(project())
    trains = task_pod("train")
    world.show(trains)
    world.write()
    world.show(task_pod("report"))
    world.step(trains, None)
    world.write()
    (found,) = all_seen(world)
    written = world.fold.workloads[found.workload_id].discovered
    assert written is not None
    assert written.attributes["task_id"] == "report"
    assert "tasks" not in written.attributes


def test_a_try_that_went_well_and_went_before_it_was_written_is_remembered() -> None:
    world = World(project())
    failed, again = task_pod(phase="Failed"), task_pod(number=2)
    world.show(failed)
    world.write()
    world.show(again)
    world.step(again, None)
    world.write()
    for _ in range(2):  # told by the pod that went, then from memory
        (found,) = all_seen(world)
        assert found.attributes["retried_tasks"] == "train#2"
        assert found.owner.quiet_outcome is Outcome.SUCCEEDED
        world.write_everybody()


@pytest.mark.parametrize("others", [[], [task_pod("report")]])
def test_of_a_pod_that_came_and_went_unwritten_nothing_is_kept(others: list[dict[str, Any]]) -> None:
    world = World(project())
    world.show(*others)
    world.write()
    passing = task_pod("train")
    world.show(passing)
    (run, *_) = world.mirror.workload_ids
    world.step(passing, None)
    assert len(world.mirror.departures_of(run).last_words) == 1
    world.write()
    assert world.mirror.departures_of(run).last_words == {}


def test_of_very_many_failed_tasks_only_some_are_named() -> None:
    pods = [task_pod(f"t{number}", phase="Failed", name=f"p{number}") for number in range(60)]
    found = the_run(*pods)
    assert len(found.attributes["failed_tasks"].split()) == 50
    assert found.owner.reason == "The last try failed of t0, t1, t10 and 57 more."


def quiet(workload_id: UUID, effect: Any = "complete") -> LimitReached:
    return LimitReached(workload_id=workload_id, limit="quiet", limit_seconds=900, effect=effect, reason="Quiet.")


def test_a_run_is_still_there_between_tasks_and_the_next_pod_goes_on_with_it() -> None:
    world = World(project())
    first = task_pod("extract", phase="Succeeded")
    world.show(first)
    (discovered,) = [event for event in world.write() if isinstance(event, WorkloadDiscovered)]
    world.step(first, None)
    assert [type(event).__name__ for event in world.write()] == ["PodGone", "PodGroupChanged", "OwnerObserved"]
    assert world.write() == []
    world.show(task_pod("train"))
    events = world.write()
    assert not [event for event in events if isinstance(event, WorkloadDiscovered)]
    assert {found.workload_id for found in all_seen(world)} == {discovered.workload_id}


@pytest.mark.parametrize("effect", ["complete", "fail"])
def test_after_a_quiet_time_it_goes_and_a_later_pod_opens_a_second_attempt(effect: str) -> None:
    world = World(project())
    first = task_pod(phase="Succeeded")
    world.show(first)
    world.write()
    (one,) = all_seen(world)
    world.step(first, None, seen=False)
    world.write()
    world.hear(quiet(one.workload_id, effect))
    (gone,) = world.write_everybody()
    assert isinstance(gone, WorkloadGone)
    assert (gone.workload_id, gone.end_seen) == (one.workload_id, True)
    world.show(task_pod(number=2))
    world.write()
    (two,) = all_seen(world)
    assert two.workload_id != one.workload_id
    assert (two.identity, two.attributes["attempt"]) == (one.identity, "2")
    assert two.attributes["first_attempt"] == str(one.workload_id)


def test_a_kept_pod_stays_with_the_attempt_it_was_in() -> None:
    world = World(project())
    kept = task_pod(phase="Succeeded")
    world.show(kept)
    world.write()
    (one,) = all_seen(world)
    world.hear(quiet(one.workload_id))
    again = task_pod(number=2)
    world.show(again)
    world.step(kept, task_pod(phase="Succeeded", labels={"already_checked": "True"}, version=2))
    world.write()
    assert {found.workload_id: [f.name for f in found.pods.values()] for found in all_seen(world)} == {
        one.workload_id: ["train-1"],
        next(found.workload_id for found in all_seen(world) if found.workload_id != one.workload_id): ["train-2"],
    }


def test_a_run_that_is_to_be_deleted_goes_with_its_last_pod() -> None:
    found = the_run(task_pod("a"), task_pod("b"))
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (False, False, True)
    assert (found.controls.stop, found.controls.activate) == ((), ())
    assert [(ref.kind, ref.name) for ref in found.controls.delete] == [("Pod", "a-1"), ("Pod", "b-1")]
    assert found.controls.warning == "Airflow may try a task again whose pod is deleted."
    assert "in Airflow" in found.controls.reason


def test_a_very_large_run_is_deleted_in_parts() -> None:
    world = World(project())
    pods = [task_pod("shard", name=f"p{number:03}", labels={"map_index": str(number)}) for number in range(150)]
    world.show(*pods)
    world.write()
    (found,) = all_seen(world)
    assert [ref.name for ref in found.controls.delete] == [f"p{number:03}" for number in range(100)]
    for one in pods[:100]:
        world.step(one, None)
    (left,) = all_seen(world)
    assert len(left.controls.delete) == 50


# ------------------------------------------------------------ what a task makes


def job_of_a_task() -> list[dict[str, Any]]:
    job = manifest(JOBS, "batch-infer", spec={"template": template(labels=labels("infer"))})
    return [job, pod("batch-infer-x", owner=job, labels=labels("infer", kubernetes_pod_operator="True"))]


def test_a_job_of_a_task_is_a_workload_whose_parent_is_the_run_once_a_pod_tells() -> None:
    job, its_pod = job_of_a_task()
    world = World(project())
    world.show(job)
    world.write()
    assert all_seen(world)[0].parent is None
    world.show(its_pod)
    (told,) = [event for event in world.write() if isinstance(event, OwnerObserved)]
    assert told.parent == ParentRef(kind="AirflowDagRun", name=f"nightly/{RUN}")
    (found,) = all_seen(world)
    assert (found.kind, found.object_id) == ("Job", UUID(uid("Job/batch-infer")))
    assert (found.attributes["dag_id"], found.attributes["task_id"]) == ("nightly", "infer")


def test_a_pod_of_a_job_that_is_not_there_is_not_the_run_s() -> None:
    world = World(project())
    world.show(job_of_a_task()[1])
    world.give_up_owners()
    (found,) = all_seen(world)
    assert (found.kind, found.parent) == ("Job", ParentRef(kind="AirflowDagRun", name=f"nightly/{RUN}"))


# ------------------------------------------------------------ recorded


@pytest.mark.parametrize(
    ("name", "dag", "task", "number"),
    [
        ("k8sexecutor-basic-2.10.5", "nightly_training", "prepare_data", "1"),
        ("k8sexecutor-basic-3.3.2", "nightly_training", "prepare_data", "1"),
        ("k8sexecutor-mapped-retry-3.3.2", "nightly_training", "shard", "3"),
        ("k8sexecutor-nodate-gpu-override-2.10.5", "asset_dag", "train", "1"),
        ("k8sexecutor-nodate-gpu-override-3.3.2", "asset_dag", "train", "1"),
        ("k8sexecutor-taskgroup-3.3.2", "nightly_training", "etl.load_to_warehouse", "1"),
        ("kpo-basic-2.10.5", "nightly_training", "train_model", "1"),
        ("kpo-basic-3.3.2", "nightly_training", "train_model", "1"),
        ("kpo-retry2-2.10.5", "nightly_training", "train_model", "2"),
        ("kpo-retry2-3.3.2", "nightly_training", "train_model", "2"),
    ],
)
def test_a_recorded_pod_belongs_to_its_run(name: str, dag: str, task: str, number: str) -> None:
    found = the_run(*recorded(RECORDED / f"{name}.json"))
    assert found.kind == "AirflowDagRun"
    assert found.name.startswith(f"{dag}/")
    assert (found.attributes["dag_id"], found.attributes["task_id"], found.attributes["try_number"]) == (
        dag,
        task,
        number,
    )
    (facts,) = found.pods.values()
    assert facts.role == ("airflow-worker" if name.startswith("k8s") else "task")
    assert [one.name for one in facts.containers if one.role == "main"] == ["base"]


def test_a_recorded_run_is_one_across_both_makers_and_both_tries() -> None:
    names = ("k8sexecutor-basic-3.3.2", "k8sexecutor-mapped-retry-3.3.2", "kpo-basic-3.3.2", "kpo-retry2-3.3.2")
    found = the_run(*(one for name in names for one in recorded(RECORDED / f"{name}.json")))
    assert len(found.pods) == 4
    assert found.attributes["run_id"] == TRUE_RUN
    assert found.attributes["tasks"] == "prepare_data#1 shard[12]#3 train_model#2"


def test_names_that_airflow_cut_are_keys_as_they_are() -> None:
    found = the_run(*recorded(RECORDED / "kpo-truncated-labels-2.10.5.json"))
    dag, _, run = found.name.partition("/")
    assert (len(dag), run) == (63, RUN)


def test_a_recorded_job_of_the_job_operator_is_a_job() -> None:
    found = the_run(*recorded(RECORDED / "kjo-job-3.3.2.json"))
    assert (found.kind, found.owner.desired_pods, found.parent) == ("Job", 4, None)
