"""What the integrations service must be told."""

from typing import Literal

from muster_chassis.settings import ServiceSettings
from pydantic import Field, field_validator

from muster_integrations.admission.configurations import read_target


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
    admission_target: str = Field(
        "",
        description="Where the API server asks before it stores an object: https://host:port, or a Service as "
        "namespace/name:port. Empty: it does not ask, and no webhook is configured.",
    )
    admission_host: str = Field("127.0.0.1", description="The address the webhook binds.")
    admission_port: int = Field(8443, ge=1, le=65535, description="Its port; the API server must know it beforehand.")
    admission_failure_policy: Literal["Fail", "Ignore"] = Field(
        "Fail", description="Whether a new pod of a project is refused or let through while the webhook is down."
    )
    admission_certificate_hours: float = Field(
        720.0, gt=0, description="How long a certificate is good; its successor is made after two thirds of that."
    )
    submitter_user: str = Field(
        "system:serviceaccount:muster:submitter",
        description="Who the submitter is to Kubernetes: the only user that may write Muster's own labels.",
    )

    @field_validator("admission_target")
    @classmethod
    def _is_a_target(cls, text: str) -> str:
        if text:
            read_target(text)
        return text
