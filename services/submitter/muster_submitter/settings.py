"""What the submitter must be told."""

from muster_chassis.settings import ServiceSettings
from pydantic import Field


class SubmitterSettings(ServiceSettings):
    """Settings of the submitter."""

    deed_concurrency: int = Field(32, ge=1, description="Kubernetes writes under way at once.")
    image_pull_limit_seconds: int = Field(
        600, ge=1, description="How long an image may fail to be pulled before its workload fails and is stopped."
    )
    quiet_seconds: int = Field(
        900,
        ge=1,
        description="How long a DAG run of Airflow may have no living pod before it is taken to have ended: longer "
        "than its tasks wait before they are tried again.",
    )
    intake_deliveries: int = Field(
        10, ge=1, description="How often a command from the bus is tried before it is parked for a person to look at."
    )
