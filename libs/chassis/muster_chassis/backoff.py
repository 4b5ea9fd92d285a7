"""How long to wait before trying again: doubling, with jitter, up to a limit.

Jitter keeps many who failed together from coming back together. Chance comes in as an argument, so that a simulated
world is the same for the same seed.
"""

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """The pauses of one thing that is tried again and again; all in seconds."""

    random: Random
    first_seconds: float = 0.1
    limit_seconds: float = 10.0
    failures: int = field(default=0, init=False)

    def next_pause_seconds(self) -> float:
        """Count a failure and return how long to wait: between half and the whole of the doubled pause."""
        longest: float = min(self.limit_seconds, self.first_seconds * 2 ** min(self.failures, 30))
        self.failures += 1
        return longest * (0.5 + self.random.random() / 2)

    def succeeded(self) -> None:
        """Begin anew with the first pause."""
        self.failures = 0
