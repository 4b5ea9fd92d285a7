"""The AsyncAPI 3.0 document: which messages stand on which subjects, with which headers, written by whom.

Muster is the application described, so it *sends* events and verdicts and *receives* commands and questions. AsyncAPI
has no word for "only this service may publish here"; the extension `x-muster-writer` says it, and NATS permissions
enforce it. Questions and answers are plain request and reply: they carry no headers and are stored nowhere.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from muster_contracts.commands import WorkloadCommand
from muster_contracts.events import AnyEvent
from muster_contracts.questions import Answer, Question
from muster_contracts.subjects import ASK, EVENTS, INTAKE, INTAKE_STREAM, ROWS, STREAM, VERDICTS, Aggregate, Writer
from muster_contracts.verdicts import Verdict
from muster_contracts.wire import CONTENT_TYPE

Document = dict[str, Any]
BUS_COMMANDS: tuple[type[BaseModel], ...] = get_args(WorkloadCommand)
QUESTIONS: tuple[type[BaseModel], ...] = get_args(Question)
ANSWERS: tuple[type[BaseModel], ...] = get_args(Answer)
TOKEN = {"description": "One token of a subject: no dots, no spaces, no wildcards."}

HEADERS: Document = {
    "type": "object",
    "description": "CloudEvents 1.0 attributes in binary mode, each as a NATS header of its own.",
    "required": ["ce-id", "ce-type"],
    "properties": {
        "ce-specversion": {"type": "string", "const": "1.0"},
        "ce-id": {"type": "string", "format": "uuid", "description": "Of this message; a repeat has the same one."},
        "ce-type": {"type": "string", "description": "The name of the message with its version."},
        "ce-source": {"type": "string", "description": "Who wrote it, for example `muster/scheduler`."},
        "ce-subject": {"type": "string", "description": "What it is about, for example `workload/<id>`."},
        "ce-time": {"type": "string", "format": "date-time", "description": "When it was written, in UTC."},
        "ce-causationid": {"type": "string", "description": "The `ce-id` of the event or command that led to it."},
        "content-type": {"type": "string", "const": CONTENT_TYPE},
        "Nats-Msg-Id": {"type": "string", "description": "The same as `ce-id`; JetStream drops quick repeats by it."},
        "traceparent": {"type": "string", "description": "The trace it belongs to (W3C Trace Context)."},
    },
}


def asyncapi() -> Document:
    """Return the whole document, made from the models and the table of subjects."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Muster",
            "version": "1.0.0",
            "description": "Everything that crosses the bus of Muster. `docs/publishing.md` shows how to take part.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            **_event_channels(),
            "intake": _intake(),
            "verdicts": _verdicts(),
            "questions": _questions(),
            "answers": _answers(),
        },
        "operations": {**_event_operations(), **_command_operations(), **_question_operations()},
        "components": {
            "messages": {
                **{_type(model): _stamped(model) for model in _cloud_events()},
                **{_type(model): _message(model) for model in (*QUESTIONS, *ANSWERS)},
            },
            "schemas": {"CloudEventsHeaders": HEADERS, **_schemas()},
        },
    }


def _cloud_events() -> list[type[BaseModel]]:
    return [*ROWS, *BUS_COMMANDS, Verdict]


def _models() -> list[type[BaseModel]]:
    return [*_cloud_events(), *QUESTIONS, *ANSWERS]


def _type(model: type[BaseModel]) -> str:
    return str(model.model_fields["type"].default)


def _schemas() -> Document:
    """Return the bodies and their parts, each once. The type is required, though the models have a default for it."""
    _, definitions = models_json_schema(
        [(model, "validation") for model in _models()], ref_template="#/components/schemas/{model}"
    )
    schemas: Document = definitions["$defs"]
    for model in _models():
        schema = schemas[model.__name__]
        schema["required"] = sorted({"type", *schema.get("required", [])})
    return dict(sorted(schemas.items()))


def _message(model: type[BaseModel]) -> Document:
    return {
        "name": _type(model),
        "title": model.__name__,
        "summary": (model.__doc__ or "").split("\n", 1)[0],
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }


