"""The facts of one pod that matter, from the pod itself. A heartbeat changes none of them.

The annotations for parts of a GPU are read under Muster's name, else under Run:ai's; a value that makes no sense asks
for nothing, for refusing it is the business of admission, not of recognition. Labels are facts only as far as the rules
of some pod ask for them, so that whoever starts with many labels does not make every event long.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from muster_cluster.objects import Container, ContainerStatus, Pod, PodSpec, Toleration
from muster_cluster.requests import Amounts
from muster_contracts import names, values
from muster_contracts.subjects import derived_id
from muster_contracts.values import (
    WHOLE_GPU,
    ContainerFacts,
    ContainerState,
    GpuRequest,
    PodFacts,
    PodMark,
    PodPhase,
    Resources,
)

from muster_integrations.recognition.amounts import (
    MOST_OF_ANYTHING,
    amounts_of,
    counting_gpus,
    devices_in,
    portion_limit,
    portion_variable,
    to_resources,
)
from muster_integrations.recognition.placement import NO_DEMANDS, Demands, rules_of

UNKNOWN_MOMENT: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When something was created that does not say so: a manifest that was never admitted."""

_PHASES: Final = {phase.value: phase for phase in PodPhase}
_MEBIBYTE: Final = 1024 * 1024
_PORTION: Final = re.compile(r"0?\.([0-9]{1,12})")


Wants = tuple[Resources, GpuRequest]
"""What a pod takes of its node, and how it asks for GPUs."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What a pod is in its workload: its group, the part of that, its role, and which containers decide (None: all).

    `gpu_names` are resources that are GPUs under other names than the usual.
    """

    pod_group_id: UUID
    role: str
    sub_group: str = ""
    mains: frozenset[str] | None = None
    gpu_names: frozenset[str] = frozenset()


def facts_of(
    pod: Pod,
    membership: Membership,
    asked: frozenset[str] = frozenset(),
    demands: Demands = NO_DEMANDS,
    wants: Wants | None = None,
) -> PodFacts:
    """Return all facts of a pod, as a member of its workload; of its labels those that are asked for.

    `wants` are given when it is known that they have not changed: they cost most.
    """
    metadata, spec, status = pod.metadata, pod.spec, pod.status
    requests, gpu = wants or _wants(pod, membership.gpu_names)
    return PodFacts(
        pod_id=to_uuid(metadata.uid),
        name=metadata.name,
        namespace=metadata.namespace,
        pod_group_id=membership.pod_group_id,
        role=membership.role,
        sub_group=membership.sub_group,
        scheduler_name=spec.scheduler_name,
        resource_version=metadata.resource_version,
        created_at=metadata.creation_timestamp or UNKNOWN_MOMENT,
        phase=_PHASES.get(status.phase, PodPhase.UNKNOWN),
        reason=status.reason,
        message=status.message,
        node=spec.node_name,
        ready=_is_true(pod, "Ready"),
        initialized=_is_true(pod, "Initialized"),
        terminating=metadata.deletion_timestamp is not None,
        containers=_containers(pod, membership.mains),
        requests=requests,
        gpu=gpu,
        gpus=metadata.annotations.get(names.GPUS, ""),
        node_selector=spec.node_selector,
        tolerations=tuple(_toleration(t) for t in spec.tolerations if t.operator in {"Equal", "Exists", ""}),
        scheduling_gates=tuple(gate.name for gate in spec.scheduling_gates),
        labels={name: metadata.labels[name] for name in sorted(asked & metadata.labels.keys())},
        rules=rules_of(pod, demands),
    )


def _wants(pod: Pod, gpu_names: frozenset[str]) -> Wants:
    amounts = amounts_of(pod.spec)
    gpu = gpu_request(pod.spec, pod.metadata.annotations, amounts)
    return counting_gpus(_with_portions(to_resources(amounts), gpu), gpu_names), gpu


def mark_of(pod: Pod) -> PodMark:
    """Return how a pod stood when it was last looked at."""
    return PodMark(
        pod_id=to_uuid(pod.metadata.uid),
        name=pod.metadata.name,
        last_phase=_PHASES.get(pod.status.phase, PodPhase.UNKNOWN),
        node=pod.spec.node_name,
        exit_seen=has_ended(pod),
    )


