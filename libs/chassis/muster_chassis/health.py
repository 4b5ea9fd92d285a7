"""What a service says of itself: each of its loops, whether it runs, waits or has stopped, and how far it has read.

A loop that met an event it cannot read or apply stops alone, with its reason here; the others go on. `/healthz`
answers 200 while every loop runs, 503 otherwise, always with the whole picture.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Condition(StrEnum):
    """How one loop is doing."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"  # for something outside; it is tried again
    STOPPED = "stopped"  # for good, until somebody mends the cause


@dataclass(slots=True)
class LoopHealth:
    """One loop: its condition with the reason, and for those that read the journal the positions."""

    condition: Condition = Condition.STARTING
    reason: str = ""
    position: int | None = None
    end: int | None = None


@dataclass(slots=True)
class Health:
    """All loops of one service, by name."""

    service: str
    loops: dict[str, LoopHealth] = field(default_factory=dict)

    def of(self, loop: str) -> LoopHealth:
        """Return the entry of a loop, made when it is first asked for."""
        return self.loops.setdefault(loop, LoopHealth())

    def runs(self, loop: str, remark: str = "") -> None:
        """Say that a loop does its work, with a remark where it is less than one would expect."""
        entry = self.of(loop)
        entry.condition, entry.reason = Condition.RUNNING, remark

    def waits(self, loop: str, reason: str) -> None:
        """Say that a loop waits for the world and will try again."""
        entry = self.of(loop)
        entry.condition, entry.reason = Condition.WAITING, reason

    def stopped(self, loop: str, reason: str) -> None:
        """Say that a loop has stopped and why."""
        entry = self.of(loop)
        entry.condition, entry.reason = Condition.STOPPED, reason

    def reached(self, loop: str, position: int, end: int) -> None:
        """Say how far a loop has read, and where the journal ended when it did."""
        entry = self.of(loop)
        entry.position, entry.end = position, max(end, position)

    @property
    def well(self) -> bool:
        """Whether every loop does its work."""
        return all(entry.condition is Condition.RUNNING for entry in self.loops.values())

    def report(self) -> dict[str, Any]:
        """Return the picture as JSON has it."""
        return {
            "service": self.service,
            "well": self.well,
            "loops": {k: _entry(v) for k, v in sorted(self.loops.items())},
        }


def _entry(entry: LoopHealth) -> dict[str, Any]:
    known = {"condition": entry.condition, "reason": entry.reason, "position": entry.position, "end": entry.end}
    return {name: value for name, value in known.items() if value not in (None, "")}
