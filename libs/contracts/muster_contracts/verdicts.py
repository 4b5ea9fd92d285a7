"""What became of a command that came over the bus: one message on `muster.verdicts.<application>`.

A verdict is a convenience for whoever waits, sent once and stored nowhere. The truth is in the journal: an accepted
command is the event whose `ce-causationid` is the command's id, a refused submission a `SubmissionRefused`. Publishing
the same submission again gives the same verdict again.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

from muster_contracts.errors import Complaint, RefusalCode
from muster_contracts.subjects import NAMESPACE
from muster_contracts.wire import CONTENT_TYPE, format_time


class Verdict(BaseModel):
    """Whether a command was accepted, and what follows. Sent by `submitter`.

    `command_id` is the `ce-id` of the command exactly as it was written. Accepted: `workload_id` and the `position`
    in the journal from which a query sees it. Refused: `code`, one sentence, and a complaint per field if it was about
    fields.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["Verdict.v1"] = "Verdict.v1"
    command_id: str
    accepted: bool
    workload_id: UUID | None = None
    position: int | None = None
    code: RefusalCode | None = None
    message: str = ""
    complaints: tuple[Complaint, ...] = ()


def encode_verdict(verdict: Verdict, time: datetime) -> tuple[dict[str, str], bytes]:
    """Return headers and body. The same verdict on the same command has the same id, however often it is sent."""
    body = verdict.model_dump_json()
    headers = {
        "ce-specversion": "1.0",
        "ce-id": str(uuid5(NAMESPACE, body)),
        "ce-type": verdict.type,
        "ce-source": "muster/submitter",
        "ce-time": format_time(time),
        "ce-causationid": verdict.command_id,
        "content-type": CONTENT_TYPE,
    }
    return headers, body.encode()
