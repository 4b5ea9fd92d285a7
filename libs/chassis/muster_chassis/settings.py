"""How a service reads its settings: once, in `__main__`, from the environment, into one frozen class.

A setting `nats_url` of the scheduler is `MUSTER_SCHEDULER_NATS_URL`, or `MUSTER_NATS_URL` for all services at once.
Everything wrong with them is said in one go.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class BadSettings(Exception):  # a sentence for whoever starts the service
    """The environment does not make valid settings; the text names every variable that is wrong."""


class ServiceSettings(BaseModel):
    """What every service must be told. Subclasses add their own fields, each with its unit and reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nats_url: str = Field("nats://127.0.0.1:4222", description="Where the journal's NATS server listens.")
    nats_user: str = Field("", description="Who we are to NATS; empty: the service's own name.")
    nats_password: str = Field("", description="The password of that user.")
    listen_host: str = Field("127.0.0.1", description="The address our HTTP server binds.")
    listen_port: int = Field(0, ge=0, le=65535, description="Its port; 0 takes a free one and says which.")
    log_format: Literal["json", "console"] = Field("json", description="Lines for machines, or for people.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least level that is logged."
    )
    checkpoint_events: int = Field(
        25_000,
        ge=1,
        description="Events between two checkpoints of what a service has folded: the most it has to read when it "
        "starts again, about a second's worth; more where a checkpoint is larger than 25 MB. Making one stops the "
        "service for some 6 µs a pod or workload.",
    )
    kubeconfig: Path | None = Field(None, description="Which cluster; none: the one this process runs in.")

    @classmethod
    def from_environment(cls, service: str, environment: Mapping[str, str]) -> Self:
        """Read the settings of one service. Raises BadSettings."""
        values = {
            name: value for name in cls.model_fields if (value := _lookup(service, name, environment)) is not None
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(f"{variable(service, str(e['loc'][0]))}: {e['msg']}" for e in error.errors() if e["loc"])
            raise BadSettings(f"The settings of {service} are not valid: {wrong or error}.") from error


def variable(service: str, name: str) -> str:
    """Return the environment variable that sets a field of one service."""
    return f"MUSTER_{service}_{name}".upper()


def _lookup(service: str, name: str, environment: Mapping[str, str]) -> str | None:
    return environment.get(variable(service, name), environment.get(f"MUSTER_{name.upper()}"))
