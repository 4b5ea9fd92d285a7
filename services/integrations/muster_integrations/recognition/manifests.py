"""Objects as somebody wrote them down, made into what an API server would have shown of them.

Manifests come from files: before admission, after an export, or by hand. What only a cluster adds is added here. An
object without a namespace lies in `default`, one without a UID gets an invented one, and whoever refers to such an
object by kind, namespace and name gets the same. Objects that the server would name (`generateName`) are told apart by
a number: the second `etl-` is `etl-#2`, as no object can be called. A pod that runs and does not show its containers is
taken as ready. What is not a Kubernetes object, or cannot be read as one, is left out with the reason.

`offline` recognises what comes out. Nothing here knows of files: a document is plain JSON, and says where it
stood.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from muster_cluster.objects import Described, read_object
from muster_contracts.subjects import derived_id

from muster_integrations.recognition.fields import entries, mapping, text
from muster_integrations.recognition.kinds import Kind, Known, Name, Standing, group_of
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.table import kind_of

DEFAULT_NAMESPACE: Final = "default"
SOMEWHERE: Final = "somewhere"
"""The node of a pod that runs and does not say where."""

_SOME_ENTRY: Final = re.compile(r"got `(\w+)` - at `\$\.((?:(?!\.{3}).)+)\[\.\.\.\]`$")
_JSON_TYPES: Final = {str: "str", int: "int", float: "float", bool: "bool", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Document:
    """Something that was written down, as plain JSON, and where it stood."""

    source: str
    value: Any


@dataclass(frozen=True, slots=True)
class Ignored:
    """What makes no workload, and why, in a sentence. What is no object at all has no kind, and its source as name."""

    kind: str
    name: str
    reason: str


@dataclass(slots=True)
class Objects:
    """What was read: objects by UID, UIDs that were invented, and what was left out."""

    known: dict[str, Known] = field(default_factory=dict)
    invented: set[str] = field(default_factory=set)
    ignored: list[Ignored] = field(default_factory=list)


@dataclass(slots=True)
class _Written:
    """A manifest, and who it is. Its UID is empty as long as it has none."""

    kind: Kind
    api_version: str
    raw: dict[str, Any]
    name: str
    namespace: str
    uid: str

    @property
    def key(self) -> Name:
        return self.kind.key, self.namespace, self.name


def read_objects(documents: Iterable[Document]) -> Objects:
    """Return the objects of all documents. Of two that are the same: the one with a UID, else the later one."""
    objects = Objects()
    written = _Writing(objects)
    for document in documents:
        for one in _single(Document(document.source, _as_stored(document.value))):
            written.add(one)
    written.finish()
    return objects


def _single(document: Document) -> Iterator[Document]:
    """Yield the objects of a list, of a list of lists, or the one there is."""
    value = document.value
    items = value.get("items") if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and not (text(value, "kind").endswith("List") and isinstance(items, list)):
        yield document
    elif isinstance(items, list):
        of_list = _kind_of_items(value)
        for item in items:
            yield from _single(Document(document.source, {**of_list, **item} if isinstance(item, Mapping) else item))
    else:
        yield document


def _kind_of_items(value: Any) -> dict[str, Any]:
    """Return what the items of a `PodList` leave out."""
    kind = text(value, "kind").removesuffix("List")
    return {"apiVersion": text(value, "apiVersion"), "kind": kind} if kind else {}


class _Writing:
    """All manifests of a picture; only together they tell who is meant by a reference."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._by_key: dict[tuple[Name, str], _Written] = {}
        self._alike: Counter[Name] = Counter()

    def add(self, document: Document) -> None:
        """Note a manifest, or why it is none."""
        try:
            one = _read(document)
        except ValueError as error:
            kind, name = text(document.value, "kind"), text(document.value, "metadata", "name")
            self._objects.ignored.append(Ignored(kind, name or document.source, str(error)))
        else:
            self._tell_apart(one)
            self._by_key[one.key, one.uid] = one

    def _tell_apart(self, one: _Written) -> None:
        """Number an object that has no name of its own, from the second that begins alike."""
        if one.uid or text(one.raw, "metadata", "name"):
            return
        self._alike[one.key] += 1
        count = self._alike[one.key]
        one.name += f"#{count}" if count > 1 else ""

    def finish(self) -> None:
        """Read everything that was noted as objects."""
        admitted = {key for key, uid in self._by_key if uid}
        objects = [one for one in self._by_key.values() if one.uid or one.key not in admitted]
        for one in objects:
            if not one.uid:
                one.uid = self._invent(one.key)
            one.raw["metadata"].update(name=one.name, namespace=one.namespace, uid=one.uid)
        uids = {one.uid for one in objects}
        names = {one.key: one.uid for one in objects}
        for one in objects:
            self._refer(one, uids, names)
            self._take(one)

    def _refer(self, one: _Written, uids: set[str], names: dict[Name, str]) -> None:
        """Give the references of an object the UIDs of those they mean."""
        references = [dict(reference) for reference in entries(one.raw, "metadata", "ownerReferences")]
        for reference in references:
            if text(reference, "uid") not in uids:
                reference["uid"] = self._meant(reference, one.namespace, names)
        if references:
            one.raw["metadata"]["ownerReferences"] = references

    def _meant(self, reference: dict[str, Any], namespace: str, names: dict[Name, str]) -> str:
        """Return the UID that a reference means: that of an object without one, else what it says."""
        kind = group_of(text(reference, "apiVersion")), text(reference, "kind")
        keys = [(kind, place, text(reference, "name")) for place in (namespace, "")]
        found = next((names[key] for key in keys if key in names), "")
        said = text(reference, "uid")
        if said and found not in self._objects.invented:
            return said
        return found or self._invent(keys[0])

    def _invent(self, key: Name) -> str:
        (group, kind), namespace, name = key
        uid = str(derived_id("manifest", group, kind, namespace, name))
        self._objects.invented.add(uid)
        return uid

    def _take(self, one: _Written) -> None:
        other = self._objects.known.get(one.uid)
        if other is not None:
            self._ignore(one, f"Its UID is that of {other.kind.name} {other.metadata.name}.")
            return
        model = one.kind.watch.model if one.kind.watch is not None else Described
        try:
            self._objects.known[one.uid] = Known(one.kind, one.api_version, read_object(one.raw, model))
        except ValueError as error:
            self._ignore(one, f"It cannot be read: {_spelled_out(str(error), one.raw)}.")

    def _ignore(self, one: _Written, reason: str) -> None:
        self._objects.ignored.append(Ignored(one.kind.name, one.name, reason))


