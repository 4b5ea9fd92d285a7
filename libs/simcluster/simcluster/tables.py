"""What `kubectl get` prints: a `Table` per kind, one function per column.

Columns follow those of Kubernetes, because people read them by position. Priority 1 shows with `-o wide`. A kind
without an entry, and a custom kind without printer columns, shows name and age.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from simcluster.clock import from_timestamp
from simcluster.durations import human_duration, since
from simcluster.json_path import at
from simcluster.pod_columns import pod_readiness_gates, pod_ready, pod_reason, pod_restarts
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
        return since(text, now) if text else missing

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
    return since(text, now) if text else _UNKNOWN


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
        _text("Ready", pod_ready),
        _text("Status", pod_reason),
        _text("Restarts", pod_restarts),
        _AGE,
        _text("IP", _field("status.podIP"), 1),
        _text("Node", _field("spec.nodeName"), 1),
        _text("Nominated Node", _field("status.nominatedNodeName"), 1),
        _text("Readiness Gates", pod_readiness_gates, 1),
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
            return since(value, now) if value else ""
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
