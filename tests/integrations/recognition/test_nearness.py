"""How near to one another pods must, or should, be: read from annotations, of every kind alike."""

from typing import Any

import pytest
from integrations.kube import World, manifest, pod, project, template
from muster_cluster.objects import JOBS
from muster_contracts import names
from muster_contracts.events import PodGroupChanged, PodGroupFormed
from muster_contracts.values import TopologyConstraint
from muster_integrations.recognition.nearness import wanted_nearness
from muster_integrations.recognition.table import written_resources

GANG = {names.MIN_MEMBERS: "2"}
MUST = names.TOPOLOGY_REQUIRED
BY_RACK = TopologyConstraint(levels=("rack",), required="rack")


def job(annotations: dict[str, str], on_template: dict[str, str] | None = None, version: int = 1) -> dict[str, Any]:
    spec = {"parallelism": 2, "template": template(gpus=1, annotations=on_template or {})}
    return manifest(JOBS, "train", spec=spec, annotations=annotations, version=version)


def shown(*manifests: dict[str, Any]) -> World:
    world = World(project())
    world.show(*manifests)
    world.write()
    return world


def formed(*manifests: dict[str, Any]) -> list[TopologyConstraint | None]:
    return [event.topology for event in shown(*manifests).events if isinstance(event, PodGroupFormed)]


@pytest.mark.parametrize("name", names.TOPOLOGY_REQUIRED_NAMES)
def test_a_required_level_is_told_with_the_gang_before_its_first_pod(name: str) -> None:
    assert formed(job(GANG | {name: "rack"})) == [BY_RACK]


def test_the_template_is_asked_where_the_owner_says_nothing() -> None:
    assert formed(job(GANG, {names.TOPOLOGY_REQUIRED: "rack"})) == [BY_RACK]
    owner, below = {names.TOPOLOGY_REQUIRED: "rack"}, {names.TOPOLOGY_REQUIRED: "zone"}
    assert formed(job(GANG | owner, below)) == [BY_RACK]


def roles(owner: dict[str, str], **on_template: dict[str, str]) -> PodGroupFormed:
    """The gang of a PyTorchJob with these annotations on itself and on the templates of its roles."""
    replicas = {name: {"replicas": 2, "template": template(1, annotations=on_template[name])} for name in on_template}
    resource = next(one for one in written_resources() if one.kind == "PyTorchJob")
    written = manifest(resource, "train", spec={"pytorchReplicaSpecs": replicas}, annotations=owner)
    (gang,) = [event for event in shown(written).events if isinstance(event, PodGroupFormed)]
    return gang


def test_what_stands_on_the_template_of_a_role_is_meant_of_that_role() -> None:
    gang = roles({names.TOPOLOGY_REQUIRED: "zone"}, Master={}, Worker={names.TOPOLOGY_REQUIRED: "rack"})
    assert gang.topology == TopologyConstraint(levels=("zone",), required="zone")
    assert {part.name: part.topology for part in gang.sub_groups} == {"master": None, "worker": BY_RACK}


def test_a_single_role_is_the_whole() -> None:
    gang = roles({}, Worker={names.TOPOLOGY_REQUIRED: "rack"})
    assert (gang.topology, [part.topology for part in gang.sub_groups]) == (BY_RACK, [None])


def test_every_copy_of_a_set_has_its_roles() -> None:
    size = {"size": 2, "leaderTemplate": template(1), "workerTemplate": template(1, annotations={MUST: "rack"})}
    resource = next(one for one in written_resources() if one.kind == "LeaderWorkerSet")
    world = shown(manifest(resource, "serve", spec={"replicas": 2, "leaderWorkerTemplate": size}))
    copies = [event for event in world.events if isinstance(event, PodGroupFormed)]
    assert [[part.topology for part in gang.sub_groups] for gang in copies] == [[None, BY_RACK]] * 2


def test_a_bare_pod_speaks_for_itself() -> None:
    assert formed(pod("alone", annotations={names.TOPOLOGY_REQUIRED: "rack"})) == [BY_RACK]


def test_an_annotated_job_that_asks_for_no_gang_remains_pods_that_start_alone() -> None:
    owner = job({names.TOPOLOGY_REQUIRED: "rack"})
    assert formed(owner, pod("train-1", owner=owner), pod("train-2", owner=owner)) == [BY_RACK, BY_RACK]


def test_a_level_that_changes_is_told_and_remembered() -> None:
    before, after = job(GANG), job(GANG | {names.TOPOLOGY_REQUIRED: "rack"}, version=2)
    world = shown(before)
    world.step(before, after)
    assert [event.topology for event in world.write() if isinstance(event, PodGroupChanged)] == [BY_RACK]
    assert world.write_everybody() == []


def test_the_required_level_is_the_wider() -> None:
    near = wanted_nearness([{names.TOPOLOGY_PREFERRED: "rack"}, {names.TOPOLOGY_REQUIRED: "zone"}])
    assert near == TopologyConstraint(levels=("zone", "rack"), required="zone", preferred="rack")


def test_our_own_name_goes_before_that_of_others() -> None:
    both = dict(zip(names.TOPOLOGY_REQUIRED_NAMES, ("rack", "zone"), strict=True))
    assert wanted_nearness([both]) == BY_RACK


def test_the_same_level_twice_is_one_level() -> None:
    both = {names.TOPOLOGY_REQUIRED: "rack", names.TOPOLOGY_PREFERRED: "rack"}
    assert wanted_nearness([both]) == TopologyConstraint(levels=("rack",), required="rack", preferred="rack")


@pytest.mark.parametrize("written", [{}, {names.TOPOLOGY_REQUIRED: " "}, {"kai.scheduler/topology": "default"}])
def test_without_a_level_there_is_nothing_to_keep(written: dict[str, str]) -> None:
    assert wanted_nearness([written]) is None
