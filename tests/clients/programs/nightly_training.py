"""A DAG as a user writes it, run to its end in this process: Airflow's own test run, without scheduler or executor.

It knows nothing of Muster; the `sim.` annotations tell the simulated cluster what the containers do. Prints the state
of the run and of its tasks as the last line.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

WHERE: dict[str, Any] = {
    "namespace": os.environ["NAMESPACE"],
    "config_file": os.environ["KUBECONFIG"],
    "kubernetes_conn_id": None,
    "in_cluster": False,
    "startup_check_interval_seconds": 1,
    "poll_interval": 1,
    "base_container_status_polling_interval": 1,
}

with DAG("nightly_training", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
    prepare = KubernetesJobOperator(
        task_id="prepare",
        name="prepare",
        image="prepare:1",
        cmds=["python", "prepare.py"],
        completions=2,
        parallelism=2,
        wait_until_job_complete=True,
        job_poll_interval=1,
        annotations={"sim.run-seconds": "1"},
        **WHERE,
    )
    train = KubernetesPodOperator(
        task_id="train",
        image="train:1",
        cmds=["python", "train.py"],
        labels={"team": "vision"},
        container_resources={"limits": {"nvidia.com/gpu": "1"}},
        retries=1,
        retry_delay=timedelta(0),
        annotations={"sim.run-seconds": "1", "sim.exit-code": "{{ 1 if ti.try_number == 1 else 0 }}"},
        on_finish_action="keep_pod",
        **WHERE,
    )
    report = KubernetesPodOperator(
        task_id="report",
        name="report",
        image="report:1",
        cmds=["python", "report.py"],
        deferrable=True,
        annotations={"sim.run-seconds": "1"},
        **WHERE,
    )
    prepare >> train >> report

if __name__ == "__main__":
    run = dag.test()
    tasks = {task.task_id: (task.state, task.try_number) for task in run.get_task_instances()}
    print(json.dumps({"run_id": run.run_id, "state": run.state, "tasks": tasks}))
