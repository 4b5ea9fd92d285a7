"""What the scheduler knows: the fold of the whole journal into nodes, pods, pod groups and open promises.

A pod that was once assigned (seen bound, or reported bound by us) stays assigned until it is gone or finished: an older
sighting that arrives later must not free its place. A promise is a placement of a `PlanMade` that neither
`PodScheduled` confirmed nor `PlacementReleased` took back; until then it counts as used. Every fold step is idempotent
by position: applying an event again changes nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never
from uuid import UUID

from muster_contracts import events as e
from muster_contracts.phases import PriorityClass
from muster_contracts.values import DeviceShare, Placement, PodFacts, PodPhase, SubGroup
from muster_contracts.wire import Recorded

from muster_scheduler.core.devices import parse_devices
from muster_scheduler.core.essence import essence

FINISHED = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a pod is: on which node, with which devices (none known when another scheduler bound it)."""

    node: str
    devices: tuple[DeviceShare, ...]


@dataclass(slots=True)
class Pod:
    """One pod: its last facts, its workload, and where it is once it is somewhere."""

    workload_id: UUID
    facts: PodFacts
    assignment: Assignment | None = None

    @property
    def live(self) -> bool:
        """Whether the pod still needs, or holds, a place."""
        return self.facts.phase not in FINISHED


@dataclass(slots=True)
class Group:
    """One pod group: who belongs together and how many are enough."""

    id: UUID
    workload_id: UUID
    name: str
    min_members: int
    sub_groups: tuple[SubGroup, ...]
    priority_class: str
    node_pools: tuple[str, ...]
    blocked: str = ""  # the essence of the reason last written


@dataclass(frozen=True, slots=True)
class Promise:
    """A placement of a plan that is still open."""

    plan_id: UUID
    placement: Placement


@dataclass(slots=True)
class WorkloadEntry:
    """What matters of a workload: its project, its groups and open promises, our own subject's last position.

    One that is gone is kept until its last promise is closed, for that is written under its version.
    """

    project: str = ""
    name: str = ""
    version: int = 0
    gone: bool = False
    groups: set[UUID] = field(default_factory=set)
    promised: dict[UUID, None] = field(default_factory=dict)  # pods, in the order of their promises


