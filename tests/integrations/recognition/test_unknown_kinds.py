"""Controllers that are in no table: the topmost object that can be read is the workload, its kind as it is.

How such kinds come to be read is the service's business; here they are shown as it shows them, or refused.
"""

import json
from itertools import permutations
from typing import Any
from uuid import UUID

import msgspec
import pytest
from integrations.kube import World, manifest, pod, project, template, uid
from muster_cluster.objects import DEPLOYMENTS, JOBS, REPLICA_SETS, AnyObject
from muster_cluster.port import Resource
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import Outcome, ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.kinds import Known
from muster_integrations.recognition.mirror import Mirror
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import kind_of, written_resources

TASK_RUNS: Resource[Any] = Resource("tekton.dev", "v1", "taskruns", "TaskRun", AnyObject)
PIPELINE_RUNS: Resource[Any] = Resource("tekton.dev", "v1", "pipelineruns", "PipelineRun", AnyObject)
DEV_WORKSPACES: Resource[Any] = Resource("workspace.devfile.io", "v1alpha2", "devworkspaces", "DevWorkspace", AnyObject)
AML_JOBS: Resource[Any] = Resource("amlarc.azureml.com", "v1alpha1", "amljobs", "AmlJob", AnyObject)


def show(world: World, resource: Resource[Any], written: dict[str, Any]) -> None:
    """Show an object of a kind that is in no table, as it is shown once it is read."""
    item = msgspec.json.decode(json.dumps(written), type=AnyObject)
    kind = kind_of(resource.group, resource.kind)
    world.mirror.take(None, Known(kind, resource.api_version, item))


def discovering(*earlier: Any) -> World:
    """A world whose mirror is fed with every kind it asks for, as the service's is."""
    world = World(*earlier)
    world.mirror = Mirror(world.fold, discovers=True)
    if earlier:
        world.mirror.namespace_changed("muster-demo")
    return world


def seen(world: World, workload: dict[str, Any]) -> SeenWorkload:
    found = world.mirror.seen_workload(UUID(workload["metadata"]["uid"]))
    assert found is not None
    return found


def tekton() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    run = manifest(PIPELINE_RUNS, "build-1")
    task = manifest(TASK_RUNS, "build-1-compile", owner=run)
    return run, task, pod("build-1-compile-pod", owner=task)


def test_the_topmost_object_is_the_workload() -> None:
    run, task, member = tekton()
    world = World(project())
    show(world, PIPELINE_RUNS, run)
    show(world, TASK_RUNS, task)
    world.show(member)
    found = seen(world, run)
    assert (found.kind, found.api_version, found.name) == ("PipelineRun", "tekton.dev/v1", "build-1")
    assert (found.workload_class, found.identity) == (WorkloadClass.KUBERNETES, uid("PipelineRun/build-1"))
    assert [facts.role for facts in found.pods.values()] == ["pod"]


def test_all_its_pods_are_one_group_of_which_one_is_enough() -> None:
    aml = manifest(AML_JOBS, "train")
    world = World(project())
    show(world, AML_JOBS, aml)
    world.show(pod("train-0", owner=aml), pod("train-1", owner=aml))
    found = seen(world, aml)
    assert [(group.min_members, len(found.pods)) for group in found.groups.values()] == [(1, 2)]
    assert (found.owner.desired_pods, found.owner.min_pods) == (2, 1)


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        (("Running", "Succeeded"), Outcome.NONE),
        (("Succeeded", "Succeeded"), Outcome.SUCCEEDED),
        (("Succeeded", "Failed"), Outcome.FAILED),
    ],
)
def test_it_ends_as_its_pods_do(phases: tuple[str, ...], outcome: Outcome) -> None:
    aml = manifest(AML_JOBS, "train")
    world = World(project())
    show(world, AML_JOBS, aml)
    world.show(*(pod(f"train-{n}", owner=aml, status={"phase": phase}) for n, phase in enumerate(phases)))
    assert seen(world, aml).owner.outcome is outcome


@pytest.mark.parametrize("deleting", [False, True])
def test_it_says_when_it_is_on_its_way_out(deleting: bool) -> None:
    aml = manifest(AML_JOBS, "train", deleting=deleting)
    world = World(project())
    show(world, AML_JOBS, aml)
    world.show(pod("train-0", owner=aml))
    assert seen(world, aml).owner.deleting is deleting


