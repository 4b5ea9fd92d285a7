"""Every door refuses a bad command with one sentence per field, under the name the caller gave the field."""

import json
from typing import Any
from uuid import UUID

import pytest
from muster_contracts.commands import (
    COMMAND_TYPES,
    CreateProject,
    StopWorkload,
    SubmittedSpec,
    SubmitWorkload,
    complaints_of,
    workload_command,
)
from muster_contracts.errors import HTTP_STATUS, RefusalCode, Refused
from muster_contracts.schemas.asyncapi import BUS_COMMANDS
from muster_contracts.values import EnvironmentVariable, PoolQuota, WorkloadSpec
from pydantic import ValidationError

NAME = "must be lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen"
LABEL = "must be at most 63 letters, digits, hyphens, dots and underscores, and begin and end with a letter or digit"


def submission(**changes: Any) -> dict[str, Any]:
    body = {"type": "SubmitWorkload.v1", "name": "hello", "project": "demo", "kind": "training"}
    return {**body, "spec": {"image": "train:1"}, **changes}


def with_spec(**fields: Any) -> dict[str, Any]:
    return submission(spec={"image": "train:1", **fields})


def complaints_about(body: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        workload_command.validate_json(json.dumps(body))
    return [(complaint.field, complaint.details) for complaint in complaints_of(caught.value.errors())]


@pytest.mark.parametrize(
    ("body", "field", "details"),
    [
        (with_spec(compute={"gpu_devices": -1}), "spec.compute.gpu_devices", "should be greater than or equal to 0"),
        (
            with_spec(compute={"cpu_cores": 0.0001}),
            "spec.compute.cpu_cores",
            "should be greater than or equal to 0.001",
        ),
        (with_spec(compute={"memory_bytes": "lots"}), "spec.compute.memory_bytes", None),
        (with_spec(compute={"gpus": 1}), "spec.compute.gpus", "is not a field we know"),
        (with_spec(imgae="x"), "spec.imgae", "is not a field we know"),
        (with_spec(image=""), "spec.image", "should have at least 1 character"),
        (with_spec(parallelism=4, completions=2), "spec.completions", "must not be less than parallelism (4)"),
        (with_spec(parallelism=4, min_members=5), "spec.min_members", "must not exceed parallelism (4)"),
        (with_spec(node_pools=["default", "A100"]), "spec.node_pools.1", NAME),
        (with_spec(labels={"team": "a b"}), "spec.labels.team", LABEL),
        (with_spec(environment=[{"name": "A", "secret": 1}]), "spec.environment.0.secret", "is not a field we know"),
        (with_spec(priority_class="high"), "spec.priority_class", None),
        (submission(name="Bad_Name"), "name", NAME),
        (submission(name="-hello"), "name", NAME),
        (submission(name="hello\n"), "name", NAME),
        (submission(name="h" * 53), "name", "should have at most 52 characters"),
        (submission(project="de.mo"), "project", NAME),
        (submission(kind="inference"), "kind", "should be 'training' or 'workspace'"),
        (submission(idempotency_key=""), "idempotency_key", "should have at least 1 character"),
        (submission(owner="me"), "owner", "is not a field we know"),
        ({"type": "SubmitWorkload.v1"}, "name", "is required"),
        ({"type": "StopWorkload.v1"}, "workload_id", "is required"),
        ({"type": "DeleteWorkload.v1", "workload_id": "seven"}, "workload_id", None),
        ({"type": "Applaud.v1"}, "type", f"must be one of {', '.join(sorted(COMMAND_TYPES))}"),
        ({}, "type", "is required"),
        ([], "body", "should be an object"),
    ],
)
def test_a_bad_field_gets_one_sentence_under_its_own_name(body: Any, field: str, details: str | None) -> None:
    complaints = complaints_about(body)
    assert [name for name, _ in complaints].count(field) == 1
    sentence = dict(complaints)[field]
    assert details is None or sentence == details
    assert sentence
    assert "\n" not in sentence
    assert not sentence.endswith(".")


def test_every_bad_field_is_named_at_once() -> None:
    body = submission(name="Hello", spec={"image": "", "parallelism": 3, "completions": 1, "min_members": 4, "x": 1})
    fields = {field for field, _ in complaints_about(body)}
    assert fields == {"name", "spec.image", "spec.completions", "spec.min_members", "spec.x"}


def test_a_bad_parallelism_is_not_also_a_complaint_about_what_depends_on_it() -> None:
    assert complaints_about(with_spec(parallelism=0, completions=1, min_members=1)) == [
        ("spec.parallelism", "should be greater than or equal to 1")
    ]


def test_text_that_is_no_json_is_a_complaint_about_the_body() -> None:
    with pytest.raises(ValidationError) as caught:
        workload_command.validate_json(b'{"type": ')
    (complaint,) = complaints_of(caught.value.errors())
    assert complaint.field == "body"
    assert complaint.details.startswith("Invalid JSON")


def test_complaints_over_http_name_the_field_without_the_step_of_the_framework() -> None:
    problem = {"type": "missing", "loc": ("body", "spec", "image"), "msg": "Field required", "input": {}}
    (complaint,) = complaints_of([problem])
    assert (complaint.field, complaint.details) == ("spec.image", "is required")


@pytest.mark.parametrize(
    "fields",
    [
        {"parallelism": 4, "completions": 4, "min_members": 4},
        {"parallelism": 2, "completions": 8},
        {"compute": {"gpu_devices": 0}},
        {"labels": {"example.org/team": "vision", "empty": ""}, "annotations": {"example.org/note": "free text, any."}},
    ],
)
def test_a_sound_spec_is_taken(fields: dict[str, Any]) -> None:
    command = workload_command.validate_python(with_spec(**fields))
    assert isinstance(command, SubmitWorkload)
    assert command.spec == SubmittedSpec.model_validate({"image": "train:1", **fields})


def test_a_negative_quota_of_a_project_is_refused_by_field() -> None:
    with pytest.raises(ValidationError) as caught:
        CreateProject.model_validate({"name": "demo", "quotas": [{"gpu_millionths": -1}, {"gpus": 2}]})
    assert [complaint.field for complaint in complaints_of(caught.value.errors())] == [
        "quotas.0.gpu_millionths",
        "quotas.1.gpus",
    ]


def test_an_event_made_from_a_command_takes_the_plain_parts() -> None:
    spec = SubmittedSpec.model_validate({"image": "train:1", "environment": [{"name": "A", "value": "1"}]})
    made = WorkloadSpec(kind="training", image=spec.image, environment=spec.environment)
    assert type(made.environment[0]) is EnvironmentVariable
    assert made == WorkloadSpec.model_validate_json(made.model_dump_json())
    project = CreateProject.model_validate({"name": "demo", "quotas": [{}]})
    assert project.quotas[0].model_dump() == PoolQuota().model_dump()


def test_a_command_survives_the_way_over_the_bus() -> None:
    command = StopWorkload(workload_id=UUID(int=7))
    assert workload_command.validate_json(command.model_dump_json()) == command


def test_the_types_over_the_bus_are_those_of_the_union() -> None:
    assert {command.model_fields["type"].default for command in BUS_COMMANDS} == COMMAND_TYPES


def test_every_refusal_has_a_status_code_and_keeps_its_complaints() -> None:
    assert set(HTTP_STATUS) == set(RefusalCode)
    assert all(400 <= status < 500 for status in HTTP_STATUS.values())
    refusal = Refused(RefusalCode.INVALID, "No.", complaints_of([{"type": "missing", "loc": ("name",), "msg": ""}]))
    assert [complaint.field for complaint in refusal.complaints] == ["name"]
