"""How a command fails: one sentence, what to do next, and an exit code that scripts can rely on.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | the answer is no: a check found differences, or the phase waited for cannot come any more |
| 2 | wrong usage, or a request that is not valid |
| 3 | no such workload, project or file |
| 4 | refused: a conflict, or no right |
| 5 | Muster cannot be reached, or is not ready |
| 6 | timed out |
"""

from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    NO = 1
    INVALID = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNAVAILABLE = 5
    TIMED_OUT = 6


class Failure(Exception):  # it is what the user sees
    """What went wrong, in one sentence, and what to do next (may be empty)."""

    def __init__(self, code: Exit, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step


def too_deep(file: Path) -> Failure:
    """Say that a file is nested more deeply than a parser follows: a mistake, or an attack."""
    return Failure(Exit.INVALID, f"{file}: This is nested too deeply to be read.")


def what_is_no_yaml(error: Exception) -> str:
    """Return what a YAML parser complained of as a part of one line, with the line of the file where it is known."""
    import yaml

    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())
