"""Label and field selectors, as query parameters (`app=a,tier in (x,y),!old`) and as objects (`matchLabels`).

A parsed selector is a plain predicate: over labels, or over whole objects for fields.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from simcluster.errors import bad_request
from simcluster.resources import Object

LabelPredicate = Callable[[Mapping[str, str]], bool]
ObjectPredicate = Callable[[Object], bool]

_TERM = re.compile(
    r"""\s*(?:
        !\s*(?P<absent>[^\s,!=()]+)
      | (?P<set_key>[^\s,!=()]+)\s+(?P<set_operator>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<key>[^\s,!=()<>]+)\s*(?P<operator>==|!=|=|<|>)\s*(?P<value>[^\s,()]*)
      | (?P<present>[^\s,!=()]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)

_FIELD_TERM = re.compile(r"^\s*(?P<path>[A-Za-z0-9.\[\]/_-]+?)\s*(?P<operator>==|!=|=)\s*(?P<value>.*?)\s*$")


def parse_labels(text: str) -> LabelPredicate:
    """Return the predicate of a `labelSelector`; ApiError 400 when it cannot be read."""
    terms: list[LabelPredicate] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise bad_request(f'unable to parse requirement: found "{text[position:]}" in the label selector')
        terms.append(_label_term(match))
        position = match.end()
    return lambda labels: all(term(labels) for term in terms)


def _label_term(match: re.Match[str]) -> LabelPredicate:
    group = match.groupdict()
    if group["absent"] is not None:
        return _requirement(group["absent"], "DoesNotExist", [])
    if group["present"] is not None:
        return _requirement(group["present"], "Exists", [])
    if group["set_key"] is not None:
        operator = "In" if group["set_operator"] == "in" else "NotIn"
        return _requirement(group["set_key"], operator, [value.strip() for value in group["values"].split(",")])
    operators = {"=": "In", "==": "In", "!=": "NotIn", "<": "Lt", ">": "Gt"}
    return _requirement(group["key"], operators[group["operator"]], [group["value"]])


def _requirement(key: str, operator: str, values: list[str]) -> LabelPredicate:
    wanted = frozenset(values)
    match operator:
        case "In":
            return lambda labels: labels.get(key) in wanted
        case "NotIn":
            return lambda labels: key not in labels or labels[key] not in wanted
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case "Gt":
            return lambda labels: _number(labels.get(key)) > float(values[0])
        case "Lt":
            return lambda labels: _number(labels.get(key)) < float(values[0])
    raise bad_request(f'"{operator}" is not a valid label selector operator')


def _number(text: str | None) -> float:
    """Return a label as a number; what is none compares false with everything."""
    try:
        return float(text) if text is not None else float("nan")
    except ValueError:
        return float("nan")


def compile_selector(selector: Object | None) -> LabelPredicate:
    """Return the predicate of a selector object; None selects nothing, an empty one everything."""
    if selector is None:
        return lambda _labels: False
    terms = [_requirement(key, "In", [value]) for key, value in (selector.get("matchLabels") or {}).items()]
    terms += [
        _requirement(each["key"], each["operator"], each.get("values") or [])
        for each in selector.get("matchExpressions") or ()
    ]
    return lambda labels: all(term(labels) for term in terms)


def selects(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Say whether a selector object selects labels."""
    return compile_selector(selector)(labels)


def to_text(selector: Object | None) -> str:
    """Write a selector object as a query parameter."""
    selector = selector or {}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append(forms.get(each["operator"], f"!{key}"))
    return ",".join(terms)


def parse_fields(text: str) -> ObjectPredicate:
    """Return the predicate of a `fieldSelector`; any path may be asked, unlike in Kubernetes."""
    terms = [_field_term(term) for term in text.split(",") if term.strip()]
    return lambda body: all(term(body) for term in terms)


def _field_term(term: str) -> ObjectPredicate:
    match = _FIELD_TERM.match(term)
    if match is None:
        raise bad_request(f"invalid field selector: {term!r}")
    path, value = match["path"].split("."), match["value"]
    if match["operator"] == "!=":
        return lambda body: _field(body, path) != value
    return lambda body: _field(body, path) == value


def _field(body: Object, path: list[str]) -> str:
    """Return a field as text, as field selectors compare it: absent is empty."""
    value: Any = body
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def compile_query(labels: str, fields: str) -> ObjectPredicate | None:
    """Return one predicate for both parameters, or None when neither narrows anything."""
    if not labels and not fields:
        return None
    by_label = parse_labels(labels)
    by_field = parse_fields(fields)
    return lambda body: by_label(body["metadata"].get("labels") or {}) and by_field(body)
