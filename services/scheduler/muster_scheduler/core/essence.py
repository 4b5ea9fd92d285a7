"""When two reasons for waiting are the same: a reason is written again only when its essence changes.

A time that is told is a part of it. Whoever reads the words later must not be told of one that has been changed since.
"""

from collections.abc import Mapping


def essence(code: str, numbers: Mapping[str, int]) -> str:
    """Return the code with what is needed, and until when; how the free capacity moves meanwhile is no news."""
    return f"{code}/{numbers.get('needed', 0)}/{numbers.get('until', 0)}"
