"""The three forms of patch: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7386), strategic merge patch.

Each function returns a new state and may use up the one it is given (the registry passes a copy). A strategic merge
knows lists by their keys (`shapes`) and obeys the directives `kubectl apply` writes: `$patch`, `$retainKeys`,
`$setElementOrder/…` and `$deleteFromPrimitiveList/…`.
"""

from typing import Any

from simcluster.errors import ApiError, bad_request
from simcluster.shapes import Shapes, key_of

_MAP_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_VALUES = "$deleteFromPrimitiveList/"


def json_patch(document: Any, operations: Any) -> Any:
    """Apply a JSON Patch; ApiError 422 when an operation does not fit the document."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            why = f"the server rejected our request due to an error in our request: {operation!r}: {error}"
            raise ApiError(422, "Invalid", why, {}) from None
    return document


def _operate(document: Any, operation: dict[str, Any]) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, operation["value"])
        case "replace":
            _read(document, path)
            return _add(_drop(document, path), path, operation["value"]) if path else operation["value"]
        case "remove":
            return _drop(document, path)
        case "test":
            if _read(document, path) != operation["value"]:
                raise ValueError("the test failed")
            return document
        case "copy":
            return _add(document, path, _copy(_read(document, _pointer(operation["from"]))))
        case "move":
            source = _pointer(operation["from"])
            moved = _read(document, source)
            return _add(_drop(document, source), path, moved)
    raise ValueError("unknown operation")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError("a JSON pointer starts with a slash")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _read(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_index(part, document)] if isinstance(document, list) else document[part]
    return document


def _index(part: str, items: list[Any]) -> int:
    index = int(part)
    if not 0 <= index < len(items):
        raise IndexError(f"no item {index}")
    return index


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _read(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if not 0 <= index <= len(parent):
            raise IndexError(f"no place {index}")
        parent.insert(index, value)
    else:
        parent[last] = value
    return document


def _drop(document: Any, path: list[str]) -> Any:
    parent, last = _read(document, path[:-1]), path[-1]
    del parent[_index(last, parent) if isinstance(parent, list) else last]
    return document


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch: null takes away, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = document if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def strategic_merge(document: Any, patch: Any, shapes: Shapes) -> Any:
    """Apply a strategic merge patch; ApiError 400 when it is no map."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch is a map")
    return _merge_map(document, patch, shapes)


def _merge_map(document: Any, patch: dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    directive, retained = patch.get(_MAP_DIRECTIVE), patch.get(_RETAIN)
    if directive == "delete":
        return {}
    merged: dict[str, Any] = document if isinstance(document, dict) and directive != "replace" else {}
    if retained is not None:
        merged = {name: value for name, value in merged.items() if name in retained}
    for name, value in patch.items():
        if not name.startswith("$"):
            _merge_field(merged, name, value, shapes)
    for name, value in patch.items():
        _obey(merged, name, value, shapes)
    return merged


def _merge_field(document: dict[str, Any], name: str, value: Any, shapes: Shapes) -> None:
    if value is None:
        document.pop(name, None)
    elif isinstance(value, dict):
        document[name] = _merge_map(document.get(name), value, shapes)
        if value.get(_MAP_DIRECTIVE) == "delete":
            del document[name]
    elif isinstance(value, list):
        document[name] = _merge_list(document.get(name), name, value, shapes)
    else:
        document[name] = value


def _merge_list(current: Any, field: str, patch: list[Any], shapes: Shapes) -> list[Any]:
    items = [item for item in patch if not _is_replace(item)]
    keys = shapes.keys(field, [*(current or ()), *items])
    if len(items) < len(patch) or not isinstance(current, list):
        return [_without_directives(item) for item in items if not _is_delete(item)]
    if keys is not None:
        return _merge_keyed(current, items, keys[:1], shapes)
    if shapes.is_set(field):
        return [*current, *(item for item in items if item not in current)]
    return [_without_directives(item) for item in items]


def _merge_keyed(current: list[Any], patch: list[Any], keys: tuple[str, ...], shapes: Shapes) -> list[Any]:
    merged = {key_of(item, keys): item for item in current}
    for item in patch:
        key = key_of(item, keys)
        if key is None:
            raise bad_request(f"map: {item} does not contain declared merge key: {keys[0]}")
        if _is_delete(item):
            merged.pop(key, None)
        else:
            merged[key] = _merge_map(merged.get(key), item, shapes)
    return list(merged.values())


def _is_delete(item: Any) -> bool:
    return isinstance(item, dict) and item.get(_MAP_DIRECTIVE) == "delete"


def _is_replace(item: Any) -> bool:
    return isinstance(item, dict) and item.get(_MAP_DIRECTIVE) == "replace" and len(item) == 1


def _obey(document: dict[str, Any], name: str, value: Any, shapes: Shapes) -> None:
    if name.startswith(_DELETE_VALUES):
        field = name.removeprefix(_DELETE_VALUES)
        document[field] = [item for item in document.get(field) or () if item not in value]
    elif name.startswith(_ORDER):
        field = name.removeprefix(_ORDER)
        if isinstance(document.get(field), list):
            document[field] = _ordered(document[field], field, value, shapes)


def _ordered(items: list[Any], field: str, order: list[Any], shapes: Shapes) -> list[Any]:
    """Put the items that the order names into its order; the others keep their places."""
    keys = shapes.keys(field, items)

    def identity(item: Any) -> Any:
        return key_of(item, keys[:1]) if keys and isinstance(item, dict) else item

    rank = {identity(item): index for index, item in enumerate(order)}
    named = iter(sorted((item for item in items if identity(item) in rank), key=lambda item: rank[identity(item)]))
    return [next(named) if identity(item) in rank else item for item in items]


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if not name.startswith("$") and each is not None}
        return {name: _without_directives(each) for name, each in kept.items()}
    if isinstance(value, list):
        return [_without_directives(each) for each in value if not _is_delete(each)]
    return value
