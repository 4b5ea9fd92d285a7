"""What the positions of a journal say of it: from 1, each one more than the one before.

Nothing is ever deleted from the stream, so a position that is missing, or comes twice or too early, shows that a copy
is not what stood there. That the end of a copy was cut off, no position shows.
"""


def break_between(before: int, position: int) -> str:
    """Say in a sentence what is wrong with a position that comes after another, 0 for none; empty when nothing is."""
    if position <= before:
        return f"Position {position} comes after position {before}: the log is out of order."
    if position == before + 1:
        return ""
    if position == before + 2:
        return f"Position {before + 1} is missing."
    return f"Positions {before + 1} to {position - 1} are missing."
