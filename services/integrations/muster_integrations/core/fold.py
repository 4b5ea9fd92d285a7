"""What the journal says so far: all we ever wrote of workloads, pods and nodes, and what others wrote that we need.

The service writes only differences between this and what it sees. An event of ours is folded twice, when its append
succeeded and when it comes back with the stream; the second time changes nothing, because every aggregate remembers
the position of our last event on it (which is also what the next append expects).

What is gone is forgotten but for its id: Kubernetes never uses a UID again, so an id that is gone stays gone.
"""

from dataclasses import dataclass, field
from typing import assert_never
from uuid import UUID

from muster_contracts.events import (
    AccessRuleChanged,
    ActivateRequested,
    AnyEvent,
    AttemptRefused,
    DeadlinePassed,
    DeleteRequested,
    DepartmentChanged,
    GpuBusy,
    GpuIdle,
    LeadershipTaken,
    LimitReached,
    NodeGone,
    NodeObserved,
    NodePoolChanged,
    ObjectsApplied,
    ObjectsRefused,
    OwnerObserved,
    PhaseChanged,
    PhaseTableAdopted,
    PlacementReleased,
    PlanMade,
    PodGone,
    PodGroupChanged,
    PodGroupFormed,
    PodMoved,
    PodObserved,
    PodPreempted,
    PodScheduled,
    PolicyChanged,
    ProjectChanged,
    SessionClosed,
    SessionOpened,
    StopRequested,
    SubmissionRefused,
    TokenIssued,
    TokenRevoked,
    WorkloadBlocked,
    WorkloadDiscovered,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_contracts.subjects import Writer, subject_of
from muster_contracts.values import Outcome, PodFacts

Request = StopRequested | ActivateRequested | DeleteRequested | LimitReached | ObjectsRefused
"""What the submitter says about the object of a workload: what is to become of it, or that there will be none."""


@dataclass(slots=True)
class FoldedWorkload:
    """What we wrote of one workload. `discovered` carries the latest of what may change in it.

    `asked_to_suspend` is what the last request or limit wants of the object, until it has followed; `refused`:
    Kubernetes will never take it; `closed`: it has ended without an object that tells, so what comes now is another
    attempt. `turned_at` is where in the journal the object was last told to have become suspended (True), or to run
    (False): a request before it, which we may fold later than our own event, is done.
    """

    workload_id: UUID
    discovered: WorkloadDiscovered | None = None
    groups: dict[UUID, PodGroupFormed] = field(default_factory=dict)
    pods: dict[UUID, PodFacts] = field(default_factory=dict)
    asked_to_suspend: bool | None = None
    turned_at: dict[bool, int] = field(default_factory=dict)
    asked_to_delete: bool = False
    refused: bool = False
    closed: bool = False

    @property
    def request_is_open(self) -> bool:
        """Whether it is to stop or run again and the object has not followed yet; a deletion goes by the UID alone."""
        suspended = self.discovered is not None and self.discovered.owner.suspended
        return self.asked_to_suspend is not None and self.asked_to_suspend != suspended

    def ask(self, suspended: bool, position: int) -> None:
        """Note what a request wants of the object, unless the object was told to have followed after it."""
        self.asked_to_suspend = None if position < self.turned_at.get(suspended, 0) else suspended

    def forget_what_was_done(self, suspended: bool, position: int) -> None:
        """Note that the object has followed, so that a heartbeat is none again when somebody else changes it later."""
        self.turned_at[suspended] = position
        if self.asked_to_suspend is suspended:
            self.asked_to_suspend = None

    @property
    def is_over_before_it_was(self) -> bool:
        """Whether it is to go away and never had, and never will have, an object that could be seen to go."""
        return self.discovered is None and self.refused and self.asked_to_delete

    @property
    def may_go_on(self) -> bool:
        """Whether it is one that no object ends, and nobody has ended it yet: it is there also without a pod."""
        quiet = self.discovered is not None and self.discovered.owner.quiet_outcome is not Outcome.NONE
        return quiet and not self.closed and not self.asked_to_delete


@dataclass(frozen=True, slots=True)
class Submission:
    """Which object an accepted submission names, and what its pod groups need to know of it."""

    name: str
    object_kind: str
    namespace: str
    object_name: str
    priority_class: str
    node_pools: tuple[str, ...]

    def names(self, kind: str, namespace: str, name: str) -> bool:
        """Say whether this is the object the submission is about."""
        return (self.object_kind, self.namespace, self.object_name) == (kind, namespace, name)


@dataclass
class Fold:
    """All of it. `apply` is the only way in; the fields are all that a checkpoint keeps."""

    position: int = 0
    workloads: dict[UUID, FoldedWorkload] = field(default_factory=dict)
    gone: set[UUID] = field(default_factory=set)
    homes: dict[UUID, UUID] = field(default_factory=dict)
    """To which workload each living pod belongs."""
    nodes: dict[str, NodeObserved] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    """The name of the project of each namespace that is one's."""
    airflow_units: dict[str, str] = field(default_factory=dict)
    """What of Airflow is one workload, by namespace, where it is not the DAG run."""
    submissions: dict[UUID, Submission] = field(default_factory=dict)
    versions: dict[UUID, int] = field(default_factory=dict)
    """The position of our last event on each aggregate, which may be after `position`: we know what we stored."""

    def workload(self, workload_id: UUID) -> FoldedWorkload | None:
        """Return what we wrote of a workload that is not gone."""
        return self.workloads.get(workload_id)

    def airflow_unit_of(self, namespace: str) -> str:
        """Return what of Airflow is one workload there: `dag-run` or `task`."""
        return self.airflow_units.get(namespace, "dag-run")

    def is_over(self, workload_id: UUID) -> bool:
        """Say whether a workload is gone, or was closed by a limit."""
        workload = self.workloads.get(workload_id)
        return workload_id in self.gone or (workload is not None and workload.closed)

    def project_of(self, namespace: str) -> str | None:
        """Return the project whose namespace this is."""
        return self.projects.get(namespace)

    def submission_of(self, workload_id: UUID) -> Submission | None:
        """Return what an accepted submission that is not gone names."""
        return self.submissions.get(workload_id)

    def home_of(self, pod_id: UUID) -> UUID | None:
        """Return the workload that a pod belongs to."""
        return self.homes.get(pod_id)

    def version_for(self, event: AnyEvent) -> int:
        """Return the position of our last event on the aggregate this event is about; 0 when there is none."""
        return self.versions.get(subject_of(event).id, 0)

    def follow(self, position: int, event: AnyEvent) -> None:
        """Fold the next event of the stream; one that was read before changes nothing."""
        if position <= self.position:
            return
        self.position = position
        self.apply(position, event)

    def apply(self, position: int, event: AnyEvent) -> None:
        """Fold one event: the next of the stream, or one of ours as soon as it is stored."""
        subject = subject_of(event)
        if subject.writer is Writer.INTEGRATIONS:
            if position <= self.versions.get(subject.id, 0):
                return
            self.versions[subject.id] = position
        self._evolve(event, position)

    def _evolve(self, event: AnyEvent, position: int) -> None:
        match event:
            case WorkloadDiscovered() | OwnerObserved() | WorkloadGone():
                self._fold_owner(event, position)
            case PodGroupFormed() | PodGroupChanged():
                self._fold_group(event)
            case PodObserved() | PodGone() | PodMoved():
                self._fold_pods(event)
            case NodeObserved():
                self.nodes[event.name] = event
            case NodeGone():
                self._fold_node_gone(event)
            case WorkloadSubmitted():
                self.submissions[event.workload_id] = _submission(event)
            case ProjectChanged():
                self._fold_project(event)
            case StopRequested() | ActivateRequested() | DeleteRequested() | LimitReached() | ObjectsRefused():
                self._fold_request(event, position)
            case (
                SubmissionRefused()
                | ObjectsApplied()
                | SessionOpened()
                | SessionClosed()
                | DepartmentChanged()
                | NodePoolChanged()
                | PolicyChanged()
                | AccessRuleChanged()
                | AttemptRefused()
                | TokenIssued()
                | TokenRevoked()
                | LeadershipTaken()
                | PlanMade()
                | PodScheduled()
                | PlacementReleased()
                | PodPreempted()
                | DeadlinePassed()
                | WorkloadBlocked()
                | PhaseChanged()
                | PhaseTableAdopted()
                | GpuIdle()
                | GpuBusy()
            ):
                pass
            case _:
                assert_never(event)

    def _fold_owner(self, event: WorkloadDiscovered | OwnerObserved | WorkloadGone, position: int) -> None:
        match event:
            case WorkloadDiscovered():
                workload = self._workload(event.workload_id)
                workload.discovered = event
                workload.forget_what_was_done(event.owner.suspended, position)
            case OwnerObserved():
                self._fold_owner_observed(event, position)
            case WorkloadGone():
                self._forget(event.workload_id)

    def _fold_owner_observed(self, event: OwnerObserved, position: int) -> None:
        workload = self._workload(event.workload_id)
        assert workload.discovered is not None, "an owner is observed after its workload was discovered"
        if event.owner.suspended != workload.discovered.owner.suspended:
            workload.forget_what_was_done(event.owner.suspended, position)
        names = ("controls", "attributes", "requests", "parent")
        changed = {name: getattr(event, name) for name in names}
        workload.discovered = workload.discovered.model_copy(
            update={"owner": event.owner} | {name: value for name, value in changed.items() if value is not None}
        )

    def _forget(self, workload_id: UUID) -> None:
        workload = self.workloads.pop(workload_id, None)
        self.gone.add(workload_id)
        self.submissions.pop(workload_id, None)
        for pod_id in workload.pods if workload else ():
            self._leave(workload_id, pod_id)

    def _fold_group(self, event: PodGroupFormed | PodGroupChanged) -> None:
        groups = self._workload(event.workload_id).groups
        match event:
            case PodGroupFormed():
                groups[event.pod_group_id] = event
            case PodGroupChanged(dissolved=True):
                groups.pop(event.pod_group_id, None)
            case PodGroupChanged():
                groups[event.pod_group_id] = groups[event.pod_group_id].model_copy(
                    update={
                        "min_members": event.min_members,
                        "sub_groups": event.sub_groups,
                        "topology": event.topology,
                    }
                )

    def _fold_pods(self, event: PodObserved | PodGone | PodMoved) -> None:
        pods = self._workload(event.workload_id).pods
        match event:
            case PodObserved():
                pods.update((facts.pod_id, facts) for facts in event.pods)
                self.homes.update((facts.pod_id, event.workload_id) for facts in event.pods)
            case PodGone():
                for mark in event.pods:
                    pods.pop(mark.pod_id, None)
                    self._leave(event.workload_id, mark.pod_id)
            case PodMoved():
                pods.pop(event.pod_id, None)
                self._leave(event.workload_id, event.pod_id)

    def _leave(self, workload_id: UUID, pod_id: UUID) -> None:
        if self.homes.get(pod_id) == workload_id:  # it may be at home elsewhere already
            del self.homes[pod_id]

    def _fold_node_gone(self, event: NodeGone) -> None:
        if event.name in self.nodes and self.nodes[event.name].node_id == event.node_id:
            del self.nodes[event.name]

    def _fold_project(self, event: ProjectChanged) -> None:
        if event.removed:
            self.projects.pop(event.namespace, None)
            self.airflow_units.pop(event.namespace, None)
        else:
            self.projects[event.namespace] = event.name
            self.airflow_units[event.namespace] = event.airflow_unit

    def _fold_request(self, event: Request, position: int) -> None:
        if event.workload_id in self.gone:
            return
        workload = self._workload(event.workload_id)
        match event:
            case LimitReached(limit="quiet"):
                workload.closed = True
            case StopRequested() | LimitReached(effect="stop" | "fail"):
                workload.ask(True, position)
            case ActivateRequested():
                workload.ask(False, position)
            case DeleteRequested() | LimitReached(effect="delete"):
                workload.asked_to_delete = True
            case ObjectsRefused():
                workload.refused = True
            case LimitReached():
                workload.closed = True
            case _:
                assert_never(event)

    def _workload(self, workload_id: UUID) -> FoldedWorkload:
        return self.workloads.setdefault(workload_id, FoldedWorkload(workload_id))


def _submission(event: WorkloadSubmitted) -> Submission:
    return Submission(
        event.name,
        event.object_kind,
        event.namespace,
        event.object_name,
        event.spec.priority_class,
        event.spec.node_pools,
    )
