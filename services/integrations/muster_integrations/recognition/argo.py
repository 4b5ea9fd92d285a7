"""Argo Workflows, which the runs of Kubeflow Pipelines are too: a graph of pods that start when it is their turn.

How many pods a Workflow will make nobody knows beforehand, so it wants as many as there are, and none waits for
another: each is a group by itself. Between two steps there may be no pod at all; that it runs is then the Workflow's
word. A step that makes an object of its own (a PyTorchJob, a Job) makes a workload whose parent the Workflow is.

Pitfall: `spec.suspend` only holds back new steps, and `spec.shutdown` cannot be undone. Stopping is the latter.
"""

from collections.abc import Mapping
from typing import Final

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Pod
from muster_contracts.values import Controls, Outcome, OwnerFacts, ParentRef, Supports

from muster_integrations.recognition.controls import patch
from muster_integrations.recognition.fields import flag, moment, text
from muster_integrations.recognition.kinds import Claim, Handle, Kind, Sight, Standing, System, Watch
from muster_integrations.recognition.pods import living

_WORKFLOW: Final = "workflows.argoproj.io/workflow"
_RUN_ID: Final = "pipeline/runid"
_RUN_NAME: Final = "pipelines.kubeflow.org/run_name"
_RUNTIME_ROLE: Final = "pipelines.kubeflow.org/runtime-role"
_OUTCOMES: Final = {"Succeeded": Outcome.SUCCEEDED, "Failed": Outcome.FAILED, "Error": Outcome.FAILED}
_TEMPLATES: Final = {
    "system-dag-driver": "driver",
    "system-container-driver": "driver",
    "system-container-impl": "launcher",
}
"""The roles of the templates of Kubeflow Pipelines; releases before the annotation tell no other way."""


def owner(sight: Sight) -> OwnerFacts:
    """Return what a Workflow says of itself. One that is suspended still runs while a step does."""
    phase = text(sight.status, "phase")
    outcome = _OUTCOMES.get(phase, Outcome.NONE)
    return OwnerFacts(
        suspended=flag(sight.spec, "suspend") and not living(sight.pods),
        deleting=sight.deleting,
        outcome=outcome,
        reason=text(sight.status, "message") if outcome is Outcome.FAILED else "",
        finished_at=moment(sight.status, "finishedAt") if outcome is not Outcome.NONE else None,
        ready=True if phase == "Running" else None,
    )


def role(pod: Pod, _sight: Sight) -> str:
    """Call a pod a step; in Kubeflow Pipelines one that only prepares a step a driver, the step's own a launcher."""
    annotated = pod.metadata.annotations.get(_RUNTIME_ROLE, "")
    if annotated in _TEMPLATES.values():
        return annotated
    names = (pod.metadata.name, _written_template(pod))
    return next((what for template, what in _TEMPLATES.items() if any(template in name for name in names)), "step")


def main_containers(pod: Pod) -> frozenset[str] | None:
    """Let the step decide, not Argo's `wait` beside it, nor sidecars; in a set of containers each is a step."""
    containers = frozenset(container.name for container in pod.spec.containers)
    return containers & {"main"} or containers - {"wait"} or None


def attributes(sight: Sight) -> Mapping[str, str]:
    """Return which run of Kubeflow Pipelines it is, if it is one."""
    described = [*([sight.item.metadata] if sight.item is not None else []), *(pod.metadata for pod in sight.pods)]
    run_id = next((one.labels[_RUN_ID] for one in described if one.labels.get(_RUN_ID)), "")
    run_name = next((one.annotations[_RUN_NAME] for one in described if one.annotations.get(_RUN_NAME)), "")
    return {name: value for name, value in (("run_id", run_id), ("run_name", run_name)) if value}


def controls(_sight: Sight, handle: Handle | None, _remembered: Controls) -> Controls:
    """Stop for good; there is no way back."""
    if handle is None:
        return Controls()
    return Controls(
        stop=(patch(handle, ("spec", "shutdown"), "Stop"),),
        delete=(handle.reference,),
        reason="A Workflow that was stopped cannot go on; retry it in Argo or Kubeflow Pipelines, or submit it again.",
    )


def by_label(pod: Pod) -> Claim | None:
    """Know a pod by the name of its Workflow."""
    name = pod.metadata.labels.get(_WORKFLOW, "")
    return Claim(WORKFLOW, "argoproj.io/v1alpha1", name, object_name=name) if name else None


def schedule_of(metadata: Metadata) -> ParentRef | None:
    """Name the schedule that made a Workflow."""
    named = ((kind, metadata.labels.get(label, "")) for label, kind in _SCHEDULES.items())
    return next((ParentRef(kind=kind, name=name) for kind, name in named if name), None)


def _written_template(pod: Pod) -> str:
    """Return the name of a pod's template as far as it is written: in a variable that Argo gives to its containers."""
    written = (one.value for c in pod.spec.containers for one in c.env if one.name == "ARGO_TEMPLATE")
    return next(written, "").partition(",")[0]


WORKFLOW = Kind(
    group="argoproj.io",
    name="Workflow",
    watch=Watch("workflows", versions=("v1alpha1",)),
    supports=Supports(stop=True, activate=False, delete=True),
    owner=owner,
    role=role,
    main_containers=main_containers,
    attributes=attributes,
    controls=controls,
)

CRON_WORKFLOW = Kind(
    group="argoproj.io",
    name="CronWorkflow",
    standing=Standing.PARENT,
    watch=Watch("cronworkflows", versions=("v1alpha1",)),
)

SCHEDULED_WORKFLOW = Kind(
    group="kubeflow.org",
    name="ScheduledWorkflow",
    standing=Standing.PARENT,
    watch=Watch("scheduledworkflows", versions=("v1beta1",)),
)

_SCHEDULES: Final = {
    "scheduledworkflows.kubeflow.org/scheduledWorkflowName": SCHEDULED_WORKFLOW.name,
    "workflows.argoproj.io/cron-workflow": CRON_WORKFLOW.name,
}

SYSTEM = System(
    kinds=(WORKFLOW, CRON_WORKFLOW, SCHEDULED_WORKFLOW),
    by_label=(by_label,),
    parents=(schedule_of,),
)
