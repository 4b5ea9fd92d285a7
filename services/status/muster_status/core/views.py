"""Rows as the API shows them: the same object in lists, in one answer and in the live stream.

A row comes as a mapping of its columns, from the database or from the fold; what goes out is plain JSON.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from muster_contracts.wire import Recorded, format_time

Record = Mapping[str, Any]


def workload_view(row: Record) -> dict[str, Any]:
    """Return a workload."""
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "project": row["project"],
        "namespace": row["namespace"],
        "kind": row["kind"],
        "class": row["workload_class"],
        "workload_kind": row["workload_kind"],
        "phase": row["phase"],
        "phase_reason": row["phase_reason"],
        "phase_since": _moment(row["phase_since"]),
        "message": row["message"],
        "submitted_by": row["submitted_by"],
        "source": row["source"],
        "created_at": _moment(row["created_at"]),
        "completed_at": _moment(row["completed_at"]),
        "deleted_at": _moment(row["deleted_at"]),
        "end_seen": row["end_seen"],
        "running_pods": row["running_pods"],
        "desired_pods": row["desired_pods"],
        "requests": _amounts(row, "requested_") | {"gpu_memory_bytes": row["requested_gpu_memory_bytes"]},
        "allocated": _amounts(row, "allocated_"),
        "nodes": list(row["nodes"]),
        "priority_class": row["priority_class"],
        "actions_supported": {action: row[f"can_{action}"] for action in ("stop", "activate", "delete")},
        "parent": row["parent"],
        "attributes": row["attributes"],
        "version": row["version"],
    }


def phase_view(row: Record) -> dict[str, Any]:
    """Return the part of a workload that changes when it is gone."""
    moments = {name: _moment(row[name]) for name in ("phase_since", "completed_at")}
    return {**row, "id": str(row["id"]), **moments}


def history_view(row: Record) -> dict[str, Any]:
    """Return something that happened to a workload."""
    kept = {name: row[name] for name in ("position", "type", "previous", "current", "reason", "cause")}
    return {**kept, "time": _moment(row["time"])}


def pod_view(row: Record) -> dict[str, Any]:
    """Return a pod."""
    plain = ("name", "namespace", "role", "phase", "reason", "message", "node", "ready", "terminating", "restarts")
    return {
        "id": str(row["pod_id"]),
        **{name: row[name] for name in plain},
        "created_at": _moment(row["created_at"]),
        "gone_at": _moment(row["gone_at"]),
        "requests": _amounts(row, ""),
        "gpus": row["gpus"],
        "containers": row["containers"],
        "version": row["version"],
    }


def project_view(row: Record) -> dict[str, Any]:
    """Return a project; `workloads` counts those that exist, where it was asked for."""
    plain = (
        "name",
        "namespace",
        "department",
        "quotas",
        "node_pools",
        "airflow_unit",
        "preempt_minimum_seconds",
        "reclaim_minimum_seconds",
        "version",
    )
    return {
        "id": str(row["id"]),
        **{name: row[name] for name in plain},
        "created_at": _moment(row["created_at"]),
        "removed_at": _moment(row["removed_at"]),
        "workloads": row.get("workloads"),
    }


def department_view(row: Record) -> dict[str, Any]:
    """Return a department."""
    plain = ("name", "parent", "quotas", "preempt_minimum_seconds", "reclaim_minimum_seconds", "version")
    return {"id": str(row["id"]), **{name: row[name] for name in plain}}


def node_pool_view(row: Record) -> dict[str, Any]:
    """Return a node pool."""
    plain = ("name", "label_key", "label_value", "gpu_placement", "cpu_placement", "version")
    return {"id": str(row["id"]), **{name: row[name] for name in plain}}


def node_view(row: Record) -> dict[str, Any]:
    """Return a node, with what it has; `allocated` is what pods of workloads hold, where it was asked for."""
    plain = ("name", "ready", "unschedulable", "gpu_devices", "gpu_product", "gpu_memory_bytes", "max_pods")
    return {
        "id": str(row["id"]),
        **{name: row[name] for name in plain},
        "allocatable": {"cpu_milli": row["cpu_milli"], "memory_bytes": row["memory_bytes"]},
        "allocated": _amounts(row, "allocated_") | {"pods": row["allocated_pods"]} if "allocated_pods" in row else None,
        "labels": row["labels"],
        "taints": row["taints"],
        "others": row["others"],
        "version": row["version"],
    }


def event_view(recorded: Recorded) -> dict[str, Any]:
    """Return an event of the journal as it stands there."""
    return {**_envelope_view(recorded), "data": recorded.event.model_dump(mode="json", exclude={"type"})}


def event_line(recorded: Recorded) -> bytes:
    """Return the same as a line of JSON, in half the time: whoever reads the journal reads a million."""
    envelope = json.dumps(_envelope_view(recorded), separators=(",", ":"), ensure_ascii=False)
    return f'{envelope[:-1]},"data":{recorded.event.model_dump_json(exclude={"type"})}}}\n'.encode()


def _envelope_view(recorded: Recorded) -> dict[str, Any]:
    envelope = recorded.envelope
    return {
        "position": recorded.position,
        "id": str(envelope.id),
        "type": recorded.event.type,
        "subject": str(recorded.subject),
        "time": format_time(envelope.time),
        "cause": str(envelope.cause) if envelope.cause else None,
    }


def moment_view(position: int, time: datetime | None) -> dict[str, Any]:
    """Return a moment: a position, and the time of the event there."""
    return {"position": position, "time": _moment(time)}


def checkpoint_view(position: int, event_id: UUID, code: str, body: bytes) -> dict[str, Any]:
    """Return a checkpoint: what is known of it, and its squeezed body in base 64."""
    digest = hashlib.sha256(body).hexdigest()
    known = {"position": position, "event_id": str(event_id), "code": code, "digest": digest}
    return {**known, "body": base64.b64encode(body).decode()}


def _amounts(row: Record, prefix: str) -> dict[str, int]:
    return {name: row[f"{prefix}{name}"] for name in ("cpu_milli", "memory_bytes", "gpu_millionths")}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
