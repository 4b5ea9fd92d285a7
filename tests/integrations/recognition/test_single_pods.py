"""A pod that changes is told alone, at the price of one pod, as long as nothing but itself shows the change."""

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from integrations.golden_files import files_of_a_cluster
from integrations.kube import World, manifest, pod, pod_spec, project, recorded, running, template, uid
from muster_cluster.objects import JOBS, Pod, PodStatus, Volume
from muster_contracts.events import PodObserved
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.handlers import missing_events
from muster_integrations.recognition.facts_made import outline_of
from muster_integrations.recognition.kinds import Known, group_of
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.table import TABLE

JOB = manifest(JOBS, "train", spec={"parallelism": 2, "template": template(gpus=1)})
FIRST, SECOND = (pod(f"train-{number}", owner=JOB) for number in (1, 2))
READY = FIRST | {"status": running()}
ELSEWHERE: dict[str, Any] = {
    "node_name": "node-9",
    "scheduler_name": "somebody",
    "node_selector": {"zone": "a"},
    "tolerations": (),
    "affinity": {"podAffinity": {}},
    "topology_spread_constraints": (),
    "priority": 7,
    "scheduling_gates": (),
    "volumes": (Volume(name="odd"),),
    "termination_grace_period_seconds": 3,
    "restart_policy": "OnFailure",
}
"""Another value for everything in the spec of a pod that is not in its outline."""


def told() -> World:
    world = World(project())
    world.show(JOB, FIRST, SECOND)
    world.write()
    return world


def observed(world: World) -> list[list[str]]:
    """The names in every message that tells of what is due."""
    return [[facts.name for facts in event.pods] for event in world.write() if isinstance(event, PodObserved)]


def ended(code: int, version: int) -> dict[str, Any]:
    state = {"name": "main", "state": {"terminated": {"exitCode": code}}}
    status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [state]}
    return pod("train-1", owner=JOB, version=version, status=status)


def test_a_pod_that_becomes_ready_is_told_without_its_workload() -> None:
    world = told()
    world.step(FIRST, READY)
    alone = world.mirror.retold(UUID(uid("Job/train")))
    assert alone is not None
    assert [(facts.name, facts.ready) for facts in alone] == [("train-1", True)]
    assert observed(world) == [["train-1"]]
    assert world.write_everybody() == []


def test_pods_that_change_together_are_told_together_and_each_as_it_is_last() -> None:
    world = told()
    world.step(SECOND, SECOND | {"spec": pod_spec(node="n1")})
    world.step(FIRST, READY)
    world.step(READY, FIRST)
    world.step(FIRST, READY)
    assert observed(world) == [["train-1", "train-2"]]
    assert world.write_everybody() == []


def test_a_pod_that_is_again_as_it_was_told_is_not_told() -> None:
    world = told()
    world.step(FIRST, READY)
    world.step(READY, FIRST)
    assert world.write() == []


@pytest.mark.parametrize("code", [0, 1])
def test_a_pod_that_ends_has_its_whole_workload_looked_at(code: int) -> None:
    world = told()
    world.step(FIRST, ended(code, 2))
    assert world.mirror.retold(UUID(uid("Job/train"))) is None
    world.write()
    assert world.write_everybody() == []


def test_a_change_of_the_workload_is_not_forgotten_over_one_of_a_pod() -> None:
    world = told()
    world.step(JOB, JOB | {"spec": JOB["spec"] | {"suspend": True}})
    world.step(FIRST, READY)
    assert {event.type for event in world.write()} == {"OwnerObserved.v1", "PodObserved.v1"}


def test_what_may_not_have_been_written_is_found_again_by_comparing_the_whole() -> None:
    world = told()
    world.step(FIRST, READY)
    identity = UUID(uid("Job/train"))
    lost = missing_events(world.fold, world.mirror, identity)
    assert missing_events(world.fold, world.mirror, identity) == []
    world.mirror.distrust(identity)
    assert missing_events(world.fold, world.mirror, identity) == lost


# ---------------------------------------------------------------- what a pod shows of itself alone


def disguised(known: Known) -> Known:
    """The object; a pod with everything changed that is not in its outline."""
    if known.kind is not POD:
        return known
    shown: Pod = known.item
    statuses = tuple(
        msgspec.structs.replace(one, ready=not one.ready, restart_count=9) for one in shown.status.container_statuses
    )
    status = PodStatus(
        phase=shown.status.phase if shown.status.phase in {"Succeeded", "Failed"} else "Unknown",
        message=shown.status.message,
        reason="Odd",
        container_statuses=statuses,
    )
    spec = msgspec.structs.replace(shown.spec, **ELSEWHERE)
    changed = msgspec.structs.replace(shown, spec=spec, status=status)
    assert outline_of(changed) == outline_of(shown)
    return Known(known.kind, known.api_version, changed)


def pictured(items: list[dict[str, Any]], *, disguise: bool) -> dict[UUID, SeenWorkload]:
    world = World(project())
    world.show(*items)
    if disguise:
        for known in list(world.last.values()):
            world.mirror.take(known, disguised(known))
    found = {identity: world.mirror.seen_workload(identity) for identity in world.mirror.workload_ids}
    return {identity: seen for identity, seen in found.items() if seen is not None}


def without_facts(seen: SeenWorkload) -> tuple[Any, ...]:
    """Everything that is said of a workload, and of its pods what they are in it."""
    pods = {
        identity: (facts.pod_group_id, facts.role, facts.sub_group, facts.requests, facts.gpu)
        for identity, facts in seen.pods.items()
    }
    containers = [[(one.name, one.role) for one in facts.containers] for facts in seen.pods.values()]
    said = {name: getattr(seen, name) for name in SeenWorkload.__slots__ if name != "pods"}
    return said, pods, containers


@pytest.mark.parametrize("path", files_of_a_cluster(), ids=lambda path: path.stem)
def test_no_recogniser_looks_at_more_of_a_pod_than_its_outline(path: Path) -> None:
    items = [one for one in recorded(path) if (group_of(one["apiVersion"]), one["kind"]) in TABLE]
    plain, changed = pictured(items, disguise=False), pictured(items, disguise=True)
    assert {identity: without_facts(seen) for identity, seen in changed.items()} == {
        identity: without_facts(seen) for identity, seen in plain.items()
    }


def test_the_disguise_changes_all_of_a_spec_that_is_not_in_the_outline() -> None:
    in_outline = {"containers", "init_containers", "resources", "overhead", "priority_class_name"}
    assert set(ELSEWHERE) | in_outline == {one.name for one in msgspec.structs.fields(Pod().spec)}
