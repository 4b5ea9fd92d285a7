"""The checked-in JSON Schemas and AsyncAPI document are those of the models, and are sound."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from muster_contracts import commands
from muster_contracts.commands import Command, SubmitWorkload
from muster_contracts.events import AnyEvent
from muster_contracts.schemas import COMMANDS, FOLDER, documents, text_of, type_of
from muster_contracts.subjects import ROWS, Row, intake_subject, parse_subject, verdict_subject
from muster_contracts.verdicts import Verdict

GOLDEN = Path(__file__).parent / "golden"
DOCUMENTS = documents()
ASYNCAPI = DOCUMENTS["asyncapi.json"]
SCHEMAS = sorted(name for name in DOCUMENTS if name != "asyncapi.json")
KEY = re.compile(r"^[\w.\-]+$")


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(DOCUMENTS[name], format_checker=FormatChecker())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), f"{reference} points outside the document"
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_the_checked_in_documents_are_those_of_the_models() -> None:
    checked_in = {
        path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.json")
    }
    generated = {name: text_of(document) for name, document in DOCUMENTS.items()}
    differ = sorted(
        name for name in checked_in.keys() | generated.keys() if checked_in.get(name) != generated.get(name)
    )
    assert not differ, "run `python -m muster_contracts.schemas` and commit what it wrote"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_schema_and_needs_the_type(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENTS[name])
    assert Path(name).stem == DOCUMENTS[name]["properties"]["type"]["const"]
    assert "type" in DOCUMENTS[name]["required"]
    assert all(resolve(DOCUMENTS[name], reference) for reference in references(DOCUMENTS[name]))


@pytest.mark.parametrize("event", ROWS, ids=type_of)
def test_a_golden_event_satisfies_its_schema(event: type[AnyEvent]) -> None:
    body = json.loads((GOLDEN / f"{type_of(event)}.json").read_text(encoding="utf-8"))["body"]
    validator(f"events/{type_of(event)}.json").validate(body)
    with pytest.raises(ValidationError):
        validator(f"events/{type_of(event)}.json").validate({**body, ROWS[event].key: "not a UUID"})


def test_an_event_may_have_fields_of_tomorrow_and_a_command_may_not() -> None:
    event = json.loads((GOLDEN / "StopRequested.v1.json").read_text(encoding="utf-8"))["body"]
    validator("events/StopRequested.v1.json").validate({**event, "of_tomorrow": 1})
    command = {"type": "StopWorkload.v1", "workload_id": event["workload_id"]}
    validator("commands/StopWorkload.v1.json").validate(command)
    with pytest.raises(ValidationError):
        validator("commands/StopWorkload.v1.json").validate({**command, "of_tomorrow": 1})


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "train:1", "compute": {"gpu_devices": -1}},
        {"image": "train:1", "environment": [{"name": "A", "valeu": "1"}]},
        {"image": "train:1", "labels": {"team": "no value of a label"}},
        {"image": ""},
    ],
)
def test_the_schema_of_a_submission_refuses_what_the_model_refuses(spec: dict[str, Any]) -> None:
    body = {"type": "SubmitWorkload.v1", "name": "hello", "project": "demo", "kind": "training", "spec": spec}
    assert not validator("commands/SubmitWorkload.v1.json").is_valid(body)
    with pytest.raises(ValueError, match="validation error"):
        SubmitWorkload.model_validate(body)


def test_every_command_has_a_schema() -> None:
    classes = [each for each in vars(commands).values() if isinstance(each, type) and issubclass(each, Command)]
    assert {each for each in classes if "type" in each.model_fields} == set(COMMANDS)


def test_asyncapi_references_lead_somewhere() -> None:
    found = set(references(ASYNCAPI))
    assert len(found) > len(ROWS)
    assert all(resolve(ASYNCAPI, reference) for reference in found)


def test_asyncapi_has_the_shape_of_version_3() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= ASYNCAPI["info"].keys()
    allowed = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert ASYNCAPI.keys() <= allowed
    for group in (ASYNCAPI["channels"], ASYNCAPI["operations"], *ASYNCAPI["components"].values()):
        assert all(KEY.match(key) for key in group)


def test_asyncapi_names_the_parameters_of_every_address() -> None:
    for channel in ASYNCAPI["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"] or "")) == channel["parameters"].keys()


def test_asyncapi_operations_use_channels_and_channels_use_components() -> None:
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"]["$ref"].startswith("#/channels/")
    for channel in ASYNCAPI["channels"].values():
        for name, message in channel["messages"].items():
            assert message["$ref"] == f"#/components/messages/{name}"
            assert ASYNCAPI["components"]["messages"][name]["name"] == name


def test_every_message_stands_in_exactly_one_channel() -> None:
    listed = sorted(name for channel in ASYNCAPI["channels"].values() for name in channel["messages"])
    assert listed == sorted(ASYNCAPI["components"]["messages"])


@pytest.mark.parametrize(
    ("event", "row"), ROWS.items(), ids=lambda each: type_of(each) if isinstance(each, type) else ""
)
def test_asyncapi_says_on_which_subject_an_event_stands_and_who_writes_it(event: type[AnyEvent], row: Row) -> None:
    golden = json.loads((GOLDEN / f"{type_of(event)}.json").read_text(encoding="utf-8"))
    (channel,) = (each for each in ASYNCAPI["channels"].values() if type_of(event) in each["messages"])
    subject = parse_subject(golden["subject"])
    assert channel["address"].replace("{id}", str(subject.id)) == golden["subject"]
    assert channel["x-muster-writer"] == row.writer


def test_asyncapi_has_the_subjects_of_commands_and_verdicts() -> None:
    channels = ASYNCAPI["channels"]
    assert channels["intake"]["address"] == intake_subject("{application}", "{project}")
    assert channels["verdicts"]["address"] == verdict_subject("{application}")
    assert list(channels["verdicts"]["messages"]) == [type_of(Verdict)]
    assert {type_of(command) for command in COMMANDS} - channels["intake"]["messages"].keys() == {"CreateProject.v1"}


def test_the_headers_of_golden_events_satisfy_those_of_asyncapi() -> None:
    headers = Draft202012Validator(
        ASYNCAPI["components"]["schemas"]["CloudEventsHeaders"], format_checker=FormatChecker()
    )
    for path in GOLDEN.glob("*.json"):
        headers.validate(json.loads(path.read_text(encoding="utf-8"))["headers"])
    assert not headers.is_valid({"ce-id": "3819cc99-b78a-4ea9-b602-4988bd5135b3"})
