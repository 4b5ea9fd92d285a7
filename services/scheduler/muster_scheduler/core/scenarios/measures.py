"""Figures that compare schedulers: how much work is thrown away, how scattered free devices are, how even the shares.

Pure functions of integers; each returns a plain number for a table.
"""

from collections.abc import Iterable, Sequence


def evicted_per_granted(spans: Iterable[tuple[int, float, bool]]) -> float:
    """Return evicted GPU-seconds per granted GPU-second; spans are (millionths of GPUs, seconds, ended by eviction).

    What a pod computed before its eviction counts as lost, as if it kept no checkpoint. Nothing granted gives 0.
    """
    granted = lost = 0.0
    for gpu_millionths, seconds, evicted in spans:
        granted += gpu_millionths * seconds
        lost += gpu_millionths * seconds if evicted else 0.0
    return lost / granted if granted else 0.0


def fragmentation(free_by_node: Sequence[int], wanted: int) -> float:
    """Return which part of the free devices no pod that wants `wanted` devices of one node can use.

    0 when every free device is usable or none is free. The measure of Weng et al., "Beware of Fragmentation" (2023),
    for one shape of pod.
    """
    free = sum(free_by_node)
    usable = sum(count // wanted * wanted for count in free_by_node)
    return (free - usable) / free if free else 0.0


def jain_index(amounts: Sequence[int]) -> float:
    """Return how even amounts are, from 1/n (one has all) to 1 (all alike); 1 when there is nothing.

    Jain, Chiu and Hawe, DEC-TR-301 (1984): the square of the sum over n times the sum of squares. Give what each got
    divided by what it was entitled to, where entitlements differ.
    """
    squares = sum(amount * amount for amount in amounts)
    return sum(amounts) ** 2 / (len(amounts) * squares) if squares else 1.0
