"""What the status service must be told."""

from muster_chassis.settings import ServiceSettings
from pydantic import Field, field_validator


class StatusSettings(ServiceSettings):
    """Settings of the status service."""

    postgres_dsn: str = Field(
        "postgresql://127.0.0.1:5432/muster", description="The database of the read models; it may be thrown away."
    )
    neighbours: str = Field(
        "", description="Whose health `/api/v1/system` shows: `submitter=http://…,scheduler=http://…`."
    )
    publish_concurrency: int = Field(
        256, ge=1, le=512, description="Workloads whose phase is published at once; the journal takes 512 appends."
    )
    patience_seconds: float = Field(
        10.0, gt=0, description="How long a query waits for the position it was told; beyond that it is a 503."
    )

    @field_validator("neighbours")
    @classmethod
    def _pairs(cls, text: str) -> str:
        for pair in filter(None, text.split(",")):
            name, _, address = pair.partition("=")
            if not name.strip() or not address.strip().startswith(("http://", "https://")):
                raise ValueError(f"{pair!r} is not a name and a URL, like submitter=http://127.0.0.1:8081")
        return text

    @property
    def neighbour_addresses(self) -> dict[str, str]:
        """The neighbours by name."""
        pairs = (pair.partition("=") for pair in filter(None, self.neighbours.split(",")))
        return {name.strip(): address.strip().rstrip("/") for name, _, address in pairs}