@dataclass(slots=True)
class State:
    """The whole fold. `position` is the last event applied, `now` its time, `plan_version` the plan subject's end."""

    position: int = 0
    now: datetime | None = None
    nodes: dict[str, e.NodeObserved] = field(default_factory=dict)
    pods: dict[UUID, Pod] = field(default_factory=dict)
    groups: dict[UUID, Group] = field(default_factory=dict)
    members: dict[UUID, dict[UUID, None]] = field(default_factory=dict)  # pods by group, formed already or not
    workloads: dict[UUID, WorkloadEntry] = field(default_factory=dict)
    projects: dict[str, e.ProjectChanged] = field(default_factory=dict)
    departments: dict[str, e.DepartmentChanged] = field(default_factory=dict)
    node_pools: dict[str, e.NodePoolChanged] = field(default_factory=dict)
    promises: dict[UUID, Promise] = field(default_factory=dict)  # by pod
    epoch: int = 0
    plan_version: int = 0

    def workload(self, workload_id: UUID) -> WorkloadEntry:
        """Return the entry of a workload, made when it is first heard of."""
        return self.workloads.setdefault(workload_id, WorkloadEntry())

    def apply(self, recorded: Recorded) -> None:
        """Fold one event; events at or before the position are passed over."""
        if recorded.position <= self.position:
            return
        self.position = recorded.position
        self.now = max(self.now, recorded.envelope.time) if self.now else recorded.envelope.time
        self._evolve(recorded.event, recorded.position)

    def _evolve(self, event: e.AnyEvent, position: int) -> None:  # noqa: PLR0912  # one case per event of the vocabulary
        match event:
            case e.NodeObserved():
                self.nodes[event.name] = event
            case e.NodeGone():
                if (node := self.nodes.get(event.name)) is not None and node.node_id == event.node_id:
                    del self.nodes[event.name]  # and not the one that has its name now
            case e.PodObserved():
                for facts in event.pods:
                    self._see_pod(event.workload_id, facts)
            case e.PodGone():
                for mark in event.pods:
                    self._forget_pod(mark.pod_id)
            case e.PodMoved():
                if (pod := self.pods.get(event.pod_id)) is not None:
                    self._leave_group(pod.facts)
                    pod.workload_id = event.new_workload_id
            case e.PodGroupFormed():
                self._form_group(event)
            case e.PodGroupChanged():
                self._change_group(event)
            case e.WorkloadSubmitted() | e.WorkloadDiscovered():
                entry = self.workload(event.workload_id)
                entry.project, entry.name = event.project, event.name
            case e.WorkloadGone():
                self._forget_workload(event.workload_id)
            case e.ProjectChanged():
                self.projects[event.name] = event
            case e.DepartmentChanged():
                self.departments[event.name] = event
            case e.NodePoolChanged():
                self.node_pools[event.name] = event
            case e.LeadershipTaken():
                self.epoch, self.plan_version = event.epoch, position
            case e.PlanMade():
                self._promise(event, position)
            case e.PodScheduled():
                self._confirm(event, position)
            case e.PlacementReleased():
                self._release(event, position)
            case e.PodPreempted() | e.DeadlinePassed():
                self.workload(event.workload_id).version = position
            case e.WorkloadBlocked():
                self._block(event, position)
            case (
                e.SubmissionRefused()
                | e.ObjectsApplied()
                | e.ObjectsRefused()
                | e.StopRequested()
                | e.ActivateRequested()
                | e.DeleteRequested()
                | e.LimitReached()
                | e.SessionOpened()
                | e.SessionClosed()
                | e.OwnerObserved()
                | e.PhaseChanged()
                | e.GpuIdle()
                | e.GpuBusy()
                | e.PolicyChanged()
                | e.AccessRuleChanged()
                | e.AttemptRefused()
                | e.TokenIssued()
                | e.TokenRevoked()
                | e.PhaseTableAdopted()
            ):
                pass
            case _:
                assert_never(event)

    def _see_pod(self, workload_id: UUID, facts: PodFacts) -> None:
        pod = self.pods.get(facts.pod_id)
        if pod is None:
            pod = self.pods[facts.pod_id] = Pod(workload_id, facts)
        elif pod.facts.pod_group_id != facts.pod_group_id:
            self._leave_group(pod.facts)
        pod.facts, pod.workload_id = facts, workload_id
        if facts.node and (pod.assignment is None or pod.assignment.node != facts.node):
            pod.assignment = Assignment(facts.node, parse_devices(facts.gpus))
        if facts.pod_group_id is not None:
            self.members.setdefault(facts.pod_group_id, {})[facts.pod_id] = None

    def _forget_pod(self, pod_id: UUID) -> None:
        if (pod := self.pods.pop(pod_id, None)) is not None:
            self._leave_group(pod.facts)

    def _leave_group(self, facts: PodFacts) -> None:
        """Take a pod out of the group it was in; a pod is in one group at a time."""
        if facts.pod_group_id is None or (members := self.members.get(facts.pod_group_id)) is None:
            return
        members.pop(facts.pod_id, None)
        if not members:
            del self.members[facts.pod_group_id]

    def _form_group(self, event: e.PodGroupFormed) -> None:
        self.workload(event.workload_id).groups.add(event.pod_group_id)
        self.groups[event.pod_group_id] = Group(
            id=event.pod_group_id,
            workload_id=event.workload_id,
            name=event.name,
            min_members=event.min_members,
            sub_groups=event.sub_groups,
            priority_class=event.priority_class or PriorityClass.TRAIN,
            node_pools=event.node_pools,
        )

    def _change_group(self, event: e.PodGroupChanged) -> None:
        if event.dissolved:
            self.groups.pop(event.pod_group_id, None)
            self.workload(event.workload_id).groups.discard(event.pod_group_id)
        elif (group := self.groups.get(event.pod_group_id)) is not None:
            group.min_members, group.sub_groups = event.min_members, event.sub_groups

    def _forget_workload(self, workload_id: UUID) -> None:
        entry = self.workload(workload_id)
        for group_id in entry.groups:
            self.groups.pop(group_id, None)
        entry.groups.clear()
        entry.gone = True
        self._forget_if_done(workload_id)

    def _forget_if_done(self, workload_id: UUID) -> None:
        entry = self.workloads.get(workload_id)
        if entry is not None and entry.gone and not entry.promised:
            del self.workloads[workload_id]

    def _promise(self, event: e.PlanMade, position: int) -> None:
        self.plan_version = position
        for placement in event.placements:
            self.promises[placement.pod_id] = Promise(event.plan_id, placement)
            self.workload(placement.workload_id).promised[placement.pod_id] = None

    def _confirm(self, event: e.PodScheduled, position: int) -> None:
        self.workload(event.workload_id).version = position
        for bound in event.pods:
            self._close_promise(event.plan_id, bound.pod_id)
            if (pod := self.pods.get(bound.pod_id)) is not None:
                pod.assignment = Assignment(bound.node, bound.devices)
        if (group := self.groups.get(event.pod_group_id)) is not None:
            group.blocked = ""
        self._forget_if_done(event.workload_id)

    def _release(self, event: e.PlacementReleased, position: int) -> None:
        self.workload(event.workload_id).version = position
        for pod_id in event.pod_ids:
            self._close_promise(event.plan_id, pod_id)
        self._forget_if_done(event.workload_id)

    def _close_promise(self, plan_id: UUID, pod_id: UUID) -> None:
        """Close the promise of that plan alone: a later plan may have promised the pod another place."""
        if (promise := self.promises.get(pod_id)) is not None and promise.plan_id == plan_id:
            del self.promises[pod_id]
            self.workload(promise.placement.workload_id).promised.pop(pod_id, None)

    def _block(self, event: e.WorkloadBlocked, position: int) -> None:
        self.workload(event.workload_id).version = position
        if (group := self.groups.get(event.pod_group_id)) is not None:
            group.blocked = essence(event.code, event.numbers)
