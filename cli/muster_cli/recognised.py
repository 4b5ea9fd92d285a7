"""What is recognised of manifests, as plain data: the shape that programs read, and from which the table is made.

The phase is worked out by the status service's own core, from the very events that the service of integrations would
write on first sight.
"""

from typing import Any
from uuid import uuid5

from muster_contracts.subjects import NAMESPACE
from muster_contracts.wire import Envelope, Recorded
from muster_integrations.core.decide import decide_workload
from muster_integrations.core.fold import FoldedWorkload
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.offline import Explanation, Picture
from muster_status.core.deriver import Derivation

WHOLE_GPU = 1_000_000


def recognised(picture: Picture) -> dict[str, Any]:
    """Return everything, in lists sorted by name."""
    return {
        "workloads": [_workload(seen, picture.invented) for seen in picture.workloads],
        "ignored": [{"kind": one.kind, "name": one.name, "reason": one.reason} for one in picture.ignored],
    }


def explained(explanation: Explanation) -> dict[str, Any]:
    """Return where one pod belongs, and how that was found."""
    seen = explanation.workload
    return {
        "pod": explanation.pod,
        "workload": {"kind": seen.kind, "name": seen.name, "identity": seen.identity} if seen else None,
        "ignored": explanation.apart,
        "rule": explanation.rule,
        "tried": list(explanation.tried),
    }


def phase_of(seen: SeenWorkload) -> str:
    """Return the phase that the status service would show at first sight."""
    derivation = Derivation()
    for position, event in enumerate(decide_workload(FoldedWorkload(seen.workload_id), seen), start=1):
        envelope = Envelope(uuid5(NAMESPACE, str(position)), seen.created_at)
        derivation.apply(Recorded(position, envelope, event))
    phase = derivation.of(seen.workload_id).phase
    assert phase is not None, "a discovery alone makes a phase"
    return phase.value


def _workload(seen: SeenWorkload, invented: frozenset[str]) -> dict[str, Any]:
    parent = seen.parent
    return {
        "kind": seen.kind,
        "api_version": seen.api_version,
        "class": seen.workload_class.value,
        "name": seen.name,
        "namespace": seen.namespace,
        "identity": seen.identity,
        "identity_source": seen.identity_source,
        "phase": phase_of(seen),
        "parent": {"kind": parent.kind, "name": parent.name} if parent else None,
        "attributes": dict(sorted(seen.attributes.items())),
        "pods": _pods(seen),
        "pod_groups": _pod_groups(seen),
        "desired_pods": seen.owner.desired_pods,
        "gpus": _gpus(seen.requests.gpu_millionths),
        "supports": seen.supports.model_dump(mode="json"),
        "controls": _without_invented(seen.controls.model_dump(mode="json"), invented),
    }


def _pods(seen: SeenWorkload) -> list[dict[str, Any]]:
    names = {group.pod_group_id: group.name for group in seen.groups.values()}
    pods = sorted(seen.pods.values(), key=lambda pod: pod.name)
    return [
        {"name": pod.name, "role": pod.role, "pod_group": names[pod.pod_group_id] if pod.pod_group_id else None}
        for pod in pods
    ]


def _pod_groups(seen: SeenWorkload) -> list[dict[str, Any]]:
    groups = sorted(seen.groups.values(), key=lambda group: (group.name, group.pod_group_id))
    return [
        {
            "name": group.name,
            "min_members": group.min_members,
            "sub_groups": [
                {"name": part.name, "min_members": part.min_members}
                for part in sorted(group.sub_groups, key=lambda part: part.name)
            ],
            "pods": sorted(pod.name for pod in seen.pods.values() if pod.pod_group_id == group.pod_group_id),
        }
        for group in groups
    ]


def _gpus(millionths: int) -> int | float:
    return millionths // WHOLE_GPU if millionths % WHOLE_GPU == 0 else millionths / WHOLE_GPU


def _without_invented(value: Any, invented: frozenset[str]) -> Any:
    """Return data without the UIDs that no object had."""
    if isinstance(value, dict):
        return {
            name: _without_invented(part, invented)
            for name, part in value.items()
            if not (isinstance(part, str) and part in invented)
        }
    return [_without_invented(part, invented) for part in value] if isinstance(value, list) else value
