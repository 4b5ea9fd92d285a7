"""A DAG as a user writes it, for Airflow's scheduler: its one task is handed to a pod of the KubernetesExecutor."""

from datetime import UTC, datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("hourly_report", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
    BashOperator(task_id="collect", bash_command="true")
