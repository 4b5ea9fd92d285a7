"""The part of JSONPath that printer columns use: names, indices, and one item of a list by one of its fields."""

from typing import Any


def at(body: Any, path: str) -> Any:
    """Return the value at a JSON path of printer columns (`.status.conditions[?(@.type=="Ready")].status`)."""
    for part in _path_parts(path):
        body = _at_part(body, part)
    return body


def _path_parts(path: str) -> list[str]:
    parts, part, depth = [], "", 0
    for sign in path.strip().strip("{}").lstrip("."):
        depth += {"[": 1, "]": -1}.get(sign, 0)
        if sign == "." and depth == 0:
            parts.append(part)
            part = ""
        elif sign == "[" and depth == 1:
            parts.append(part)
            part = "["
        else:
            part += sign
    return [each for each in [*parts, part] if each]


def _at_part(value: Any, part: str) -> Any:
    if not part.startswith("["):
        return value.get(part.replace("\\", "")) if isinstance(value, dict) else None
    inner = part[1:].rstrip("]")
    if inner.startswith("?("):
        field, _, wanted_value = inner[2:].rstrip(")").partition("==")
        name, text = field.strip().removeprefix("@."), wanted_value.strip().strip("'\"")
        items = value if isinstance(value, list) else ()
        return next((each for each in items if isinstance(each, dict) and str(each.get(name)) == text), None)
    if inner.strip("'\"") != inner:
        return value.get(inner.strip("'\"")) if isinstance(value, dict) else None
    if isinstance(value, list) and inner.lstrip("-").isdigit():
        index = int(inner)
        return value[index] if -len(value) <= index < len(value) else None
    return None