def _stamped(model: type[BaseModel]) -> Document:
    """Return a message that travels as a CloudEvent."""
    headers = [
        {"$ref": "#/components/schemas/CloudEventsHeaders"},
        {"type": "object", "properties": {"ce-type": {"const": _type(model)}}},
    ]
    correlation = {
        "description": "Ties an event to what led to it.",
        "location": "$message.header#/ce-causationid",
    }
    return _message(model) | {"headers": {"allOf": headers}, "correlationId": correlation}


def _rows() -> dict[tuple[Aggregate, Writer], list[type[AnyEvent]]]:
    """Return the events of each subject."""

    def address(event: type[AnyEvent]) -> tuple[Aggregate, Writer]:
        return ROWS[event].aggregate, ROWS[event].writer

    return {key: list(group) for key, group in groupby(sorted(ROWS, key=address), key=address)}


def _name(aggregate: Aggregate, writer: Writer) -> str:
    return f"{aggregate}.{writer}"


def _event_channels() -> Document:
    return {
        _name(aggregate, writer): {
            "address": f"{EVENTS}.{aggregate}.{{id}}.{writer}",
            "description": f"What `{writer}` says of one {aggregate}. Only `{writer}` may publish here.",
            "parameters": {"id": {"description": f"The UUID of the {aggregate}, or of the cluster it belongs to."}},
            "messages": _references(events),
            "x-muster-writer": str(writer),
            "x-muster-stream": STREAM,
        }
        for (aggregate, writer), events in _rows().items()
    }


def _intake() -> Document:
    return {
        "address": f"{INTAKE}.{{application}}.{{project}}",
        "description": "What an application asks of Muster. It may publish under its own name only.",
        "parameters": {"application": TOKEN, "project": TOKEN},
        "messages": _references(BUS_COMMANDS),
        "x-muster-writer": "{application}",
        "x-muster-stream": INTAKE_STREAM,
    }


def _verdicts() -> Document:
    return {
        "address": f"{VERDICTS}.{{application}}",
        "description": "What became of the commands of an application. Sent once, not stored; the journal is.",
        "parameters": {"application": TOKEN},
        "messages": _references([Verdict]),
        "x-muster-writer": str(Writer.SUBMITTER),
    }


def _questions() -> Document:
    return {
        "address": f"{ASK}.scheduler.{{cluster}}",
        "description": "What the services ask of the scheduler that leads. Nothing is stored, and nothing changes.",
        "parameters": {"cluster": {"description": "The UUID of the cluster."}},
        "messages": _references(QUESTIONS),
    }


def _answers() -> Document:
    return {
        "address": None,
        "description": "The inbox that a question names for its answer.",
        "parameters": {},
        "messages": _references(ANSWERS),
        "x-muster-writer": str(Writer.SCHEDULER),
    }


def _references(models: Iterable[type[BaseModel]]) -> Document:
    return {_type(model): {"$ref": f"#/components/messages/{_type(model)}"} for model in models}


def _event_operations() -> Document:
    return {
        f"write.{_name(aggregate, writer)}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{_name(aggregate, writer)}"},
            "summary": f"`{writer}` writes what it knows of one {aggregate}.",
            "x-muster-writer": str(writer),
        }
        for aggregate, writer in _rows()
    }


def _command_operations() -> Document:
    return {
        "take.commands": {
            "action": "receive",
            "channel": {"$ref": "#/channels/intake"},
            "summary": "Muster takes a command, as often as it is delivered, and acts on it once.",
            "reply": {"channel": {"$ref": "#/channels/verdicts"}},
        },
        "send.verdicts": {
            "action": "send",
            "channel": {"$ref": "#/channels/verdicts"},
            "summary": "Muster says what became of a command.",
            "x-muster-writer": str(Writer.SUBMITTER),
        },
    }


def _question_operations() -> Document:
    return {
        "answer.questions": {
            "action": "receive",
            "channel": {"$ref": "#/channels/questions"},
            "summary": "The scheduler that leads answers by planning, from its snapshot of the moment.",
            "reply": {
                "address": {"location": "$message.header#/reply", "description": "NATS' own reply subject."},
                "channel": {"$ref": "#/channels/answers"},
            },
        },
    }
