"""Kubeflow Trainer's TrainJob, and the JobSet that it makes; a JobSet may also stand alone.

A TrainJob says how many nodes it wants and points to a runtime; all the rest is in its JobSet, which has its name. So
its sizes are the JobSet's as soon as that is there. Pods are a replicated job's: the initialisers of a TrainJob, which
have ended before its `node` pods exist, or a launcher, which comes after them. Whoever puts these into one gang waits
for ever, therefore what starts in order is one group per replicated job, and only what starts at once is one together.

Pitfall: a TrainJob has no condition that says it runs; the counts of its jobs do. It alone may be suspended, its
controller undoes whatever anybody else does to the JobSet.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from muster_cluster.objects import Pod
from muster_contracts.values import Outcome, OwnerFacts, SubGroup, Supports

from muster_integrations.recognition.controls import by_switch
from muster_integrations.recognition.fields import (
    Raw,
    entries,
    field,
    holding,
    how_many,
    moment,
    number,
    pod_spec,
    sentence,
    text,
    texts,
)
from muster_integrations.recognition.jobs import JOB
from muster_integrations.recognition.kinds import Claim, Grouping, Kind, Members, Sight, System, Watch, each_alone
from muster_integrations.recognition.pods import as_many_as_live
from muster_integrations.recognition.training import is_suspended, managed_by

_LABELS: Final = "jobset.sigs.k8s.io/"
_JOB_SET: Final = f"{_LABELS}jobset-name"
_REPLICATED_JOB: Final = f"{_LABELS}replicatedjob-name"
_NODE: Final = "node"
_TOGETHER: Final = "all"
_OUTCOMES: Final = {
    "Complete": Outcome.SUCCEEDED,  # of a TrainJob
    "Completed": Outcome.SUCCEEDED,  # of a JobSet
    "Failed": Outcome.FAILED,
}


def owner(sight: Sight) -> OwnerFacts:
    """Return what a TrainJob, or a JobSet, says of itself."""
    holds: Raw = next(holding(sight.status, *_OUTCOMES, "Suspended"), {})
    state = text(holds, "type")
    outcome = _OUTCOMES.get(state, Outcome.NONE)
    return OwnerFacts(
        suspended=is_suspended(field(sight.spec, "suspend"), state),
        deleting=sight.deleting,
        outcome=outcome,
        reason=sentence(holds) if outcome is Outcome.FAILED else "",
        finished_at=moment(holds, "lastTransitionTime") if outcome is not Outcome.NONE else None,
        ready=True if _runs(sight.status) else None,
    )


def job_set_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the pods of each replicated job."""
    return tuple(_replicated(written) for written in _replicated_jobs(sight)) or None


def train_job_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the pods of its JobSet; as long as there is none, the nodes it asks for."""
    return job_set_members(sight) or (_nodes(sight.spec) if sight.item is not None else None)


def groups(sight: Sight, found: tuple[Members, ...] | None) -> Sequence[Grouping]:
    """Return one group per replicated job where they start in order, else one of all of them."""
    if found is None:
        return as_many_as_live(sight, _TOGETHER)
    return _in_order(sight, found) if len(found) == 1 or _is_ordered(sight) else [_at_once(sight, found)]


def role(pod: Pod, _sight: Sight) -> str:
    """Call a pod by its replicated job."""
    return _replicated_job(pod) or "pod"


def main_containers(pod: Pod) -> frozenset[str] | None:
    """Let the trainer's containers decide: they are called as the replicated job, those of MPI all `node`."""
    named = {_replicated_job(pod), _NODE}
    return frozenset(container.name for container in pod.spec.containers if container.name in named) or None


def by_label(pod: Pod) -> Claim | None:
    """Know a pod by the name of its JobSet, which leads to the TrainJob if either can be read."""
    name = pod.metadata.labels.get(_JOB_SET) or pod.metadata.annotations.get(_JOB_SET, "")
    return Claim(JOB_SET, "jobset.x-k8s.io/v1alpha2", name, object_name=name) if name else None


def _replicated_job(pod: Pod) -> str:
    return {**pod.metadata.annotations, **pod.metadata.labels}.get(_REPLICATED_JOB, "")


