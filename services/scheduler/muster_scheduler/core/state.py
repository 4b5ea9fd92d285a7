"""What the scheduler knows: the fold of the whole journal, put together from nouns that are each their own file.

`pods` has pods and groups, `promises` what plans decided and nobody has reported, `refusals` what must not be asked for
again yet, `organisation` who may have quota. Here events are given to them, and it is noted what changed, so that the
next picture (`drawing`) looks at nothing else. Every fold step is idempotent by position: applying an event again
changes nothing.

Pitfall. Whatever changes a pod, its place or its promise stands between `_place` and `_settle`, which keeps true who is
in which group and on which node, and notes that both have changed.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from muster_contracts import events as e
from muster_contracts.phases import PriorityClass
from muster_contracts.values import DeviceShare, Placement, PodFacts, Victim
from muster_contracts.wire import Recorded

from muster_scheduler.core.aside import SET_ASIDE, Aside
from muster_scheduler.core.essence import essence
from muster_scheduler.core.organisation import Organisation
from muster_scheduler.core.picture import Picture
from muster_scheduler.core.pods import FINISHED, Assignment, Group, Pod, PodsBy
from muster_scheduler.core.promises import Eviction, Nomination, Open, Promise, nominate
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.refusals import Refusals

Place = tuple[UUID | None, str | None]
"""Where a pod is: in which group, and on which node, or promised to which."""
NOWHERE: Place = (None, None)


@dataclass(slots=True)
class Workload:
    """What matters of a workload that is there: its project, its groups, our own subject's last position."""

    project: str = ""
    name: str = ""
    version: int = 0
    groups: set[UUID] = field(default_factory=set)


@dataclass(slots=True)
class Changes:
    """What changed since the last snapshot, so that the next one looks at nothing else."""

    land: bool = True  # nodes or pools: everything is worked out anew
    queues: bool = True  # projects or departments
    nodes: dict[str, None] = field(default_factory=dict)
    groups: dict[UUID, None] = field(default_factory=dict)

    def note(self, place: Place) -> None:
        """Note that a group and a node have changed."""
        group_id, node = place
        if group_id is not None:
            self.groups[group_id] = None
        if node is not None:
            self.nodes[node] = None

    def __bool__(self) -> bool:
        """Say whether anything changed at all."""
        return bool(self.land or self.queues or self.nodes or self.groups)


