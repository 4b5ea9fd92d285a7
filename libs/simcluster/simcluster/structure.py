"""Refuses bodies in which a field is of another form than `forms` says.

A typed API server refuses a list where a map belongs while it decodes a body. Here objects stay plain maps, and this
does as much. Fields without a form are let through as they are. A null in place of a known field is the same as its
absence, and is taken away. Custom kinds have their metadata checked, nothing else.
"""

from collections.abc import Callable
from typing import Any

import orjson

from simcluster.clock import from_timestamp
from simcluster.errors import bad_request
from simcluster.forms import (
    ANYTHING,
    FIELDS,
    METADATA,
    NODE_OPERATOR,
    OPERATOR,
    PORT,
    PORTION,
    QUANTITY,
    SPECS,
    SUBRESOURCES,
    TEXT,
    TIME,
    TRUTH,
    WHOLE,
    MapOf,
)
from simcluster.quantities import parse_quantity
from simcluster.resources import Object, Resource


def check(resource: Resource, body: Any) -> None:
    """Refuse (400) a body with a field that is not what it must be; take nulls away, in place."""
    if not isinstance(body, dict):
        raise bad_request(f"{resource.kind} must be an object, it is {_named(body)}")
    if not isinstance(body.get("metadata"), dict):
        raise bad_request(f"{resource.kind}: metadata must be an object, it is {_named(body.get('metadata'))}")
    form = {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA}
    if not resource.custom:
        form |= SPECS.get(resource.key, {})
    _check(body, form, resource.kind)


def check_message(kind: str, body: Any) -> None:
    """Refuse (400) a malformed body of a subresource or a deletion, named by its kind; take nulls away, in place."""
    if not isinstance(body, dict):
        raise bad_request(f"{kind} must be an object, it is {_named(body)}")
    _check(body, SUBRESOURCES[kind], kind)


def _check(value: Any, form: Any, path: str) -> None:
    if isinstance(form, dict):
        _check_struct(value, form, path)
    elif isinstance(form, list):
        _check_list(value, form[0], path)
    elif isinstance(form, MapOf):
        _check_map(value, form.form, path)
    elif not _SCALARS[form](value):
        raise bad_request(f"{path} must be {form}, it is {_named(value)}")


def _check_struct(value: Any, form: Object, path: str) -> None:
    if not isinstance(value, dict):
        raise bad_request(f"{path} must be an object, it is {_named(value)}")
    for key, expected in form.items():
        name = key.removesuffix("!")
        found = value.get(name)
        if found is not None:
            _check(found, expected, f"{path}.{name}")
        elif key != name:
            raise bad_request(f"{path}.{name} is required")
        elif name in value:
            del value[name]


def _check_list(value: Any, form: Any, path: str) -> None:
    if not isinstance(value, list):
        raise bad_request(f"{path} must be a list, it is {_named(value)}")
    for index, item in enumerate(value):
        _check(item, form, f"{path}[{index}]")


def _check_map(value: Any, form: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise bad_request(f"{path} must be an object, it is {_named(value)}")
    if form is ANYTHING:
        return
    for name, item in value.items():
        _check(item, form, f"{path}.{name}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_quantity(value: Any) -> bool:
    try:
        return not isinstance(value, bool | list | dict) and parse_quantity(value).is_finite()
    except ValueError:
        return False


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(from_timestamp(value))
    except ValueError:
        return False


def _is_fields(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_element(name) and _is_fields(below) for name, below in value.items())


def _is_element(text: str) -> bool:
    if not text.startswith(("k:", "v:")):
        return text == "." or text.startswith("f:")
    try:
        element = orjson.loads(text[2:])
    except orjson.JSONDecodeError:
        return False
    return text.startswith("v:") or (isinstance(element, dict) and bool(element))


def _is_portion(value: Any) -> bool:
    if isinstance(value, str):
        return value.endswith("%") and value[:-1].isdecimal()
    return _is_whole(value) and value >= 0


_SCALARS: dict[str, Callable[[Any], bool]] = {
    TEXT: lambda value: isinstance(value, str),
    WHOLE: _is_whole,
    TRUTH: lambda value: isinstance(value, bool),
    QUANTITY: _is_quantity,
    TIME: _is_time,
    PORT: lambda value: isinstance(value, str) or _is_whole(value),
    FIELDS: _is_fields,
    OPERATOR: lambda value: value in ("In", "NotIn", "Exists", "DoesNotExist"),
    NODE_OPERATOR: lambda value: value in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    PORTION: _is_portion,
    ANYTHING: lambda _value: True,
}


def _named(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else repr(value)[:80]