def _job_set_spec(sight: Sight) -> Any:
    """Return what is wanted of the JobSet: the part that a TrainJob made, else the object itself."""
    return next((part.spec for part in sight.parts_of("JobSet")), sight.spec)


def _replicated_jobs(sight: Sight) -> Sequence[Any]:
    return entries(_job_set_spec(sight), "replicatedJobs")


def _replicated(written: Any) -> Members:
    """Return the pods of all copies of one replicated job, as many as run at once."""
    job = field(written, "template", "spec")
    parallelism, completions = how_many(job, "parallelism"), number(job, "completions")
    each = parallelism if completions is None else min(parallelism, completions)
    count = each * how_many(written, "replicas")
    annotations = texts(job, "template", "metadata", "annotations")
    return Members(text(written, "name") or "pod", count, count, pod_spec(job, "template", "spec"), annotations)


def _nodes(spec: Any) -> tuple[Members, ...]:
    trainer = field(spec, "trainer")
    count, resources = how_many(trainer, "numNodes"), field(trainer, "resourcesPerNode")
    container = {"name": _NODE, "resources": resources}
    template = {"spec": {"containers": [container]}} if resources is not None else {}  # else the runtime says it
    return (Members(_NODE, count, count, pod_spec(template, "spec")),)


def _is_ordered(sight: Sight) -> bool:
    """Say whether replicated jobs wait for others. Without a word about it they do not: so the webhook writes it."""
    in_order = text(_job_set_spec(sight), "startupPolicy", "startupPolicyOrder") == "InOrder"
    return in_order or any(entries(written, "dependsOn") for written in _replicated_jobs(sight))


def _in_order(sight: Sight, found: Sequence[Members]) -> Sequence[Grouping]:
    """Return a group per replicated job; a pod that names none of them is alone."""
    called = {one.role: [pod for pod in sight.pods if role(pod, sight) == one.role] for one in found}
    groupings = [Grouping(one.role, f"{sight.name}-{one.role}", max(1, one.minimum), called[one.role]) for one in found]
    others = [pod for pod in sight.pods if role(pod, sight) not in called]
    return [*groupings, *each_alone(replace(sight, pods=others))]


def _at_once(sight: Sight, found: Sequence[Members]) -> Grouping:
    parts = tuple(SubGroup(name=one.role, min_members=one.minimum) for one in found if one.minimum)
    return Grouping(_TOGETHER, sight.name, max(1, sum(one.minimum for one in found)), sight.pods, parts)


def _runs(status: Any) -> bool:
    """Say whether a job that trains has its pods at work, by the counts of a TrainJob or a JobSet.

    `active` does not count: a Job is active as soon as its pods are made, long before they are scheduled.
    """
    counted = [*entries(status, "jobsStatus"), *entries(status, "replicatedJobsStatus")]
    return any((number(one, "ready") or 0) > 0 for one in _nodes_of(counted))


def _nodes_of(counted: Sequence[Any]) -> Sequence[Any]:
    """Return the counts of the nodes where there are such, else all."""
    return [one for one in counted if text(one, "name") == _NODE] or counted


JOB_SET = Kind(
    group="jobset.x-k8s.io",
    name="JobSet",
    watch=Watch("jobsets", versions=("v1alpha2",)),
    absorbs=frozenset({JOB.key}),
    supports=Supports(stop=True, activate=True, delete=True),
    owner=owner,
    members=job_set_members,
    groups=lambda sight: groups(sight, job_set_members(sight)),
    role=role,
    attributes=lambda sight: managed_by(text(sight.spec, "managedBy")),
    controls=by_switch("spec", "suspend"),
)

TRAIN_JOB = Kind(
    group="trainer.kubeflow.org",
    name="TrainJob",
    watch=Watch("trainjobs", versions=("v1alpha1",)),
    absorbs=frozenset({JOB_SET.key}),
    supports=Supports(stop=True, activate=True, delete=True),
    owner=owner,
    members=train_job_members,
    groups=lambda sight: groups(sight, train_job_members(sight)),
    role=role,
    main_containers=main_containers,
    attributes=lambda sight: managed_by(text(sight.spec, "managedBy")),
    controls=by_switch("spec", "suspend"),
)

SYSTEM = System(kinds=(TRAIN_JOB, JOB_SET), by_label=(by_label,))
