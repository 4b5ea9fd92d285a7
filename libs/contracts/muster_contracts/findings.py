"""What audits find: sentences, of which the first are told and all are counted.

Neighbours: the audit of phases and rows in `status`, that of decisions in `scheduler`; each counts what it judged
besides.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

MOST_DIFFERENCES = 100
"""How many are told."""


@dataclass
class Findings:
    """What an audit found up to a position. It is well when there is no difference."""

    events: int = 0
    position: int = 0
    differences_found: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return not self.differences_found

    def add(self, sentence: str) -> None:
        """Note a difference."""
        self.differences_found += 1
        if len(self.differences) < MOST_DIFFERENCES:
            self.differences.append(sentence)

    def add_first(self, sentences: Iterable[str]) -> None:
        """Note differences that others may follow from: they are told before them."""
        told = list(sentences)
        self.differences_found += len(told)
        self.differences = [*told, *self.differences][:MOST_DIFFERENCES]
