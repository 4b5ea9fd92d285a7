"""What a user of Kubeflow's SDK types: one training started from a function, one from an object, and their ends.

Prints what the SDK found out about each as the last line.
"""

import json
import os
from typing import Any

from kubeflow.training import (
    KubeflowOrgV1PyTorchJob,
    KubeflowOrgV1PyTorchJobSpec,
    KubeflowOrgV1ReplicaSpec,
    KubeflowOrgV1RunPolicy,
    TrainingClient,
)
from kubernetes import client as kubernetes

ENDS = {"Succeeded", "Failed"}


def train() -> None:
    """Stand for a training: it is sent to the cluster as text and not run here."""
    print("trained")


def failing_job(namespace: str) -> KubeflowOrgV1PyTorchJob:
    """Return a job whose only pod exits with 1, and which says how often it may be tried."""
    container = kubernetes.V1Container(name="pytorch", image="train:1", command=["exit", "1"])
    template = kubernetes.V1PodTemplateSpec(spec=kubernetes.V1PodSpec(containers=[container]))
    worker = KubeflowOrgV1ReplicaSpec(replicas=1, restart_policy="Never", template=template)
    return KubeflowOrgV1PyTorchJob(
        api_version="kubeflow.org/v1",
        kind="PyTorchJob",
        metadata=kubernetes.V1ObjectMeta(name="broken", namespace=namespace),
        spec=KubeflowOrgV1PyTorchJobSpec(
            run_policy=KubeflowOrgV1RunPolicy(clean_pod_policy="None"), pytorch_replica_specs={"Worker": worker}
        ),
    )


def conclusion(client: TrainingClient, name: str) -> dict[str, Any]:
    """Wait for the end of a job; return what the SDK tells of it."""
    client.wait_for_job_conditions(name, expected_conditions=ENDS, wait_timeout=60, polling_interval=1)
    logs, _ = client.get_job_logs(name)
    return {
        "conditions": [condition.type for condition in client.get_job_conditions(name) if condition.status == "True"],
        "succeeded": client.is_job_succeeded(name),
        "failed": client.is_job_failed(name),
        "pods": client.get_job_pod_names(name),
        "master": client.get_job_pod_names(name, is_master=True),
        "logs": logs,
    }


if __name__ == "__main__":
    namespace = os.environ["NAMESPACE"]
    client = TrainingClient(os.environ["KUBECONFIG"], namespace=namespace, job_kind="PyTorchJob")
    client.create_job(
        name="digits",
        train_func=train,
        base_image="train:1",
        num_workers=3,
        num_procs_per_worker=2,
        resources_per_worker={"gpu": 2, "cpu": 4, "memory": "8Gi"},
        labels={"team": "vision"},
    )
    client.create_job(failing_job(namespace))
    print(json.dumps({name: conclusion(client, name) for name in ("digits", "broken")}))
