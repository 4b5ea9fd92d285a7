"""Amounts as people type them, into the units of the API: `500m` or `2` processors, `4Gi` of memory, `0.5` of a GPU.

Digits are those of ASCII alone: Python reads the digits of every script, and what is taken must look like what it is.
"""

import re
from decimal import Decimal

from muster_cli.failure import Exit, Failure

WHOLE_GPU = 1_000_000
MOST_GPUS = 10**9

_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([A-Za-z]*)", re.ASCII)


def memory_bytes(text: str) -> int:
    """Read an amount of memory. Raises Failure when it is none."""
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise Failure(Exit.INVALID, f"{text!r} is not an amount of memory.", "Write it like 512Mi, 4Gi or 2000000000.")
    return int(Decimal(match[1]) * _UNITS[match[2]])


def cpu_cores(text: str) -> float:
    """Read a number of processors. Raises Failure when it is none."""
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2] not in {"", "m"}:
        raise Failure(Exit.INVALID, f"{text!r} is not a number of processors.", "Write it like 2, 0.5 or 500m.")
    return float(Decimal(match[1]) / (1000 if match[2] == "m" else 1))


def gpu_millionths(text: str) -> int:
    """Read a number of GPUs. Raises Failure when it is none."""
    match = _AMOUNT.fullmatch(text)
    amount = Decimal(match[1]) if match and not match[2] else Decimal(-1)
    if not 0 <= amount <= MOST_GPUS or amount * WHOLE_GPU % 1:
        raise Failure(Exit.INVALID, f"{text!r} is not a number of GPUs.", "Write it like 3 or 0.5; six decimals count.")
    return int(amount * WHOLE_GPU)


def asked_gpus(text: str, memory: str | None) -> dict[str, int]:
    """Return devices and what is asked of each: the whole, a part (`0.5`, of several `2x0.5`), or memory of each.

    Raises Failure.
    """
    several, _, each = text.rpartition("x")
    amount = gpu_millionths(each)
    whole = not several and amount % WHOLE_GPU == 0
    if memory is not None and not whole:
        message = f"{text} GPUs and {memory} of each are two ways to ask for a part of one."
        raise Failure(Exit.INVALID, message, "Write --gpu-memory alone, or beside a whole number of GPUs.")
    if memory is not None:
        return {"gpu_devices": max(1, amount // WHOLE_GPU), "gpu_memory_bytes": memory_bytes(memory)}
    if whole:
        return {"gpu_devices": amount // WHOLE_GPU}
    return {"gpu_devices": _devices(several, text) if several else 1, "gpu_portion_millionths": _part(amount, text)}


def _devices(several: str, text: str) -> int:
    if not several.isascii() or not several.isdigit() or several == "0":
        raise Failure(Exit.INVALID, f"{text!r} is not a number of GPUs.", "Write half of each of two like 2x0.5.")
    return int(several)


def _part(amount: int, text: str) -> int:
    if not 0 < amount < WHOLE_GPU:
        message = f"{text} GPUs are neither whole ones nor a part of one."
        raise Failure(Exit.INVALID, message, "Write 2, or 0.5, or 2x0.5 for half of each of two.")
    return amount
