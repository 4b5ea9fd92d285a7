"""Quantities of resources, as integers.

Kubernetes writes `96`, `500m`, `768Gi`; whoever counts what is left on a node needs numbers that add up exactly.
CPU counts in thousandths of a core, everything else in whole units (bytes, devices, pods), rounded up as the
scheduler of Kubernetes does.
"""

import functools
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

Amounts = dict[str, int]
"""Resource name to amount: millicores for `cpu`, whole units for the others."""

_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def parse_quantity(text: str | float) -> Decimal:
    """Return the number a quantity stands for; ValueError when it stands for none."""
    written = str(text)
    suffix = next((end for end in (written[-2:], written[-1:]) if end in _FACTORS), "")
    digits = written[: len(written) - len(suffix)]
    try:
        return Decimal(digits) * _FACTORS.get(suffix, Decimal(1))
    except InvalidOperation:
        raise ValueError(f"{written!r} is not a quantity") from None


@functools.lru_cache(maxsize=4096)
def _amount(resource: str, text: str | float) -> int:
    number = parse_quantity(text) * (1000 if resource == "cpu" else 1)
    return int(number.to_integral_value(ROUND_CEILING))


def to_amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    """Return a resource list (`requests`, `allocatable`) as integers."""
    return {name: _amount(name, text) for name, text in (quantities or {}).items()}


def add_to(total: Amounts, more: Amounts, times: int = 1) -> None:
    """Add to a running total in place, or take away with `times=-1`."""
    for name, amount in more.items():
        total[name] = total.get(name, 0) + times * amount


def highest(one: Amounts, other: Amounts) -> Amounts:
    """Return the greater amount of each resource."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in (one | other)}
