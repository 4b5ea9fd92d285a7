"""The Kubernetes object of a workload that was submitted through Muster: a plain `batch/v1` Job.

Trainings and workspaces are both Jobs, which every cluster has and every tool shows. Labels say whose it is; the
scheduler reads the pod template, `integrations` the labels and annotations. Golden files in `tests/submitter` show
whole manifests.

Pitfall. An evicted or preempted pod must not use up the Job's retries, hence the rule on `DisruptionTarget`; Kubernetes
takes a `podFailurePolicy` with `restartPolicy: Never` only.
"""

from typing import Any

from muster_contracts.events import WorkloadSubmitted
from muster_contracts.names import (
    GPU_DEVICES,
    GPU_FRACTION,
    GPU_MEMORY,
    GPU_RESOURCE,
    MIN_MEMBERS,
    NODE_POOL,
    PRIORITY_CLASS,
    PROJECT,
    SCHEDULER_NAME,
    WORKLOAD_ID,
    WORKLOAD_KIND,
)
from muster_contracts.values import WHOLE_GPU, WorkloadSpec

Manifest = dict[str, Any]

CONTAINER = "main"
_MEBIBYTE = 1024 * 1024


def manifest_of(submitted: WorkloadSubmitted, *, suspend: bool = False) -> Manifest:
    """Return the object of a submission; suspended from the start when it was stopped before it was made."""
    spec = submitted.spec
    labels, annotations = _labels(submitted), _annotations(spec)
    return {
        "apiVersion": submitted.object_api_version,
        "kind": submitted.object_kind,
        "metadata": _metadata(labels, annotations, name=submitted.object_name, namespace=submitted.namespace),
        "spec": {
            "suspend": suspend,
            "parallelism": spec.parallelism,
            "completions": spec.completions if spec.completions is not None else spec.parallelism,
            "backoffLimit": spec.backoff_limit,
            "podFailurePolicy": {"rules": [_when_evicted(spec)]},
            "template": {"metadata": _metadata(labels, annotations), "spec": _pod(spec)},
        },
    }


def _when_evicted(spec: WorkloadSpec) -> Manifest:
    action = "FailJob" if spec.terminate_after_preemption else "Ignore"
    return {"action": action, "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def namespace_of(project: str, namespace: str) -> Manifest:
    """Return the namespace of a project."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {PROJECT: project}},
    }


def _labels(submitted: WorkloadSubmitted) -> dict[str, str]:
    pools = submitted.spec.node_pools
    ours = {
        WORKLOAD_ID: str(submitted.workload_id),
        WORKLOAD_KIND: submitted.spec.kind.value,
        PROJECT: submitted.project,
        PRIORITY_CLASS: submitted.spec.priority_class.value,
    }
    return submitted.spec.labels | ours | ({NODE_POOL: pools[0]} if len(pools) == 1 else {})


def _annotations(spec: WorkloadSpec) -> dict[str, str]:
    gang = {MIN_MEMBERS: str(spec.min_members)} if spec.min_members is not None else {}
    return spec.annotations | gang | _portion(spec)


def _portion(spec: WorkloadSpec) -> dict[str, str]:
    """Return what says that only a part of each GPU is asked for: a share, or memory in whole MiB, rounded up."""
    if not _asks_for_parts(spec):
        return {}
    devices = {GPU_DEVICES: str(spec.gpu_devices)} if spec.gpu_devices > 1 else {}
    if spec.gpu_memory_bytes is not None:
        return {GPU_MEMORY: str(-(-spec.gpu_memory_bytes // _MEBIBYTE))} | devices
    return {GPU_FRACTION: f"{spec.gpu_portion_millionths / WHOLE_GPU:.6f}".rstrip("0")} | devices


def _asks_for_parts(spec: WorkloadSpec) -> bool:
    return spec.gpu_memory_bytes is not None or spec.gpu_portion_millionths < WHOLE_GPU


def _metadata(labels: dict[str, str], annotations: dict[str, str], **others: str) -> Manifest:
    return others | {"labels": labels} | ({"annotations": annotations} if annotations else {})


def _pod(spec: WorkloadSpec) -> Manifest:
    return {
        "schedulerName": SCHEDULER_NAME,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        "containers": [_container(spec)],
    }


def _container(spec: WorkloadSpec) -> Manifest:
    optional = {
        "command": list(spec.command),
        "args": list(spec.arguments),
        "env": [{"name": variable.name, "value": variable.value} for variable in spec.environment],
        "workingDir": spec.working_directory,
    }
    return {
        "name": CONTAINER,
        "image": spec.image,
        **{name: value for name, value in optional.items() if value},
        "resources": _resources(spec),
    }


def _resources(spec: WorkloadSpec) -> Manifest:
    whole = spec.gpu_devices and not _asks_for_parts(
        spec
    )  # Kubernetes counts GPUs in wholes, and would count parts too
    gpus = {GPU_RESOURCE: str(spec.gpu_devices)} if whole else {}
    requests = {"cpu": f"{spec.cpu_milli}m", "memory": str(spec.memory_bytes)} | gpus
    return {"requests": requests} | ({"limits": gpus} if gpus else {})
