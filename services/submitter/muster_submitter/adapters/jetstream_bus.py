"""Verdicts and the parking lot on NATS.

A parked command is the command as it was, on `muster.parked.` instead of `muster.intake.`, with the reason in a header.
Replaying publishes it again and then removes it: should we die in between, it is judged twice, which is harmless.

Pitfall. Headers that begin with `Nats-` are orders to the server (a message id would make it drop the replay as a
repeat), so they do not travel along.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from muster_chassis.clock import Clock
from muster_contracts.errors import RefusalCode, Refused, Unavailable
from muster_contracts.subjects import INTAKE, verdict_subject
from muster_contracts.verdicts import Verdict, encode_verdict
from muster_contracts.wire import MESSAGE_ID, format_time, parse_time
from muster_journal.connection import Connection, ServerError
from muster_journal.permissions import EVERY_PARKED, PARKED, PARKED_STREAM
from nats.errors import Error as NatsError

from muster_submitter.bus import BusCommand, Parked

REASON = "muster-parked-reason"
SINCE = "muster-parked-at"
ANSWER_SECONDS = 5.0
NO_MESSAGE_FOUND = 10037


class JetStreamBus:
    """The bus through one connection, as the submitter's user."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def say(self, application: str, verdict: Verdict) -> None:
        """Publish a verdict."""
        headers, body = encode_verdict(verdict, self._clock.now())
        try:
            await self._connection.client.publish(verdict_subject(application), body, headers=headers)
        except NatsError as error:
            raise Unavailable(f"NATS does not take a verdict: {error or type(error).__name__}.") from error

    async def park(self, command: BusCommand, reason: str) -> None:
        """Store a command with its reason; parking it again within minutes changes nothing."""
        headers = _travelling(command.headers) | {
            REASON: " ".join(reason.split()),  # a header is one line
            SINCE: format_time(self._clock.now()),
        }
        if command.number:
            headers[MESSAGE_ID] = f"parked-{command.number}"
        await self._store(command.subject.replace(INTAKE, PARKED, 1), headers, command.body)

    async def parked(self, after: int, limit: int) -> Sequence[Parked]:
        """Read the lot, message by message: it is short, or something is very wrong."""
        found: list[Parked] = []
        while len(found) < limit:
            request = {"seq": after + 1, "next_by_subj": EVERY_PARKED}
            message = await self._ask(f"$JS.API.STREAM.MSG.GET.{PARKED_STREAM}", request)
            if message is None:
                break
            found.append(_parked(message["message"]))
            after = found[-1].sequence
        return found

    async def replay(self, sequence: int) -> None:
        """Publish a parked command on its old subject and remove it from the lot."""
        command = (await self._get(sequence)).command
        await self._store(command.subject, dict(command.headers), command.body)
        await self.drop(sequence)

    async def drop(self, sequence: int) -> None:
        """Remove a parked command."""
        await self._get(sequence)
        await self._ask(f"$JS.API.STREAM.MSG.DELETE.{PARKED_STREAM}", {"seq": sequence})

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _get(self, sequence: int) -> Parked:
        message = await self._ask(f"$JS.API.STREAM.MSG.GET.{PARKED_STREAM}", {"seq": sequence})
        if message is None:
            raise _not_parked(sequence)
        return _parked(message["message"])

    async def _ask(self, subject: str, body: Mapping[str, object]) -> dict[str, Any] | None:
        """Ask JetStream; None when there is no such message."""
        try:
            return await self._connection.request(subject, body, ANSWER_SECONDS)
        except ServerError as error:
            if error.code == NO_MESSAGE_FOUND:
                return None
            raise Unavailable(f"NATS does not show the parked commands: {error}.") from error
        except TimeoutError as error:
            raise Unavailable(f"NATS does not show the parked commands: {error}.") from error

    async def _store(self, subject: str, headers: dict[str, str], body: bytes) -> None:
        try:
            answer = await self._connection.client.request(subject, body, ANSWER_SECONDS, headers=headers)
        except NatsError as error:
            raise Unavailable(f"NATS does not store {subject}: {error or type(error).__name__}.") from error
        problem = json.loads(answer.data).get("error") if answer.data else {"description": "nobody answers"}
        if problem:
            raise Unavailable(f"NATS does not store {subject}: {problem.get('description')}.")


def _travelling(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.startswith("Nats-")}


def _parked(message: Mapping[str, Any]) -> Parked:
    headers = _headers(message.get("hdrs", ""))
    since, reason = headers.pop(SINCE, ""), headers.pop(REASON, "")
    command = BusCommand(
        subject=message["subject"].replace(PARKED, INTAKE, 1),
        headers=_travelling(headers),
        body=base64.b64decode(message.get("data", "")),
    )
    return Parked(message["seq"], command, reason, _time(since or message["time"]))


def _time(text: str) -> datetime:
    """Read our own times, and the server's, which have nanoseconds."""
    seconds, point, fraction = text.removesuffix("Z").partition(".")
    return parse_time(f"{seconds}{point}{fraction[:6]}+00:00")


def _headers(encoded: str) -> dict[str, str]:
    """Read headers as JetStream's API returns them: base64 of the block as it travelled."""
    lines = base64.b64decode(encoded).decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}


def _not_parked(sequence: int) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"No command is parked under number {sequence}.")
