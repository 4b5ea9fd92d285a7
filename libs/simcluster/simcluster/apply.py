"""Server-side apply: each manager says what it wants, and the server remembers who said what (`managedFields`).

A field is owned by those who last applied it with its present value. Applying a field that another manager owns with
another value is a conflict, unless forced; not applying a field any more takes it away if nobody else owns it. Whoever
changes a field by other means takes it from its owners (`note_update`).

Fields are paths, tuples of `FieldsV1` elements: `f:spec`, `k:{"name":"main"}`, `v:"kubernetes.io/x"`. As in Kubernetes
a keyed list's item has a path of its own, a list without keys is one field. An object nobody ever applied has no
`managedFields` here; Kubernetes records plain writers too.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson

from simcluster.clock import to_timestamp
from simcluster.errors import ApiError
from simcluster.resources import Object, Resource
from simcluster.shapes import Shapes, key_of

Path = tuple[str, ...]

_MISSING = object()
_UNMANAGED = {
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in ("name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion", "managedFields")
    ),
}


def applied(
    resource: Resource,
    live: Object,
    config: Object,
    *,
    manager: str,
    force: bool,
    now: datetime,
    subresource: str | None = None,
) -> Object:
    """Return the state of `live` once a manager has applied its configuration; ApiError 409 on conflicts."""
    shapes = Shapes(resource)
    config = _without_nulls(config)
    entries = list(live["metadata"].get("managedFields") or ())
    mine = _find(entries, manager, "Apply", subresource)
    before = from_fields(mine["fieldsV1"]) if mine else set()
    wanted = _managed(paths(config, shapes), resource, subresource)
    others = [entry for entry in entries if entry is not mine]
    taken = _conflicts(live, config, wanted, others)
    if taken and not force:
        raise _conflict_error(taken)
    merged: Object = _merge(live, config, shapes)
    _prune(merged, before, wanted.union(*(from_fields(entry["fieldsV1"]) for entry in others)))
    lost = {path for found in taken.values() for path in found}
    entries = [_without(entry, lost, now) for entry in others]
    unchanged = mine is not None and before == wanted
    entries.append(mine if unchanged and mine else _entry(resource, manager, "Apply", wanted, now, subresource))
    merged["metadata"]["managedFields"] = [entry for entry in entries if entry["fieldsV1"]]
    return merged


def note_update(
    resource: Resource, old: Object, body: Object, manager: str, subresource: str | None, now: datetime
) -> None:
    """Let a plain write take the fields it changed from their owners, in place."""
    entries = body["metadata"]["managedFields"]
    if entries != old["metadata"].get("managedFields") or not any(_touches(entry, subresource) for entry in entries):
        return
    shapes = Shapes(resource)
    changed = _managed(_differences(old, body, shapes), resource, subresource)
    if not changed:
        return
    mine = _find(entries, manager, "Update", subresource)
    others = [_without(entry, changed, now) for entry in entries if entry is not mine]
    before = from_fields(mine["fieldsV1"]) if mine else set()
    present = {path for path in before | changed if _read(body, path) is not _MISSING}
    others.append(_entry(resource, manager, "Update", present, now, subresource))
    body["metadata"]["managedFields"] = [entry for entry in others if entry["fieldsV1"]]


def _touches(entry: Object, subresource: str | None) -> bool:
    return subresource != "status" or "f:status" in entry["fieldsV1"]


def paths(value: Any, shapes: Shapes) -> set[Path]:
    """Return the paths of all fields a configuration sets."""
    found: set[Path] = set()
    _collect(value, "", (), shapes, found)
    return found


def _collect(value: Any, field: str, path: Path, shapes: Shapes, found: set[Path]) -> None:
    if isinstance(value, dict) and value and not shapes.is_atomic_map(field):
        for name, each in value.items():
            _collect(each, name, (*path, f"f:{name}"), shapes, found)
    elif isinstance(value, list) and shapes.is_set(field):
        found.update((*path, f"v:{_text(item)}") for item in value)
    elif isinstance(value, list) and (keys := shapes.keys(field, value)):
        for item in value:
            place = (*path, _item_element(item, keys))
            found.add(place)
            _collect(item, "", place, shapes, found)
    else:
        found.add(path)


def _item_element(item: Any, keys: tuple[str, ...]) -> str:
    values = key_of(item, keys) or ()
    known = {name: value for name, value in sorted(zip(keys, values, strict=False)) if value is not None}
    return f"k:{_text(known)}"


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _managed(found: set[Path], resource: Resource, subresource: str | None) -> set[Path]:
    """Return the paths that have owners at all: not identity, and only what this way of writing can change."""
    if subresource is not None:
        return {path for path in found if path[:1] == (f"f:{subresource}",)}
    hidden = "f:status" if resource.has_status else ""
    return {path for path in found - _UNMANAGED if path[0] != hidden and path[:2] not in _UNMANAGED}


def _differences(old: Object, body: Object, shapes: Shapes) -> set[Path]:
    before, after = paths(old, shapes), paths(body, shapes)
    return {path for path in before | after if path in before ^ after or _differs(old, body, path)}


def _differs(old: Object, body: Object, path: Path) -> bool:
    if path[-1].startswith("k:"):
        return False  # both have the item; its fields are compared one by one
    return bool(_read(old, path) != _read(body, path))


def _conflicts(live: Object, config: Object, wanted: set[Path], others: list[Object]) -> dict[str, list[Path]]:
    """Return, by manager, the fields it owns that are wanted with another value."""
    conflicts: dict[str, list[Path]] = {}
    for entry in others:
        owned = from_fields(entry["fieldsV1"])
        clashing = [path for path in sorted(owned & wanted) if _differs(live, config, path)]
        if clashing:
            conflicts.setdefault(entry["manager"], []).extend(clashing)
    return conflicts


def _conflict_error(conflicts: dict[str, list[Path]]) -> ApiError:
    pairs = [(manager, path) for manager, found in conflicts.items() for path in found]
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": _readable(path)}
        for manager, path in pairs
    ]
    named = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    plural = "conflict" if len(causes) == 1 else "conflicts"
    message = f"Apply failed with {len(causes)} {plural}: {named}"
    return ApiError(409, "Conflict", message, {"causes": causes})


def _readable(path: Path) -> str:
    """Write a path as people do: `.spec.containers[name="main"].image`."""
    text = ""
    for element in path:
        if element.startswith("f:"):
            text += f".{element[2:]}"
        elif element.startswith("k:"):
            text += "[" + ",".join(f"{name}={_text(value)}" for name, value in orjson.loads(element[2:]).items()) + "]"
        else:
            text += f"[={element[2:]}]"
    return text


def _merge(live: Any, config: Any, shapes: Shapes, field: str = "") -> Any:
    if isinstance(config, dict) and isinstance(live, dict) and not shapes.is_atomic_map(field):
        return live | {name: _merge(live.get(name), value, shapes, name) for name, value in config.items()}
    if isinstance(config, list) and isinstance(live, list):
        if shapes.is_set(field):
            return [*live, *(item for item in config if item not in live)]
        keys = shapes.keys(field, [*live, *config])
        if keys:
            return _merge_items(live, config, keys, shapes)
    return config


def _merge_items(live: list[Any], config: list[Any], keys: tuple[str, ...], shapes: Shapes) -> list[Any]:
    merged = {key_of(item, keys): item for item in live}
    for item in config:
        key = key_of(item, keys)
        merged[key] = _merge(merged.get(key), item, shapes)
    return list(merged.values())


def _step(value: Any, element: str) -> Any:
    """Return what one element of a path leads to."""
    if element.startswith("f:"):
        return value.get(element[2:], _MISSING) if isinstance(value, dict) else _MISSING
    index = _index(value, element) if isinstance(value, list) else None
    return _MISSING if index is None else value[index]


def _index(items: list[Any], element: str) -> int | None:
    wanted = orjson.loads(element[2:])
    for index, item in enumerate(items):
        if element.startswith("v:"):
            if item == wanted:
                return index
        elif key_of(item, tuple(wanted)) == tuple(wanted.values()):
            return index
    return None


def _read(value: Any, path: Path) -> Any:
    for element in path:
        value = _step(value, element)
    return value


def _prune(body: Object, before: set[Path], kept: set[Path]) -> None:
    for path in sorted(before - kept, key=len):  # an item goes whole, before its key does
        _remove(body, path, kept)


def _remove(body: Object, path: Path, kept: set[Path]) -> None:
    """Take a field away, in place, and the maps it leaves empty; what others have fields in stays."""
    if any(other[: len(path)] == path for other in kept):
        return
    parent = _read(body, path[:-1])
    if _drop(parent, path[-1]) and not parent and len(path) > 1 and path[-2].startswith("f:"):
        _remove(body, path[:-1], kept)


def _drop(parent: Any, element: str) -> bool:
    """Take one element out of a map or list, in place; say whether it was there."""
    if _step(parent, element) is _MISSING:
        return False
    if element.startswith("f:"):
        del parent[element[2:]]
    else:
        del parent[_index(parent, element)]
    return True


def _find(entries: Iterable[Object], manager: str, operation: str, subresource: str | None) -> Object | None:
    for entry in entries:
        if (entry["manager"], entry["operation"], entry.get("subresource")) == (manager, operation, subresource):
            return entry
    return None


def _entry(
    resource: Resource, manager: str, operation: str, found: set[Path], now: datetime, subresource: str | None
) -> Object:
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": resource.api_version,
        "time": to_timestamp(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields(found),
    }
    return entry | ({"subresource": subresource} if subresource else {})


def _without(entry: Object, lost: set[Path], now: datetime) -> Object:
    owned = from_fields(entry["fieldsV1"])
    if not owned & lost:
        return entry
    return entry | {"fieldsV1": to_fields(owned - lost), "time": to_timestamp(now)}


def to_fields(found: Iterable[Path]) -> Object:
    """Write paths as a `FieldsV1` map."""
    root: Object = {}
    for path in sorted(found):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        if path[-1].startswith("k:"):
            node["."] = {}
    return root


def from_fields(fields: Object, path: Path = ()) -> set[Path]:
    """Read the paths of a `FieldsV1` map."""
    found: set[Path] = {path} if path and (not fields or "." in fields) else set()
    for element, below in fields.items():
        if element != ".":
            found |= from_fields(below, (*path, element))
    return found


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
