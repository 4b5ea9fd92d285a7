"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) as integers, exactly.

A quantity becomes whole units (bytes, devices) or thousandths (of a CPU); what does not fit is rounded away from
zero, as Kubernetes does, so that half a millicore still asks for one. Nothing passes through floating point.
The grammar and the bounds are those of `k8s.io/apimachinery/pkg/api/resource`.
"""

import re
from typing import Final

Quantity = str | int | float
"""A quantity as JSON: text from the API server, perhaps a bare number inside a custom resource."""

_LARGEST: Final = 2**63 - 1  # in whole units; Kubernetes cuts off what is more
_FORM: Final = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<whole>\d+)(?:\.(?P<part>\d*))?|\.(?P<only>\d+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?\d+))?",
    re.ASCII,
)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_LONGEST: Final = 100  # characters; and an exponent beyond this many digits is no quantity of anything


def to_units(quantity: Quantity) -> int:
    """Return a quantity in whole units, rounded away from zero. Raises ValueError with the text."""
    return _scaled(quantity, 0)


def to_thousandths(quantity: Quantity) -> int:
    """Return a quantity in thousandths, rounded away from zero: `1.5` CPUs are 1500. Raises ValueError."""
    return _scaled(quantity, 3)


def to_millionths(quantity: Quantity) -> int:
    """Return a quantity in millionths, rounded away from zero: `0.5`, or `500m`, is 500000. Raises ValueError."""
    return _scaled(quantity, 6)


def to_amount(resource: str, quantity: Quantity) -> int:
    """Return how much of a resource that is: CPUs in thousandths, everything else in whole units."""
    return to_thousandths(quantity) if resource == "cpu" else to_units(quantity)


def _scaled(quantity: Quantity, digits: int) -> int:
    if isinstance(quantity, int) and not isinstance(quantity, bool):
        return _capped(quantity, 1, digits)
    if isinstance(quantity, str) and quantity.isascii() and quantity.isdigit() and len(quantity) <= _LONGEST:
        return _capped(int(quantity), 1, digits)
    return _capped(*_fraction(str(quantity)), digits)


def _fraction(text: str) -> tuple[int, int]:
    """Return a quantity as numerator and denominator."""
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{text!r} is not a quantity.")
    part = match["part"] or match["only"] or ""
    number = int((match["whole"] or "") + part) * (-1 if match["sign"] == "-" else 1)
    suffix = match["suffix"] or ""
    if suffix in _BINARY:
        return number << _BINARY[suffix], 10 ** len(part)
    exponent = (int(match["exponent"]) if match["exponent"] else _DECIMAL[suffix]) - len(part)
    if abs(exponent) > 2 * _LONGEST:
        raise ValueError(f"{text!r} is not a quantity.")
    return number * 10 ** max(exponent, 0), 10 ** max(-exponent, 0)


def _capped(numerator: int, denominator: int, digits: int) -> int:
    """Round away from zero after cutting off at the largest quantity there is."""
    numerator = min(numerator, _LARGEST * denominator) * 10**digits
    rounded = -(-abs(numerator) // denominator)
    return rounded if numerator >= 0 else -rounded
