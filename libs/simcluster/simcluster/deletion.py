"""How an object goes: what was asked, what it waits for, and when it may.

A pod that runs gets its grace, what has finalizers stays until they are taken off, and a namespace until it is empty.
Plain functions; the registry stores, and removes what may go.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from simcluster.admission import Caller
from simcluster.clock import to_timestamp
from simcluster.errors import bad_option
from simcluster.resources import Object, Resource
from simcluster.revisions import Stored

_FINISHED = ("Succeeded", "Failed")
_PROPAGATIONS = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True)
class DeleteOptions:
    """What may go with a deletion."""

    uid: str | None = None
    version: str | None = None
    grace_seconds: int | None = None
    propagation: str | None = None
    dry_run: bool = False
    api_version: str = ""  # the version the caller speaks; empty: the stored one
    caller: Caller | None = None


def delete_options(body: Object, *, dry_run: bool = False) -> DeleteOptions:
    """Read a `DeleteOptions` object."""
    preconditions = body.get("preconditions") or {}
    propagation = body.get("propagationPolicy")
    orphaned = body.get("orphanDependents")
    if propagation is not None and orphaned is not None:
        why = f'Invalid value: "{propagation}": orphanDependents and deletionPropagation cannot be both set'
        raise bad_option("DeleteOptions", "propagationPolicy", why)
    if orphaned is not None:
        propagation = "Orphan" if orphaned else "Background"
    if propagation not in (None, *_PROPAGATIONS):
        why = f'Unsupported value: "{propagation}": supported values: {_PROPAGATIONS}'
        raise bad_option("DeleteOptions", "propagationPolicy", why)
    return DeleteOptions(
        uid=preconditions.get("uid"),
        version=preconditions.get("resourceVersion"),
        grace_seconds=body.get("gracePeriodSeconds"),
        propagation=propagation,
        dry_run=dry_run or bool(body.get("dryRun")),
    )


def begun(resource: Resource, stored: Stored, options: DeleteOptions, now: datetime) -> Object:
    """Return the object's state once this deletion has been asked for."""
    body: Object = stored.body | {"metadata": dict(stored.body["metadata"])}
    metadata = body["metadata"]
    _add_finalizer(resource, metadata, options.propagation)
    grace = _grace_seconds(resource, stored.body, options.grace_seconds)
    if "deletionTimestamp" not in metadata:
        metadata["deletionTimestamp"] = to_timestamp(now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        if metadata.get("generation"):
            metadata["generation"] += 1
        if resource.key == "namespaces":
            body["status"] = (body.get("status") or {}) | {"phase": "Terminating"}
    elif grace < metadata.get("deletionGracePeriodSeconds", 0):
        metadata["deletionTimestamp"] = to_timestamp(now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
    return body


def may_go(resource: Resource, body: Object) -> bool:
    """Say whether nothing holds an object any more whose deletion was asked for."""
    metadata = body["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if resource.key == "namespaces":
        return not (body.get("spec") or {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _add_finalizer(resource: Resource, metadata: Object, propagation: str | None) -> None:
    """Mark what the garbage collector has to do before the object may go."""
    if propagation is None and resource.key == "jobs.batch":
        propagation = "Orphan"  # Kubernetes' own default for jobs, and for nothing else
    wanted = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation or "")
    others = [name for name in metadata.get("finalizers") or [] if name not in ("foregroundDeletion", "orphan")]
    if propagation is not None:
        metadata["finalizers"] = [*others, wanted] if wanted else others
    if not metadata.get("finalizers"):
        metadata.pop("finalizers", None)


def _grace_seconds(resource: Resource, body: Object, asked: int | None) -> int:
    if resource.key != "pods":
        return 0
    spec = body.get("spec") or {}
    if not spec.get("nodeName") or (body.get("status") or {}).get("phase") in _FINISHED:
        return 0
    grace = asked if asked is not None else spec.get("terminationGracePeriodSeconds", 30)
    return max(0, int(grace))
