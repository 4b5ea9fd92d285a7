"""Events to write: workloads as somebody submits them, all alike but for their ids."""

from uuid import UUID, uuid4

from muster_contracts.events import ProjectChanged, WorkloadSubmitted
from muster_contracts.phases import WorkloadKind
from muster_contracts.subjects import derived_id
from muster_contracts.values import Caller, EnvironmentVariable, Source, WorkloadSpec

PROJECT = "demo"
PROJECT_ID = derived_id("project", PROJECT)
NAMESPACE = f"muster-{PROJECT}"
SOMEBODY = Caller(name="benchmark", source=Source.API)
SPEC = WorkloadSpec(
    kind=WorkloadKind.TRAINING,
    image="registry.example/pretrain:7",
    command=("python", "train.py", "--epochs", "90"),
    environment=(EnvironmentVariable(name="LEARNING_RATE", value="3e-4"),),
    gpu_devices=1,
)


def project() -> ProjectChanged:
    """Return the project all workloads belong to."""
    return ProjectChanged(project_id=PROJECT_ID, name=PROJECT, namespace=NAMESPACE, changed_by=SOMEBODY)


def submitted(workload_id: UUID | None = None) -> WorkloadSubmitted:
    """Return the submission of a new workload; just under 1 kB of JSON."""
    known = workload_id or uuid4()
    name = f"train-{known.hex[:16]}"
    return WorkloadSubmitted(
        workload_id=known,
        name=name,
        project_id=PROJECT_ID,
        project=PROJECT,
        namespace=NAMESPACE,
        object_name=name,
        spec=SPEC,
        submitted_by=SOMEBODY,
        idempotency_key=name,
        request_digest="0" * 64,
    )
