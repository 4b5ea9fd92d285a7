"""What the scheduler knows: the fold of the whole journal into nodes, pods, pod groups and open promises.

A pod that was once assigned (seen bound, or reported bound by us) stays assigned until it is gone or finished: an older
sighting that arrives later must not free its place. A promise is a placement of a `PlanMade` that neither
`PodScheduled` confirmed nor `PlacementReleased` took back; until then it counts as used. Every fold step is idempotent
by position: applying an event again changes nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from muster_contracts import events as e
from muster_contracts.phases import PriorityClass
from muster_contracts.values import DeviceShare, Placement, PodFacts, PodPhase, SubGroup, TopologyConstraint, Victim
from muster_contracts.wire import Recorded

from muster_scheduler.core.aside import SET_ASIDE, Aside
from muster_scheduler.core.devices import devices_held
from muster_scheduler.core.essence import essence
from muster_scheduler.core.picture import Picture
from muster_scheduler.core.reasons import Blocked

FINISHED = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})

SPARED_FOR = timedelta(seconds=60)
"""How long a pod is no victim after its eviction was refused: disruption budgets fill up again as pods get ready."""
SHUNNED_FOR = timedelta(minutes=5)
"""How long a pod is not placed again where its volumes could not be made: room may be found there later."""


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
    priority: int | None = None
    preemptible: bool | None = None
    topology: TopologyConstraint | None = None
    min_sub_groups: int | None = None
    oldest_at: datetime | None = None  # creation of its first pod; one that comes in the stead of another is as old
    started_at: datetime | None = None  # when pods of it were last bound
    shrunk_at: datetime | None = None  # when it was formed, or last lost a pod
    blocked: str = ""  # the essence of the reason last written
    aside: Aside | None = None  # if that says that planning failed with it


@dataclass(frozen=True, slots=True)
class Promise:
    """A placement of a plan that is still open."""

    plan_id: UUID
    placement: Placement

    @property
    def pod_group_id(self) -> UUID:
        """The group of the pod."""
        return self.placement.pod_group_id

    @property
    def pod(self) -> Placement:
        """The pod it is about."""
        return self.placement


@dataclass(frozen=True, slots=True)
class Eviction:
    """What a plan decided about a victim, and nobody has reported yet as done or as refused."""

    plan_id: UUID
    pod_group_id: UUID
    victim: Victim

    @property
    def pod(self) -> Victim:
        """The pod it is about."""
        return self.victim


@dataclass(frozen=True, slots=True)
class Nomination:
    """The places that a group is to have, and the plan that says so."""

    plan_id: UUID
    places: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pod may not be evicted, in the words of whoever refused, and until when it is not asked for again."""

    until: datetime
    sentence: str


@dataclass(slots=True)
class WorkloadEntry:
    """What matters of a workload: its project, groups, open promises and evictions, our own subject's last position.

    One that is gone is kept until the last of them is closed, for that is written under its version.
    """

    project: str = ""
    name: str = ""
    version: int = 0
    gone: bool = False
    groups: set[UUID] = field(default_factory=set)
    promised: dict[UUID, None] = field(default_factory=dict)  # pods, in the order of their promises
    condemned: dict[UUID, None] = field(default_factory=dict)  # pods, to be evicted, in the order of their plans

    @property
    def is_open(self) -> bool:
        """Whether anything that a plan decided about it is still to be done."""
        return bool(self.promised or self.condemned)


