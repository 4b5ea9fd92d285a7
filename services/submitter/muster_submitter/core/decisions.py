"""What follows from a command: an event to append, or the position where it already stands, or a refusal.

Every function here is pure: the fold, the command and the caller in; `Append`, `Already` or `Refused` out. A sentence
in a refusal is shown to people as it is. Whoever appends does it under `Append.expected` and, when the race is lost,
lets the fold read on and decides anew.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from muster_contracts.commands import CreateProject, SubmitWorkload
from muster_contracts.errors import Complaint, RefusalCode, Refused
from muster_contracts.events import (
    ActivateRequested,
    DeleteRequested,
    DepartmentChanged,
    NodePoolChanged,
    ProjectChanged,
    StopRequested,
    SubmissionRefused,
    WorkloadSubmitted,
)
from muster_contracts.names import (
    GPU_DEVICES,
    GPU_FRACTION,
    GPU_MEMORY,
    GPUS,
    MIN_MEMBERS,
    OWN_LABELS,
    RESERVATIONS_NAMESPACE,
    project_namespace,
)
from muster_contracts.phases import PriorityClass, WorkloadKind
from muster_contracts.subjects import derived_id, workload_id_of
from muster_contracts.values import Caller, EnvironmentVariable, Outcome, PoolQuota, WorkloadSpec

from muster_submitter.core.state import State
from muster_submitter.core.workload import Wish, Workload

OUR_ANNOTATIONS = frozenset({GPUS, MIN_MEMBERS, GPU_FRACTION, GPU_MEMORY, GPU_DEVICES})
"""What we write on objects ourselves; a user's value would lie about whose they are."""

DEFAULT_PRIORITIES = {
    WorkloadKind.TRAINING: PriorityClass.TRAIN,
    WorkloadKind.WORKSPACE: PriorityClass.BUILD,
}
"""The priority of what names none: who works in a workspace waits for it, a training can be preempted."""

CommandEvent = (
    WorkloadSubmitted
    | StopRequested
    | ActivateRequested
    | DeleteRequested
    | ProjectChanged
    | DepartmentChanged
    | NodePoolChanged
)


@dataclass(frozen=True, slots=True)
class Append:
    """Something new: append the event, expecting this position to be our last on its subject."""

    event: CommandEvent
    expected: int


@dataclass(frozen=True, slots=True)
class Already:
    """Nothing new: what was asked stands in the journal, or came true, at this position."""

    position: int


Decision = Append | Already


def project_id_of(name: str) -> UUID:
    """Return the id of a project, known before the project is: names are never given to another project."""
    return derived_id("project", name)


def submission_id(project: str, caller: Caller, idempotency_key: str) -> UUID:
    """Return the id of what a caller submits under a key. People and applications of one name are not the same."""
    return workload_id_of(project_id_of(project), f"{caller.kind}/{caller.name}", idempotency_key)


def digest_of(command: SubmitWorkload) -> str:
    """Return the SHA-256 of what is asked, whatever the order of its fields and whether defaults are spelt out."""
    asked = command.model_dump(mode="json", exclude={"idempotency_key"})
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------- submitting


def decide_submission(state: State, command: SubmitWorkload, caller: Caller) -> Decision:
    """Accept a new workload. The command carries its idempotency key. Raises Refused."""
    assert command.idempotency_key is not None, "the door gives a key to every submission"
    workload_id = submission_id(command.project, caller, command.idempotency_key)
    workload = state.workloads.get(workload_id)
    if workload is not None and workload.submission is not None:
        return _known_submission(workload, command)
    if workload_id in state.refusals:
        raise refusal_of(state.refusals[workload_id][1])
    project = _project(state, command.project)
    _check_metadata(command)
    _check_name(state, command)
    check_node_pools(state, "spec.node_pools", command.spec.node_pools)
    event = WorkloadSubmitted(
        workload_id=workload_id,
        name=command.name,
        project_id=project.project_id,
        project=project.name,
        namespace=project.namespace,
        object_name=command.name,
        spec=effective_spec(command, project),
        submitted_by=caller,
        idempotency_key=command.idempotency_key,
        request_digest=digest_of(command),
    )
    return Append(event, expected=state.version_of(workload_id))


def _known_submission(workload: Workload, command: SubmitWorkload) -> Already:
    assert workload.submission is not None
    if workload.submission.digest != digest_of(command):
        raise Refused(
            RefusalCode.CONFLICT,
            f"The idempotency key {command.idempotency_key!r} was used for another request, workload "
            f"{workload.name!r}; use a new key for a new workload.",
        )
    return Already(workload.submission.position)


def refusal_of(event: SubmissionRefused) -> Refused:
    """Return what was said to a submission that was refused before: a repeated command gets the same answer."""
    return Refused(event.code, event.message, event.complaints)


