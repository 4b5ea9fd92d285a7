"""Kubeflow Trainer's TrainJob, and the JobSet that it makes; a JobSet may also stand alone.

A TrainJob says how many nodes it wants and points to a runtime, the template of its JobSet, which has its name. So its
sizes are the JobSet's as soon as that is there, and until then the runtime's with what the TrainJob asks for itself.
Pods are a replicated job's: the initialisers of a TrainJob, which have ended before its `node` pods exist, or a
launcher, which comes after them. Whoever puts these into one gang waits for ever, therefore what starts in order is one
group per replicated job, and only what starts at once is one together.

Pitfall: a TrainJob has no condition that says it runs; the counts of its jobs do. It alone may be suspended, its
controller undoes whatever anybody else does to the JobSet.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from muster_cluster.objects import AnyObject, Pod
from muster_contracts.values import Outcome, OwnerFacts, SubGroup, Supports

from muster_integrations.recognition.controls import by_switch
from muster_integrations.recognition.fields import (
    Raw,
    entries,
    field,
    flag,
    holding,
    how_many,
    mapping,
    moment,
    number,
    pod_spec,
    sentence,
    text,
    texts,
)
from muster_integrations.recognition.jobs import JOB
from muster_integrations.recognition.kinds import (
    Claim,
    Grouping,
    Kind,
    Members,
    Name,
    Sight,
    Standing,
    System,
    Watch,
    each_alone,
)
from muster_integrations.recognition.pods import as_many_as_live
from muster_integrations.recognition.training import is_suspended, managed_by

GROUP: Final = "trainer.kubeflow.org"

_LABELS: Final = "jobset.sigs.k8s.io/"
_JOB_SET: Final = f"{_LABELS}jobset-name"
_REPLICATED_JOB: Final = f"{_LABELS}replicatedjob-name"
_JOB_SET_KIND: Final = "JobSet"
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
        ready=True if _runs(sight) else None,
    )


def job_set_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the pods of each replicated job."""
    size = _left if owner(sight).outcome is Outcome.NONE else _replicated
    return tuple(size(sight, written) for written in _replicated_jobs(sight)) or None