@dataclass(slots=True)
class Changes:
    """What changed since the last snapshot, so that the next one looks at nothing else."""

    land: bool = True  # nodes or pools: everything is worked out anew
    queues: bool = True  # projects or departments
    nodes: dict[str, None] = field(default_factory=dict)
    groups: dict[UUID, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Say whether anything changed at all."""
        return bool(self.land or self.queues or self.nodes or self.groups)


@dataclass
class State:
    """The whole fold. `position` is the last event applied, `now` its time, `plan_version` the plan subject's end.

    The fields are all that a checkpoint keeps; the picture is drawn from them.
    """

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
    victims: dict[UUID, UUID] = field(default_factory=dict)  # plan by pod, until the pod is gone
    evictions: dict[UUID, Eviction] = field(default_factory=dict)  # by pod, until its eviction is reported
    refused: dict[UUID, str] = field(default_factory=dict)  # by pod, the version under which it was last refused to us
    spared: dict[UUID, Refusal] = field(default_factory=dict)  # by pod, who is spared longest last
    shunned: dict[UUID, dict[str, datetime]] = field(default_factory=dict)  # until when, by pod and node
    nominations: dict[UUID, Nomination] = field(default_factory=dict)  # by group
    tenants: dict[str, dict[UUID, None]] = field(default_factory=dict)  # pods by node, assigned and promised
    queue_ages: dict[str, int] = field(default_factory=dict)  # position of the first event of a project or department
    epoch: int = 0
    plan_version: int = 0

    def __post_init__(self) -> None:
        self.changes = Changes()
        self.picture: Picture | None = None

    def workload(self, workload_id: UUID) -> WorkloadEntry:
        """Return the entry of a workload, made when it is first heard of."""
        return self.workloads.setdefault(workload_id, WorkloadEntry())

    def devices_of(self, pod_id: UUID) -> tuple[DeviceShare, ...]:
        """Return the devices that a pod holds, or is promised, as far as they are known."""
        pod, promise = self.pods.get(pod_id), self.promises.get(pod_id)
        if pod is not None and pod.assignment is not None:
            return pod.assignment.devices if pod.live else ()
        return promise.placement.devices if promise is not None else ()

    def apply(self, recorded: Recorded) -> None:
        """Fold one event; events at or before the position are passed over."""
        if recorded.position <= self.position:
            return
        self.position = recorded.position
        self.now = max(self.now, recorded.envelope.time) if self.now else recorded.envelope.time
        self._end_sparing(self.now)
        self._end_shunning(self.now)
        self._evolve(recorded.event, recorded.position)

    def _evolve(self, event: e.AnyEvent, position: int) -> None:  # noqa: PLR0912, PLR0915  # one case per event
        match event:
            case e.NodeObserved():
                self._see_node(event)
            case e.NodeGone():
                if (node := self.nodes.get(event.name)) is not None and node.node_id == event.node_id:
                    del self.nodes[event.name]  # and not the one that has its name now
                    self.changes.land = True
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
                    self._touch(pod)
            case e.PodGroupFormed():
                self._form_group(event)
            case e.PodGroupChanged():
                self._change_group(event)
            case e.WorkloadSubmitted() | e.WorkloadDiscovered():
                entry = self.workload(event.workload_id)
                entry.project, entry.name = event.project, event.name
                self.changes.groups |= dict.fromkeys(entry.groups)
            case e.WorkloadGone():
                self._forget_workload(event.workload_id)
            case e.ProjectChanged():
                self.queue_ages.setdefault(f"project/{event.name}", position)
                self.projects[event.name] = event
                self.changes.queues = True
            case e.DepartmentChanged():
                self.queue_ages.setdefault(f"department/{event.name}", position)
                self.departments[event.name] = event
                self.changes.queues = True
            case e.NodePoolChanged():
                self.node_pools[event.name] = event
                self.changes.land = True
            case e.LeadershipTaken():
                self.epoch, self.plan_version = event.epoch, position
            case e.PlanMade():
                self._promise(event, position)
            case e.PodScheduled():
                self._confirm(event, position)
            case e.PlacementReleased():
                self._release(event, position)
            case e.PodPreempted():
                self._carry_out(event, position)
            case e.DeadlinePassed():
                self._note_version(event.workload_id, position)
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

    def _see_node(self, event: e.NodeObserved) -> None:
        if event != self.nodes.get(event.name):
            self.changes.land = True
        self.nodes[event.name] = event

    def _touch(self, pod: Pod) -> None:
        """Note that a pod changed, and with it its group and its node."""
        facts = pod.facts
        if facts.pod_group_id is not None:
            self.changes.groups[facts.pod_group_id] = None
        if pod.assignment is not None:
            self._move_in(pod.assignment.node, facts.pod_id)
        elif (promise := self.promises.get(facts.pod_id)) is not None:
            self._move_in(promise.placement.node, facts.pod_id)

    def _move_in(self, node: str, pod_id: UUID) -> None:
        self.tenants.setdefault(node, {})[pod_id] = None
        self.changes.nodes[node] = None

    def _move_out(self, node: str, pod_id: UUID) -> None:
        tenants = self.tenants.get(node, {})
        tenants.pop(pod_id, None)
        if not tenants:
            self.tenants.pop(node, None)
        self.changes.nodes[node] = None

    def _see_pod(self, workload_id: UUID, facts: PodFacts) -> None:
        pod = self.pods.get(facts.pod_id)
        if pod is None:
            pod = self.pods[facts.pod_id] = Pod(workload_id, facts)
        elif pod.facts.pod_group_id != facts.pod_group_id:
            self._leave_group(pod.facts)
        lost = (facts.terminating, facts.phase) != (pod.facts.terminating, pod.facts.phase)
        pod.facts, pod.workload_id = facts, workload_id
        if facts.node and (pod.assignment is None or pod.assignment.node != facts.node):
            if pod.assignment is not None:
                self._move_out(pod.assignment.node, facts.pod_id)
            pod.assignment = Assignment(facts.node, devices_held(facts))
        if facts.pod_group_id is not None:
            self._join_group(facts.pod_group_id, facts)
        self._touch(pod)
        if lost and (facts.terminating or facts.phase in FINISHED):
            self._shrink(facts.pod_group_id)

    def _join_group(self, group_id: UUID, facts: PodFacts) -> None:
        self.members.setdefault(group_id, {})[facts.pod_id] = None
        if (group := self.groups.get(group_id)) is not None:
            group.oldest_at = min(group.oldest_at or facts.created_at, facts.created_at)

    def _forget_pod(self, pod_id: UUID) -> None:
        self.victims.pop(pod_id, None)
        self.spared.pop(pod_id, None)
        self.refused.pop(pod_id, None)
        self.shunned.pop(pod_id, None)
        if (pod := self.pods.pop(pod_id, None)) is None:
            return
        self._touch(pod)
        if pod.assignment is not None:
            self._move_out(pod.assignment.node, pod_id)
        self._shrink(pod.facts.pod_group_id)
        self._leave_group(pod.facts)

    def _shrink(self, group_id: UUID | None) -> None:
        if group_id is not None and (group := self.groups.get(group_id)) is not None:
            group.shrunk_at = self.now

    def _leave_group(self, facts: PodFacts) -> None:
        """Take a pod out of the group it was in; a pod is in one group at a time."""
        if facts.pod_group_id is not None:
            self.changes.groups[facts.pod_group_id] = None
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
            priority=event.priority,
            preemptible=event.preemptible,
            topology=event.topology,
            min_sub_groups=event.min_sub_groups,
            shrunk_at=self.now,
        )
        for pod_id in self.members.get(event.pod_group_id, ()):
            self._join_group(event.pod_group_id, self.pods[pod_id].facts)
        self.changes.groups[event.pod_group_id] = None

    def _change_group(self, event: e.PodGroupChanged) -> None:
        self.changes.groups[event.pod_group_id] = None
        if event.dissolved:
            self.groups.pop(event.pod_group_id, None)
            self.nominations.pop(event.pod_group_id, None)
            self.workload(event.workload_id).groups.discard(event.pod_group_id)
        elif (group := self.groups.get(event.pod_group_id)) is not None:
            group.min_members, group.sub_groups = event.min_members, event.sub_groups
            group.min_sub_groups, group.topology = event.min_sub_groups, event.topology

    def _forget_workload(self, workload_id: UUID) -> None:
        entry = self.workload(workload_id)
        for group_id in entry.groups:
            self.groups.pop(group_id, None)
            self.nominations.pop(group_id, None)
            self.changes.groups[group_id] = None
        entry.groups.clear()
        entry.gone = True
        self._forget_if_done(workload_id)

    def _note_version(self, workload_id: UUID, position: int) -> None:
        """Note what we wrote of a workload; a reason, or that a deadline passed, may come after its end."""
        if (entry := self.workloads.get(workload_id)) is not None:
            entry.version = position

    def _forget_if_done(self, workload_id: UUID) -> None:
        entry = self.workloads.get(workload_id)
        if entry is not None and entry.gone and not entry.is_open:
            del self.workloads[workload_id]

    def _promise(self, event: e.PlanMade, position: int) -> None:
        self.plan_version = position
        for placement in event.placements:
            self.promises[placement.pod_id] = Promise(event.plan_id, placement)
            self.workload(placement.workload_id).promised[placement.pod_id] = None
            self.nominations.pop(placement.pod_group_id, None)
            self._move_in(placement.node, placement.pod_id)
            self.changes.groups[placement.pod_group_id] = None
        self._nominate(event.plan_id, event.nominations)
        for victim in event.victims:
            self._condemn(event.plan_id, victim)

    def _condemn(self, plan_id: UUID, victim: Victim) -> None:
        """Mark a victim; one that went by itself before the plan was written needs no deed."""
        pod = self.pods.get(victim.pod_id)
        if pod is None or pod.facts.pod_group_id is None:
            return
        self.victims[victim.pod_id] = plan_id
        self.evictions[victim.pod_id] = Eviction(plan_id, pod.facts.pod_group_id, victim)
        self.workload(victim.workload_id).condemned[victim.pod_id] = None
        self._touch(pod)

    def _nominate(self, plan_id: UUID, nominations: tuple[Placement, ...]) -> None:
        """Keep the places that groups are to have; those of a later plan take the place of earlier ones."""
        by_group: dict[UUID, list[Placement]] = {}
        for nomination in nominations:
            by_group.setdefault(nomination.pod_group_id, []).append(nomination)
        for group_id, places in by_group.items():
            known = self.nominations.get(group_id)
            before = known.places if known is not None and known.plan_id == plan_id else ()
            self.nominations[group_id] = Nomination(plan_id, (*before, *places))

    def _confirm(self, event: e.PodScheduled, position: int) -> None:
        self._note_version(event.workload_id, position)
        for bound in event.pods:
            self._close_promise(event.plan_id, bound.pod_id)
            if (pod := self.pods.get(bound.pod_id)) is not None:
                pod.assignment = Assignment(bound.node, bound.devices)
                self._touch(pod)
        if (group := self.groups.get(event.pod_group_id)) is not None:
            group.blocked, group.aside = "", None
            group.started_at = self.now
        self._forget_if_done(event.workload_id)

    def _release(self, event: e.PlacementReleased, position: int) -> None:
        self._note_version(event.workload_id, position)
        for pod_id in event.pod_ids:
            if (promise := self.promises.get(pod_id)) is not None and pod_id in self.pods:
                self.refused[pod_id] = promise.placement.resource_version
                if pod_id in event.misplaced and self.now is not None:
                    self.shunned.setdefault(pod_id, {})[promise.placement.node] = self.now + SHUNNED_FOR
            self._close_promise(event.plan_id, pod_id)
            self._close_eviction(event.plan_id, pod_id)
            self._pardon(event.plan_id, pod_id, event.reason)
        self._forget_if_done(event.workload_id)

    def _carry_out(self, event: e.PodPreempted, position: int) -> None:
        self._note_version(event.workload_id, position)
        for pod_id in event.pod_ids:
            self._close_eviction(event.plan_id, pod_id)
        self._forget_if_done(event.workload_id)

    def _close_eviction(self, plan_id: UUID, pod_id: UUID) -> None:
        if (eviction := self.evictions.get(pod_id)) is not None and eviction.plan_id == plan_id:
            del self.evictions[pod_id]
            self.workload(eviction.victim.workload_id).condemned.pop(pod_id, None)

    def _close_promise(self, plan_id: UUID, pod_id: UUID) -> None:
        """Close the promise of that plan alone: a later plan may have promised the pod another place."""
        if (promise := self.promises.get(pod_id)) is not None and promise.plan_id == plan_id:
            del self.promises[pod_id]
            self._move_out(promise.placement.node, pod_id)
            self.changes.groups[promise.placement.pod_group_id] = None
            self.workload(promise.placement.workload_id).promised.pop(pod_id, None)

    def _pardon(self, plan_id: UUID, pod_id: UUID, why: str) -> None:
        """Let a victim of that plan stay, and be none for a while: its eviction was refused."""
        if self.victims.get(pod_id) == plan_id:
            del self.victims[pod_id]
            if (pod := self.pods.get(pod_id)) is not None and self.now is not None:
                self.spared.pop(pod_id, None)
                self.spared[pod_id] = Refusal(self.now + SPARED_FOR, why)
                self._touch(pod)

    def _end_sparing(self, now: datetime) -> None:
        while self.spared and (pod_id := next(iter(self.spared))) and self.spared[pod_id].until <= now:
            del self.spared[pod_id]
            if (pod := self.pods.get(pod_id)) is not None:
                self._touch(pod)

    def _end_shunning(self, now: datetime) -> None:
        for pod_id in [one for one, nodes in self.shunned.items() if min(nodes.values()) <= now]:
            self.shunned[pod_id] = {node: at for node, at in self.shunned[pod_id].items() if at > now}
            if not self.shunned[pod_id]:
                del self.shunned[pod_id]
            self._touch(self.pods[pod_id])

    def _block(self, event: e.WorkloadBlocked, position: int) -> None:
        self._note_version(event.workload_id, position)
        if (group := self.groups.get(event.pod_group_id)) is not None:
            group.blocked = essence(event.code, event.numbers)
            group.aside = self._aside(event) if event.code == SET_ASIDE else None

    def _aside(self, event: e.WorkloadBlocked) -> Aside:
        assert self.now is not None, "the time of an event is known before what it says is folded"
        until = self.now + timedelta(seconds=event.numbers["seconds"])
        ids = event.workload_id, event.pod_group_id
        return Aside(until, Blocked(*ids, event.code, event.reason, event.remedy, event.numbers))

    def aside(self, group_id: UUID) -> Aside | None:
        """Return whether, and for how long, a group is to be left out of plans."""
        group = self.groups.get(group_id)
        aside = group.aside if group is not None else None
        return aside if aside is not None and self.now is not None and self.now < aside.until else None

    def redraw(self) -> None:
        """Forget what was drawn, whole or in part; the next snapshot works everything out anew."""
        self.changes, self.picture = Changes(), None
