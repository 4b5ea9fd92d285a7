"""Create, replace, patch, apply, delete, and the subresources that write."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from simcluster import apply, defaults, patches, structure, subresources
from simcluster.attempts import Write
from simcluster.deletion import DeleteOptions, delete_options
from simcluster.errors import bad_option, bad_request, conflict, unsupported_media_type
from simcluster.reading import Reader
from simcluster.registry import Registry, object_name
from simcluster.resources import Object, Resource
from simcluster.revisions import Stored
from simcluster.shapes import Shapes
from simcluster.wire import Request, Response, to_response

_APPLY = ("application/apply-patch+yaml", "application/apply-patch+cbor")


@dataclass(frozen=True)
class Writer:
    """Answers the writes of one kind under one of its versions."""

    registry: Registry
    resource: Resource
    version: str

    @property
    def _reader(self) -> Reader:
        return Reader(self.registry, self.resource, self.version)

    @property
    def _key(self) -> str:
        return self.resource.key

    def create(self, namespace: str | None, request: Request) -> Response:
        """Create the object in the body."""
        body = self._body(namespace, None, request)
        stored = self.registry.create(self._key, body, self._write(request))
        return self._reader.show(stored, request, 201)

    def replace(self, namespace: str | None, name: str, subresource: str | None, request: Request) -> Response:
        """Put the object in the body in place of the current one."""
        body = self._body(namespace, name, request)
        stored = self.registry.replace(self._key, body, self._write(request), subresource)
        return self._reader.show(stored, request)

    def patch(self, namespace: str | None, name: str, subresource: str | None, request: Request) -> Response:
        """Change an object as the body says, by the rules of its media type."""
        if request.content_type in _APPLY:
            return self._apply(namespace, name, subresource, request)
        if "force" in request.query:
            raise bad_option("PatchOptions", "force", "Forbidden: may not be specified for non-apply patch")
        change = self._change(request)
        stored = self.registry.modify(self._key, namespace, name, change, self._write(request), subresource)
        return self._reader.show(stored, request)

    def delete(self, namespace: str | None, name: str, request: Request) -> Response:
        """Delete an object; the answer is the object when it only begins to go."""
        before = self.registry.existing(self._key, namespace, name)
        going = self.registry.delete(self._key, namespace, name, self._delete_options(request))
        if going is not None or self._key == "pods":
            return self._reader.show(going or before, request)
        return to_response(self._success(before))

    def delete_collection(self, namespace: str | None, request: Request) -> Response:
        """Delete what the selectors choose."""
        options = self._delete_options(request)
        chosen = self._reader.select(namespace, request)
        for stored in chosen:
            self.registry.delete(self._key, stored.namespace, stored.name, options)
        return to_response(
            {
                "kind": f"{self.resource.kind}List",
                "apiVersion": self.resource.api_version,
                "metadata": {"resourceVersion": str(self.registry.store.version)},
                "items": [stored.body for stored in chosen],
            }
        )

    def bind(self, namespace: str | None, name: str | None, request: Request) -> Response:
        """Bind a pod, by its own subresource or (without a name) by a Binding posted to the namespace."""
        binding = request.parse_object()
        structure.check_message("Binding", binding)
        self.registry.bind(namespace or "", name or object_name(binding), binding, self._write(request))
        return to_response(_status_success(), 201)

    def evict(self, namespace: str | None, name: str, request: Request) -> Response:
        """Delete a pod as far as its disruption budgets allow."""
        eviction = request.parse_object()
        structure.check_message("Eviction", eviction)
        structure.check_message("DeleteOptions", eviction.get("deleteOptions") or {})
        self.registry.evict(namespace or "", name, eviction, self._write(request))
        return to_response(_status_success(), 201)

    def get_scale(self, namespace: str | None, name: str) -> Response:
        """Answer with an object's `Scale`."""
        stored = self.registry.existing(self._key, namespace, name)
        return to_response(subresources.read_scale(self.resource, stored))

    def put_scale(self, namespace: str | None, name: str, request: Request) -> Response:
        """Scale an object to what the body says."""
        scale = request.parse_object()
        return self._scale(namespace, name, lambda _current: scale, request)

    def patch_scale(self, namespace: str | None, name: str, request: Request) -> Response:
        """Scale an object by a patch of its `Scale`."""
        if request.content_type in _APPLY:
            config = request.parse_object()
            return self._scale(namespace, name, lambda current: patches.merge_patch(current, config), request)
        return self._scale(namespace, name, self._change(request), request)

    def _scale(
        self, namespace: str | None, name: str, change: Callable[[Object], Object], request: Request
    ) -> Response:
        write = self._write(request)

        def scaled(body: Object) -> Object:
            old = self.registry.existing(self._key, namespace, name)
            current = subresources.read_scale(self.resource, old)
            wanted = change(subresources.read_scale(self.resource, old))
            structure.check_message("Scale", wanted)
            wanted = self.registry.review_part(old, "scale", wanted, current, write)
            body["metadata"]["resourceVersion"] = (wanted.get("metadata") or {}).get("resourceVersion")
            return subresources.scaled(self.resource, body, wanted)

        stored = self.registry.modify(self._key, namespace, name, scaled, replace(write, caller=None))
        return to_response(subresources.read_scale(self.resource, stored))

    def _body(self, namespace: str | None, name: str | None, request: Request) -> Object:
        body = request.parse_object()
        self._check_type(body)
        metadata = body["metadata"]
        if namespace is not None and metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if name is not None and metadata.setdefault("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        return body

    def _check_type(self, body: Object) -> None:
        group = self.resource.group
        expected = f"{group}/{self.version}" if group else self.version
        if body.setdefault("apiVersion", expected) != expected:
            why = f"the API version in the data ({body['apiVersion']}) does not match the expected API version"
            raise bad_request(f"{why} ({expected})")
        if body.setdefault("kind", self.resource.kind) != self.resource.kind:
            raise bad_request(
                f"{body['kind']} in the data does not match the kind expected here ({self.resource.kind})"
            )
        body["apiVersion"] = self.resource.api_version

    def _change(self, request: Request) -> Callable[[Object], Object]:
        patch = request.parse()
        match request.content_type:
            case "application/json-patch+json":
                return lambda body: patches.json_patch(body, patch)
            case "application/merge-patch+json":
                return lambda body: patches.merge_patch(body, patch)
            case "application/strategic-merge-patch+json" if not self.resource.custom:
                return lambda body: patches.strategic_merge(body, patch, Shapes(self.resource))
        known = ["application/json-patch+json", "application/merge-patch+json", _APPLY[0]]
        if not self.resource.custom:
            known.insert(2, "application/strategic-merge-patch+json")
        why = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(known)
        raise unsupported_media_type(why)

    def _apply(self, namespace: str | None, name: str, subresource: str | None, request: Request) -> Response:
        manager = request.query.get("fieldManager")
        if not manager:
            raise bad_option("PatchOptions", "fieldManager", "Required value: is required for apply patch")
        config = self._body(namespace, name, request)
        structure.check(self.resource, config)
        if not self.resource.custom:
            defaults.canonicalise(config)
        if config["metadata"].pop("managedFields", None):
            raise bad_request("metadata.managedFields must be nil")
        stored = self.registry.store.get(self._key, namespace, name)
        if stored is None and subresource is None:
            return self._create_applied(config, manager, request)
        change = self._applied(config, manager, subresource, request)
        write = self._write(request, applied=True)
        stored = self.registry.modify(self._key, namespace, name, change, write, subresource)
        return self._reader.show(stored, request)

    def _create_applied(self, config: Object, manager: str, request: Request) -> Response:
        name = object_name(config)
        if config["metadata"].get("uid"):
            raise conflict(self._key, name, "uid mismatch: the provided object specified a uid and none exists")
        empty: Object = {"metadata": {}}
        body = self._applied(config, manager, None, request)(empty)
        stored = self.registry.create(self._key, body, self._write(request, applied=True))
        return self._reader.show(stored, request, 201)

    def _applied(
        self, config: Object, manager: str, subresource: str | None, request: Request
    ) -> Callable[[Object], Object]:
        def change(live: Object) -> Object:
            return apply.applied(
                self.resource,
                live,
                config,
                manager=manager,
                force=request.flag("force"),
                now=self.registry.clock.now(),
                subresource=subresource,
            )

        return change

    def _write(self, request: Request, *, applied: bool = False) -> Write:
        return Write(
            manager=request.manager,
            dry_run=request.dry_run,
            owned=True,
            applied=applied,
            version=self.version,
            caller=request.caller,
        )

    def _delete_options(self, request: Request) -> DeleteOptions:
        body: Any = request.parse() if request.body else {}
        structure.check_message("DeleteOptions", body)
        given = {
            "gracePeriodSeconds": request.number("gracePeriodSeconds"),
            "propagationPolicy": request.query.get("propagationPolicy"),
        }
        if "orphanDependents" in request.query:
            given["orphanDependents"] = request.flag("orphanDependents")
        asked = {name: value for name, value in given.items() if value is not None} | body
        options = delete_options(asked, dry_run=request.dry_run)
        return replace(options, api_version=self.version, caller=request.caller)

    def _success(self, stored: Stored) -> Object:
        details: Object = {"name": stored.name, "kind": self.resource.plural, "uid": stored.uid}
        if self.resource.group:
            details["group"] = self.resource.group
        return _status_success() | {"details": details}


def _status_success() -> Object:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
