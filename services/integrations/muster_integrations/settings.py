"""What the integrations service must be told."""

from muster_chassis.settings import ServiceSettings
from pydantic import Field


class IntegrationsSettings(ServiceSettings):
    """Settings of integrations."""

    owner_wait_seconds: float = Field(
        2.0,
        ge=0,
        description="How long a pod whose owner is not seen yet waits; watches of different kinds are in no order.",
    )
    append_concurrency: int = Field(
        64, ge=1, description="Workloads and nodes written at once; each costs the journal one flush at a time."
    )
    page_size: int = Field(500, ge=1, description="Objects per page of a list; bounds how long decoding one takes.")