def _project(state: State, name: str) -> ProjectChanged:
    project = state.projects.get(name)
    if project is None or project.event.removed:
        known = ", ".join(sorted(each for each, p in state.projects.items() if not p.event.removed)[:5])
        rest = f"there are {known}." if known else "there is none yet."
        raise Refused(RefusalCode.NOT_FOUND, f"There is no project {name!r}; {rest}")
    return project.event


def _check_metadata(command: SubmitWorkload) -> None:
    problems = [
        Complaint(field=f"spec.{field}.{key}", details="is written by Muster itself")
        for field, given, ours in (
            ("labels", command.spec.labels, OWN_LABELS),
            ("annotations", command.spec.annotations, OUR_ANNOTATIONS),
        )
        for key in sorted(ours & set(given))
    ]
    if problems:
        named = ", ".join(complaint.field for complaint in problems)
        raise Refused(RefusalCode.INVALID, f"The request is not valid: {named} is written by Muster itself.", problems)


def _check_name(state: State, command: SubmitWorkload) -> None:
    if state.namesakes(command.project, command.name):
        raise Refused(
            RefusalCode.CONFLICT,
            f"Project {command.project!r} already has a workload {command.name!r}; choose another name, or delete "
            "that one first.",
        )


def check_node_pools(state: State, field: str, names: Iterable[str]) -> None:
    """Refuse names of node pools that are not there: who misspells one would wait for ever, or have a quota of nowhere.

    Raises Refused.
    """
    known = state.node_pool_names
    if unknown := [name for name in names if name not in known]:
        raise invalid(field, f"names {unknown[0]!r}, which is not a node pool; there is {', '.join(sorted(known)[:5])}")


def invalid(field: str, details: str) -> Refused:
    """Return the refusal of one field of a request."""
    complaint = Complaint(field=field, details=details)
    return Refused(RefusalCode.INVALID, f"The request is not valid: {field} {details}.", [complaint])


def effective_spec(command: SubmitWorkload, project: ProjectChanged) -> WorkloadSpec:
    """Fill in every default: what is returned is what runs."""
    asked = command.spec
    return WorkloadSpec(
        kind=command.kind,
        image=asked.image,
        command=asked.command,
        arguments=asked.arguments,
        environment=tuple(EnvironmentVariable(name=each.name, value=each.value) for each in asked.environment),
        working_directory=asked.working_directory,
        gpu_devices=asked.compute.gpu_devices,
        gpu_portion_millionths=asked.compute.gpu_portion_millionths,
        gpu_memory_bytes=asked.compute.gpu_memory_bytes,
        cpu_milli=round(asked.compute.cpu_cores * 1000),
        memory_bytes=asked.compute.memory_bytes,
        parallelism=asked.parallelism,
        completions=asked.completions,
        min_members=asked.min_members,
        backoff_limit=asked.backoff_limit,
        priority_class=asked.priority_class or DEFAULT_PRIORITIES[command.kind],
        node_pools=asked.node_pools or project.node_pools,
        labels=asked.labels,
        annotations=asked.annotations,
        auto_deletion_seconds=asked.auto_deletion_seconds,
        termination_grace_period_seconds=asked.termination_grace_period_seconds,
        terminate_after_preemption=asked.terminate_after_preemption,
    )


# ---------------------------------------------------------------- stopping, activating, deleting


def decide_stop(state: State, workload_id: UUID, caller: Caller) -> Decision:
    """Ask that a workload stop; allowed until it has ended, and harmless to repeat."""
    workload = _workload(state, workload_id)
    _refuse_if_leaving(workload)
    if workload.outcome is not Outcome.NONE:
        raise _conflict(f"Workload {workload.name!r} {_ended(workload)}; there is nothing to stop.")
    if workload.wish is Wish.STOP and (workload.wish_open or workload.is_suspended):
        return Already(workload.wish_at)
    if workload.is_suspended and not workload.wish_open:
        return Already(_seen_at(workload))
    _refuse_unless_able(workload, Wish.STOP)
    return Append(StopRequested(workload_id=workload_id, requested_by=caller), expected=workload.version)


def decide_activate(state: State, workload_id: UUID, caller: Caller) -> Decision:
    """Ask that a workload that is stopped or stopping run again. What has ended stays so."""
    workload = _workload(state, workload_id)
    _refuse_if_leaving(workload)
    if workload.outcome is not Outcome.NONE:
        raise _conflict(
            f"Workload {workload.name!r} {_ended(workload)} and cannot run again; submit a copy of it under a new name."
        )
    stopping = workload.wish is Wish.STOP and workload.wish_open
    if workload.wish is Wish.ACTIVATE and (workload.wish_open or not workload.is_suspended):
        return Already(workload.wish_at)
    if not stopping and not workload.is_suspended:
        raise _conflict(f"Workload {workload.name!r} is not stopped, so it cannot be activated.")
    _refuse_unless_able(workload, Wish.ACTIVATE)
    return Append(ActivateRequested(workload_id=workload_id, requested_by=caller), expected=workload.version)


