"""When two reasons for waiting are the same: a reason is written again only when its essence changes."""

from collections.abc import Mapping


def essence(code: str, numbers: Mapping[str, int]) -> str:
    """Return the code with what is needed; how the free capacity moves meanwhile is no news."""
    return f"{code}/{numbers.get('needed', 0)}"
