"""Judges commands that come over the bus, by the same decisions as HTTP (`handlers.Desk`), and says the verdict.

The application is the one in the subject, the `ce-id` its idempotency key and the cause of every event that follows.
A refused submission is an event too, so that whoever missed the verdict finds it; other refusals change nothing and are
only said. What cannot be read as a command at all is parked for a person.
"""

from dataclasses import dataclass
from uuid import UUID

from muster_chassis.http import refused_as_invalid, summary
from muster_contracts.commands import (
    COMMAND_TYPES,
    MAXIMUM_BODY_BYTES,
    ActivateWorkload,
    DeleteWorkload,
    StopWorkload,
    SubmitWorkload,
    WorkloadCommand,
    workload_command,
)
from muster_contracts.errors import Complaint, RefusalCode, Refused
from muster_contracts.events import SubmissionRefused
from muster_contracts.values import Caller, Source
from muster_contracts.verdicts import Verdict
from pydantic import ValidationError
from pydantic_core import from_json

from muster_submitter.bus import Bus, BusCommand
from muster_submitter.core.decisions import refusal_of, submission_id
from muster_submitter.handlers import Desk, Origin, Receipt

SUBMIT = "SubmitWorkload.v1"


class NotACommand(Exception):  # a sentence for whoever looks at the parking lot
    """A message on the intake cannot be read as a command; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks under which id, before it is known whether what they ask is valid."""

    command: BusCommand
    id: UUID
    type: str

    @property
    def caller(self) -> Caller:
        """The application, as it stands in events."""
        return Caller(name=self.command.application, kind="application", source=Source.BUS)

    @property
    def origin(self) -> Origin:
        """What the events that follow name as their cause."""
        return Origin(self.id, self.command.headers.get("traceparent", ""))

    @property
    def workload_id(self) -> UUID:
        """The id of the workload that a submission asks for."""
        return submission_id(self.command.project, self.caller, str(self.id))


class Judge:
    """Takes commands from the bus, one at a time."""

    def __init__(self, desk: Desk, bus: Bus) -> None:
        self._desk = desk
        self._bus = bus

    async def take(self, command: BusCommand) -> None:
        """Judge a command and say the verdict, or park it. Raises Unavailable: then it must come again."""
        try:
            asked = read(command)
        except NotACommand as error:
            await self.park(command, str(error))
            return
        await self._desk.ready()
        await self._bus.say(command.application, await self._verdict(asked))

    async def park(self, command: BusCommand, reason: str) -> None:
        """Put a command aside, and tell its application that it will hear nothing else for now."""
        await self._bus.park(command, reason)
        if command.command_id and command.application:
            message = f"The command is put aside for a person to look at: {reason}"
            refusal = Refused(RefusalCode.UNREADABLE, message)
            await self._bus.say(command.application, _refused(command.command_id, refusal, None))

    async def _verdict(self, asked: Asked) -> Verdict:
        submitted = asked.type == SUBMIT
        try:
            receipt = await self._obey(asked)
        except Refused as refusal:
            if submitted:
                await self._write_down(asked, refusal)
            return _refused(asked.command.command_id, refusal, asked.workload_id if submitted else None)
        return Verdict(
            command_id=asked.command.command_id,
            accepted=True,
            workload_id=receipt.id,
            position=receipt.position,
        )

    async def _obey(self, asked: Asked) -> Receipt:
        if asked.type == SUBMIT and asked.workload_id in self._desk.state.refusals:
            raise refusal_of(self._desk.state.refusals[asked.workload_id][1])
        command = _validate(asked)
        match command:
            case SubmitWorkload():
                return await self._desk.submit(_with_key(asked, command), asked.caller, asked.origin)
            case StopWorkload():
                return await self._desk.stop(self._in_project(asked, command), asked.caller, asked.origin)
            case ActivateWorkload():
                return await self._desk.activate(self._in_project(asked, command), asked.caller, asked.origin)
            case DeleteWorkload():
                return await self._desk.delete(self._in_project(asked, command), asked.caller, asked.origin)

    def _in_project(self, asked: Asked, command: StopWorkload | ActivateWorkload | DeleteWorkload) -> UUID:
        """Return the id of the workload, if it is one of the project in the subject."""
        workload = self._desk.state.workloads.get(command.workload_id)
        if workload is None or workload.project != asked.command.project:
            sentence = f"There is no workload {command.workload_id} in project {asked.command.project!r}."
            raise Refused(RefusalCode.NOT_FOUND, sentence)
        return command.workload_id

    async def _write_down(self, asked: Asked, refusal: Refused) -> None:
        """Write that a submission was refused, unless one under this id was accepted: that one stays what it is."""
        workload = self._desk.state.workloads.get(asked.workload_id)
        if workload is not None and workload.submission is not None:
            return
        event = SubmissionRefused(
            workload_id=asked.workload_id,
            application=asked.command.application,
            project=asked.command.project,
            code=refusal.code,
            message=refusal.message,
            complaints=refusal.complaints,
        )
        await self._desk.refuse_submission(event, asked.origin)


def read(command: BusCommand) -> Asked:
    """Return who asks under which id for what kind of thing. Raises NotACommand."""
    if command.subject.count(".") != 3:
        raise NotACommand(f"A command belongs on muster.intake.<application>.<project>, not on {command.subject}.")
    if len(command.body) > MAXIMUM_BODY_BYTES:
        raise NotACommand(f"The body is larger than {MAXIMUM_BODY_BYTES:,} bytes.")
    type_name = command.headers.get("ce-type", "")
    if type_name not in COMMAND_TYPES:
        known = ", ".join(sorted(COMMAND_TYPES))
        raise NotACommand(f"The header ce-type is {type_name!r} and must be one of {known}.")
    if _type_in_body(command) != type_name:
        raise NotACommand(f"The header ce-type says {type_name}, the body does not.")
    return Asked(command, _id(command), type_name)


def _id(command: BusCommand) -> UUID:
    try:
        return UUID(command.command_id)
    except ValueError:
        raise NotACommand(f"The header ce-id is {command.command_id!r} and must be a UUID.") from None


def _type_in_body(command: BusCommand) -> object:
    try:
        body = from_json(command.body)
    except ValueError as error:
        raise NotACommand(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise NotACommand("The body is not a JSON object.")
    return body.get("type")


def _validate(asked: Asked) -> WorkloadCommand:
    try:
        return workload_command.validate_json(asked.command.body)
    except ValidationError as error:
        raise refused_as_invalid(error) from None


def _with_key(asked: Asked, command: SubmitWorkload) -> SubmitWorkload:
    """Return the command with its id as the key. Raises Refused where the message contradicts itself."""
    problems = []
    if command.project != asked.command.project:
        problems.append(Complaint(field="project", details=f"must be {asked.command.project!r}, as in the subject"))
    if command.idempotency_key not in {None, str(asked.id), asked.command.command_id}:
        problems.append(Complaint(field="idempotency_key", details="must be the ce-id, or left out"))
    if problems:
        raise Refused(RefusalCode.INVALID, summary(tuple(problems)), problems)
    return command.model_copy(update={"idempotency_key": str(asked.id)})


def _refused(command_id: str, refusal: Refused, workload_id: UUID | None) -> Verdict:
    return Verdict(
        command_id=command_id,
        accepted=False,
        workload_id=workload_id,
        code=refusal.code,
        message=refusal.message,
        complaints=refusal.complaints,
    )
