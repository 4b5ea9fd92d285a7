"""The port over HTTP: requests, error mapping, lists and watches of raw bytes.

Everything the server sends is decoded once, straight into what the `Resource` names. How bytes travel is the
transport's business (`transport`), what to do about a broken watch is the reflector's (`reflector`).

Pitfall: an `Unavailable` write may have been done all the same. Whoever repeats it needs a precondition, a fixed
name, or `apply`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import GenericAlias
from typing import Any, Final, TypeVar

import msgspec
from muster_contracts.errors import Unavailable

from muster_cluster.metadata import Metadata, Partial, version_of
from muster_cluster.objects import NAMESPACES, PODS
from muster_cluster.port import (
    Binding,
    Change,
    ClusterError,
    Conflicted,
    EvictionBlocked,
    Expired,
    Forbidden,
    NotFound,
    Page,
    PatchType,
    Rejected,
    Resource,
    Served,
    ServedKind,
    Unreadable,
    WatchEvent,
)
from muster_cluster.transport import Answer, ClientTransport, Request, Transport

Item = TypeVar("Item")

FIELD_MANAGER: Final = "muster"


class KubernetesCluster:
    """An API server, spoken to through a transport. Implements `Cluster`."""

    def __init__(self, transport: Transport, *, watch_timeout_seconds: int = 120) -> None:
        """Take a transport; the server is asked to end each watch after `watch_timeout_seconds`.

        A watch that says nothing for much longer has died unnoticed, so this bounds how stale a mirror can be.
        """
        self._transport = transport
        self._watch_timeout_seconds = watch_timeout_seconds

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, *, context: str = "") -> "KubernetesCluster":
        """Make ready with a kubeconfig, or (None) as the pod we run in. Raises Refused when that cannot be used."""
        return cls(await ClientTransport.connect(kubeconfig, context=context))

    async def version(self) -> str:
        """Return the server's version; the cheapest way to see that it answers."""
        return (await self._ask(Request("GET", "/version"), _Version)).git_version

    async def cluster_id(self) -> str:
        """Return the UID of the namespace `kube-system`, by which a cluster is known."""
        return (await self.get(NAMESPACES, "", "kube-system")).metadata.uid

    async def served_kinds(self) -> Served:
        """Return every kind that can be listed and watched, once per group, in the version the server prefers."""
        core = await self._ask(Request("GET", "/api/v1"), _ResourceList)
        found = list(_served("", "v1", core))
        silent: set[str] = set()
        for group in (await self._ask(Request("GET", "/apis"), _GroupList)).groups:
            try:
                found += await self._served_in(group)
            except (Unavailable, NotFound):  # its own API server is down, or it was taken away this moment
                silent.add(group.name)
        return Served(found, frozenset(silent))

    async def _served_in(self, group: "_Group") -> list[ServedKind]:
        found: dict[str, ServedKind] = {}
        for version in group.by_preference:
            served = await self._ask(Request("GET", f"/apis/{group.name}/{version}"), _ResourceList)
            for kind in _served(group.name, version, served):
                found.setdefault(kind.kind, kind)
        return list(found.values())

    async def list_page(
        self,
        resource: Resource[Item],
        *,
        namespace: str = "",
        label_selector: str = "",
        limit: int = 500,
        continue_from: str = "",
    ) -> Page[Item]:
        """Return one page of a list. Raises Expired when the continue token is too old."""
        query = _without_empty(labelSelector=label_selector, limit=str(limit), **{"continue": continue_from})
        answer = await self._exchange(Request("GET", resource.path(namespace), query))
        found = _decode(answer.body, _LISTS[resource.model])
        return Page(found.items or (), found.metadata.resource_version, found.metadata.next)

    async def watch(
        self, resource: Resource[Item], *, resource_version: str, namespace: str = "", label_selector: str = ""
    ) -> AsyncGenerator[Sequence[WatchEvent[Item]], None]:
        """Yield changes after a resource version, bookmarks included, until the server ends the watch."""
        assert resource_version, "a watch without a version would begin with what is there, in no order"
        query = _without_empty(
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(self._watch_timeout_seconds),
            resourceVersion=resource_version,
            labelSelector=label_selector,
        )
        patience = self._watch_timeout_seconds + 30.0
        request = Request("GET", resource.path(namespace), query, timeout_seconds=patience)
        async with self._transport.stream(request) as stream:
            if stream.status >= 300:
                raise _error_of_read(stream.status, await _whole(stream.chunks))
            async for lines in _lines(stream.chunks):
                events, error = _events(lines, resource.model)
                if events:
                    yield events
                if error is not None:
                    raise error

    async def get(self, resource: Resource[Item], namespace: str, name: str) -> Item:
        """Return one object. Raises NotFound."""
        return await self._ask(Request("GET", resource.path(namespace, name)), resource.model)

    async def create(self, resource: Resource[Item], manifest: Mapping[str, Any]) -> Item:
        """Create an object. Raises Conflicted when the name is taken, Rejected when it is not valid."""
        path = resource.path(_namespace_of(resource, manifest))
        return await self._ask(Request("POST", path, _AS_US, _typed(resource, manifest)), resource.model)

    async def apply(self, resource: Resource[Item], manifest: Mapping[str, Any], *, force: bool = True) -> Item:
        """Server-side apply an object under our field manager; creates it when it is not there."""
        path = resource.path(_namespace_of(resource, manifest), manifest["metadata"]["name"])
        query = {**_AS_US, "force": "true" if force else "false"}
        request = Request("PATCH", path, query, _typed(resource, manifest), PatchType.APPLY)
        return await self._ask(request, resource.model)

    async def patch(
        self,
        resource: Resource[Item],
        namespace: str,
        name: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        patch_type: PatchType = PatchType.MERGE,
    ) -> Item:
        """Patch an object. `metadata.uid` and `metadata.resourceVersion` in the body are preconditions (Conflicted)."""
        changes = dict(body) if isinstance(body, Mapping) else [dict(step) for step in body]
        request = Request("PATCH", resource.path(namespace, name), _AS_US, changes, patch_type)
        return await self._ask(request, resource.model)

    async def delete(
        self,
        resource: Resource[Item],
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
        grace_period_seconds: int | None = None,
    ) -> None:
        """Delete an object. Raises NotFound, and Conflicted when another object has the name now."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        body = options | _delete_options(uid, grace_period_seconds)
        await self._exchange(Request("DELETE", resource.path(namespace, name), body=body))

    async def bind(self, binding: Binding) -> None:
        """Bind a pod. Raises Conflicted when it is bound or changed since, NotFound when it is gone."""
        metadata = {
            "name": binding.name,
            "namespace": binding.namespace,
            "uid": binding.uid,
            "resourceVersion": binding.resource_version,
            "annotations": dict(binding.annotations),
        }
        target = {"apiVersion": "v1", "kind": "Node", "name": binding.node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        path = PODS.path(binding.namespace, binding.name, "binding")
        await self._exchange(Request("POST", path, _AS_US, body))

    async def evict(self, namespace: str, name: str, *, uid: str, grace_period_seconds: int | None = None) -> None:
        """Evict a pod. Raises EvictionBlocked, NotFound, and Conflicted when another pod has the name now."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": _delete_options(uid, grace_period_seconds),
        }
        await self._exchange(Request("POST", PODS.path(namespace, name, "eviction"), body=body))

    async def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        follow: bool = False,
        tail_lines: int | None = None,
        previous: bool = False,
        timestamps: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """Yield chunks of a container's log. Raises NotFound, and Rejected while there is none yet."""
        query = _without_empty(
            container=container,
            tailLines="" if tail_lines is None else str(tail_lines),
            follow="true" if follow else "",
            previous="true" if previous else "",
            timestamps="true" if timestamps else "",
        )
        request = Request("GET", PODS.path(namespace, pod, "log"), query, timeout_seconds=None if follow else 30.0)
        async with self._transport.stream(request) as stream:
            if stream.status >= 300:
                raise error_of(stream.status, await _whole(stream.chunks))
            async for chunk in stream.chunks:
                yield chunk

    async def close(self) -> None:
        """Let go of all connections."""
        await self._transport.close()

    async def _ask(self, request: Request, model: type[Item]) -> Item:
        answer = await self._exchange(request)
        return _decode(answer.body, model)

    async def _exchange(self, request: Request) -> Answer:
        answer = await self._transport.request(request)
        if answer.status >= 300:
            raise (_error_of_read if request.method == "GET" else error_of)(answer.status, answer.body)
        return answer


