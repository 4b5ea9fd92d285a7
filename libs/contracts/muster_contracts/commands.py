"""What may be asked of Muster, over HTTP or over the bus: types of their own, never stored as facts.

Commands forbid fields they do not know: a misspelt field is a complaint, not a silence. What needs knowledge (does the
project exist, may the caller) is decided by the submitter; what can be said of a field alone is checked here, so that
every door gives the same complaint. Names are close to those of Run:ai's API, in snake case.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from muster_contracts.errors import Complaint
from muster_contracts.phases import PriorityClass, WorkloadKind
from muster_contracts.values import WHOLE_GPU, EnvironmentVariable, PoolQuota

MAXIMUM_BODY_BYTES = 1_000_000
"""A request larger than this is refused before it is read (Kubernetes itself takes about 1.5 MB)."""

DNS_LABEL = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
VARIABLE_NAME = re.compile(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
QUALIFIED_NAME = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$")
LABEL_VALUE = re.compile(r"^([a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?$")

NAME_RULE = "must be lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen"
RULES = {
    DNS_LABEL.pattern: NAME_RULE,
    VARIABLE_NAME.pattern: "must be letters, digits, hyphens, dots and underscores, and not begin with a digit",
    QUALIFIED_NAME.pattern: "must be a name of at most 63 letters, digits, hyphens, dots and underscores that begins "
    "and ends with a letter or digit, after a lower-case DNS prefix and a slash if it has one",
    LABEL_VALUE.pattern: "must be at most 63 letters, digits, hyphens, dots and underscores, and begin and end with a "
    "letter or digit",
}
"""What Kubernetes demands, in words. It would refuse the object later; we say so while the caller still listens."""


class Command(BaseModel):
    """The base of every command and of its parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, StringConstraints(max_length=52, pattern=DNS_LABEL.pattern)]
"""A name Kubernetes takes for a Job and for the pods it makes (63 characters, less what is appended)."""

Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]
LabelKey = Annotated[str, StringConstraints(max_length=317, pattern=QUALIFIED_NAME.pattern)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE.pattern)]


