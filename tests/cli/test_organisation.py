"""Projects, departments and node pools as people set them: what is typed is laid over what was read."""

from typing import Any

import pytest
from cli.stage import Answer, Muster, Type, error

QUOTA = {
    "node_pool": "default",
    "gpu_millionths": 1_000_000,
    "cpu_milli": None,
    "memory_bytes": None,
    "gpu_limit_millionths": None,
    "cpu_limit_milli": None,
    "memory_limit_bytes": None,
    "over_quota_weight": 2,
    "priority": 0,
    "cpu_over_quota_weight": 1,
    "memory_over_quota_weight": 1,
}
PROJECT = {
    "name": "demo",
    "namespace": "muster-demo",
    "department": "default",
    "quotas": [QUOTA],
    "node_pools": [],
    "airflow_unit": "task",
    "preempt_minimum_seconds": 0,
    "reclaim_minimum_seconds": 30,
    "workloads": 2,
    "version": 17,
}


@pytest.fixture
def answering(muster: Muster) -> Muster:
    changed = {"id": "x", "name": "demo", "position": 18}
    muster.answers = {
        ("GET", "/api/v1/projects"): {"projects": [PROJECT]},
        ("GET", "/api/v1/projects/demo"): PROJECT,
        ("PUT", "/api/v1/projects/demo"): changed,
        ("DELETE", "/api/v1/projects/demo"): changed,
        ("GET", "/api/v1/departments"): {"departments": []},
        ("PUT", "/api/v1/departments/research"): changed,
        ("DELETE", "/api/v1/departments/research"): changed,
        ("GET", "/api/v1/node-pools"): {"node_pools": []},
        ("PUT", "/api/v1/node-pools/a100"): changed,
    }
    return muster


def sent(muster: Muster, path: str) -> Any:
    (asked,) = muster.asked_at("PUT", f"/api/v1{path}")
    return asked


def test_a_quota_is_changed_and_everything_else_stays(answering: Muster, types: Type) -> None:
    typed = types("project", "set", "demo", "--gpu", "3", "--weight", "high", "--memory-limit", "1Ti")
    assert typed.code == 0, typed.err
    asked = sent(answering, "/projects/demo")
    wanted = {**QUOTA, "gpu_millionths": 3_000_000, "over_quota_weight": 3, "memory_limit_bytes": 2**40}
    assert asked.body == {
        "department": "default",
        "quotas": [wanted],
        "node_pools": [],
        "airflow_unit": "task",
        "preempt_minimum_seconds": 0,
        "reclaim_minimum_seconds": 30,
    }
    assert asked.query == {"version": ["17"]}
    assert answering.asked[-1].query == {"at_least": ["18"]}


def test_a_quota_for_another_pool_comes_beside_the_first(answering: Muster, types: Type) -> None:
    types("project", "set", "demo", "--node-pool", "a100", "--gpu", "unlimited", "--use", "a100,default")
    body = sent(answering, "/projects/demo").body
    assert body["quotas"] == [QUOTA, {"node_pool": "a100", "gpu_millionths": None}]
    assert body["node_pools"] == ["a100", "default"]


def test_a_quota_is_taken_away(answering: Muster, types: Type) -> None:
    types("project", "set", "demo", "--no-quota", "--node-pool", "default")
    assert sent(answering, "/projects/demo").body["quotas"] == []


def test_a_department_and_a_node_pool_are_made_when_they_are_new(answering: Muster, types: Type) -> None:
    typed = types("department", "set", "research", "--gpu", "8", "--cpu", "500m")
    assert (typed.code, typed.err) == (0, "Department research is made.\n")
    assert sent(answering, "/departments/research").body["quotas"] == [
        {"node_pool": "default", "gpu_millionths": 8_000_000, "cpu_milli": 500}
    ]
    assert types("nodepool", "set", "a100", "--label", "gpu=a100", "--gpu-placement", "spread").code == 0
    assert sent(answering, "/node-pools/a100").body == {
        "label_key": "gpu",
        "label_value": "a100",
        "gpu_placement": "spread",
        "cpu_placement": "bin-pack",
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["project", "set", "demo", "--gpu", "many"], "'many' is not a number of GPUs."),
        (["project", "set", "demo", "--gpu", "-1"], "'-1' is not a number of GPUs."),
        (["project", "set", "demo", "--cpu-limit", "2Gi"], "'2Gi' is not a number of processors."),
        (["nodepool", "set", "a100", "--label", "gpu"], "'gpu' is not a label."),
    ],
)
def test_what_is_no_amount_is_said_before_anything_is_asked(
    answering: Muster, types: Type, words: list[str], sentence: str
) -> None:
    typed = types(*words)
    assert (typed.code, typed.err.splitlines()[0]) == (2, sentence)
    assert answering.asked == []


def test_a_refusal_is_shown_as_it_is(answering: Muster, types: Type) -> None:
    answering.answers["DELETE", "/api/v1/departments/research"] = Answer(error(409, "It has project 'demo'."), 409)
    typed = types("department", "remove", "research")
    assert (typed.code, typed.err) == (4, "It has project 'demo'.\n")


def test_who_sets_a_project_that_is_not_there_is_told_how_to_create_it(answering: Muster, types: Type) -> None:
    answering.answers["GET", "/api/v1/projects/vision"] = Answer(error(404, "There is no project 'vision'."), 404)
    typed = types("project", "set", "vision", "--gpu", "16")
    assert typed.code == 3
    assert typed.err == "There is no project 'vision'.\nCreate it with `muster project create vision`.\n"


def test_a_project_is_removed_and_its_namespace_stays(answering: Muster, types: Type) -> None:
    typed = types("project", "remove", "demo")
    assert (typed.code, typed.err) == (0, "Project demo is removed; its namespace stays.\n")
    assert answering.asked[-1].query == {"at_least": ["18"]}


def test_the_list_shows_what_is_due(answering: Muster, types: Type) -> None:
    assert "default: 1 GPU, weight medium" in types("project", "list").out