def _read(document: Document) -> _Written:
    """Return a manifest and who it is. Raises ValueError in a sentence."""
    raw = document.value
    api_version, kind_name = text(raw, "apiVersion"), text(raw, "kind")
    if not api_version or not kind_name:
        raise ValueError("It is no Kubernetes object: it has no apiVersion and kind.")
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        raise ValueError("It is no Kubernetes object: it has no metadata.")  # noqa: TRY004  # one kind of refusal
    name = text(metadata, "name") or text(metadata, "generateName")
    if not name:
        raise ValueError("It has no name.")
    kind = kind_of(group_of(api_version), kind_name)
    namespace = text(metadata, "namespace") or (DEFAULT_NAMESPACE if _lies_in_a_namespace(kind) else "")
    if kind is POD:
        _complete_pod(raw)
    return _Written(kind, api_version, raw, name, namespace, text(metadata, "uid"))


def _spelled_out(refusal: str, raw: Any) -> str:
    """Return why an object is refused, with the names of the labels or the like of which only one is said to be wrong.

    YAML reads `version: 1.10` as a number, and who is told of `labels[...]` looks for it in vain.
    """
    found = _SOME_ENTRY.search(refusal)
    if found is None:
        return refusal
    place = raw
    for step in re.findall(r"\w+", found[2]):
        place = place[int(step)] if isinstance(place, list) else mapping(place).get(step)
    wrong = [name for name, value in mapping(place).items() if _JSON_TYPES[type(value)] == found[1]]
    return refusal.replace("[...]", f"[{', '.join(wrong)}]")


def _lies_in_a_namespace(kind: Kind) -> bool:
    """Say whether objects of this kind have a namespace. Of kinds we do not read nobody knows it here."""
    return kind.watch.namespaced if kind.watch is not None else kind.standing is Standing.STEP


def _as_stored(value: Any) -> Any:
    """Return a copy as an API server would keep it: no field is null, and no text has half a character of UTF-16."""
    if isinstance(value, Mapping):
        return {_as_stored(str(name)): _as_stored(part) for name, part in value.items() if part is not None}
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode("utf-8")
    return [_as_stored(part) for part in value] if isinstance(value, list) else value


def _complete_pod(raw: dict[str, Any]) -> None:
    """Put a pod that runs on a node, and its containers to work, where it does not say so itself."""
    spec, status = raw.get("spec"), raw.get("status")
    for container in entries(spec, "containers"):
        if isinstance(container, dict) and not isinstance(container.get("image"), str):
            container.pop("image", None)  # a builder's blank, filled in when the pod is created
    if not isinstance(spec, dict) or not isinstance(status, dict) or status.get("phase") != "Running":
        return
    spec["nodeName"] = spec.get("nodeName") or SOMEWHERE
    if "containerStatuses" not in status:
        status["conditions"] = [{"type": name, "status": "True"} for name in ("Initialized", "Ready")]
        status["containerStatuses"] = [
            {"name": text(container, "name"), "ready": True, "state": {"running": {}}}
            for container in entries(spec, "containers")
        ]