class RequestedVariable(EnvironmentVariable):
    """One variable of a container's environment, as it is asked for."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(max_length=512, pattern=VARIABLE_NAME.pattern)]


class RequestedQuota(PoolQuota):
    """What is asked for a project in one node pool: nothing below zero."""

    model_config = ConfigDict(extra="forbid")

    node_pool: Name = "default"
    gpu_millionths: int | None = Field(default=0, ge=0)
    cpu_milli: int | None = Field(default=None, ge=0)
    memory_bytes: int | None = Field(default=None, ge=0)
    gpu_limit_millionths: int | None = Field(default=None, ge=0)
    cpu_limit_milli: int | None = Field(default=None, ge=0)
    memory_limit_bytes: int | None = Field(default=None, ge=0)
    over_quota_weight: int | None = Field(default=None, ge=0)
    cpu_over_quota_weight: int = Field(default=1, ge=0)
    memory_over_quota_weight: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _limits_suffice(self) -> Self:
        for noun, unit, quota, limit in (
            ("GPUs", WHOLE_GPU, self.gpu_millionths, self.gpu_limit_millionths),
            ("processors", 1000, self.cpu_milli, self.cpu_limit_milli),
            ("bytes of memory", 1, self.memory_bytes, self.memory_limit_bytes),
        ):
            if quota is not None and limit is not None and limit < quota:
                raise ValueError(f"must not limit to {limit / unit:.15g} {noun} below a quota of {quota / unit:.15g}")
        return self


def _one_for_each_pool(quotas: tuple[RequestedQuota, ...]) -> tuple[RequestedQuota, ...]:
    pools = [quota.node_pool for quota in quotas]
    if repeated := sorted({pool for pool in pools if pools.count(pool) > 1}):
        raise ValueError(f"must have one entry for each node pool; there are several for {', '.join(repeated)}")
    return quotas


Quotas = Annotated[tuple[RequestedQuota, ...], AfterValidator(_one_for_each_pool)]
Seconds = Annotated[int, Field(ge=0, le=10**9)]


class ComputeRequest(Command):
    """What every pod asks for: GPUs, processor cores, memory in bytes.

    Of each of its GPUs a pod takes the whole, a portion in millionths, or so many bytes of the device's memory.
    """

    gpu_devices: int = Field(default=0, ge=0, le=1024)
    gpu_portion_millionths: int = Field(default=WHOLE_GPU, ge=1, le=WHOLE_GPU)
    gpu_memory_bytes: int | None = Field(default=None, ge=1, le=2**50)
    cpu_cores: float = Field(default=1.0, ge=0.001, le=4096)
    memory_bytes: int = Field(default=100 * 1024 * 1024, gt=0, le=2**50)

    @field_validator("gpu_portion_millionths", "gpu_memory_bytes")
    @classmethod
    def _is_of_a_device(cls, amount: int | None, others: ValidationInfo) -> int | None:
        if amount not in (None, WHOLE_GPU) and others.data.get("gpu_devices") == 0:
            raise ValueError("needs gpu_devices: of how many GPUs?")
        return amount

    @field_validator("gpu_memory_bytes")
    @classmethod
    def _is_asked_for_in_one_way(cls, memory: int | None, others: ValidationInfo) -> int | None:
        if memory is not None and others.data.get("gpu_portion_millionths", WHOLE_GPU) != WHOLE_GPU:
            raise ValueError("must not stand beside gpu_portion_millionths: a share, or an amount of memory")
        return memory


class SubmittedSpec(Command):
    """What is asked of a training or a workspace; what is left out gets its default from project and policy."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: tuple[RequestedVariable, ...] = ()
    working_directory: str = ""
    compute: ComputeRequest = ComputeRequest()
    parallelism: int = Field(default=1, ge=1, le=100_000)
    completions: int | None = Field(default=None, ge=1, le=100_000)
    min_members: int | None = Field(default=None, ge=1, le=100_000)
    backoff_limit: int = Field(default=6, ge=0, le=100)
    priority_class: PriorityClass | None = None
    node_pools: tuple[Name, ...] = ()
    labels: dict[LabelKey, LabelValue] = {}
    annotations: dict[LabelKey, str] = {}
    auto_deletion_seconds: int | None = Field(default=None, ge=0)
    termination_grace_period_seconds: int = Field(default=30, ge=0, le=3600)
    terminate_after_preemption: bool = False

    @field_validator("completions")
    @classmethod
    def _completions_suffice(cls, completions: int | None, others: ValidationInfo) -> int | None:
        parallelism = others.data.get("parallelism", 1)  # absent when it has a complaint of its own
        if completions is not None and completions < parallelism:
            raise ValueError(f"must not be less than parallelism ({parallelism})")
        return completions

    @field_validator("min_members")
    @classmethod
    def _gang_fits(cls, min_members: int | None, others: ValidationInfo) -> int | None:
        parallelism = others.data.get("parallelism", min_members)
        if min_members is not None and parallelism is not None and min_members > parallelism:
            raise ValueError(f"must not exceed parallelism ({parallelism})")
        return min_members


class SubmitWorkload(Command):
    """Ask for a new workload. `idempotency_key`: the same key from the same caller is the same workload."""

    type: Literal["SubmitWorkload.v1"] = "SubmitWorkload.v1"
    name: Name
    project: Name
    kind: WorkloadKind
    spec: SubmittedSpec
    idempotency_key: Key | None = None


class StopWorkload(Command):
    """Ask that a workload release its resources and keep its objects."""

    type: Literal["StopWorkload.v1"] = "StopWorkload.v1"
    workload_id: UUID


