"""The names of over-quota weights, for command lines and files; events have numbers.

They stand apart from the other values because `muster --help` lists them, and those take long to import.
"""

from enum import StrEnum


class OverQuotaWeight(StrEnum):
    """What people call the over-quota weights from 0 to 3."""

    LOWEST = "lowest"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def number(self) -> int:
        """Return the weight that goes by this name."""
        return list(OverQuotaWeight).index(self)
