"""What the scheduler must be told."""

import os
import socket

from muster_chassis.settings import ServiceSettings
from muster_journal.leases import LEASE_SECONDS
from pydantic import Field

from muster_scheduler.core.plan import Limits


class SchedulerSettings(ServiceSettings):
    """Settings of the scheduler; those that change its decisions are its `limits`."""

    step_limit: int = Field(100_000, ge=1, description="Pods tried in one plan; the rest waits for the next one.")
    stale_gang_seconds: int = Field(60, ge=0, description="How long a gang may run without being whole.")
    consolidation_pods: int = Field(64, ge=0, description="Most pods looked at to make room for one group by moving.")
    bind_concurrency: int = Field(32, ge=1, description="Bindings under way at once.")
    bind_patience: int = Field(
        6,
        ge=0,
        description="How often a binding that Kubernetes refuses is tried again before its place is given up: some six "
        "seconds in all. Meanwhile nobody else gets the place, and after it the pod is planned anew.",
    )
    volume_patience_seconds: float = Field(
        600.0,
        gt=0,
        description="How long the volumes of a pod may take to be made on its node before it is planned elsewhere. "
        "Its place, and those of its whole gang, are kept meanwhile.",
    )
    instance: str = Field(
        "",
        description="Its name among the schedulers of a cluster; empty for its host and port. One that keeps its name "
        "when it starts again need not wait until its earlier life's lease has run out.",
    )
    lease_renewal_seconds: float = Field(
        0.5,
        gt=0,
        le=LEASE_SECONDS / 3,
        description="Time between renewals of the leader's lease, and between looks of who waits for it. Two renewals "
        "in a row may fail before the lead is lost.",
    )
    reservation_image: str = Field(
        "registry.k8s.io/pause:3.10", description="What runs in the pods that hold shared GPUs."
    )
    reservation_sweep_seconds: float = Field(
        10.0,
        gt=0,
        description="Time between looks for reserved GPUs that nobody shares any more, so others wait for them.",
    )
    telling_pause_seconds: float = Field(
        0.1,
        ge=0,
        description="How long reasons to wait gather before they are written; what is over by then interests nobody.",
    )
    cycle_pause_seconds: float = Field(0.02, ge=0, description="Least time between plans, so that changes gather.")

    @property
    def holder(self) -> str:
        """The name under which the lease is held: no other process that lives has it."""
        return self.instance or f"{socket.gethostname()}:{self.listen_port or os.getpid()}"

    @property
    def limits(self) -> Limits:
        """What bounds a plan."""
        return Limits(self.step_limit, self.stale_gang_seconds, self.consolidation_pods)
