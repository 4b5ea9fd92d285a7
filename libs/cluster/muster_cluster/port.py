"""Kubernetes as Muster needs it: lists and watches of raw bytes, and the few writes that services do.

`muster_cluster.kubernetes` implements it over the official client. Lists and watches decode into whatever structs the
caller names (msgspec, only the fields that matter): the typed models of the client cost a hundred times more. Tests
judge the adapter against the simulated cluster over HTTP, and against a real one when `MUSTER_TEST_KUBECONFIG` is set.

Errors: `NotFound` (404), `Conflicted` (409: it exists, it is bound, the resource version is another), `Rejected`
(Kubernetes will not take this as it is: 400, 422; not from us: `Forbidden`, 403) and `Expired` (410) are for the caller
to decide anew. 401 (credentials are renewed), 408, 429, what the server does wrong (5xx) and every failure of the
network are `Unavailable`; so is a get, a list or a watch that is not allowed (`Unreadable`): rights may be mended.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

from muster_contracts.errors import Unavailable

Item = TypeVar("Item")


class ClusterError(Exception):
    """The API server answered, and not with what was asked for. `message` is its own sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(ClusterError):
    """There is no such object, or no such kind (404)."""


class Conflicted(ClusterError):
    """The object is not, or no longer, what the request took it for (409)."""


class Rejected(ClusterError):
    """The API server will never take this request as it is, or not from us (400, 403, 405, 413, 415, 422)."""


class Forbidden(Rejected):
    """Not from us, or not now (403): rights, a quota, a namespace that is being deleted. All of that may change."""


class Expired(ClusterError):
    """The resource version, or the continue token, is too old (410): list anew."""


class Unreadable(Unavailable):
    """We may not get, list or watch this kind (403). The rights may be mended, so it is worth asking again."""


class EvictionBlocked(Unavailable):
    """A disruption budget does not allow this eviction now (429)."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[Item]):
    """A kind of object, and what an object of it is decoded into (a msgspec struct, or dict)."""

    group: str
    version: str
    plural: str
    kind: str
    model: type[Item]
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects write it: `v1`, `batch/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the kind (in one namespace, or in all), of one object, or of its subresource.

        Raises Rejected for a name that cannot stand in a path: names come from users.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{_segment(namespace)}" if namespace and self.namespaced else ""
        tail = "".join(f"/{_segment(part)}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


def _segment(name: str) -> str:
    if name in {".", ".."} or "/" in name or "%" in name:
        raise Rejected(f"{name!r} cannot be the name of an object.")
    return quote(name)


@dataclass(frozen=True, slots=True)
class ServedKind:
    """A kind of object that the API server serves, in the version it prefers."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool


@dataclass(frozen=True, slots=True)
class Served:
    """What the API server serves. Of the `silent` groups nobody knows: whoever answers for them did not answer."""

    kinds: Sequence[ServedKind]
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. `resource_version` is that of the whole list; `next` continues it, empty at the end."""

    items: Sequence[Item]
    resource_version: str
    next: str = ""


class Change(StrEnum):
    """What a watch says of an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[Item]):
    """One change of one object; `resource_version` is where to go on. A bookmark has no `item`."""

    change: Change
    item: Item | None
    resource_version: str


@dataclass(frozen=True, slots=True)
class Binding:
    """To which node a pod goes, with which annotations, provided it still is this pod at this resource version."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    node: str
    annotations: Mapping[str, str] = field(default_factory=dict)


class PatchType(StrEnum):
    """The kinds of patch we send, by content type."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Cluster(Protocol):
    """A Kubernetes API server, seen by one client."""

    async def version(self) -> str:
        """Return the server's version; the cheapest way to see that it answers."""
        ...

    async def cluster_id(self) -> str:
        """Return the UID of the namespace `kube-system`, by which a cluster is known."""
        ...

    async def served_kinds(self) -> Served:
        """Return every kind that can be listed and watched, once per group."""
        ...

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
        ...

    def watch(
        self, resource: Resource[Item], *, resource_version: str, namespace: str = "", label_selector: str = ""
    ) -> AsyncGenerator[Sequence[WatchEvent[Item]], None]:
        """Yield changes after a resource version, bookmarks included, until the server ends the watch.

        Changes that arrive together come together, in order. Close it (`contextlib.aclosing`) to let go of the
        connection. Raises Expired when the version is too old, Unavailable when the connection breaks.
        """
        ...

    async def get(self, resource: Resource[Item], namespace: str, name: str) -> Item:
        """Return one object. Raises NotFound."""
        ...

    async def create(self, resource: Resource[Item], manifest: Mapping[str, Any]) -> Item:
        """Create an object. Raises Conflicted when the name is taken, Rejected when it is not valid."""
        ...

    async def apply(self, resource: Resource[Item], manifest: Mapping[str, Any], *, force: bool = True) -> Item:
        """Server-side apply an object under our field manager; creates it when it is not there."""
        ...

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
        ...

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
        ...

    async def bind(self, binding: Binding) -> None:
        """Bind a pod. Raises Conflicted when it is bound or changed since, NotFound when it is gone."""
        ...

    async def evict(self, namespace: str, name: str, *, uid: str, grace_period_seconds: int | None = None) -> None:
        """Evict a pod. Raises EvictionBlocked, NotFound, and Conflicted when another pod has the name now."""
        ...

    def logs(
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
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...
