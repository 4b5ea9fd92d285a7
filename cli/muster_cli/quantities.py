"""Amounts as people type them, into the units of the API: `500m` or `2` processors, `4Gi` or `512M` of memory."""

import re
from decimal import Decimal

from muster_cli.failure import Exit, Failure

_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_AMOUNT = re.compile(r"^(\d+(?:\.\d+)?)([A-Za-z]*)$")


def memory_bytes(text: str) -> int:
    """Read an amount of memory. Raises Failure when it is none."""
    match = _AMOUNT.match(text)
    if match is None or match[2] not in _UNITS:
        raise Failure(Exit.INVALID, f"{text!r} is not an amount of memory.", "Write it like 512Mi, 4Gi or 2000000000.")
    return int(Decimal(match[1]) * _UNITS[match[2]])


def cpu_cores(text: str) -> float:
    """Read a number of processors. Raises Failure when it is none."""
    match = _AMOUNT.match(text)
    if match is None or match[2] not in {"", "m"}:
        raise Failure(Exit.INVALID, f"{text!r} is not a number of processors.", "Write it like 2, 0.5 or 500m.")
    return float(Decimal(match[1]) / (1000 if match[2] == "m" else 1))
