"""What `kubectl get` prints: a `Table` per kind, one function per column.

Columns follow those of Kubernetes, because people read them by position. Priority 1 shows with `-o wide`. A kind
without an entry, and a custom kind without printer columns, shows name and age.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from simcluster.clock import from_timestamp
from simcluster.resources import Column, Object, Resource
from simcluster.selectors import to_text
from simcluster.wire import Request

Cell = Callable[[Object, datetime], Any]
_ColumnRow = tuple[str, str, int, Cell]

_NONE = "<none>"
_UNKNOWN = "<unknown>"


def wanted(request: Request) -> str:
    """Return what a client wants within the rows of a Table (`Metadata`, `Object`, `None`), or nothing for no Table."""
    for form in request.accept.split(","):
        if "as=Table" in form:
            return request.query.get("includeObject") or "Metadata"
        if form.strip() in ("application/json", "*/*"):
            return ""
    return ""


def to_table(resource: Resource, bodies: Iterable[Object], metadata: Object, include: str, now: datetime) -> Object:
    """Return a Table of objects."""
    columns = _columns(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_definition(name, kind, priority) for name, kind, priority, _ in columns],
        "rows": [_row(columns, body, include, now) for body in bodies],
    }


def _definition(name: str, kind: str, priority: int) -> Object:
    column_format = "name" if name == "Name" else ""
    return {"name": name, "type": kind, "format": column_format, "description": "", "priority": priority}


def _row(columns: list[_ColumnRow], body: Object, include: str, now: datetime) -> Object:
    row: Object = {"cells": [cell(body, now) for _, _, _, cell in columns]}
    if include == "Object":
        row["object"] = body
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": body["metadata"],
        }
    return row


def human_duration(seconds: float) -> str:
    """Write a span of time as kubectl does: two units at most (`5m30s`, `3h`, `12d`)."""
    whole = max(0, int(seconds))
    limit, great, great_unit, small, small_unit = next(row for row in _DURATIONS if whole < row[0])
    text, rest = f"{whole // great}{great_unit}", whole % great // small
    return f"{text}{rest}{small_unit}" if rest and limit in _WITH_TWO_UNITS else text


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400

# Below so many seconds: the great unit and the small one.
_DURATIONS = (
    (2 * _MINUTE, 1, "s", 1, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 1, "s"),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", _MINUTE, "m"),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", _HOUR, "h"),
    (float("inf"), _YEAR, "y", _DAY, "d"),
)
_WITH_TWO_UNITS = (10 * _MINUTE, 8 * _HOUR, 8 * _DAY, float("inf"))


def at(body: Any, path: str) -> Any:
    """Return the value at a JSON path of printer columns (`.status.conditions[?(@.type=="Ready")].status`)."""
    for part in _path_parts(path):
        body = _at_part(body, part)
    return body


def _path_parts(path: str) -> list[str]:
    parts, part, depth = [], "", 0
    for sign in path.strip().strip("{}").lstrip("."):
        depth += {"[": 1, "]": -1}.get(sign, 0)
        if sign == "." and depth == 0:
            parts.append(part)
            part = ""
        elif sign == "[" and depth == 1:
            parts.append(part)
            part = "["
        else:
            part += sign
    return [each for each in [*parts, part] if each]


def _at_part(value: Any, part: str) -> Any:
    if not part.startswith("["):
        return value.get(part.replace("\\", "")) if isinstance(value, dict) else None
    inner = part[1:].rstrip("]")
    if inner.startswith("?("):
        field, _, wanted_value = inner[2:].rstrip(")").partition("==")
        name, text = field.strip().removeprefix("@."), wanted_value.strip().strip("'\"")
        items = value if isinstance(value, list) else ()
        return next((each for each in items if isinstance(each, dict) and str(each.get(name)) == text), None)
    if inner.strip("'\"") != inner:
        return value.get(inner.strip("'\"")) if isinstance(value, dict) else None
    if isinstance(value, list) and inner.lstrip("-").isdigit():
        index = int(inner)
        return value[index] if -len(value) <= index < len(value) else None
    return None


def _field(path: str, missing: Any = _NONE) -> Cell:
    def cell(body: Object, _now: datetime) -> Any:
        value = at(body, path)
        return missing if value is None or value == "" else value

    return cell


def _name(body: Object, _now: datetime) -> Any:
    return body["metadata"]["name"]


def _since(path: str, missing: str = _UNKNOWN) -> Cell:
    def cell(body: Object, now: datetime) -> str:
        text = at(body, path)
        return human_duration((now - from_timestamp(text)).total_seconds()) if text else missing

    return cell


_age = _since("metadata.creationTimestamp")


def _containers(what: str, path: str = "spec.template.spec.containers") -> Cell:
    def cell(body: Object, _now: datetime) -> str:
        return ",".join(str(container.get(what)) for container in at(body, path) or ())

    return cell


def _selector(path: str = "spec.selector") -> Cell:
    def cell(body: Object, _now: datetime) -> str:
        selector = at(body, path) or {}
        plain = "matchLabels" not in selector and "matchExpressions" not in selector
        return to_text({"matchLabels": selector} if plain else selector) or _NONE

    return cell


def _pod_ready(body: Object, _now: datetime) -> str:
    statuses = at(body, "status.containerStatuses") or ()
    ready = sum(bool(each.get("ready")) for each in statuses)
    return f"{ready}/{len(at(body, 'spec.containers') or ())}"


def _pod_restarts(body: Object, now: datetime) -> str:
    statuses = [*(at(body, "status.initContainerStatuses") or ()), *(at(body, "status.containerStatuses") or ())]
    count = sum(each.get("restartCount", 0) for each in statuses)
    ends = [at(each, "lastState.terminated.finishedAt") for each in statuses]
    ended = max((end for end in ends if end), default=None)
    if not count or ended is None:
        return str(count)
    return f"{count} ({human_duration((now - from_timestamp(ended)).total_seconds())} ago)"


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


def _readiness_gates(body: Object, _now: datetime) -> str:
    gates = at(body, "spec.readinessGates") or ()
    if not gates:
        return _NONE
    conditions = {each.get("type"): each.get("status") for each in at(body, "status.conditions") or ()}
    passed = sum(conditions.get(gate.get("conditionType")) == "True" for gate in gates)
    return f"{passed}/{len(gates)}"


def _node_status(body: Object, _now: datetime) -> str:
    conditions = {each.get("type"): each.get("status") for each in at(body, "status.conditions") or ()}
    words = ["Ready" if conditions["Ready"] == "True" else "NotReady"] if "Ready" in conditions else ["Unknown"]
    if at(body, "spec.unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(body: Object, _now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = body["metadata"].get("labels") or {}
    roles = sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix))
    return ",".join(roles) or _NONE


def _node_address(kind: str) -> Cell:
    def cell(body: Object, _now: datetime) -> str:
        addresses = at(body, "status.addresses") or ()
        return next((each["address"] for each in addresses if each.get("type") == kind), _NONE)

    return cell


def _of_desired(path: str) -> Cell:
    def cell(body: Object, _now: datetime) -> str:
        return f"{at(body, path) or 0}/{at(body, 'spec.replicas') or 0}"

    return cell


def _job_status(body: Object, _now: datetime) -> str:
    conditions = {each.get("type") for each in at(body, "status.conditions") or () if each.get("status") == "True"}
    for condition in ("Complete", "Failed"):
        if condition in conditions:
            return condition
    if "deletionTimestamp" in body["metadata"]:
        return "Terminating"
    for condition, word in (("Suspended", "Suspended"), ("FailureTarget", "FailureTarget")):
        if condition in conditions:
            return word
    return "SuccessCriteriaMet" if "SuccessCriteriaMet" in conditions else "Running"


def _job_completions(body: Object, _now: datetime) -> str:
    succeeded, completions = at(body, "status.succeeded") or 0, at(body, "spec.completions")
    if completions is not None:
        return f"{succeeded}/{completions}"
    parallelism = at(body, "spec.parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(body: Object, now: datetime) -> str:
    start, end = at(body, "status.startTime"), at(body, "status.completionTime")
    if not start:
        return ""
    until = from_timestamp(end) if end else now
    return human_duration((until - from_timestamp(start)).total_seconds())


def _service_ports(body: Object, _now: datetime) -> str:
    ports = [f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in at(body, "spec.ports") or ()]
    return ",".join(ports) or _NONE


def _count_of(path: str) -> Cell:
    def cell(body: Object, _now: datetime) -> int:
        return len(at(body, path) or ())

    return cell


def _event_object(body: Object, _now: datetime) -> str:
    about = body.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_age(body: Object, now: datetime) -> str:
    text = body.get("lastTimestamp") or body.get("eventTime") or body["metadata"].get("creationTimestamp")
    return human_duration((now - from_timestamp(text)).total_seconds()) if text else _UNKNOWN


def _text(name: str, cell: Cell, priority: int = 0) -> _ColumnRow:
    return name, "string", priority, cell


def _integer(name: str, path: str, priority: int = 0) -> _ColumnRow:
    return name, "integer", priority, _field(path, 0)


_NAME = _text("Name", _name)
_AGE = _text("Age", _age)

_WORKLOAD_WIDE = (
    _text("Containers", _containers("name"), 1),
    _text("Images", _containers("image"), 1),
    _text("Selector", _selector(), 1),
)

_TABLES: dict[str, tuple[_ColumnRow, ...]] = {
    "namespaces": (_text("Status", _field("status.phase")), _AGE),
    "nodes": (
        _text("Status", _node_status),
        _text("Roles", _node_roles),
        _AGE,
        _text("Version", _field("status.nodeInfo.kubeletVersion", "")),
        _text("Internal-IP", _node_address("InternalIP"), 1),
        _text("External-IP", _node_address("ExternalIP"), 1),
        _text("OS-Image", _field("status.nodeInfo.osImage", _UNKNOWN), 1),
        _text("Kernel-Version", _field("status.nodeInfo.kernelVersion", _UNKNOWN), 1),
        _text("Container-Runtime", _field("status.nodeInfo.containerRuntimeVersion", _UNKNOWN), 1),
    ),
    "pods": (
        _text("Ready", _pod_ready),
        _text("Status", pod_reason),
        _text("Restarts", _pod_restarts),
        _AGE,
        _text("IP", _field("status.podIP"), 1),
        _text("Node", _field("spec.nodeName"), 1),
        _text("Nominated Node", _field("status.nominatedNodeName"), 1),
        _text("Readiness Gates", _readiness_gates, 1),
    ),
    "services": (
        _text("Type", _field("spec.type")),
        _text("Cluster-IP", _field("spec.clusterIP")),
        _text("External-IP", _field("spec.externalName")),
        _text("Port(s)", _service_ports),
        _AGE,
        _text("Selector", _selector(), 1),
    ),
    "configmaps": (("Data", "integer", 0, _count_of("data")), _AGE),
    "secrets": (_text("Type", _field("type")), ("Data", "integer", 0, _count_of("data")), _AGE),
    "events": (
        _text("Last Seen", _event_age),
        _text("Type", _field("type", "")),
        _text("Reason", _field("reason", "")),
        _text("Object", _event_object),
        _text("Message", _field("message", "")),
    ),
    "persistentvolumeclaims": (
        _text("Status", _field("status.phase")),
        _text("Volume", _field("spec.volumeName", "")),
        _text("Capacity", _field("status.capacity.storage", "")),
        _text("StorageClass", _field("spec.storageClassName", "")),
        _AGE,
    ),
    "deployments.apps": (
        _text("Ready", _of_desired("status.readyReplicas")),
        _integer("Up-to-date", "status.updatedReplicas"),
        _integer("Available", "status.availableReplicas"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "replicasets.apps": (
        _integer("Desired", "spec.replicas"),
        _integer("Current", "status.replicas"),
        _integer("Ready", "status.readyReplicas"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "statefulsets.apps": (_text("Ready", _of_desired("status.readyReplicas")), _AGE, *_WORKLOAD_WIDE[:2]),
    "jobs.batch": (
        _text("Status", _job_status),
        _text("Completions", _job_completions),
        _text("Duration", _job_duration),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "cronjobs.batch": (
        _text("Schedule", _field("spec.schedule")),
        _text("Suspend", _field("spec.suspend")),
        _AGE,
    ),
    "poddisruptionbudgets.policy": (
        _text("Min Available", _field("spec.minAvailable", "N/A")),
        _text("Max Unavailable", _field("spec.maxUnavailable", "N/A")),
        _integer("Allowed Disruptions", "status.disruptionsAllowed"),
        _AGE,
    ),
    "priorityclasses.scheduling.k8s.io": (
        _integer("Value", "value"),
        _text("Global-Default", _field("globalDefault", "false")),
        _AGE,
        _text("PreemptionPolicy", _field("preemptionPolicy", "PreemptLowerPriority")),
    ),
    "leases.coordination.k8s.io": (_text("Holder", _field("spec.holderIdentity", "")), _AGE),
    "customresourcedefinitions.apiextensions.k8s.io": (_text("Created At", _field("metadata.creationTimestamp")),),
}


def _columns(resource: Resource) -> list[_ColumnRow]:
    if resource.columns:
        return [_NAME, *(_custom_column(column) for column in resource.columns)]
    rest = _TABLES.get(resource.key, (_AGE,))
    # Events are read as sentences; their names say nothing.
    return [*rest, ("Name", "string", 1, _name)] if resource.key == "events" else [_NAME, *rest]


def _custom_column(column: Column) -> _ColumnRow:
    is_date = column.type == "date"
    cell = _custom_date(column) if is_date else _custom_cell(column)
    return column.name, "string" if is_date else column.type, column.priority, cell


def _custom_date(column: Column) -> Cell:
    def cell(body: Object, now: datetime) -> Any:
        value = at(body, column.path)
        try:
            return human_duration((now - from_timestamp(value)).total_seconds()) if value else ""
        except (TypeError, ValueError):  # nothing checks what a custom object says of itself
            return "<invalid>"

    return cell


def _custom_cell(column: Column) -> Cell:
    def cell(body: Object, _now: datetime) -> Any:
        value = at(body, column.path)
        if column.type == "string" and value is not None and not isinstance(value, str):
            return str(value).lower() if isinstance(value, bool) else str(value)
        return value

    return cell