_AS_US: Final = {"fieldManager": FIELD_MANAGER}


class _Version(Partial, frozen=True, gc=False):
    git_version: str = ""


class _Cause(Partial, frozen=True, gc=False):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(Partial, frozen=True, gc=False):
    causes: tuple[_Cause, ...] = ()


class _Status(Partial, frozen=True, gc=False):
    """Kubernetes' own account of what went wrong."""

    code: int = 0
    message: str = ""
    details: _Details | None = None

    def blames(self, field: str) -> bool:
        """Say whether a field is what is wrong."""
        return self.details is not None and any(cause.field == field for cause in self.details.causes)


class _GroupVersion(Partial, frozen=True, gc=False):
    version: str = ""


class _Group(Partial, frozen=True, gc=False):
    name: str = ""
    versions: tuple[_GroupVersion, ...] = ()
    preferred_version: _GroupVersion = _GroupVersion()

    @property
    def by_preference(self) -> Sequence[str]:
        """Its versions, the preferred one first."""
        names = [self.preferred_version.version, *(version.version for version in self.versions)]
        return [name for name in dict.fromkeys(names) if name]


class _GroupList(Partial, frozen=True, gc=False):
    groups: tuple[_Group, ...] = ()


class _ServedResource(Partial, frozen=True, gc=False):
    name: str = ""
    kind: str = ""
    namespaced: bool = False
    verbs: tuple[str, ...] = ()


