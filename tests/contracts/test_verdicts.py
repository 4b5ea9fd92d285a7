"""What became of a command, as its application hears it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from muster_contracts.errors import Complaint, RefusalCode
from muster_contracts.verdicts import Verdict, encode_verdict

MOMENT = datetime(2026, 3, 2, 9, tzinfo=UTC)
ACCEPTED = Verdict(command_id="4711", accepted=True, workload_id=UUID(int=7), position=12)
REFUSED = Verdict(
    command_id="4711",
    accepted=False,
    code=RefusalCode.INVALID,
    message="The request is not valid: name is required.",
    complaints=(Complaint(field="name", details="is required"),),
)


def test_a_verdict_is_read_back_as_it_was_written() -> None:
    for verdict in (ACCEPTED, REFUSED):
        _, body = encode_verdict(verdict, MOMENT)
        assert Verdict.model_validate_json(body, extra="forbid") == verdict


def test_a_verdict_names_its_command_as_the_cause() -> None:
    headers, _ = encode_verdict(REFUSED, MOMENT)
    assert headers["ce-causationid"] == "4711"
    assert headers["ce-type"] == "Verdict.v1"
    assert headers["ce-source"] == "muster/submitter"


def test_a_repeated_verdict_has_the_same_id_and_another_verdict_has_another() -> None:
    first, _ = encode_verdict(ACCEPTED, MOMENT)
    again, _ = encode_verdict(ACCEPTED, MOMENT + timedelta(seconds=5))
    other, _ = encode_verdict(REFUSED, MOMENT)
    assert first["ce-id"] == again["ce-id"] != other["ce-id"]