@dataclass
class State:
    """The whole fold. `position` is the last event applied, `now` its time, `plan_version` the plan subject's end.

    The fields are all that a checkpoint keeps; the rest is worked out from them.
    """

    position: int = 0
    now: datetime | None = None
    epoch: int = 0
    plan_version: int = 0
    nodes: dict[str, e.NodeObserved] = field(default_factory=dict)
    node_pools: dict[str, e.NodePoolChanged] = field(default_factory=dict)
    organisation: Organisation = field(default_factory=Organisation)
    workloads: dict[UUID, Workload] = field(default_factory=dict)
    groups: dict[UUID, Group] = field(default_factory=dict)
    pods: dict[UUID, Pod] = field(default_factory=dict)
    promises: Open[Promise] = field(default_factory=Open)
    evictions: Open[Eviction] = field(default_factory=Open)
    nominations: dict[UUID, Nomination] = field(default_factory=dict)  # by group
    refusals: Refusals = field(default_factory=Refusals)

    def __post_init__(self) -> None:
        self.changes = Changes()
        self.picture: Picture | None = None
        self.members: PodsBy[UUID] = PodsBy()
        """By group, formed already or not."""
        self.tenants: PodsBy[str] = PodsBy()
        """By node, assigned and promised."""
        for pod_id in dict.fromkeys((*self.pods, *self.promises.by_pod)):
            self._settle(pod_id, NOWHERE)

    def version_of(self, workload_id: UUID) -> int:
        """Return the position of the last event that we wrote of a workload; 0 of one that is gone, or new."""
        workload = self.workloads.get(workload_id)
        return workload.version if workload is not None else 0

    def devices_of(self, pod_id: UUID) -> tuple[DeviceShare, ...]:
        """Return the devices that a pod holds, or is promised, as far as they are known."""
        pod, promise = self.pods.get(pod_id), self.promises.get(pod_id)
        if pod is not None and pod.assignment is not None:
            return pod.assignment.devices if pod.live else ()
        return promise.placement.devices if promise is not None else ()

    def aside(self, group_id: UUID) -> Aside | None:
        """Return whether, and for how long, a group is to be left out of plans."""
        group = self.groups.get(group_id)
        aside = group.aside if group is not None else None
        return aside if aside is not None and self.now is not None and self.now < aside.until else None

    def redraw(self) -> None:
        """Forget what was drawn, whole or in part; the next snapshot works everything out anew."""
        self.changes, self.picture = Changes(), None

    def apply(self, recorded: Recorded) -> None:
        """Fold one event; events at or before the position are passed over."""
        if recorded.position <= self.position:
            return
        self.position = recorded.position
        self._pass_time(recorded.envelope.time)
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
                self._move_pod(event)
            case e.PodGroupFormed():
                self._form_group(event)
            case e.PodGroupChanged():
                self._change_group(event)
            case e.WorkloadSubmitted() | e.WorkloadDiscovered():
                workload = self._workload(event.workload_id)
                workload.project, workload.name = event.project, event.name
                self.changes.groups |= dict.fromkeys(workload.groups)
            case e.WorkloadGone():
                self._forget_workload(event.workload_id)
            case e.ProjectChanged():
                self.organisation.put_project(event, position)
                self.changes.queues = True
            case e.DepartmentChanged():
                self.organisation.put_department(event, position)
                self.changes.queues = True
            case e.NodePoolChanged():
                self.node_pools[event.name] = event
                self.changes.land = True
            case e.LeadershipTaken():
                self.epoch, self.plan_version = event.epoch, position
            case e.PlanMade():
                self.plan_version = position
                self._decide(event)
            case e.PodScheduled():
                self._note_version(event.workload_id, position)
                self._confirm(event)
            case e.PlacementReleased():
                self._note_version(event.workload_id, position)
                for pod_id in event.pod_ids:
                    self._release(event, pod_id)
            case e.PodPreempted():
                self._note_version(event.workload_id, position)
                for pod_id in event.pod_ids:
                    self.evictions.close(event.plan_id, pod_id)
            case e.DeadlinePassed():
                self._note_version(event.workload_id, position)
                if event.at is not None:
                    self._pass_time(event.at)
            case e.WorkloadBlocked():
                self._note_version(event.workload_id, position)
                self._block(event)
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

    def _pass_time(self, time: datetime) -> None:
        """Let it be so late, unless it is later already; writers' clocks differ."""
        self.now = max(self.now, time) if self.now else time
        for pod_id in self.refusals.end(self.now):
            self._settle(pod_id, self._place(pod_id))

    # ---------------------------------------------------------------- where pods are

    def _place(self, pod_id: UUID) -> Place:
        """Return where a pod is."""
        pod = self.pods.get(pod_id)
        group_id = pod.facts.pod_group_id if pod is not None else None
        if pod is not None and pod.assignment is not None:
            return group_id, pod.assignment.node
        promise = self.promises.get(pod_id)
        return group_id, promise.placement.node if promise is not None else None

    def _settle(self, pod_id: UUID, before: Place) -> None:
        """Keep true who is where, now that a pod has changed, and note what has changed with it."""
        after = self._place(pod_id)
        if after != before:
            self.members.move(pod_id, before[0], after[0])
            self.tenants.move(pod_id, before[1], after[1])
            self.changes.note(before)
        self.changes.note(after)

    # ---------------------------------------------------------------- what is seen

    def _workload(self, workload_id: UUID) -> Workload:
        """Return a workload, made when it is first heard of."""
        return self.workloads.setdefault(workload_id, Workload())

    def _see_node(self, event: e.NodeObserved) -> None:
        if event != self.nodes.get(event.name):
            self.changes.land = True
        self.nodes[event.name] = event

    def _see_pod(self, workload_id: UUID, facts: PodFacts) -> None:
        pod = self.pods.get(facts.pod_id)
        is_lost = pod is not None and pod.is_lost_by(facts)
        before = self._place(facts.pod_id)
        if pod is None:
            pod = self.pods[facts.pod_id] = Pod(workload_id, facts)
        pod.workload_id = workload_id
        pod.see(facts)
        self._settle(facts.pod_id, before)
        if (group := self._group_of(facts)) is not None:
            group.meet(facts)
        if is_lost:
            self._shrink(facts)
            if not pod.live:
                self._await_successor(pod)
        if facts.phase in FINISHED and not facts.terminating:
            self._excuse(facts.pod_id)

    def _excuse(self, pod_id: UUID) -> None:
        """Note of a victim that it has ended without being told to go, which its facts will not say for long."""
        if (eviction := self.evictions.get(pod_id)) is not None:
            self.evictions.open(replace(eviction, went_alone=True))

    def _forget_pod(self, pod_id: UUID) -> None:
        self.refusals.forget(pod_id)
        before = self._place(pod_id)
        pod = self.pods.pop(pod_id, None)
        self._settle(pod_id, before)  # what it was promised stays promised until that is taken back
        if pod is not None:
            self._shrink(pod.facts)
            self._await_successor(pod)

    def _await_successor(self, gone: Pod) -> None:
        """Keep the place for what comes in the stead of a pod that we told to move."""
        group_id = gone.facts.pod_group_id
        nomination = self.nominations.get(group_id) if group_id is not None else None
        if group_id is None or nomination is None or gone.condemned_by is None or self.now is None:
            return
        self.nominations[group_id] = nomination.after(gone.facts, self.now)
        self.changes.groups[group_id] = None

    def _move_pod(self, event: e.PodMoved) -> None:
        """Take a pod out of its group; which one it is in now is told with its facts."""
        if (pod := self.pods.get(event.pod_id)) is not None:
            before = self._place(event.pod_id)
            pod.workload_id, pod.facts = event.new_workload_id, pod.facts.model_copy(update={"pod_group_id": None})
            self._settle(event.pod_id, before)

    def _group_of(self, facts: PodFacts) -> Group | None:
        return self.groups.get(facts.pod_group_id) if facts.pod_group_id is not None else None

    def _shrink(self, facts: PodFacts) -> None:
        if (group := self._group_of(facts)) is not None:
            group.shrunk_at = self.now

    def _form_group(self, event: e.PodGroupFormed) -> None:
        self._workload(event.workload_id).groups.add(event.pod_group_id)
        group = self.groups[event.pod_group_id] = Group(
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
            group.meet(self.pods[pod_id].facts)
        self.changes.groups[event.pod_group_id] = None

    def _change_group(self, event: e.PodGroupChanged) -> None:
        self.changes.groups[event.pod_group_id] = None
        if event.dissolved:
            self._dissolve(event.pod_group_id)
            if (workload := self.workloads.get(event.workload_id)) is not None:
                workload.groups.discard(event.pod_group_id)
        elif (group := self.groups.get(event.pod_group_id)) is not None:
            group.reshape(event)

    def _forget_workload(self, workload_id: UUID) -> None:
        workload = self.workloads.pop(workload_id, None)
        for group_id in workload.groups if workload is not None else ():
            self._dissolve(group_id)

    def _dissolve(self, group_id: UUID) -> None:
        self.groups.pop(group_id, None)
        self.nominations.pop(group_id, None)
        self.changes.groups[group_id] = None

    # ---------------------------------------------------------------- what we decided, and what became of it

    def _note_version(self, workload_id: UUID, position: int) -> None:
        """Note what we wrote of a workload; of one that is gone it is not kept."""
        if (workload := self.workloads.get(workload_id)) is not None:
            workload.version = position

    def _decide(self, event: e.PlanMade) -> None:
        for placement in event.placements:
            self._promise(event.plan_id, placement)
        nominate(self.nominations, event.plan_id, event.nominations)
        for victim in event.victims:
            self._condemn(event, victim)

    def _promise(self, plan_id: UUID, placement: Placement) -> None:
        before = self._place(placement.pod_id)
        self.promises.open(Promise(plan_id, placement))
        self._settle(placement.pod_id, before)
        self.nominations.pop(placement.pod_group_id, None)
        self.changes.groups[placement.pod_group_id] = None

    def _condemn(self, made: e.PlanMade, victim: Victim) -> None:
        """Mark a victim; one that was gone before the plan was written needs no deed."""
        pod = self.pods.get(victim.pod_id)
        if pod is not None and pod.facts.pod_group_id is not None:
            pod.condemned_by = made.plan_id
            eviction = Eviction(made.plan_id, pod.facts.pod_group_id, victim, made.epoch, went_alone=pod.is_going)
            self.evictions.open(eviction)
            self._settle(victim.pod_id, self._place(victim.pod_id))

    def _confirm(self, event: e.PodScheduled) -> None:
        for bound in event.pods:
            before = self._place(bound.pod_id)
            self.promises.close(event.plan_id, bound.pod_id)
            self.refusals.bound(bound.pod_id)
            if (pod := self.pods.get(bound.pod_id)) is not None:
                pod.assignment = Assignment(bound.node, bound.devices)
            self._settle(bound.pod_id, before)
        if (group := self.groups.get(event.pod_group_id)) is not None:
            group.blocked, group.aside = "", None
            group.started_at = self.now

    def _release(self, event: e.PlacementReleased, pod_id: UUID) -> None:
        """Take back what a plan decided about a pod: its place, or that it is to go."""
        before = self._place(pod_id)
        promise = self.promises.close(event.plan_id, pod_id)
        self.evictions.close(event.plan_id, pod_id)
        if (pod := self.pods.get(pod_id)) is not None and self.now is not None:
            if promise is not None:
                self.refusals.leave_unbound(pod_id, promise.placement.resource_version, self.now)
            if promise is not None and pod_id in event.misplaced:
                self.refusals.shun(pod_id, promise.placement.node, self.now)
            if pod.condemned_by == event.plan_id:
                pod.condemned_by = None
                self.refusals.spare(pod_id, self.now, event.reason)
        self._settle(pod_id, before)

    def _block(self, event: e.WorkloadBlocked) -> None:
        if (group := self.groups.get(event.pod_group_id)) is not None:
            group.blocked = essence(event.code, event.numbers)
            group.aside = self._aside(event) if event.code == SET_ASIDE else None

    def _aside(self, event: e.WorkloadBlocked) -> Aside:
        assert self.now is not None, "the time of an event is known before what it says is folded"
        until = self.now + timedelta(seconds=event.numbers["seconds"])
        ids = event.workload_id, event.pod_group_id
        return Aside(until, Blocked(*ids, event.code, event.reason, event.remedy, event.numbers))