class _ResourceList(Partial, frozen=True, gc=False):
    resources: tuple[_ServedResource, ...] = ()


def _served(group: str, version: str, served: _ResourceList) -> Iterator[ServedKind]:
    """Yield the kinds that can be mirrored; a name with a slash is a subresource."""
    for resource in served.resources:
        if "/" not in resource.name and {"list", "watch"} <= set(resource.verbs):
            yield ServedKind(group, version, resource.name, resource.kind, resource.namespaced)


class _ListMetadata(Partial, frozen=True, gc=False):
    resource_version: str = ""
    next: str = msgspec.field(default="", name="continue")


class _Frame(Partial, frozen=True, gc=False):
    """One line of a watch; what it is about is decoded when its type is known."""

    type: str
    object: msgspec.Raw


class _Bookmark(Partial, frozen=True, gc=False):
    metadata: Metadata


_CHANGES: Final = {str(change): change for change in Change}
_CAUSE_OF_BLOCKED_EVICTION: Final = "DisruptionBudget"
_CAUSE_OF_VERSION_AHEAD: Final = "ResourceVersionTooLarge"
_FIELD_OF_ANOTHER_OBJECT: Final = "metadata.uid"


def _decode(body: bytes | msgspec.Raw, model: type[Item]) -> Item:
    """Decode an answer.

    What is not JSON did not come from an API server, and is the world's error. JSON of another shape than our structs
    say is ours (msgspec.ValidationError): it goes on up and stops whoever asked.
    """
    try:
        item: Item = _DECODERS[model].decode(body)
        return item
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        raise Unavailable(f"Kubernetes did not answer in JSON: {error}") from error


class _Decoders(dict[Any, msgspec.json.Decoder[Any]]):
    """A decoder for each model, made when it is first needed."""

    def __missing__(self, model: Any) -> msgspec.json.Decoder[Any]:
        self[model] = msgspec.json.Decoder(model)
        return self[model]


