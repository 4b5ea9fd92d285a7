"""Notebooks and Workspaces: one pod each, stopped by an annotation or a pause, known by their names."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import (
    World,
    container,
    gangs,
    manifest,
    pod,
    pod_spec,
    project,
    recorded,
    roles,
    see,
    template,
    uid,
)
from muster_cluster.objects import STATEFUL_SETS
from muster_contracts.phases import PriorityClass
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "kubeflow"
RESOURCES = {resource.kind: resource for resource in written_resources()}
STOPPED = "kubeflow-resource-stopped"


def notebook(name: str = "lab", **parts: Any) -> dict[str, Any]:
    return manifest(RESOURCES["Notebook"], name, **({"spec": {"template": template(gpus=1)}} | parts))


def workspace(spec: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    options = {"podTemplate": {"options": {"imageConfig": "scipy", "podConfig": "big"}}}
    return manifest(RESOURCES["Workspace"], "lab", spec={"kind": "jupyterlab"} | options | (spec or {}), **parts)


def made_by(owner: dict[str, Any], name: str = "lab", **labels: str) -> list[dict[str, Any]]:
    made = manifest(STATEFUL_SETS, name, owner=owner, spec={"replicas": 1, "template": template(gpus=2)})
    return [made, pod(f"{name}-0", owner=made, labels={"statefulset": "lab"} | labels)]


def test_a_notebook_is_one_pod_of_a_stateful_set() -> None:
    owner = notebook()
    found = see(owner, *made_by(owner))
    assert (found.kind, found.identity, roles(found)) == ("Notebook", uid("Notebook/lab"), {"lab-0": "notebook"})
    assert (found.owner.serving, found.owner.desired_pods, found.requests.gpu_millionths) == (True, 1, 1_000_000)
    assert gangs(found) == {"lab": (1, {})}
    assert {group.priority_class for group in found.groups.values()} == {PriorityClass.BUILD}


def test_the_annotation_stops_a_notebook_whatever_it_says() -> None:
    assert not see(notebook()).owner.suspended
    for value in ("2026-11-01T10:00:00Z", "", "no"):
        assert see(notebook(annotations={STOPPED: value})).owner.suspended


def test_muster_writes_the_annotation_and_takes_it_away() -> None:
    controls = see(notebook(version=4)).controls
    ((stop,), (activate,)) = (controls.stop, controls.activate)
    assert list(stop.body["metadata"]["annotations"]) == [STOPPED]
    assert stop.body["metadata"]["annotations"][STOPPED]
    assert activate.body == {"metadata": {"annotations": {STOPPED: None}}}
    assert (stop.resource_version, stop.object.resource) == ("4", "notebooks")


def test_the_container_of_the_notebooks_name_decides() -> None:
    owner = notebook()
    made, server = made_by(owner, **{"notebook-name": "lab"})
    server["spec"] = pod_spec(containers=[container(name=name) for name in ("lab", "oauth-proxy")])
    found = see(owner, made, server)
    assert [c.role for facts in found.pods.values() for c in facts.containers] == ["main", "sidecar"]


def test_a_workspace_is_paused_and_asks_what_its_stateful_set_asks() -> None:
    owner = workspace()
    objects = made_by(owner, "ws-lab-x7k2p", **{"notebooks.kubeflow.org/workspace-name": "lab"})
    found = see(owner, *objects)
    assert (found.kind, found.name, roles(found)) == ("Workspace", "lab", {"ws-lab-x7k2p-0": "notebook"})
    assert found.requests.gpu_millionths == 2_000_000
    assert found.attributes == {"image_config": "scipy", "pod_config": "big", "workspace_kind": "jupyterlab"}
    assert [patch.body for patch in found.controls.stop] == [{"spec": {"paused": True}}]
    assert [patch.body for patch in found.controls.activate] == [{"spec": {"paused": False}}]


@pytest.mark.parametrize("spec", [{"paused": True}, {"paused": False}, {"paused": "yes"}, {}])
def test_a_workspace_is_stopped_while_it_is_paused(spec: dict[str, Any]) -> None:
    assert see(workspace(spec)).owner.suspended is (spec.get("paused") is True)


def test_a_workspace_in_error_says_what_is_wrong() -> None:
    facts = see(workspace(status={"state": "Error", "stateMessage": "The pod could not be made."})).owner
    assert (facts.ready, facts.reason) == (False, "The pod could not be made.")
    assert see(workspace(status={"state": "Running", "stateMessage": "Fine."})).owner.reason == ""


@pytest.mark.parametrize("spec", [None, [], {}, {"template": "none"}])
def test_a_notebook_in_an_odd_shape_is_still_one_pod(spec: Any) -> None:
    assert see(notebook(spec=spec)).owner.desired_pods == 1


@pytest.mark.parametrize(
    ("label", "kind"), [("notebook-name", "Notebook"), ("notebooks.kubeflow.org/workspace-name", "Workspace")]
)
def test_pods_that_nobody_owns_are_known_by_their_label(label: str, kind: str) -> None:
    world = World(project())
    world.mirror.reads(("kubeflow.org", kind), Reading.FORBIDDEN)
    world.show(pod("lab-0", labels={label: "lab"}))
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.kind, found.identity, found.identity_source) == (kind, "muster-demo/lab", "label")
    assert (found.owner.serving, found.controls.stop) == (True, ())


def test_the_recorded_notebook_is_one_workload() -> None:
    found = see(*recorded(RECORDED / "derived-notebook-v1.json"))
    assert (found.kind, found.name, roles(found)) == ("Notebook", "my-nb", {"my-nb-0": "notebook"})
    assert found.requests.gpu_millionths == 1_000_000


def test_a_notebook_may_ask_for_a_part_of_a_gpu() -> None:
    found = see(notebook(spec={"template": template()}, annotations={"muster.dev/gpu-fraction": "0.25"}))
    assert found.requests.gpu_millionths == 250_000


def test_the_group_of_a_notebook_that_is_late_has_its_priority_from_the_beginning() -> None:
    owner = notebook()
    made, server = made_by(owner)
    world = World(project())
    world.show(made, server)
    for late in (made, server):
        world.mirror.give_up_owner(late["metadata"]["uid"])
    found = world.mirror.seen_workload(UUID(owner["metadata"]["uid"]))
    assert found is not None
    assert {group.priority_class for group in found.groups.values()} == {PriorityClass.BUILD}
