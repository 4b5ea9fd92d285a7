"""What an update may change of an object, and what stays as it was whatever is written."""

from simcluster.errors import bad_request, conflict, invalid
from simcluster.resources import Object, Resource
from simcluster.revisions import Stored

# What an update can never change: the registry keeps the old value.
KEPT_METADATA = (
    "creationTimestamp",
    "uid",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)


def check_preconditions(stored: Stored, uid: str | None, version: str | None) -> None:
    """Refuse (409) a write that was meant for another object, or for another version of it."""
    if uid and uid != stored.uid:
        why = f"the UID in the precondition ({uid}) does not match the UID in record ({stored.uid})"
        raise conflict(stored.kind, stored.name, why)
    if version and version != stored.body["metadata"]["resourceVersion"]:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise conflict(stored.kind, stored.name, why)


def check_patched(resource: Resource, old: Stored, body: Object) -> None:
    """Refuse a patch that would make another object of it: 422 or 400, where a whole new state meets a 409."""
    metadata = body["metadata"]
    uid, name = metadata.get("uid") or old.uid, metadata.get("name", old.name)
    if uid != old.uid:
        raise invalid(resource.kind, old.name, "metadata.uid", f'Invalid value: "{uid}": field is immutable')
    if name != old.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({old.name})")


def check_identity(resource: Resource, old: Stored, body: Object) -> None:
    """Refuse (422) a new state under another name or in another namespace."""
    metadata = body["metadata"]
    if metadata.get("name", old.name) != old.name:
        raise invalid(resource.kind, old.name, "metadata.name", "field is immutable")
    if metadata.get("namespace", old.namespace) != old.namespace and resource.namespaced:
        raise invalid(resource.kind, old.name, "metadata.namespace", "field is immutable")


def kept(resource: Resource, old: Object, body: Object, subresource: str | None) -> Object:
    """Return the new state with everything this way of writing may not touch as it was."""
    if subresource is not None and subresource != "finalize":
        managed = body["metadata"].get("managedFields")
        body = old | {part: body[part] for part in (subresource,) if part in body}
        body["metadata"] = dict(old["metadata"])
        if managed is not None:
            body["metadata"]["managedFields"] = managed
        return body
    if resource.has_status:
        body.pop("status", None)
        if "status" in old:
            body["status"] = old["status"]
    body["apiVersion"], body["kind"] = old["apiVersion"], old["kind"]
    metadata, before = body["metadata"], old["metadata"]
    for name in KEPT_METADATA:
        metadata.pop(name, None)
        if name in before:
            metadata[name] = before[name]
    for name in ("name", "namespace", "resourceVersion"):
        if name in before:
            metadata[name] = before[name]
    if "managedFields" not in metadata and "managedFields" in before:
        metadata["managedFields"] = before["managedFields"]
    return body


def counts_as_change(resource: Resource, old: Object, body: Object) -> bool:
    """Say whether the change is one of the desired state, which the generation counts."""
    if resource.custom:
        unobserved = {"metadata"} | ({"status"} if resource.has_status else set())
        return any(old.get(part) != body.get(part) for part in (old.keys() | body.keys()) - unobserved)
    return resource.counts_generation and old.get("spec") != body.get("spec")
