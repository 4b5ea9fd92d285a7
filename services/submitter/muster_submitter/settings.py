"""What the submitter must be told."""

from muster_chassis.settings import ServiceSettings
from pydantic import Field


class SubmitterSettings(ServiceSettings):
    """Settings of the submitter."""

    deed_concurrency: int = Field(32, ge=1, description="Kubernetes writes under way at once.")
    image_pull_limit_seconds: int = Field(
        600, ge=1, description="How long an image may fail to be pulled before its workload fails and is stopped."
    )
    intake_deliveries: int = Field(
        10, ge=1, description="How often a command from the bus is tried before it is parked for a person to look at."
    )
