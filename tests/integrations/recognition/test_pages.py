"""The examples on the pages of `docs/integrations` are recognised, as what the pages say."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from integrations.kube import NAMESPACE, World, gangs, project, uid
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.kinds import Standing, group_of
from muster_integrations.recognition.table import TABLE

PAGES = sorted((Path(__file__).parents[3] / "docs" / "integrations").glob("*.md"))


def examples() -> list[Any]:
    """Every object on the pages that is a workload by its kind; schedules and other parents are none."""
    written = [
        (page.stem, document)
        for page in PAGES
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for document in yaml.safe_load_all(block)
    ]
    return [pytest.param(one, id=f"{page}-{one['kind']}") for page, one in written if is_workload(one)]


def is_workload(written: dict[str, Any]) -> bool:
    kind = TABLE.get((group_of(str(written.get("apiVersion", ""))), str(written.get("kind", ""))))
    return kind is not None and kind.standing is Standing.WORKLOAD


def recognised(written: dict[str, Any]) -> SeenWorkload:
    name = written["metadata"].setdefault("name", written["metadata"].get("generateName", ""))
    written["metadata"] |= {"namespace": NAMESPACE, "uid": uid(f"{written['kind']}/{name}")}
    world = World(project())
    world.show(written)
    found = world.mirror.seen_workload(UUID(written["metadata"]["uid"]))
    assert found is not None
    return found


@pytest.mark.parametrize("written", examples())
def test_an_example_is_a_workload_of_its_kind_and_can_be_deleted(written: dict[str, Any]) -> None:
    found = recognised(written)
    assert (found.kind, found.name) == (written["kind"], written["metadata"]["name"])
    assert [reference.name for reference in found.controls.delete] == [found.name]


def example(page: str) -> SeenWorkload:
    return recognised(next(one.values[0] for one in examples() if str(one.id).startswith(f"{page}-")))


def test_the_page_about_kubeflow_counts_its_example_right() -> None:
    found = example("kubeflow")
    assert (found.owner.desired_pods, found.requests.gpu_millionths) == (4, 4_000_000)
    assert gangs(found) == {"resnet": (4, {"master": 1, "worker": 3})}


def test_the_page_about_leader_worker_sets_counts_its_example_right() -> None:
    found = example("leaderworkerset")
    assert (found.owner.desired_pods, found.requests.gpu_millionths) == (8, 64_000_000)
    assert {name: size for name, (size, _) in gangs(found).items()} == {"llm-0": 4, "llm-1": 4}
