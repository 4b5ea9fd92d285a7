"""Airflow's scheduler hands a task to its KubernetesExecutor, dies, and is followed by another that adopts the pod.

Scheduler and executor are Airflow's own, and so are the pod and its labels. Only what would run in the pod is not here:
nobody tells Airflow how the task went, so the test ends while the pod lives.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clients.conftest import Api
from clients.environments import Ran, environment

pytestmark = pytest.mark.nightly  # a scheduler waits for its watch to end: half a minute each time

DAGS = Path(__file__).parent / "programs"
TEMPLATE = """
apiVersion: v1
kind: Pod
metadata:
  name: placeholder
  labels: {tier: airflow, component: worker}
  annotations: {sim.run-seconds: forever}
spec:
  restartPolicy: Never
  schedulerName: muster-scheduler
  containers: [{name: base, image: placeholder, resources: {limits: {nvidia.com/gpu: 1}}}]
"""


@pytest.fixture(scope="module")
def airflow(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ran]:
    """Types an `airflow` command, which must succeed; a run of the DAG is asked for already."""
    installed, home = environment("airflow"), tmp_path_factory.mktemp("airflow")
    (home / "template.yaml").write_text(TEMPLATE)
    executor = {
        "NAMESPACE": api.namespace,
        "IN_CLUSTER": "False",
        "CONFIG_FILE": str(api.kubeconfig),
        "POD_TEMPLATE_FILE": str(home / "template.yaml"),
        "WORKER_CONTAINER_REPOSITORY": "apache/airflow",
        "WORKER_CONTAINER_TAG": "3.3.2",
    }
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret that nobody is asked for in this test",
        "NAMESPACE": api.namespace,
        "KUBECONFIG": str(api.kubeconfig),
    } | {f"AIRFLOW__KUBERNETES_EXECUTOR__{name}": value for name, value in executor.items()}

    def run(*words: str) -> Ran:
        ran = installed.run("airflow", *words, home=home, **settings)
        assert ran.code == 0, ran.out + ran.err
        return ran

    for words in ("db migrate", "dags reserialize", "dags unpause hourly_report", "dags trigger hourly_report"):
        run(*words.split())
    return run


@pytest.fixture(scope="module")
def worker(airflow: Callable[..., Ran], api: Api) -> Any:
    """The pod that the first scheduler made."""
    airflow("scheduler", "--num-runs", "8")
    [pod] = api.find("pods")
    return pod


def test_a_task_of_the_executor_is_a_dag_run_with_its_true_names(worker: Any, api: Api) -> None:
    row = api.workload("hourly_report/", "Running")
    assert (row["kind"], row["desired_pods"], row["requests"]["gpu_millionths"]) == ("AirflowDagRun", 1, 1_000_000)
    assert api.roles(row) == ["airflow-worker"]
    written = worker["metadata"]["annotations"]
    assert written["run_id"].startswith("manual__")
    assert row["attributes"]["run_id"] == written["run_id"], "its label is cut and hashed"
    assert row["attributes"]["dag_id"] == "hourly_report"


def test_a_pod_that_the_next_scheduler_adopts_stays_in_its_workload(
    worker: Any, api: Api, airflow: Callable[..., Ran]
) -> None:
    before = api.workload("hourly_report/", "Running")
    assert "attempting to adopt pod" in "".join((ran := airflow("scheduler", "--num-runs", "4")).out + ran.err)
    [adopted] = api.find("pods")
    assert adopted["metadata"]["uid"] == worker["metadata"]["uid"]
    assert adopted["metadata"]["labels"]["airflow-worker"] != worker["metadata"]["labels"]["airflow-worker"]
    assert [row["id"] for row in api.workloads()] == [before["id"]]
    assert api.workload("hourly_report/", "Running")["attributes"] == before["attributes"]
