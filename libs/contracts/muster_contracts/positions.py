"""What the positions of a journal say of it: from 1, each one more than the one before.

Nothing is ever deleted from the stream, so a position that is missing, or comes twice or too early, shows that a copy
is not what stood there. That the end of a copy was cut off, no position shows.

Pitfall: a position that was skipped may still come, out of order, so what is missing is known at the end alone. Gaps
are held until then, at most `MOST_GAPS` of them: a log with more is beyond repair, and is told of as it is read.
"""

from bisect import bisect_left
from collections.abc import Iterator

MOST_GAPS = 10_000


class Positions:
    """The positions met so far, as the last one of the order and the gaps before it."""

    def __init__(self, before: int = 0) -> None:
        self._last = before
        self._gaps: list[tuple[int, int]] = []  # first and last of each, in order

    def meet(self, position: int) -> str:
        """Take the next position; say in a sentence what is wrong with it at once, or nothing."""
        before = self._last
        if position <= before:
            self._fill(position)
            return f"Position {position} comes after position {before}: the log is out of order."
        self._last = position
        if position == before + 1:
            return ""
        if len(self._gaps) == MOST_GAPS:
            return _missing(before + 1, position - 1)
        self._gaps.append((before + 1, position - 1))
        return ""

    def missing(self) -> Iterator[str]:
        """Yield a sentence for each gap that was never filled."""
        for first, last in self._gaps:
            yield _missing(first, last)

    def _fill(self, position: int) -> None:
        """Take a position out of the gap that it lies in; one that came before lies in none."""
        index = bisect_left(self._gaps, position, key=lambda gap: gap[1])
        if index == len(self._gaps) or self._gaps[index][0] > position:
            return
        first, last = self._gaps[index]
        parts = ((first, position - 1), (position + 1, last))
        self._gaps[index : index + 1] = [(start, end) for start, end in parts if start <= end]


def _missing(first: int, last: int) -> str:
    return f"Position {first} is missing." if first == last else f"Positions {first} to {last} are missing."
