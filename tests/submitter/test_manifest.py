"""The objects of submissions, whole, beside what was submitted: one file per case in `golden`."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from muster_contracts.commands import SubmitWorkload
from muster_submitter.core.manifest import manifest_of, namespace_of
from submitter.story import Story

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))


def case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    submitted, expected = yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text())
    return submitted, expected


def made_from(submitted: dict[str, Any], *, suspend: bool = False) -> dict[str, Any]:
    story = Story()
    story.create_project()
    story.make_node_pools(*submitted["spec"].get("node_pools", ()))
    workload_id = story.submit(SubmitWorkload.model_validate(submitted))
    submission = story.state.workloads[workload_id].submission
    assert submission is not None
    assert submission.event is not None
    return manifest_of(submission.event, suspend=suspend)


@pytest.mark.parametrize("name", CASES)
def test_a_submission_becomes_this_object(name: str) -> None:
    submitted, expected = case(name)
    assert made_from(submitted) == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 3


def test_only_suspend_differs_when_it_was_stopped_before_it_was_made() -> None:
    submitted, expected = case("training")
    expected["spec"]["suspend"] = True
    assert made_from(submitted, suspend=True) == expected


def test_its_job_fails_at_an_eviction_if_it_shall_end_then() -> None:
    submitted, expected = case("training")
    submitted["spec"]["terminate_after_preemption"] = True
    expected["spec"]["podFailurePolicy"]["rules"][0]["action"] = "FailJob"
    assert made_from(submitted) == expected


def test_the_labels_that_say_whose_it_is_win_over_any_others() -> None:
    submitted, _ = case("training")
    submitted["spec"]["labels"] = {"muster.dev/priority-class": "inference"}
    assert made_from(submitted)["metadata"]["labels"]["muster.dev/priority-class"] == "train"


def test_the_namespace_of_a_project_says_whose_it_is() -> None:
    assert namespace_of("demo", "muster-demo")["metadata"] == {
        "name": "muster-demo",
        "labels": {"muster.dev/project": "demo"},
    }
