"""Airflow's operators, run by Airflow itself, make pods and a Job in the simulated cluster and see what comes of them.

One run of one DAG (`programs/nightly_training.py`) is looked at from several sides: a KubernetesJobOperator, a
KubernetesPodOperator whose first try fails, one that hands on a result, one that waits in Airflow's trigger instead of
in a worker, and a SparkKubernetesOperator.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from clients.conftest import Api
from clients.environments import environment

pytestmark = pytest.mark.nightly  # a minute and more beside everything else on two cores

PROGRAM = Path(__file__).parent / "programs" / "nightly_training.py"


@pytest.fixture(scope="module")
def run(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Airflow says of its run."""
    airflow, home = environment("airflow"), tmp_path_factory.mktemp("airflow")
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROGRAM.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "KUBECONFIG": str(api.kubeconfig),
        "NAMESPACE": api.namespace,
    }
    for command in (("airflow", "db", "migrate"), ("python", PROGRAM)):
        ran = airflow.run(*command, home=home, **settings)
        assert ran.code == 0, ran.out + ran.err
    return json.loads(ran.out.splitlines()[-1])


def pods_of(api: Api, task: str) -> list[Any]:
    return [pod for pod in api.last_seen("pods") if pod["metadata"]["labels"]["task_id"] == task]


def test_airflow_sees_the_run_succeed_after_a_retry(run: Any) -> None:
    assert run["state"] == "success"
    assert {task: state for task, (state, _) in run["tasks"].items()} == {
        "prepare": "success",
        "train": "success",
        "evaluate": "success",
        "summarise": "success",
        "report": "success",
    }
    assert {task for task, (_, tries) in run["tasks"].items() if tries > 1} == {"train"}


def test_each_try_of_a_task_is_a_pod_without_an_owner(api: Api, run: Any) -> None:
    first, second = pods_of(api, "train")
    for number, pod in (("1", first), ("2", second)):
        labels = dict(pod["metadata"]["labels"])
        assert re.fullmatch(r"manual__[0-9T.-]+0000-[0-9a-f]{9}", labels.pop("run_id"))
        assert labels == {
            "dag_id": "nightly_training",
            "task_id": "train",
            "try_number": number,
            "kubernetes_pod_operator": "True",
            "airflow_version": "3.3.2",
            "airflow_kpo_in_cluster": "False",
            "team": "vision",
            "already_checked": "True",
        }
        assert re.fullmatch(r"train-[a-z0-9]{8}", pod["metadata"]["name"])
        assert "ownerReferences" not in pod["metadata"]
        assert [container["name"] for container in pod["spec"]["containers"]] == ["base"]
    assert [pod["status"]["phase"] for pod in (first, second)] == ["Failed", "Succeeded"]


def test_all_pods_of_a_run_share_its_labels(api: Api, run: Any) -> None:
    labels = [
        pod["metadata"]["labels"] for pod in api.last_seen("pods") if "spark-role" not in pod["metadata"]["labels"]
    ]
    assert {each["dag_id"] for each in labels} == {"nightly_training"}
    [run_id] = {each["run_id"] for each in labels}
    assert run_id != run["run_id"]  # which holds signs that a label may not have


def test_a_job_operator_labels_its_pods_and_not_its_job(api: Api, run: Any) -> None:
    [job] = api.last_seen("jobs.batch/v1")
    assert re.fullmatch(r"job-prepare-[a-z0-9]{8}", job["metadata"]["name"])
    assert "dag_id" not in job["metadata"].get("labels", {})
    assert job["status"]["succeeded"] == 2
    owners = [pod["metadata"]["ownerReferences"] for pod in pods_of(api, "prepare")]
    assert [owner["uid"] for [owner] in owners] == [job["metadata"]["uid"]] * 2


def test_a_result_is_fetched_from_the_sidecar_which_is_killed_then(api: Api, run: Any) -> None:
    [evaluate] = pods_of(api, "evaluate")
    assert [each["name"] for each in evaluate["spec"]["containers"]] == ["base", "airflow-xcom-sidecar"]
    assert evaluate["status"]["phase"] == "Succeeded"
    [report] = pods_of(api, "report")
    assert report["spec"]["containers"][0]["args"] == ["0.93"], "what evaluate put out"


def test_a_spark_application_is_a_workload_below_the_run_whose_labels_its_pods_bear(api: Api, run: Any) -> None:
    pods = pods_of(api, "summarise")
    roles = [pod["metadata"]["labels"]["spark-role"] for pod in pods]
    assert sorted(roles) == ["driver", "executor", "executor"]
    assert {pod["metadata"]["labels"]["spark_kubernetes_operator"] for pod in pods} == {"True"}
    application = api.workload("summarise-", "Completed")
    assert (application["kind"], application["desired_pods"]) == ("SparkApplication", 3)
    assert application["parent"]["kind"] == "AirflowDagRun"


def test_a_deferred_pod_is_removed_when_airflow_has_seen_its_end(api: Api, run: Any) -> None:
    [report] = pods_of(api, "report")
    assert report["status"]["phase"] == "Succeeded"
    assert report["metadata"]["name"] not in {pod["metadata"]["name"] for pod in api.find("pods")}


def test_muster_shows_the_run_as_one_workload_and_its_job_as_another_below_it(api: Api, run: Any) -> None:
    dag_run = api.workload("nightly_training/", "Running")  # no pod is left, and more could come
    assert (dag_run["kind"], dag_run["attributes"]["dag_id"]) == ("AirflowDagRun", "nightly_training")
    assert "failed_tasks" not in dag_run["attributes"]
    job = api.workload("job-prepare", "Completed")
    assert job["kind"] == "Job"
    assert job["parent"] == {"kind": "AirflowDagRun", "name": dag_run["name"]}
    listed = sorted(api.listed().values())
    assert listed == ["AirflowDagRun Running", "Job Completed", "SparkApplication Completed"]