def to_uuid(uid: str) -> UUID:
    """Return a UID as our id. Kubernetes makes UUIDs; of any other text the id is derived."""
    try:
        return UUID(uid)
    except ValueError:
        return derived_id("uid", uid)


def has_ended(pod: Pod) -> bool:
    """Say whether a pod holds nothing any more."""
    return pod.status.phase in {"Succeeded", "Failed"}


def requests_of(pod: Pod) -> Resources:
    """Return what a pod takes of its node."""
    return template_requests(pod.spec, pod.metadata.annotations)


def template_requests(spec: PodSpec, annotations: Mapping[str, str]) -> Resources:
    """Return what a pod of such a template takes, GPUs in millionths: parts of devices by annotation, else whole."""
    amounts = amounts_of(spec)
    return _with_portions(to_resources(amounts), gpu_request(spec, annotations, amounts))


def gpu_request(spec: PodSpec, annotations: Mapping[str, str], amounts: Amounts) -> GpuRequest:
    """Return how a pod asks for GPUs: whole devices (in its `amounts`), a portion of each, or memory on each."""
    devices = _count(_written(annotations, names.GPU_DEVICES_NAMES) or "1")
    written = _written(annotations, names.GPU_FRACTION_NAMES) or portion_limit(spec) or portion_variable(spec)
    portion = _millionths(written)
    memory = _count(_written(annotations, names.GPU_MEMORY_NAMES))
    if devices and 0 < portion < WHOLE_GPU:
        return GpuRequest(devices=devices, portion_millionths=portion)
    if devices and memory:
        return GpuRequest(devices=devices, memory_bytes=memory * _MEBIBYTE)
    return GpuRequest(devices=devices_in(amounts))


def _with_portions(asked: Resources, gpu: GpuRequest) -> Resources:
    if gpu.memory_bytes is not None:
        return asked.model_copy(update={"gpu_memory_bytes": min(gpu.devices * gpu.memory_bytes, MOST_OF_ANYTHING)})
    if gpu.portion_millionths == WHOLE_GPU:
        return asked
    portions = gpu.devices * gpu.portion_millionths
    return asked.model_copy(update={"gpu_millionths": max(asked.gpu_millionths, portions)})


def _written(annotations: Mapping[str, str], known: Sequence[str]) -> str:
    """Return what is written under the first of these names, empty under none."""
    return next((annotations[name] for name in known if name in annotations), "")


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _millionths(text: str) -> int:
    portion = _PORTION.fullmatch(text)
    return int(portion[1][:6].ljust(6, "0")) if portion else 0


def _is_true(pod: Pod, condition: str) -> bool:
    return any(c.type == condition and c.status == "True" for c in pod.status.conditions)


def _containers(pod: Pod, mains: frozenset[str] | None) -> tuple[ContainerFacts, ...]:
    main = {status.name: status for status in pod.status.container_statuses}
    first = {status.name: status for status in pod.status.init_container_statuses}
    return (
        *(_container(c, first.get(c.name), "sidecar" if c.is_sidecar else "init") for c in pod.spec.init_containers),
        *(_container(c, main.get(c.name), _role(c.name, mains)) for c in pod.spec.containers),
    )


def _role(name: str, mains: frozenset[str] | None) -> Literal["main", "sidecar"]:
    return "main" if mains is None or name in mains else "sidecar"


def _container(
    container: Container, status: ContainerStatus | None, role: Literal["main", "init", "sidecar"]
) -> ContainerFacts:
    if status is None:
        return ContainerFacts(name=container.name, role=role)
    return ContainerFacts(
        name=container.name, role=role, ready=status.ready, restarts=status.restart_count, **_state(status)
    )


def _state(status: ContainerStatus) -> dict[str, object]:
    state = status.state
    if state.terminated is not None:
        ended = state.terminated
        return {
            "state": ContainerState.TERMINATED,
            "reason": ended.reason,
            "message": ended.message,
            "exit_code": ended.exit_code,
        }
    if state.running is not None:
        return {"state": ContainerState.RUNNING}
    waiting = state.waiting
    return {"reason": waiting.reason, "message": waiting.message} if waiting else {}


def _toleration(toleration: Toleration) -> values.Toleration:
    operator: Literal["Equal", "Exists"] = "Exists" if toleration.operator == "Exists" else "Equal"
    return values.Toleration(key=toleration.key, operator=operator, value=toleration.value, effect=toleration.effect)
