"""Who writes and how, and what webhooks are told of it: an attempt to do something, with the options of the API."""

from dataclasses import dataclass

from simcluster.admission import Attempt, Caller
from simcluster.deletion import DeleteOptions
from simcluster.resources import Object, Resource
from simcluster.revisions import Stored


@dataclass(frozen=True)
class Write:
    """Who writes, under which version, whether in earnest, and whether the body may be kept without a copy."""

    manager: str = ""
    dry_run: bool = False
    owned: bool = False
    applied: bool = False  # a server-side apply has already said who owns what
    version: str = ""  # the one the caller speaks; empty: the stored one
    caller: Caller | None = None  # None: webhooks are not asked


def attempt_of(resource: Resource, old: Object | None, body: Object, write: Write, subresource: str | None) -> Attempt:
    """Return what is attempted by a creation, or by a change when there is an old state."""
    operation = "CREATE" if old is None else "UPDATE"
    metadata = body.get("metadata") or {}
    return Attempt(
        operation=operation,
        resource=resource,
        version=write.version or resource.version,
        subresource=subresource or "",
        namespace=metadata.get("namespace"),
        name=metadata.get("name") or "",
        body=body,
        old=old,
        options=options_of(operation, write),
        dry_run=write.dry_run,
    )


def deletion_of(resource: Resource, stored: Stored, options: DeleteOptions) -> Attempt:
    """Return what is attempted by a deletion."""
    written: Object = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
    for name, value in (
        ("gracePeriodSeconds", options.grace_seconds),
        ("propagationPolicy", options.propagation),
        ("dryRun", ["All"] if options.dry_run else None),
    ):
        if value is not None:
            written[name] = value
    return Attempt(
        operation="DELETE",
        resource=resource,
        version=options.api_version or resource.version,
        subresource="",
        namespace=stored.namespace,
        name=stored.name,
        body=None,
        old=stored.body,
        options=written,
        dry_run=options.dry_run,
    )


def options_of(operation: str, write: Write) -> Object:
    """Return the options of a write as the API has them."""
    options: Object = {"kind": f"{operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"}
    if write.manager:
        options["fieldManager"] = write.manager
    if write.dry_run:
        options["dryRun"] = ["All"]
    return options
