"""The subjects of the bus, and who may write on them. One row per event; everything else is worked out from it.

`muster.events.<aggregate>.<id>.<writer>`: the last token is the service that alone may publish there, so the bus
itself enforces one writer per event. Ids are UUIDs, because names of nodes contain dots; what has no UID of its own
gets one derived from its key.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid5

from muster_contracts import events
from muster_contracts.events import AnyEvent

NAMESPACE = UUID("6f2c1d52-5a0e-5b3c-9c61-0f3b8e6a7d10")
"""The root of every derived id of Muster."""

STREAM = "MUSTER_EVENTS"
EVENTS = "muster.events"
EVERY_EVENT = f"{EVENTS}.>"
INTAKE_STREAM = "MUSTER_INTAKE"
INTAKE = "muster.intake"
EVERY_INTAKE = f"{INTAKE}.>"
VERDICTS = "muster.verdicts"
ASK = "muster.ask"


class Writer(StrEnum):
    """The services that write to the journal."""

    SUBMITTER = "submitter"
    INTEGRATIONS = "integrations"
    SCHEDULER = "scheduler"
    STATUS = "status"


class Aggregate(StrEnum):
    """The kinds of thing that events are about."""

    WORKLOAD = "workload"
    PROJECT = "project"
    DEPARTMENT = "department"
    NODE_POOL = "node-pool"
    POLICY = "policy"
    ACCESS_RULE = "access-rule"
    ATTEMPT = "attempt"
    TOKEN = "token"
    NODE = "node"
    PLAN = "plan"
    PHASE_TABLE = "phase-table"


@dataclass(frozen=True, slots=True)
class Row:
    """Where an event stands: on which aggregate, written by whom; `key` is the field that holds the aggregate's id."""

    aggregate: Aggregate
    writer: Writer
    key: str


def _workload(writer: Writer) -> Row:
    return Row(Aggregate.WORKLOAD, writer, "workload_id")


ROWS: dict[type[AnyEvent], Row] = {
    events.WorkloadSubmitted: _workload(Writer.SUBMITTER),
    events.SubmissionRefused: _workload(Writer.SUBMITTER),
    events.ObjectsApplied: _workload(Writer.SUBMITTER),
    events.ObjectsRefused: _workload(Writer.SUBMITTER),
    events.StopRequested: _workload(Writer.SUBMITTER),
    events.ActivateRequested: _workload(Writer.SUBMITTER),
    events.DeleteRequested: _workload(Writer.SUBMITTER),
    events.LimitReached: _workload(Writer.SUBMITTER),
    events.SessionOpened: _workload(Writer.SUBMITTER),
    events.SessionClosed: _workload(Writer.SUBMITTER),
    events.ProjectChanged: Row(Aggregate.PROJECT, Writer.SUBMITTER, "project_id"),
    events.DepartmentChanged: Row(Aggregate.DEPARTMENT, Writer.SUBMITTER, "department_id"),
    events.NodePoolChanged: Row(Aggregate.NODE_POOL, Writer.SUBMITTER, "node_pool_id"),
    events.PolicyChanged: Row(Aggregate.POLICY, Writer.SUBMITTER, "policy_id"),
    events.AccessRuleChanged: Row(Aggregate.ACCESS_RULE, Writer.SUBMITTER, "access_rule_id"),
    events.AttemptRefused: Row(Aggregate.ATTEMPT, Writer.SUBMITTER, "attempt_id"),
    events.TokenIssued: Row(Aggregate.TOKEN, Writer.SUBMITTER, "token_id"),
    events.TokenRevoked: Row(Aggregate.TOKEN, Writer.SUBMITTER, "token_id"),
    events.WorkloadDiscovered: _workload(Writer.INTEGRATIONS),
    events.WorkloadGone: _workload(Writer.INTEGRATIONS),
    events.OwnerObserved: _workload(Writer.INTEGRATIONS),
    events.PodGroupFormed: _workload(Writer.INTEGRATIONS),
    events.PodGroupChanged: _workload(Writer.INTEGRATIONS),
    events.PodObserved: _workload(Writer.INTEGRATIONS),
    events.PodGone: _workload(Writer.INTEGRATIONS),
    events.PodMoved: _workload(Writer.INTEGRATIONS),
    events.NodeObserved: Row(Aggregate.NODE, Writer.INTEGRATIONS, "node_id"),
    events.NodeGone: Row(Aggregate.NODE, Writer.INTEGRATIONS, "node_id"),
    events.LeadershipTaken: Row(Aggregate.PLAN, Writer.SCHEDULER, "cluster_id"),
    events.PlanMade: Row(Aggregate.PLAN, Writer.SCHEDULER, "cluster_id"),
    events.PodScheduled: _workload(Writer.SCHEDULER),
    events.PlacementReleased: _workload(Writer.SCHEDULER),
    events.PodPreempted: _workload(Writer.SCHEDULER),
    events.DeadlinePassed: _workload(Writer.SCHEDULER),
    events.WorkloadBlocked: _workload(Writer.SCHEDULER),
    events.PhaseChanged: _workload(Writer.STATUS),
    events.PhaseTableAdopted: Row(Aggregate.PHASE_TABLE, Writer.STATUS, "cluster_id"),
    events.GpuIdle: _workload(Writer.STATUS),
    events.GpuBusy: _workload(Writer.STATUS),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The address of a writer's own part of one aggregate."""

    aggregate: Aggregate
    id: UUID
    writer: Writer

    def __str__(self) -> str:
        return f"{EVENTS}.{self.aggregate}.{self.id}.{self.writer}"


def subject_of(event: AnyEvent) -> Subject:
    """Return the only subject on which this event may stand."""
    row = ROWS[type(event)]
    return Subject(row.aggregate, getattr(event, row.key), row.writer)


def parse_subject(subject: str) -> Subject:
    """Read a subject back. Raises ValueError when it is not one of ours."""
    tokens = subject.split(".")
    if len(tokens) != 5 or not subject.startswith(f"{EVENTS}."):
        raise ValueError(f"{subject!r} is not a subject of the journal")
    found = Subject(Aggregate(tokens[2]), UUID(tokens[3]), Writer(tokens[4]))
    if str(found) != subject:  # Python reads a UUID in several spellings, the bus compares letters
        raise ValueError(f"{subject!r} is not a subject of the journal, {str(found)!r} would be")
    return found


def publishable_by(writer: Writer) -> str:
    """Return the only pattern under `muster.events.` on which a service may publish."""
    return f"{EVENTS}.*.*.{writer}"


def derived_id(*key: str) -> UUID:
    """Return the id of what has none of its own, for example `derived_id("project", "demo")`."""
    return uuid5(NAMESPACE, json.dumps(key))  # JSON, because a separator could stand in a name: ("a/b",), ("a", "b")


def workload_id_of(project_id: UUID, caller: str, idempotency_key: str) -> UUID:
    """Return the id of a submission: the same project, caller and key give the same workload for ever."""
    return uuid5(project_id, json.dumps([caller, idempotency_key]))


def intake_subject(application: str, project: str) -> str:
    """Return where an application publishes its commands for one project."""
    return f"{INTAKE}.{application}.{project}"


def verdict_subject(application: str) -> str:
    """Return where an application hears what became of its commands."""
    return f"{VERDICTS}.{application}"


def scheduler_subject(cluster_id: UUID) -> str:
    """Return where the scheduler of a cluster answers questions (`muster_contracts.questions`)."""
    return f"{ASK}.scheduler.{cluster_id}"
