"""What `kubectl get pods` shows of a pod, as Kubernetes works it out: people know `Init:0/1` and `Completed` well."""

from datetime import datetime

from simcluster.durations import since
from simcluster.json_path import at
from simcluster.resources import Object


def pod_ready(body: Object, _now: datetime) -> str:
    """Return how many of its containers are ready."""
    statuses = at(body, "status.containerStatuses") or ()
    ready = sum(bool(each.get("ready")) for each in statuses)
    return f"{ready}/{len(at(body, 'spec.containers') or ())}"


def pod_restarts(body: Object, now: datetime) -> str:
    """Return how often its containers were started again, and how long ago that was the last time."""
    statuses = [*(at(body, "status.initContainerStatuses") or ()), *(at(body, "status.containerStatuses") or ())]
    count = sum(each.get("restartCount", 0) for each in statuses)
    ends = [at(each, "lastState.terminated.finishedAt") for each in statuses]
    ended = max((end for end in ends if end), default=None)
    if not count or ended is None:
        return str(count)
    return f"{count} ({since(ended, now)} ago)"


def pod_readiness_gates(body: Object, _now: datetime) -> str:
    """Return how many of the conditions that it waits for are true."""
    gates = at(body, "spec.readinessGates") or ()
    if not gates:
        return "<none>"
    conditions = {each.get("type"): each.get("status") for each in at(body, "status.conditions") or ()}
    passed = sum(conditions.get(gate.get("conditionType")) == "True" for gate in gates)
    return f"{passed}/{len(gates)}"


def pod_reason(body: Object, _now: datetime) -> str:
    """Return the word kubectl shows as a pod's status."""
    status = body.get("status") or {}
    reason = status.get("reason") or status.get("phase") or ""
    if any(each.get("reason") == "SchedulingGated" for each in status.get("conditions") or ()):
        reason = "SchedulingGated"
    reason = _init_reason(body) or _containers_reason(status, reason)
    if "deletionTimestamp" in body["metadata"]:
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _init_reason(body: Object) -> str:
    containers = at(body, "spec.initContainers") or []
    sidecars = {each["name"] for each in containers if each.get("restartPolicy") == "Always"}
    for index, each in enumerate(at(body, "status.initContainerStatuses") or ()):
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if (terminated and terminated.get("exitCode") == 0) or (each["name"] in sidecars and each.get("started")):
            continue
        if terminated:
            return f"Init:{_ended(terminated)}"
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(containers)}"
    return ""


def _containers_reason(status: Object, reason: str) -> str:
    running_ready = False
    for each in reversed(status.get("containerStatuses") or ()):
        state = each.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated:
            reason = _ended(terminated)
        elif each.get("ready") and state.get("running"):
            running_ready = True
    if reason == "Completed" and running_ready:
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
        return "Running" if ready else "NotReady"
    return reason


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"
