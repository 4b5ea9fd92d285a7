"""Recorded objects of Ray, Seldon and KServe, shown in any order and more than once: the same workloads."""

import json
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, project
from muster_integrations.core.seen import SeenWorkload

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded"
FILES = sorted(path for system in ("ray", "seldon", "kserve") for path in (RECORDED / system).glob("*.json"))


def workloads(items: list[dict[str, Any]]) -> dict[UUID, SeenWorkload | None]:
    """What is seen of objects that are shown, and then shown again as they are, in this order."""
    world = World(project("a", namespace=items[0]["metadata"]["namespace"]))
    for item in items:
        world.step(None, item)
        world.write()
    for item in reversed(items):
        world.step(item, item)
    world.give_up_owners()
    return {workload_id: world.mirror.seen_workload(workload_id) for workload_id in world.mirror.workload_ids}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_arrival_changes_nothing(path: Path, seed: int) -> None:
    items = json.loads(path.read_text())["items"]
    shuffled = Random(seed).sample(items, len(items))
    assert workloads(shuffled) == workloads(items), f"seed {seed}"
