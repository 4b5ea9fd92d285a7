"""From the text of a file to cases that can be played, in either of the two structures, or in both."""

from collections.abc import Callable
from functools import partial

from muster_scheduler.core.scenarios.document import parse
from muster_scheduler.core.scenarios.reader import read_cases
from muster_scheduler.core.scenarios.runner import Outcome, play
from muster_scheduler.core.scenarios.shares import ShareCase, read_share_cases, share_differences

Runnable = tuple[str, Callable[[], Outcome]]
"""The id of a case, and what plays it."""


def runnable_cases(text: str, file: str) -> list[Runnable]:
    """Read a file whole. Raises Unreadable before anything is played."""
    document = parse(text, file)
    played: list[Runnable] = [(case.id, partial(play, case)) for case in read_cases(document)]
    divided: list[Runnable] = [(case.id, partial(_divide, case)) for case in read_share_cases(document)]
    if not (played or divided):
        document.refuse("scenarios", "It is missing, or empty, and so are cases and multi_resource_cases.")
    return played + divided


def _divide(case: ShareCase) -> Outcome:
    return Outcome(case.id, tuple(share_differences(case)), rounds=0, binds=0, evictions=0, remarks=case.remarks)
