"""The rules every write passes, whoever writes: identity, preconditions, defaults, validity, generation, deletion.

`client.Client` and the routes of `api.ApiServer` both end here, the store is beneath. Bodies given to `create` and
`replace` are copied first, unless they are the caller's last use of them (`owned`), as a freshly parsed request is.

Pitfalls. A write that changes nothing stores nothing and keeps its resourceVersion, as in Kubernetes. A pod that is
being deleted gracefully stays until it is deleted with no grace, even without finalizers. `dry_run` goes through all
of it and stops short of the store. A write with a caller may raise `Unreviewed` (see `admission`): nothing has happened
then, and the same write is to be attempted again.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from simcluster import apply, custom, defaults, structure, subresources, validation, webhooks
from simcluster.admission import Admission
from simcluster.attempts import Write, attempt_of, deletion_of, options_of
from simcluster.clock import Clock, to_timestamp
from simcluster.deletion import DeleteOptions, begun, delete_options, may_go
from simcluster.errors import (
    ApiError,
    already_exists,
    bad_request,
    forbidden,
    invalid,
    no_such_path,
    not_found,
)
from simcluster.resources import Object, Resource, ResourceTable
from simcluster.revisions import Stored
from simcluster.store import Store
from simcluster.updates import KEPT_METADATA, check_identity, check_patched, check_preconditions, counts_as_change, kept

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_GENERATED_LENGTH = 5
_GENERATED_TRIES = 8  # as in Kubernetes: among thousands of names two soon end alike
_HOOKS = (webhooks.MUTATING, webhooks.VALIDATING)  # in the order in which they are asked
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"

_PLAIN = Write()

# Patches, defaults and checks read an object as if it had the structure of its type, of which `structure` knows the
# greater part. What they still stumble over is the caller's too: a typed API server would not have decoded it.
_MISSHAPEN = (AttributeError, KeyError, TypeError)


class Registry:
    """All writes to a store."""

    def __init__(
        self, store: Store, clock: Clock, chance: random.Random, resources: ResourceTable | None = None
    ) -> None:
        """`chance` gives uids and generated names, so that one seed gives the same world again."""
        self.store = store
        self.clock = clock
        self.resources = resources if resources is not None else ResourceTable()
        self._chance = chance
        self.admission = Admission(self._find, self.new_uid)
        for stage in _HOOKS:
            self.admission.configure(stage, [stored.body for stored in store.find(stage)])
        for stored in store.find(_DEFINITIONS):
            custom.serve(self.resources, stored.body)

    def resource(self, kind: str) -> Resource:
        """Return a kind by its key; ApiError 404 when it is not served."""
        resource = self.resources.get(kind)
        if resource is None:
            raise no_such_path()
        return resource

    def create(self, kind: str, body: Object, write: Write = _PLAIN) -> Stored:
        """Create an object; 409 when the name is taken, 404 when there is no such namespace."""
        resource = self.resource(kind)
        body = self._taken_in(resource, body, write)
        metadata = body.setdefault("metadata", {})
        self._check_namespace(resource, metadata)
        body = self._mutated(resource, None, body, write, None)
        metadata = body["metadata"]
        self._name(resource, metadata, write)
        if self.store.get(kind, metadata.get("namespace"), metadata["name"]) is not None:
            raise already_exists(kind, metadata["name"])
        self._begin(resource, body, write)
        self._admit(resource, body)
        if not write.applied:
            metadata.pop("managedFields", None)
        self._review(webhooks.VALIDATING, resource, None, body, write, None)
        return self._put(resource, body, write)

    def replace(self, kind: str, body: Object, write: Write = _PLAIN, subresource: str | None = None) -> Stored:
        """Put a whole new state in place of the current one; 409 when its resourceVersion or uid is another."""
        resource = self.resource(kind)
        body = self._taken_in(resource, body, write)
        metadata = body.get("metadata") or {}
        old = self.existing(kind, metadata.get("namespace"), metadata.get("name") or "")
        return self._write(resource, old, body, write, subresource)

    def modify(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        change: Callable[[Object], Object],
        write: Write = _PLAIN,
        subresource: str | None = None,
    ) -> Stored:
        """Let `change` make a new state from a copy of the current one."""
        old = self.existing(kind, namespace, name)
        resource = self.resource(kind)
        try:
            body = change(_copy(old.body))
        except _MISSHAPEN as error:
            raise _misshapen(resource, error) from error
        body = self._taken_in(resource, body, write)
        check_patched(resource, old, body)
        return self._write(resource, old, body, write, subresource)

    def existing(self, kind: str, namespace: str | None, name: str) -> Stored:
        """Return an object; ApiError 404 when there is none."""
        stored = self.store.get(kind, namespace, name)
        if stored is None:
            raise not_found(kind, name)
        return stored

    def delete(self, kind: str, namespace: str | None, name: str, options: DeleteOptions) -> Stored | None:
        """Delete an object: return None when it is gone, its new state when it only begins to go."""
        resource = self.resource(kind)
        stored = self.existing(kind, namespace, name)
        check_preconditions(stored, options.uid, options.version)
        if options.caller is not None and not self.admission.idle:
            for stage in _HOOKS:
                self.admission.review(stage, deletion_of(resource, stored, options), options.caller)
        body = begun(resource, stored, options, self.clock.now())
        if options.dry_run:
            return stored
        if may_go(resource, body):
            self._remove(resource, stored, body)
            return None
        return stored if body == stored.body else self.store.put(kind, body)

    def bind(self, namespace: str, name: str, binding: Object, write: Write = _PLAIN) -> Stored:
        """Give a pod its node, once; uid and resourceVersion of the binding must be the pod's (409)."""
        stored = self.existing("pods", namespace, name)
        metadata = binding.get("metadata") or {}
        check_preconditions(stored, metadata.get("uid"), metadata.get("resourceVersion"))
        binding = self.review_part(stored, "binding", {"apiVersion": "v1", "kind": "Binding", **binding}, None, write)
        body = subresources.bound(stored, binding, self.clock.now())
        return self._put(self.resource("pods"), body, write)

    def evict(self, namespace: str, name: str, eviction: Object, write: Write = _PLAIN) -> Stored | None:
        """Mark a pod as disrupted and delete it, if its disruption budgets allow it (429 if not)."""
        stored = self.existing("pods", namespace, name)
        options = delete_options(eviction.get("deleteOptions") or {}, dry_run=write.dry_run)
        check_preconditions(stored, options.uid, options.version)
        self.review_part(stored, "eviction", {"apiVersion": "policy/v1", "kind": "Eviction", **eviction}, None, write)
        now = self.clock.now()
        budgets = (
            [] if subresources.needs_no_budget(stored.body) else subresources.spent_budgets(self.store, stored, now)
        )
        if not options.dry_run:
            for budget in budgets:
                self.store.put("poddisruptionbudgets.policy", budget)
            self.store.put("pods", subresources.disrupted(stored.body, now))
        return self.delete("pods", namespace, name, replace(options, version=None))

    def review_part(self, stored: Stored, subresource: str, body: Object, old: Object | None, write: Write) -> Object:
        """Let webhooks change or refuse what is written to a subresource with a kind of its own."""
        if not self._asks(write):
            return body
        resource = self.resource(stored.kind)
        attempt = attempt_of(resource, None, body, write, subresource)
        attempt = replace(attempt, namespace=stored.namespace, name=stored.name, old=old)
        if old is not None:
            attempt = replace(attempt, operation="UPDATE", options=options_of("UPDATE", write))
        attempt = replace(attempt, body=self.admission.review(webhooks.MUTATING, attempt, write.caller))
        reviewed = self.admission.review(webhooks.VALIDATING, attempt, write.caller)
        assert reviewed is not None
        return reviewed

    def new_uid(self) -> str:
        """Return a fresh random identity."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def _taken_in(self, resource: Resource, body: Object, write: Write) -> Object:
        """Return a body that is the registry's own: what comes from outside is examined, what is lent is copied."""
        if not write.owned:
            return _copy(body)
        structure.check(resource, body)
        return body

    def _find(self, kind: str, namespace: str, name: str) -> Object | None:
        stored = self.store.get(kind, namespace or None, name)
        return stored.body if stored else None

    def _asks(self, write: Write) -> bool:
        """Say whether webhooks may want to hear of a write."""
        return write.caller is not None and not self.admission.idle

    def _once(self, write: Write, what: str, draw: Callable[[], str]) -> str:
        """Return what is left to chance or to the clock, the same at each attempt of a write."""
        return str(write.caller.once(what, draw)) if write.caller is not None and self._asks(write) else draw()

    def _mutated(
        self, resource: Resource, old: Object | None, body: Object, write: Write, subresource: str | None
    ) -> Object:
        """Return a body with its defaults as mutating webhooks want it."""
        if not self._asks(write):
            return body
        try:
            defaults.fill(resource, body)
        except _MISSHAPEN as error:
            raise _misshapen(resource, error) from error
        return self._review(webhooks.MUTATING, resource, old, body, write, subresource)

    def _review(
        self, stage: str, resource: Resource, old: Object | None, body: Object, write: Write, subresource: str | None
    ) -> Object:
        if not self._asks(write):
            return body
        reviewed = self.admission.review(stage, attempt_of(resource, old, body, write, subresource), write.caller)
        assert reviewed is not None
        return reviewed

    def _name(self, resource: Resource, metadata: Object, write: Write) -> None:
        if metadata.get("name"):
            return
        prefix = metadata.get("generateName")
        if not prefix:
            raise invalid(resource.kind, "", "metadata.name", "Required value: name or generateName is required")
        metadata["name"] = self._once(write, f"name {prefix}", lambda: self._free_name(resource, metadata, prefix))

    def _free_name(self, resource: Resource, metadata: Object, prefix: str) -> str:
        """Return a generated name that nobody bears, if some tries find one."""
        name = prefix
        for _ in range(_GENERATED_TRIES):
            suffix = "".join(self._chance.choices(_NAME_LETTERS, k=_GENERATED_LENGTH))
            name = prefix[: 63 - _GENERATED_LENGTH] + suffix
            if self.store.get(resource.key, metadata.get("namespace"), name) is None:
                break
        return name

    def _check_namespace(self, resource: Resource, metadata: Object) -> None:
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        name = metadata.setdefault("namespace", "default")
        namespace = self.store.get("namespaces", None, name)
        if namespace is None:
            raise not_found("namespaces", name)
        if "deletionTimestamp" in namespace.body["metadata"]:
            why = f"unable to create new content in namespace {name} because it is being terminated"
            raise forbidden(resource.key, metadata.get("name", ""), why)

    def _begin(self, resource: Resource, body: Object, write: Write) -> None:
        body.setdefault("apiVersion", resource.api_version)
        body.setdefault("kind", resource.kind)
        metadata = body["metadata"]
        for name in ("resourceVersion", *KEPT_METADATA):
            metadata.pop(name, None)
        metadata["uid"] = self._once(write, "uid", self.new_uid)
        metadata["creationTimestamp"] = self._once(write, "creation", lambda: to_timestamp(self.clock.now()))
        if resource.counts_generation or resource.custom:
            metadata["generation"] = 1
        if resource.has_status and resource.key != "nodes":
            body.pop("status", None)

    def _admit(self, resource: Resource, body: Object) -> None:
        try:
            defaults.fill(resource, body, defaults.Birth(self.store, self.clock.now()))
            validation.check_create(resource, body)
        except _MISSHAPEN as error:
            raise _misshapen(resource, error) from error

    def _readmit(self, resource: Resource, old: Object, body: Object) -> None:
        try:
            defaults.fill(resource, body)
            validation.check_update(resource, old, body)
        except _MISSHAPEN as error:
            raise _misshapen(resource, error) from error

    def _write(self, resource: Resource, old: Stored, body: Object, write: Write, subresource: str | None) -> Stored:
        metadata = body.setdefault("metadata", {})
        check_preconditions(old, metadata.get("uid"), metadata.get("resourceVersion"))
        check_identity(resource, old, body)
        body = kept(resource, old.body, body, subresource)
        mutated = self._mutated(resource, old.body, body, write, subresource)
        if mutated is not body:
            check_identity(resource, old, mutated)
            body = kept(resource, old.body, mutated, subresource)
        if subresource is None:
            self._readmit(resource, old.body, body)
        self._review(webhooks.VALIDATING, resource, old.body, body, write, subresource)
        if body == old.body:
            return old
        if counts_as_change(resource, old.body, body):
            body["metadata"]["generation"] = old.body["metadata"].get("generation", 0) + 1
        if "managedFields" in body["metadata"] and not write.applied:
            apply.note_update(resource, old.body, body, write.manager or "simcluster", subresource, self.clock.now())
        if may_go(resource, body) and not write.dry_run:
            return self._remove(resource, old, body)
        return self._put(resource, body, write)

    def _put(self, resource: Resource, body: Object, write: Write) -> Stored:
        if write.dry_run:
            version = body["metadata"].get("resourceVersion")
            return Stored(resource.key, body, int(version) if version else 0)
        stored = self.store.put(resource.key, body)
        if resource.key == _DEFINITIONS:
            custom.serve(self.resources, body)
        self._configure_admission(resource)
        return stored

    def _remove(self, resource: Resource, stored: Stored, body: Object) -> Stored:
        gone = self.store.remove(resource.key, stored.namespace, stored.name, body)
        if resource.key == _DEFINITIONS:
            self._withdraw(body)
        self._configure_admission(resource)
        return gone

    def _configure_admission(self, resource: Resource) -> None:
        if resource.key in _HOOKS:
            self.admission.configure(resource.key, [stored.body for stored in self.store.find(resource.key)])

    def _withdraw(self, definition: Object) -> None:
        """Take a custom kind away with all its objects, finalizers or not."""
        kind = definition["metadata"]["name"]
        for stored in list(self.store.find(kind)):
            self.store.remove(kind, stored.namespace, stored.name)
        self.resources.remove(kind)


def _misshapen(resource: Resource, error: Exception) -> ApiError:
    return bad_request(f"{resource.kind} in version {resource.version!r} cannot be handled as such: {error!r}")


def _copy(body: Object) -> Object:
    copied: Object = orjson.loads(orjson.dumps(body))  # several times faster than copy.deepcopy
    return copied


def object_name(body: Any) -> str:
    """Return an object's name, or nothing when it has none."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return (metadata or {}).get("name") or ""
