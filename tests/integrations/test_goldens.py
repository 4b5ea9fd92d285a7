"""Every recorded file gives the answer that was reviewed; every sample gives a sensible one.

The golden files were read against what is known of the systems. The samples are other people's and not in this
repository: their test is skipped where they are not at hand (`MUSTER_TEST_SAMPLES` names their directory).
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from integrations.golden_files import GOLDENS, golden_of, recognise, recorded_files
from muster_cli.manifests import read_documents

BESIDE = Path(__file__).parents[3] / "shared" / "manifests" / "samples"
SAMPLES = Path(os.environ.get("MUSTER_TEST_SAMPLES", BESIDE))
SAMPLE_FILES = sorted(path for path in SAMPLES.rglob("*.yaml") if path.is_file())


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", recorded_files(), ids=named)
def test_a_recorded_file_is_recognised_as_its_golden_file_says(path: Path) -> None:
    assert recognise(path) == json.loads(golden_of(path).read_text())


def test_there_is_no_golden_file_without_a_recorded_one() -> None:
    assert sorted(GOLDENS.rglob("*.json")) == sorted(map(golden_of, recorded_files()))


@pytest.mark.parametrize("path", recorded_files(), ids=named)
def test_each_recorded_pod_is_in_one_place(path: Path) -> None:
    written = [document.value for document in read_documents([path])]
    items = [item for value in written for item in value.get("items", [value])]
    pods = Counter(item["metadata"]["name"] for item in items if item.get("kind") == "Pod")
    assert places_of_pods(recognise(path)) == pods


def places_of_pods(found: dict[str, Any]) -> Counter[str]:
    inside = [pod["name"] for workload in found["workloads"] for pod in workload["pods"]]
    outside = [ignored["name"] for ignored in found["ignored"] if ignored["kind"] == "Pod"]
    return Counter(inside + outside)


@pytest.mark.skipif(not SAMPLE_FILES, reason="The samples are not in this repository.")
@pytest.mark.parametrize("path", SAMPLE_FILES, ids=named)
def test_a_sample_is_recognised_or_ignored_with_a_reason(path: Path) -> None:
    found = recognise(path)
    assert found["workloads"] or found["ignored"]
    for workload in found["workloads"]:
        assert workload["phase"] in {"Creating", "Pending", "Stopped"}, (
            "nothing has started of what was only written down"
        )
        assert workload["supports"]["delete"]
        assert workload["identity"] == f"{workload['namespace']}/{workload['name']}"
    assert all(ignored["reason"].endswith(".") for ignored in found["ignored"])