@pytest.mark.parametrize("reading", [Reading.FORBIDDEN, Reading.ABSENT])
def test_an_object_under_one_that_cannot_be_read_is_the_workload_and_names_that_as_its_parent(reading: Reading) -> None:
    run, task, member = tekton()
    world = discovering(project())
    world.mirror.reads(("tekton.dev", "PipelineRun"), reading)
    show(world, TASK_RUNS, task)
    world.show(member)
    found = seen(world, task)
    assert (found.kind, found.parent) == ("TaskRun", ParentRef(kind="PipelineRun", name=run["metadata"]["name"]))


@pytest.mark.parametrize("reading", [Reading.FORBIDDEN, Reading.ABSENT])
def test_pods_right_under_what_cannot_be_read_are_its_pods_all_the_same(reading: Reading) -> None:
    _, task, member = tekton()
    world = discovering(project())
    world.mirror.reads(("tekton.dev", "TaskRun"), reading)
    world.show(member)
    found = seen(world, task)
    assert (found.kind, found.identity, found.attributes) == ("TaskRun", task["metadata"]["uid"], {"object": "unread"})


def test_a_kind_nobody_knows_is_asked_for_and_waited_for_until_it_is_told_that_it_cannot_be_read() -> None:
    _, task, member = tekton()
    world = discovering(project())
    world.show(member)
    changes = world.mirror.changes()
    assert list(changes.kinds) == [("tekton.dev", "TaskRun")]
    assert list(world.mirror.workload_ids) == []
    world.mirror.reads(("tekton.dev", "TaskRun"), Reading.FORBIDDEN)
    assert list(world.mirror.workload_ids) == [UUID(task["metadata"]["uid"])]


def test_in_whatever_order_its_objects_come_the_workload_is_the_same() -> None:
    for order in permutations(range(3)):
        run, task, member = tekton()
        world = discovering(project())
        steps = [
            lambda world=world, run=run: show(world, PIPELINE_RUNS, run),
            lambda world=world, task=task: show(world, TASK_RUNS, task),
            lambda world=world, member=member: world.show(member),
        ]
        for index in order:
            steps[index]()
        assert list(world.mirror.workload_ids) == [UUID(run["metadata"]["uid"])], order


def test_what_anybody_builds_upon_belongs_to_who_built_upon_it() -> None:
    workspace = manifest(DEV_WORKSPACES, "ada")
    deployment = manifest(DEPLOYMENTS, "ada-dev", owner=workspace, spec={"replicas": 1, "template": template(gpus=1)})
    replica_set = manifest(REPLICA_SETS, "ada-dev-1", owner=deployment)
    world = World(project())
    show(world, DEV_WORKSPACES, workspace)
    world.show(deployment, replica_set, pod("ada-dev-1-x", owner=replica_set))
    assert list(world.mirror.workload_ids) == [UUID(workspace["metadata"]["uid"])]
    assert len(seen(world, workspace).pods) == 1


def test_a_system_that_is_known_stays_the_workload_and_names_who_made_it() -> None:
    (ray_clusters,) = (one for one in written_resources() if one.kind == "RayCluster")
    outer = manifest(AML_JOBS, "train")
    cluster = manifest(ray_clusters, "train-ray", owner=outer, spec={})
    world = World(project())
    show(world, AML_JOBS, outer)
    world.show(cluster, pod("train-ray-head", owner=cluster))
    found = seen(world, cluster)
    assert (found.kind, found.parent) == ("RayCluster", ParentRef(kind="AmlJob", name="train"))


def test_a_job_under_what_cannot_be_read_is_a_job() -> None:
    outer = manifest(AML_JOBS, "train")
    job = manifest(JOBS, "train-0", owner=outer, spec={"template": template()})
    world = discovering(project())
    world.mirror.reads(("amlarc.azureml.com", "AmlJob"), Reading.FORBIDDEN)
    world.show(job, pod("train-0-x", owner=job))
    assert (seen(world, job).kind, seen(world, job).parent) == ("Job", ParentRef(kind="AmlJob", name="train"))


def test_nothing_is_offered_to_do_with_it_and_the_reason_is_said() -> None:
    aml = manifest(AML_JOBS, "train")
    world = World(project())
    show(world, AML_JOBS, aml)
    world.show(pod("train-0", owner=aml))
    found = seen(world, aml)
    assert (found.controls.stop, found.controls.activate) == ((), ())
    assert found.controls.reason == "Muster does not know how to control objects of the kind AmlJob."
    assert (found.supports.stop, found.supports.activate) == (False, False)