class ActivateWorkload(Command):
    """Ask that a stopped workload run again."""

    type: Literal["ActivateWorkload.v1"] = "ActivateWorkload.v1"
    workload_id: UUID


class DeleteWorkload(Command):
    """Ask that a workload and its objects go away."""

    type: Literal["DeleteWorkload.v1"] = "DeleteWorkload.v1"
    workload_id: UUID


class ProjectSettings(Command):
    """What may change of a project: all of it, as it shall be.

    Without any quota a project is not limited. `node_pools` are tried in their order by workloads that name none.
    `airflow_unit` says what of Airflow is one workload in it: a DAG run, or each of its tasks. For the minimum seconds
    after its start nothing of the project is preempted by its own project, or reclaimed by others.
    """

    department: Name = "default"
    quotas: Quotas = ()
    node_pools: tuple[Name, ...] = ()
    airflow_unit: Literal["dag-run", "task"] = "dag-run"
    preempt_minimum_seconds: Seconds = 0
    reclaim_minimum_seconds: Seconds = 0


class CreateProject(ProjectSettings):
    """Ask for a new project. Its namespace is `muster-<name>` unless an existing one is named."""

    type: Literal["CreateProject.v1"] = "CreateProject.v1"
    name: Name
    namespace: Annotated[str, StringConstraints(max_length=63, pattern=DNS_LABEL.pattern)] | None = None


class DepartmentSettings(Command):
    """What a department is: its quotas bound those of its projects. `parent` is the department above; empty: none."""

    parent: Name | Literal[""] = ""
    quotas: Quotas = ()
    preempt_minimum_seconds: Seconds = 0
    reclaim_minimum_seconds: Seconds = 0


class NodePoolSettings(Command):
    """What a node pool is: the nodes with this label, and whether pods are packed on them or spread.

    The pool `default` takes the nodes that belong to no other, so it has no label.
    """

    label_key: LabelKey | Literal[""] = ""
    label_value: LabelValue = ""
    gpu_placement: Literal["bin-pack", "spread"] = "bin-pack"
    cpu_placement: Literal["bin-pack", "spread"] = "bin-pack"


WorkloadCommand = SubmitWorkload | StopWorkload | ActivateWorkload | DeleteWorkload
"""What may come over the bus."""

COMMAND_TYPES = frozenset({"SubmitWorkload.v1", "StopWorkload.v1", "ActivateWorkload.v1", "DeleteWorkload.v1"})
"""Their names on the wire."""

workload_command: TypeAdapter[WorkloadCommand] = TypeAdapter(Annotated[WorkloadCommand, Field(discriminator="type")])


def complaints_of(problems: Iterable[Any]) -> tuple[Complaint, ...]:
    """Turn what pydantic found (`ValidationError.errors()`) into one complaint per field, in our words."""
    return tuple(_complaint(problem) for problem in problems)


def _complaint(details: ErrorDetails) -> Complaint:
    location = [str(part) for part in details["loc"] if part != "[key]"]
    if location and location[0] in {"body", "query", "path"}:  # a step of FastAPI's, which the caller did not write
        location = location[1:]
    if location and location[0] in COMMAND_TYPES:  # a step of pydantic's
        location = location[1:]
    if details["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        location.append("type")
    return Complaint(field=".".join(location) or "body", details=_sentence(details))


def _sentence(details: ErrorDetails) -> str:
    match details["type"]:
        case "extra_forbidden":
            return "is not a field we know"
        case "missing" | "union_tag_not_found":
            return "is required"
        case "union_tag_invalid":
            return f"must be one of {', '.join(sorted(COMMAND_TYPES))}"
        case "string_pattern_mismatch" if rules := [
            rule for pattern, rule in RULES.items() if pattern in details["msg"]
        ]:
            return rules[0]
        case "value_error":
            return details["msg"].removeprefix("Value error, ")
        case _:
            sentence = details["msg"].replace("Input should be", "should be").replace("String should", "should")
            return sentence.removesuffix(".")
