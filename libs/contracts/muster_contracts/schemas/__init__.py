"""JSON Schemas and the AsyncAPI document of everything on the bus, generated from the models and checked in.

`python -m muster_contracts.schemas` writes them beside this file; a test fails while they differ from the models. They
are for other systems and other languages: one schema per event (`events/`), per command (`commands/`) and for the
verdict (`verdicts/`), and `asyncapi.json`, which has all of them with their subjects, headers and writers.

The schemas say what a reader must be ready for, so a field with a default is not required: events written before the
field existed lack it for ever. Events may have fields that a schema does not name; commands may not.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from muster_contracts import commands
from muster_contracts.commands import Command
from muster_contracts.schemas.asyncapi import asyncapi
from muster_contracts.subjects import ROWS
from muster_contracts.verdicts import Verdict

Document = dict[str, Any]

FOLDER = Path(__file__).parent
"""Where the checked-in documents are."""

COMMANDS: tuple[type[Command], ...] = (
    commands.SubmitWorkload,
    commands.StopWorkload,
    commands.ActivateWorkload,
    commands.DeleteWorkload,
    commands.CreateProject,
)
"""Every command. `CreateProject` is taken over HTTP only, so it is in no channel."""


def documents() -> dict[str, Document]:
    """Return every document by its path below this folder."""
    found = {f"events/{type_of(event)}.json": schema_of(event) for event in ROWS}
    found |= {f"commands/{type_of(command)}.json": schema_of(command) for command in COMMANDS}
    found[f"verdicts/{type_of(Verdict)}.json"] = schema_of(Verdict)
    found["asyncapi.json"] = asyncapi()
    return found


def schema_of(model: type[BaseModel]) -> Document:
    """Return the JSON Schema of one message body. The type is required, though the model has a default for it."""
    schema = model.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:muster:{type_of(model)}",
        **schema,
        "required": sorted({"type", *schema.get("required", [])}),
    }


def type_of(model: type[BaseModel]) -> str:
    """Return a message's name on the wire, such as `PhaseChanged.v1`."""
    return str(model.model_fields["type"].default)


def text_of(document: Document) -> str:
    """Return a document as it is written to its file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