def train_job_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the pods of its JobSet; as long as there is none, those of its runtime, and the nodes it asks for."""
    found = job_set_members(sight)
    if sight.parts_of(_JOB_SET_KIND) or sight.item is None:
        return found
    return tuple(_asked(sight, one) if one.role == _NODE else one for one in found or (Members(_NODE, 1, 1),))


def runtime_of(train_job: AnyObject) -> tuple[Name, ...]:
    """Name the runtime of a TrainJob: one of the cluster, unless it says that it is one of its namespace."""
    kind, name = text(train_job.spec, "runtimeRef", "kind"), text(train_job.spec, "runtimeRef", "name")
    if not name:
        return ()
    if kind == RUNTIME.name:
        return ((RUNTIME.key, train_job.metadata.namespace, name),)
    return ((CLUSTER_RUNTIME.key, "", name),)


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
    """Return what is wanted of the JobSet: that which a TrainJob made, or will make; else the object itself."""
    made = [part.spec for part in sight.parts_of(_JOB_SET_KIND)]
    planned = [field(runtime, "template", "spec") for runtime in _runtimes(sight)]
    return [*made, *planned, sight.spec][0]


def _runtimes(sight: Sight) -> Sequence[Any]:
    """Return what the runtime says that a TrainJob names, if it can be read."""
    return [runtime.spec for kind in (RUNTIME, CLUSTER_RUNTIME) for runtime in sight.parts_of(kind.name)]


def _replicated_jobs(sight: Sight) -> Sequence[Any]:
    return entries(_job_set_spec(sight), "replicatedJobs")


def _left(sight: Sight, written: Any) -> Members:
    """Return the pods of a replicated job; when it has ended and others go on, nobody waits for those not seen."""
    size = _replicated(sight, written)
    counted: Raw = next((one for one in _counts(sight) if text(one, "name") == size.role), {})
    if (number(counted, "succeeded") or 0) < how_many(written, "replicas"):
        return size
    seen = sum(1 for pod in sight.pods if role(pod, sight) == size.role)
    return replace(size, minimum=min(size.minimum, seen))


def _replicated(_sight: Sight, written: Any) -> Members:
    """Return the pods of all copies of one replicated job, as many as run at once."""
    job = field(written, "template", "spec")
    parallelism, completions = how_many(job, "parallelism"), number(job, "completions")
    each = parallelism if completions is None else min(parallelism, completions)
    count = each * how_many(written, "replicas")
    annotations = texts(job, "template", "metadata", "annotations")
    return Members(text(written, "name") or "pod", count, count, pod_spec(job, "template", "spec"), annotations)


def _asked(sight: Sight, nodes: Members) -> Members:
    """Return the nodes of a runtime as a TrainJob asks for them: how many, and what each takes."""
    trainer = mapping(sight.spec, "trainer")
    policies = [mapping(runtime, "mlPolicy") for runtime in _runtimes(sight)]
    written = (number(one, "numNodes") for one in (trainer, *policies))
    count = next((one for one in written if one is not None), nodes.count)
    if any(flag(policy, "mpi", "runLauncherAsNode") for policy in policies):
        count = max(1, count - 1)
    asked = {"spec": {"containers": [{"name": _NODE, "resources": trainer.get("resourcesPerNode")}]}}
    spec = pod_spec(asked, "spec") if "resourcesPerNode" in trainer else nodes.spec
    return replace(nodes, count=count, minimum=count, spec=spec)


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


def _runs(sight: Sight) -> bool:
    """Say whether a job that trains has its pods at work, by the counts of a TrainJob or a JobSet.

    `active` does not count: a Job is active as soon as its pods are made, long before they are scheduled. Nor do jobs
    whose end the others wait for: they prepare.
    """
    awaited = {
        text(other, "name")
        for written in _replicated_jobs(sight)
        for other in entries(written, "dependsOn")
        if text(other, "status") == "Complete"
    }
    return any((number(one, "ready") or 0) > 0 for one in _counts(sight) if text(one, "name") not in awaited)


def _counts(sight: Sight) -> Sequence[Any]:
    """Return how the pods of each replicated job fare, by a TrainJob or by a JobSet."""
    return [*entries(sight.status, "jobsStatus"), *entries(sight.status, "replicatedJobsStatus")]


JOB_SET = Kind(
    group="jobset.x-k8s.io",
    name=_JOB_SET_KIND,
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
    group=GROUP,
    name="TrainJob",
    watch=Watch("trainjobs", versions=("v1alpha1",)),
    absorbs=frozenset({JOB_SET.key}),
    holds=lambda job: [(JOB_SET.key, job.metadata.name)],
    consults=runtime_of,
    supports=Supports(stop=True, activate=True, delete=True),
    owner=owner,
    members=train_job_members,
    groups=lambda sight: groups(sight, train_job_members(sight)),
    role=role,
    main_containers=main_containers,
    attributes=lambda sight: managed_by(text(sight.spec, "managedBy")),
    controls=by_switch("spec", "suspend"),
)

RUNTIME = Kind(
    group=GROUP,
    name="TrainingRuntime",
    standing=Standing.PARENT,
    watch=Watch("trainingruntimes", versions=("v1alpha1",)),
)
CLUSTER_RUNTIME = Kind(
    group=GROUP,
    name="ClusterTrainingRuntime",
    standing=Standing.PARENT,
    watch=Watch("clustertrainingruntimes", versions=("v1alpha1",), namespaced=False),
)

SYSTEM = System(kinds=(TRAIN_JOB, JOB_SET, RUNTIME, CLUSTER_RUNTIME), by_label=(by_label,))
