"""Kubeflow's notebook servers: the Notebook, and the Workspace that follows it. Each is one pod of a StatefulSet.

A Notebook is stopped by an annotation: that it is there counts, not what it says. A Workspace is paused. What a
Workspace asks for stands in its WorkspaceKind, so only its StatefulSet tells.
"""

from typing import Final

from muster_cluster.objects import Pod
from muster_contracts.phases import PriorityClass
from muster_contracts.values import OwnerFacts, Supports

from muster_integrations.recognition.controls import by_switch
from muster_integrations.recognition.fields import flag, pod_spec, text
from muster_integrations.recognition.kinds import Claim, Kind, Members, Sight, System, Watch, together
from muster_integrations.recognition.replicas import STATEFUL_SET

_STOPPED: Final = "kubeflow-resource-stopped"
_NOTEBOOK: Final = "notebook-name"
_WORKSPACE: Final = "notebooks.kubeflow.org/workspace-name"


def notebook_owner(sight: Sight) -> OwnerFacts:
    """Return what a Notebook says of itself."""
    stopped = sight.item is not None and _STOPPED in sight.item.metadata.annotations
    return OwnerFacts(suspended=stopped, deleting=sight.deleting, serving=True)


def workspace_owner(sight: Sight) -> OwnerFacts:
    """Return what a Workspace says of itself."""
    failed = text(sight.status, "state") == "Error"
    return OwnerFacts(
        suspended=flag(sight.spec, "paused"),
        deleting=sight.deleting,
        reason=text(sight.status, "stateMessage") if failed else "",
        serving=True,
        ready=False if failed else None,
    )


def notebook_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the one pod of a Notebook, whose annotations become the pod's."""
    if sight.item is None:
        return None
    annotations = sight.item.metadata.annotations
    return (Members("notebook", 1, 1, pod_spec(sight.spec, "template", "spec"), annotations),)


def workspace_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the one pod of a Workspace, as its StatefulSet makes it."""
    if sight.item is None:
        return None
    made = [part.spec.template for part in sight.parts_of("StatefulSet")]
    told = [Members("notebook", 1, 1, template.spec, template.metadata.annotations) for template in made]
    return tuple(told[:1]) or (Members("notebook", 1, 1),)


def role(_pod: Pod, _sight: Sight) -> str:
    """Call the pod a notebook."""
    return "notebook"


def main_containers(pod: Pod) -> frozenset[str] | None:
    """Let the container decide that is called as the notebook, or `main` in a Workspace; proxies beside it do not."""
    named = {pod.metadata.labels.get(_NOTEBOOK, ""), "main"}
    return frozenset(container.name for container in pod.spec.containers if container.name in named) or None


def by_label(pod: Pod) -> Claim | None:
    """Know a pod by the name of its Workspace or Notebook."""
    labels = pod.metadata.labels
    if name := labels.get(_WORKSPACE, ""):
        return Claim(WORKSPACE, "kubeflow.org/v1beta1", name, object_name=name)
    name = labels.get(_NOTEBOOK, "")
    return Claim(NOTEBOOK, "kubeflow.org/v1", name, object_name=name) if name else None


def _image(sight: Sight) -> dict[str, str]:
    spec = sight.spec
    said = {
        "workspace_kind": text(spec, "kind"),
        "image_config": text(spec, "podTemplate", "options", "imageConfig"),
        "pod_config": text(spec, "podTemplate", "options", "podConfig"),
    }
    return {name: value for name, value in said.items() if value}


NOTEBOOK = Kind(
    group="kubeflow.org",
    name="Notebook",
    watch=Watch("notebooks", versions=("v1", "v1beta1", "v1alpha1")),
    absorbs=frozenset({STATEFUL_SET.key}),
    priority=PriorityClass.BUILD,
    supports=Supports(stop=True, activate=True, delete=True),
    owner=notebook_owner,
    members=notebook_members,
    groups=together,
    role=role,
    main_containers=main_containers,
    controls=by_switch("metadata", "annotations", _STOPPED, stopped="by-muster", running=None),
)

WORKSPACE = Kind(
    group="kubeflow.org",
    name="Workspace",
    watch=Watch("workspaces", versions=("v1beta1",)),
    absorbs=frozenset({STATEFUL_SET.key}),
    priority=PriorityClass.BUILD,
    supports=Supports(stop=True, activate=True, delete=True),
    owner=workspace_owner,
    members=workspace_members,
    groups=together,
    role=role,
    main_containers=main_containers,
    attributes=_image,
    controls=by_switch("spec", "paused"),
)

SYSTEM = System(kinds=(NOTEBOOK, WORKSPACE), by_label=(by_label,))