class _Lists(dict[Any, Any]):
    """The struct of a list for each model, made when it is first needed; an empty list may be written as null."""

    def __missing__(self, model: Any) -> Any:
        items = GenericAlias(list, model) | None
        fields = [("metadata", _ListMetadata, _ListMetadata()), ("items", items, None)]
        self[model] = msgspec.defstruct(f"{model.__name__}List", fields, gc=False)
        return self[model]


_DECODERS: Final = _Decoders()
_LISTS: Final = _Lists()


def _events(
    lines: Sequence[bytes], model: type[Item]
) -> tuple[list[WatchEvent[Item]], ClusterError | Unavailable | None]:
    """Return the changes that lines tell of, and the error that the server ended the watch with, if it did."""
    events: list[WatchEvent[Item]] = []
    for line in lines:
        frame = _decode(line, _Frame)
        if frame.type == "ERROR":
            return events, _error_of_read(0, bytes(frame.object))
        events.append(_event(frame, model))
    return events, None


def _event(frame: _Frame, model: type[Item]) -> WatchEvent[Item]:
    change = _CHANGES[frame.type]
    if change is Change.BOOKMARK:
        return WatchEvent(change, None, _decode(frame.object, _Bookmark).metadata.resource_version)
    item = _decode(frame.object, model)
    return WatchEvent(change, item, version_of(item))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[bytes], None]:
    """Yield the lines that are complete. Half a line at the end was cut off; whoever goes on hears it again."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def error_of(status: int, body: bytes) -> ClusterError | Unavailable:
    """Return the error an answer stands for; `status` 0 is read from the body, a Kubernetes `Status`."""
    told = _status_of(body)
    causes = {cause.reason: cause.message for cause in told.details.causes} if told.details else {}
    code = status or told.code
    message = told.message or f"Kubernetes answered {code}."
    if _CAUSE_OF_VERSION_AHEAD in causes:
        return Expired(message)  # the server has gone back to an earlier state; only a new list helps
    if _CAUSE_OF_BLOCKED_EVICTION in causes and code == 429:
        return EvictionBlocked(causes[_CAUSE_OF_BLOCKED_EVICTION] or message)  # the cause names the budget
    if told.blames(_FIELD_OF_ANOTHER_OBJECT) and code == 422:
        return Conflicted(message)  # so a patch is told that another object has the name now
    return _error_of_code(code)(message)


def _error_of_read(status: int, body: bytes) -> ClusterError | Unavailable:
    """Return the error of a get, a list or a watch: what may not be seen today may be seen when the rights are mended.

    A log is another matter: somebody waits for the answer, and is to hear why there is none.
    """
    error = error_of(status, body)
    return Unreadable(error.message) if isinstance(error, Forbidden) else error


_ERRORS: Final[Mapping[int, type[ClusterError] | type[Unavailable]]] = {
    401: Unavailable,  # a token has run out; a later request brings the new one
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflicted,
    410: Expired,
    429: Unavailable,
}


def _error_of_code(code: int) -> type[ClusterError] | type[Unavailable]:
    return _ERRORS.get(code, Rejected if 400 <= code < 500 else Unavailable)


def _status_of(body: bytes) -> _Status:
    """Return what a body says of the error; a proxy on the way may have written anything."""
    try:
        return msgspec.json.decode(body, type=_Status)
    except msgspec.DecodeError:
        return _Status(message=body[:500].decode(errors="replace").strip())


def _typed(resource: Resource[Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **manifest}


def _namespace_of(resource: Resource[Any], manifest: Mapping[str, Any]) -> str:
    namespace: str = manifest["metadata"].get("namespace", "")
    assert namespace or not resource.namespaced, f"a {resource.kind} without a namespace"
    return namespace


def _delete_options(uid: str | None, grace_period_seconds: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {"preconditions": {"uid": uid}} if uid else {}
    return options | ({} if grace_period_seconds is None else {"gracePeriodSeconds": grace_period_seconds})


def _without_empty(**query: str) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}
