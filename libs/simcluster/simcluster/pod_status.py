"""How a pod's machine is written down as `status`, the way a kubelet does it.

`status_of` builds the whole status anew from the machine and keeps what others wrote there (conditions such as
`DisruptionTarget`). Two equal statuses mean there is nothing to write.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from simcluster.clock import to_timestamp
from simcluster.containers import Container, Role, Stage, container_id, terminated_state
from simcluster.pod_machine import PodMachine
from simcluster.pods import condition_of, with_condition
from simcluster.resources import Object

_NOT_READY = "ContainersNotReady"


def status_of(pod: Object, machine: PodMachine, now: datetime, host_ip: str, pod_ip: str) -> Object:
    """Return the status the kubelet would write now."""
    before = pod.get("status", {})
    phase = phase_of_machine(machine)
    status = {
        **before,
        "phase": phase,
        "conditions": _conditions(before.get("conditions", []), machine, phase, now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": before.get("startTime") or to_timestamp(now),
        "containerStatuses": [_container_status(each, machine, now) for each in machine.main],
    }
    if machine.init:
        status["initContainerStatuses"] = [_container_status(each, machine, now) for each in machine.init]
    if machine.failure:
        status["reason"], status["message"] = machine.failure
    if _has_sandbox(machine):
        status |= {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]}
    return status


def phase_of_machine(machine: PodMachine) -> str:
    """Return the phase as the kubelet's `getPhase` reckons it."""
    if machine.all_ended:
        done = all(each.is_done for each in machine.main) and not machine.failure and not machine.init_failed
        return "Succeeded" if done else "Failed"
    return "Pending" if any(each.started_at is None for each in machine.main) else "Running"


def _has_sandbox(machine: PodMachine) -> bool:
    return any(each.stage is not Stage.PULLING and each.stage is not Stage.WAITING for each in machine.containers)


def _conditions(before: list[Any], machine: PodMachine, phase: str, now: datetime) -> list[dict[str, Any]]:
    conditions = before
    for kind, status, reason, message in _wanted_conditions(machine, phase, now):
        conditions = with_condition(conditions, kind, status, now, reason, message)
    if condition_of({"status": {"conditions": conditions}}, "PodScheduled") is None:
        conditions = with_condition(conditions, "PodScheduled", "True", now)
    return conditions


def _wanted_conditions(machine: PodMachine, phase: str, now: datetime) -> Iterable[tuple[str, str, str, str]]:
    over = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "")
    sandbox = _has_sandbox(machine) and not over
    yield "PodReadyToStartContainers", _word(sandbox), "", ""
    yield _initialized(machine, phase)
    unready = [each.name for each in machine.containers if each.role is not Role.INIT and not each.is_ready(now)]
    if over:
        reason, message = over, ""
    else:
        reason, message = _NOT_READY, f"containers with unready status: [{' '.join(unready)}]"
    for kind in ("Ready", "ContainersReady"):
        yield (kind, "False", reason, message) if unready or over else (kind, "True", "", "")


def _initialized(machine: PodMachine, phase: str) -> tuple[str, str, str, str]:
    if phase == "Succeeded":
        return "Initialized", "True", "PodCompleted", ""
    if machine.initialized or (machine.stopping and any(each.started_at for each in machine.main)):
        return "Initialized", "True", "", ""
    incomplete = [each.name for each in machine.init if not (each.is_done or each.role is Role.SIDECAR)]
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return "Initialized", "False", "ContainersNotInitialized", message


def _word(truth: bool) -> str:
    return "True" if truth else "False"


def _container_status(container: Container, machine: PodMachine, now: datetime) -> dict[str, Any]:
    state, last_state = _states(container, machine)
    ran = container.started_at is not None
    return {
        "name": container.name,
        "state": state,
        "lastState": last_state,
        "ready": container.is_ready(now),
        "restartCount": container.restart_count,
        "image": container.image,
        "imageID": _image_id(container.image) if ran else "",
        "started": container.stage is Stage.RUNNING,
    } | ({"containerID": container_id(container)} if ran else {})


def _states(container: Container, machine: PodMachine) -> tuple[dict[str, Any], dict[str, Any]]:
    previous = {"terminated": container.previous} if container.previous else {}
    if container.stage is Stage.RUNNING:
        assert container.started_at is not None
        return {"running": {"startedAt": to_timestamp(container.started_at)}}, previous
    if container.finished_at is None and container.end_reason == "":
        return {"waiting": _waiting(container, machine)}, previous
    ended = {"terminated": terminated_state(container)}
    if container.waiting_reason and container.stage is not Stage.ENDED:
        return {"waiting": _waiting(container, machine)}, ended
    return ended, previous


def _waiting(container: Container, machine: PodMachine) -> dict[str, str]:
    if container.waiting_reason:
        message = {"message": container.waiting_message} if container.waiting_message else {}
        return {"reason": container.waiting_reason} | message
    return {"reason": "PodInitializing" if machine.init else "ContainerCreating"}


def _image_id(image: str) -> str:
    return f"{image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"
