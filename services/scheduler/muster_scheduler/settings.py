"""What the scheduler must be told."""

import hashlib

from muster_chassis.settings import ServiceSettings
from pydantic import Field


class SchedulerSettings(ServiceSettings):
    """Settings of the scheduler; those that change its decisions are in `digest`."""

    step_limit: int = Field(100_000, ge=1, description="Pods tried in one plan; the rest waits for the next one.")
    bind_concurrency: int = Field(32, ge=1, description="Bindings under way at once.")
    cycle_pause_seconds: float = Field(0.02, ge=0, description="Least time between plans, so that changes gather.")

    @property
    def digest(self) -> str:
        """A short name for everything in the settings that decides a plan."""
        return hashlib.sha256(f"step_limit={self.step_limit}".encode()).hexdigest()[:16]
