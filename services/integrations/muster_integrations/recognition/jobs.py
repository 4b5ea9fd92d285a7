"""batch/v1 Job: pods that run to their end; and CronJob, which only makes Jobs.

A Job that carries the annotation `muster.dev/min-members`, on itself or on its template, is one gang; any other is a
handful of pods that start one by one. Muster's own trainings and workspaces are Jobs too.
"""

from collections.abc import Sequence

from muster_cluster.objects import JOBS, Job, Pod
from muster_contracts import names
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import Outcome, OwnerFacts, Supports

from muster_integrations.recognition.controls import by_switch
from muster_integrations.recognition.fields import as_sentence
from muster_integrations.recognition.kinds import (
    Grouping,
    Kind,
    Members,
    Sight,
    Standing,
    System,
    Watch,
    each_alone,
)

GANG = "gang"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
_OUTCOMES = {"Complete": Outcome.SUCCEEDED, "Failed": Outcome.FAILED}


def desired_pods(job: Job) -> int:
    """Return how many pods run at once: `parallelism`, and never more than have to complete."""
    parallelism = 1 if job.spec.parallelism is None else job.spec.parallelism
    return parallelism if job.spec.completions is None else min(parallelism, job.spec.completions)


def min_members(job: Job) -> int | None:
    """Return the size of the gang; None without one, or when what the annotation says is no number of pods."""
    written = {**job.spec.template.metadata.annotations, **job.metadata.annotations}.get(names.MIN_MEMBERS, "")
    return max(1, int(written)) if written.isascii() and written.isdigit() and len(written) < 10 else None


def members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the workers of a Job, as many as run at once."""
    job: Job | None = sight.item
    if job is None:
        return None
    desired, template = desired_pods(job), job.spec.template
    enough = min(min_members(job) or desired, desired)
    return (Members("worker", desired, enough, template.spec, template.metadata.annotations),)


def owner(sight: Sight) -> OwnerFacts:
    """Return what a Job says of itself; its end is in a condition that never becomes untrue again."""
    job: Job | None = sight.item
    if job is None:
        return OwnerFacts()
    ended = next((c for c in job.status.conditions if c.type in _OUTCOMES and c.status == "True"), None)
    return OwnerFacts(
        suspended=job.spec.suspend,
        deleting=job.metadata.deletion_timestamp is not None,
        outcome=_OUTCOMES[ended.type] if ended else Outcome.NONE,
        reason=as_sentence(ended.message, ended.reason) if ended else "",
        finished_at=ended.last_transition_time if ended else None,
    )


def groups(sight: Sight) -> Sequence[Grouping]:
    """Return one gang, there from the beginning and whatever its pods do; or every pod alone."""
    size = min_members(sight.item) if sight.item is not None else None
    return each_alone(sight) if size is None else [Grouping(GANG, sight.name, size, sight.pods)]


def role(pod: Pod, _sight: Sight) -> str:
    """Call a pod a worker, with its index where the Job counts them."""
    labelled = {**pod.metadata.annotations, **pod.metadata.labels}
    index = labelled.get(COMPLETION_INDEX)
    return f"worker-{index}" if index else "worker"


JOB = Kind(
    group="batch",
    name="Job",
    workload_class=WorkloadClass.KUBERNETES,
    generic=True,
    watch=Watch(JOBS.plural, JOBS.model),
    supports=Supports(stop=True, activate=True, delete=True),
    owner=owner,
    members=members,
    groups=groups,
    role=role,
    controls=by_switch("spec", "suspend"),
)

CRON_JOB = Kind(group="batch", name="CronJob", standing=Standing.PARENT, watch=Watch("cronjobs"))

SYSTEM = System(kinds=(JOB, CRON_JOB))
