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
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
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

SPARK: dict[str, Any] = {
    "apiVersion": "sparkoperator.k8s.io/v1beta2",
    "kind": "SparkApplication",
    "spec": {
        "type": "Python",
        "mode": "cluster",
        "image": "spark:1",
        "mainApplicationFile": "local:///opt/summarise.py",
        "sparkVersion": "4.0.0",
        "driver": {"cores": 1, "memory": "1g", "annotations": {"sim.run-seconds": "12"}},
        "executor": {"instances": 2, "cores": 1, "memory": "1g"},
    },
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
    evaluate = KubernetesPodOperator(
        task_id="evaluate",
        image="evaluate:1",
        cmds=["python", "evaluate.py"],
        do_xcom_push=True,
        annotations={"sim.run-seconds.base": "1", "sim.exec-output.airflow-xcom-sidecar": '{"accuracy": 0.93}'},
        on_finish_action="keep_pod",
        **WHERE,
    )
    summarise = SparkKubernetesOperator(
        task_id="summarise",
        name="summarise",
        template_spec=SPARK,
        delete_on_termination=False,
        **WHERE,
    )
    report = KubernetesPodOperator(
        task_id="report",
        name="report",
        image="report:1",
        cmds=["python", "report.py"],
        deferrable=True,
        arguments=["{{ ti.xcom_pull('evaluate')['accuracy'] }}"],
        annotations={"sim.run-seconds": "1"},
        **WHERE,
    )
    prepare >> train >> evaluate >> summarise >> report

if __name__ == "__main__":
    run = dag.test()
    tasks = {task.task_id: (task.state, task.try_number) for task in run.get_task_instances()}
    print(json.dumps({"run_id": run.run_id, "state": run.state, "tasks": tasks}))