def decide_delete(state: State, workload_id: UUID, caller: Caller) -> Decision:
    """Ask that a workload go away; allowed in every phase, and harmless to repeat."""
    workload = _workload(state, workload_id)
    if workload.gone_at:
        return Already(workload.gone_at)
    if workload.delete_at:
        return Already(workload.delete_at)
    if workload.seen is not None and not workload.seen.supports.delete:
        raise _conflict(f"Workload {workload.name!r} cannot be deleted: {_why_not(workload)}")
    return Append(DeleteRequested(workload_id=workload_id, requested_by=caller), expected=workload.version)


def warning_before_deletion(state: State, workload_id: UUID) -> str:
    """Return what to know of the deletion of a workload, empty when there is nothing."""
    workload = state.workloads.get(workload_id)
    return workload.seen.controls.warning if workload is not None and workload.seen is not None else ""


def _workload(state: State, workload_id: UUID) -> Workload:
    workload = state.workloads.get(workload_id)
    if workload is None:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no workload {workload_id}.")
    return workload


def _refuse_if_leaving(workload: Workload) -> None:
    if workload.gone_at:
        raise Refused(RefusalCode.NOT_FOUND, f"Workload {workload.name!r} is gone.")
    if workload.delete_at or (workload.seen and workload.seen.owner.deleting):
        raise _conflict(f"Workload {workload.name!r} is being deleted.")


def _refuse_unless_able(workload: Workload, wish: Wish) -> None:
    """Refuse what the kind, or this very object, cannot do. What was submitted here and not yet seen is a Job."""
    if workload.seen is None:
        return
    supports, controls = workload.seen.supports, workload.seen.controls
    stopping = wish is Wish.STOP
    if not (supports.stop and controls.stop if stopping else supports.activate and controls.activate):
        done = "stopped" if stopping else "activated"
        raise _conflict(f"Workload {workload.name!r} cannot be {done}: {_why_not(workload)}")


def _why_not(workload: Workload) -> str:
    assert workload.seen is not None
    reason = workload.seen.controls.reason
    return f"{reason.rstrip('.')}." if reason else f"a {workload.seen.kind} has nothing that Muster could change."


def _ended(workload: Workload) -> str:
    return "has completed" if workload.outcome is Outcome.SUCCEEDED else "has failed"


def _seen_at(workload: Workload) -> int:
    assert workload.seen is not None
    return workload.seen.position


def _conflict(sentence: str) -> Refused:
    return Refused(RefusalCode.CONFLICT, sentence)


# ---------------------------------------------------------------- projects


def decide_project(state: State, command: CreateProject, caller: Caller) -> Decision:
    """Create a project; asking for the same one again is harmless. Raises Refused."""
    wanted = ProjectChanged(
        project_id=project_id_of(command.name),
        name=command.name,
        namespace=command.namespace or project_namespace(command.name),
        department=command.department,
        quotas=tuple(PoolQuota(**quota.model_dump()) for quota in command.quotas),
        node_pools=command.node_pools,
        airflow_unit=command.airflow_unit,
        preempt_minimum_seconds=command.preempt_minimum_seconds,
        reclaim_minimum_seconds=command.reclaim_minimum_seconds,
        changed_by=caller,
    )
    present = state.projects.get(command.name)
    if present is not None and not present.event.removed:
        return _known_project(present.event, wanted, present.version)
    _check_namespace(state, wanted.namespace)
    check_node_pools(state, "node_pool", [*wanted.node_pools, *(quota.node_pool for quota in wanted.quotas)])
    return Append(wanted, expected=present.version if present else 0)


def _known_project(present: ProjectChanged, wanted: ProjectChanged, position: int) -> Already:
    if present.model_copy(update={"changed_by": wanted.changed_by}) == wanted:
        return Already(position)
    raise _conflict(f"There is a project {present.name!r} already, with other settings.")


def _check_namespace(state: State, namespace: str) -> None:
    if namespace.startswith("kube-") or namespace == RESERVATIONS_NAMESPACE:
        details = "belongs to Kubernetes itself" if namespace.startswith("kube-") else "is for reservations of GPUs"
        raise invalid("namespace", f"{namespace!r} {details}")
    owner = state.project_in(namespace)
    if owner is not None:
        raise _conflict(f"The namespace {namespace!r} already belongs to project {owner.event.name!r}.")
