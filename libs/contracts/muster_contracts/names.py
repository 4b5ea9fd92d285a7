"""The names Muster reads and writes on Kubernetes objects, in one place.

Run:ai's and KAI's names that are accepted beside them, so that manifests need no change, stand next to ours.
"""

SCHEDULER_NAME = "muster-scheduler"
COMPATIBLE_SCHEDULER_NAMES = frozenset({SCHEDULER_NAME, "runai-scheduler"})

WORKLOAD_ID = "muster.dev/workload-id"
WORKLOAD_KIND = "muster.dev/workload-kind"
PROJECT = "muster.dev/project"
POD_GROUP = "muster.dev/pod-group"
NODE_POOL = "muster.dev/node-pool"
PRIORITY_CLASS = "muster.dev/priority-class"
PROJECT_LABELS = (PROJECT, "project", "runai/queue")
PRIORITY_LABELS = (PRIORITY_CLASS, "priorityClassName")
OWN_LABELS = frozenset({WORKLOAD_ID, WORKLOAD_KIND, PROJECT, POD_GROUP})
"""Labels that the submitter alone writes. Admission refuses them from everybody else."""

GPU_FRACTION = "muster.dev/gpu-fraction"
GPU_MEMORY = "muster.dev/gpu-memory"
GPU_DEVICES = "muster.dev/gpu-devices"
GPU_FRACTION_NAMES = (GPU_FRACTION, "gpu-fraction")
GPU_MEMORY_NAMES = (GPU_MEMORY, "gpu-memory")
GPU_DEVICES_NAMES = (GPU_DEVICES, "gpu-fraction-num-devices")
GPU_FRACTION_VARIABLE = "RUNAI_GPU_FRACTION"
"""In the environment of a container, where Kubeflow's PodDefaults put it."""
MIN_MEMBERS = "muster.dev/min-members"
TOPOLOGY_REQUIRED = "muster.dev/topology-required"
TOPOLOGY_PREFERRED = "muster.dev/topology-preferred"
TOPOLOGY_REQUIRED_NAMES = (TOPOLOGY_REQUIRED, "kai.scheduler/topology-required-placement")
TOPOLOGY_PREFERRED_NAMES = (TOPOLOGY_PREFERRED, "kai.scheduler/topology-preferred-placement")
ENFORCE_SCHEDULER = "muster.dev/enforce-scheduler"
ENFORCE_SCHEDULER_NAMES = (ENFORCE_SCHEDULER, "runai/enforce-scheduler-name")
GPUS = "muster.dev/gpus"
RESERVATIONS_NAMESPACE = "muster-reservations"
GPU_INDEX = "muster.dev/gpu-index"

GPU_RESOURCE = "nvidia.com/gpu"


def project_namespace(project: str) -> str:
    """Return the namespace Muster makes for a project."""
    return f"muster-{project}"
