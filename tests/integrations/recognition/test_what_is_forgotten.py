"""What the mirror remembers of what is gone comes to an end, however much comes and goes."""

from typing import Any

import pytest
from integrations.kube import World, manifest, pod, project, uid
from muster_cluster.objects import JOBS
from muster_contracts import names
from muster_integrations.recognition import identities

COMINGS = 20


@pytest.fixture
def world() -> World:
    return World(project())


def remembered(world: World) -> dict[str, int]:
    """How much is kept of what may be gone."""
    mirror = world.mirror
    kept: dict[str, Any] = vars(mirror._identities) | vars(mirror._endings)
    claimants = vars(mirror._identities._claimants)["_uids"]
    return {name: len(value) for name, value in kept.items() if isinstance(value, dict | set)} | {"": len(claimants)}


def of_job(number: int, labels: dict[str, str]) -> list[dict[str, Any]]:
    """A Job and its pod."""
    job = manifest(JOBS, f"train-{number}", labels=labels)
    return [job, pod(f"train-{number}-a", owner=job)]


@pytest.mark.parametrize("written", [True, False], ids=["looked at between", "never looked at"])
@pytest.mark.parametrize("claims", [True, False], ids=["claims a submission", "claims nothing"])
def test_of_what_came_and_went_only_the_latest_deletions_are_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch, claims: bool, written: bool
) -> None:
    monkeypatch.setattr(identities, "REMEMBERED", 3)
    for number in range(COMINGS):
        come_and_go(world, of_job(number, labels_of(number) if claims else {}), written=written)
    kept = remembered(world)
    assert kept.pop("_deleted") <= 3
    assert not any(kept.values()), kept


def labels_of(number: int) -> dict[str, str]:
    return {names.WORKLOAD_ID: uid(f"nobody submitted {number}")}


def come_and_go(world: World, objects: list[dict[str, Any]], *, written: bool) -> None:
    """Show objects and take them away again; their labels are verified in between, or too late."""
    world.show(*objects)
    doubts = look(world, []) if written else []
    for one in objects:
        world.step(one, None)
    look(world, doubts)


def look(world: World, doubts: list[Any]) -> list[Any]:
    """Write for whoever is due, and verify the labels that are in doubt; return these."""
    changes = world.mirror.changes()
    for workload_id in (*doubts, *changes.doubts):
        world.mirror.doubt_is_over(workload_id)
    world._write([*changes.workloads, *world.mirror.changes().workloads], [])
    return list(changes.doubts)
