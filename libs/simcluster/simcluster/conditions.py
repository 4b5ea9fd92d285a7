"""Conditions of webhooks (`matchConditions`), as far as they are understood here: a small part of CEL.

An expression compares one field of the object with a text, or with a list of texts:

    object.spec.schedulerName in ["mine", "also-mine"]

with `==`, `!=` or `in`. Others are refused with the configuration rather than obeyed by half. Pitfall: in CEL a field
that is absent is an error, by which a webhook that must be heard stops the request; here the condition does not hold.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simcluster.resources import Object

_COMPARISON = re.compile(r"object(?P<path>(?:\.[A-Za-z_]\w*)+)\s*(?P<operator>==|!=|\bin\b)\s*(?P<value>.+)", re.ASCII)


class NotUnderstood(ValueError):
    """An expression is more than we understand; the text says what we do."""


@dataclass(frozen=True)
class Condition:
    """One comparison: whether the field at a path is (or is not) one of some texts."""

    path: tuple[str, ...]
    texts: frozenset[str]
    wanted: bool

    def holds(self, body: Object | None) -> bool:
        """Say whether it is true of an object."""
        found: Any = body
        for name in self.path:
            found = found.get(name) if isinstance(found, dict) else None
        return isinstance(found, str) and (found in self.texts) is self.wanted


def read_conditions(written: Iterable[Object]) -> tuple[Condition, ...]:
    """Read the conditions of a webhook. Raises NotUnderstood."""
    return tuple(_read(str(each.get("expression", "")).strip()) for each in written)


def _read(expression: str) -> Condition:
    match = _COMPARISON.fullmatch(expression)
    texts = _texts(match["value"], listed=match["operator"] == "in") if match else None
    if match is None or texts is None:
        raise NotUnderstood("the simulated cluster understands only object.<field> ==, != or in, with texts in quotes")
    return Condition(tuple(match["path"][1:].split(".")), texts, match["operator"] != "!=")


def _texts(literal: str, *, listed: bool) -> frozenset[str] | None:
    """Return the texts of a literal; None when it is another than is wanted. CEL quotes them as Python does."""
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    texts = value if listed else [value]
    return frozenset(texts) if isinstance(texts, list) and all(isinstance(each, str) for each in texts) else None
