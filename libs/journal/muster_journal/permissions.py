"""Who may do what on the bus: the configuration of the NATS server, rendered from the table of writers.

Every service and every application is a user of its own, and the last token of a subject says who alone may publish
there; the server enforces it, so "one writer per event" holds on the bus and not only in a docstring. The administrator
creates the streams (`muster_journal.provision`); nobody else may change, purge or delete from them.

Pitfalls. Replies come to an inbox, and a user may listen on its own inbox only: connect with `inbox_prefix(user)`, or
every request times out. Whoever may create a consumer may name any subject as its target; therefore applications get
none: they read by direct get and by a plain subscription.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.subjects import (
    ASK,
    EVERY_EVENT,
    EVERY_INTAKE,
    INTAKE,
    INTAKE_STREAM,
    STREAM,
    VERDICTS,
    Writer,
    publishable_by,
    verdict_subject,
)

ADMINISTRATOR = "administrator"
PARKED_STREAM = "MUSTER_PARKED"
PARKED = "muster.parked"
EVERY_PARKED = f"{PARKED}.>"
INTAKE_CONSUMER = "submitter"
LEASES_BUCKET = "MUSTER_LEASES"
CHECKPOINTS_STREAM = "MUSTER_CHECKPOINTS"
CHECKPOINTS = "muster.checkpoints"
EVERY_CHECKPOINT = f"{CHECKPOINTS}.>"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Application:
    """Another system on the bus. `reads_events` shows it the whole cluster: for applications with system scope."""

    name: str
    password: str
    reads_events: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in {ADMINISTRATOR, *Writer}:
            raise Refused(
                RefusalCode.INVALID,
                f"{self.name!r} cannot be the name of an application: it is a part of subjects, so lower-case letters, "
                "digits and hyphens, and not the name of one of Muster's own users.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the configuration of one NATS server is rendered from.

    `sync_always` makes every acknowledgement mean "on the disk"; without it the server syncs every two minutes and a
    crash of the machine (not of the server) loses what came since. `max_payload_bytes` bounds one event: the parts of
    a plan stay under it.
    """

    port: int
    store_directory: str
    administrator_password: str
    service_passwords: Mapping[Writer, str]
    applications: Sequence[Application] = ()
    host: str = "127.0.0.1"
    sync_always: bool = True
    max_payload_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Permissions:
    """The subjects a user may publish and subscribe to, beside its own inbox."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...] = ()
    answers: bool = False


def inbox_prefix(user: str) -> str:
    """Return the prefix of the only inboxes a user may listen on."""
    return f"_INBOX.{user}"


def server_configuration(settings: ServerSettings) -> str:
    """Return the text of the server's configuration file. It holds passwords: keep it readable by its owner alone."""
    sync = "    sync_interval: always\n" if settings.sync_always else ""
    return (
        f"listen: {_quoted(f'{settings.host}:{settings.port}')}\n"
        f"server_name: muster\n"
        f"max_payload: {settings.max_payload_bytes}\n"
        f"jetstream {{\n    store_dir: {_quoted(settings.store_directory)}\n{sync}}}\n"
        "authorization {\n    users: [\n" + "".join(f"        {line}\n" for line in _users(settings)) + "    ]\n}\n"
    )


def _users(settings: ServerSettings) -> Iterable[str]:
    yield _user(ADMINISTRATOR, settings.administrator_password, None)
    for writer, password in settings.service_passwords.items():
        yield _user(writer, password, service_permissions(writer))
    for application in settings.applications:
        yield _user(application.name, application.password, application_permissions(application))


def _user(name: str, password: str, permissions: Permissions | None) -> str:
    line = f"user: {_quoted(name)}, password: {_quoted(password)}"
    if permissions is None:
        return f"{{ {line} }}"
    publish = f"publish: {{ allow: {_list(permissions.publish)} }}"
    subscribe = f"subscribe: {{ allow: {_list((f'{inbox_prefix(name)}.>', *permissions.subscribe))} }}"
    answers = ", allow_responses: true" if permissions.answers else ""
    return f"{{ {line}, permissions: {{ {publish}, {subscribe}{answers} }} }}"


def service_permissions(writer: Writer) -> Permissions:
    """Return what one of the four services may do: write its own events, read everything, and its special duties."""
    own = (publishable_by(writer), *_reading(STREAM), *_checkpoints(writer), f"{ASK}.>")
    match writer:
        case Writer.SUBMITTER:
            return Permissions(publish=own + _intake())
        case Writer.SCHEDULER:
            return Permissions(publish=own + _leases(), subscribe=(f"{ASK}.scheduler.>",), answers=True)
        case Writer.INTEGRATIONS | Writer.STATUS:
            return Permissions(publish=own)


def application_permissions(application: Application) -> Permissions:
    """Return what another system may do: publish commands under its own name and hear the verdicts on them."""
    commands = (f"{INTAKE}.{application.name}.>",)
    verdicts = (verdict_subject(application.name),)
    if not application.reads_events:
        return Permissions(publish=commands, subscribe=verdicts)
    return Permissions(publish=commands + _looking_up(STREAM), subscribe=(*verdicts, EVERY_EVENT))


def _looking_up(stream: str) -> tuple[str, ...]:
    return (f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}.>")


def _reading(stream: str) -> tuple[str, ...]:
    return (
        *_looking_up(stream),
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.INFO.{stream}.*",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
    )


def _checkpoints(writer: Writer) -> tuple[str, ...]:
    """Return what keeping checkpoints of one's own folds takes."""
    return (f"$JS.API.STREAM.MSG.GET.{CHECKPOINTS_STREAM}", f"{CHECKPOINTS}.{writer}.>")


def _intake() -> tuple[str, ...]:
    """Return the submitter's duties: take commands, answer them, park what fails, and put parked ones back.

    Putting back means publishing under the application's name; it is the judge of all commands anyway.
    """
    return (
        f"$JS.API.STREAM.INFO.{INTAKE_STREAM}",
        f"$JS.API.CONSUMER.INFO.{INTAKE_STREAM}.{INTAKE_CONSUMER}",
        f"$JS.API.CONSUMER.MSG.NEXT.{INTAKE_STREAM}.{INTAKE_CONSUMER}",
        f"$JS.ACK.{INTAKE_STREAM}.{INTAKE_CONSUMER}.>",
        f"$JS.ACK.*.*.{INTAKE_STREAM}.{INTAKE_CONSUMER}.>",
        f"{VERDICTS}.>",
        EVERY_INTAKE,
        EVERY_PARKED,
        *_reading(PARKED_STREAM),
        f"$JS.API.STREAM.MSG.DELETE.{PARKED_STREAM}",
    )


def _leases() -> tuple[str, ...]:
    """Return what holding a lease in a NATS key-value bucket takes."""
    bucket = f"KV_{LEASES_BUCKET}"
    return (*_looking_up(bucket), f"$JS.API.STREAM.MSG.GET.{bucket}", f"$KV.{LEASES_BUCKET}.>")


def _list(subjects: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(subject) for subject in subjects)}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
