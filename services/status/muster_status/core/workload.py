"""The fold of one workload: everything its phase, its sentences and its row are worked out from.

Pods are counted as they change, so that a workload of many thousand pods costs no more per event than one of few. An
event that is told twice, or comes after the end of what it speaks of, changes nothing: facts of pods are whole, a pod
that is gone is remembered by its id, and what is gone altogether takes no more facts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never
from uuid import UUID

from muster_contracts.events import (
    ActivateRequested,
    DeadlinePassed,
    DeleteRequested,
    GpuBusy,
    GpuIdle,
    LimitReached,
    ObjectsApplied,
    ObjectsRefused,
    OwnerObserved,
    PhaseChanged,
    PlacementReleased,
    PodGone,
    PodGroupChanged,
    PodGroupFormed,
    PodMoved,
    PodObserved,
    PodPreempted,
    PodScheduled,
    SessionClosed,
    SessionOpened,
    StopRequested,
    SubmissionRefused,
    WorkloadBlocked,
    WorkloadDiscovered,
    WorkloadEvent,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import (
    Outcome,
    OwnerFacts,
    ParentRef,
    PodMark,
    PodPhase,
    Resources,
    Supports,
    WorkloadSpec,
)

from muster_status.core.counts import Counts
from muster_status.core.pod import Pod, clean, pod_of

EVERYTHING = Supports(stop=True, activate=True, delete=True)
"""What can be done with a workload submitted through Muster."""

NO_RESOURCES = Resources()
NOTHING_SAID = Supports()


@dataclass(slots=True)
class Workload:
    """One workload as the journal tells it, up to `version` (the position of the last event folded)."""

    id: UUID
    version: int = 0

    # what it is
    submitted: bool = False
    discovered: bool = False
    name: str = ""
    project: str = ""
    namespace: str = ""
    kind: str = ""
    workload_class: WorkloadClass = WorkloadClass.KUBERNETES
    workload_kind: str = ""
    submitted_by: str = ""
    source: str = ""
    created_at: datetime | None = None
    priority_class: str = ""
    requests: Resources = NO_RESOURCES
    supports: Supports = NOTHING_SAID
    parent: ParentRef | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    # what its object says, and what was asked of it
    owner: OwnerFacts | None = None
    applied: bool = False
    refusal: str = ""
    failure: str = ""
    completion: str = ""
    stop_asked_by: str = ""
    resume_asked_by: str = ""
    delete_asked_by: str = ""
    gone_at: datetime | None = None
    end_seen: bool = True
    deletable_at: datetime | None = None

    # its pods
    pods: dict[UUID, Pod] = field(default_factory=dict)
    departed: set[UUID] = field(default_factory=set)
    counts: Counts = field(default_factory=Counts)
    grouped: bool = False
    seen_pods: bool = False
    blocked: dict[UUID, str] = field(default_factory=dict)
    preemption: str = ""
    preempted: dict[UUID, str] = field(default_factory=dict)
    yielded: dict[UUID, str] = field(default_factory=dict)
    last_failure: str = ""

    @property
    def known(self) -> bool:
        """Whether it is a workload at all; pods alone do not make one."""
        return self.submitted or self.discovered

    @property
    def gone(self) -> bool:
        """Whether its last object is gone."""
        return self.gone_at is not None

    @property
    def suspended(self) -> bool:
        """Whether its object is told to have no pods."""
        return self.owner is not None and self.owner.suspended

    @property
    def serving(self) -> bool:
        """Whether it is of a kind that never completes."""
        return self.owner is not None and self.owner.serving

    @property
    def says_ready(self) -> bool | None:
        """What its object says of its own health, where it says anything."""
        return self.owner.ready if self.owner else None

    @property
    def tries_are_told(self) -> bool:
        """Whether what owns it tells of the tries of its tasks, each of which may be several pods."""
        return self.owner is not None and self.owner.quiet_outcome is not Outcome.NONE

    @property
    def desired(self) -> int:
        """How many pods should exist at once."""
        return self.owner.desired_pods if self.owner else 0

    @property
    def required(self) -> int:
        """How many of them are enough: fewer than desired for elastic kinds alone."""
        if self.owner is None:
            return 1
        return max(1, min(self.owner.min_pods, self.owner.desired_pods))

    @property
    def succeeded(self) -> int:
        """How many pods ended well and need no successor."""
        return 0 if self.serving else self.counts.succeeded

    def apply(self, position: int, time: datetime, event: WorkloadEvent) -> None:
        """Fold one event; the same again changes nothing, and nothing but the end comes after the end."""
        if position <= self.version or self.gone:
            return
        self.version = position
        self._evolve(time, event)

    def _evolve(self, time: datetime, event: WorkloadEvent) -> None:
        match event:
            case WorkloadSubmitted():
                self._submitted(time, event)
            case WorkloadDiscovered():
                self._discovered(event)
            case OwnerObserved():
                self._owner_observed(event)
            case WorkloadGone():
                self.gone_at, self.end_seen = time, event.end_seen
                self.blocked.clear()
            case ObjectsApplied():
                self.applied, self.deletable_at = True, None
            case ObjectsRefused() | LimitReached():
                self._ended_by_rule(time, event)
            case StopRequested() | ActivateRequested() | DeleteRequested():
                self._asked(time, event)
            case PodGroupFormed() | PodGroupChanged():
                self._group(event)
            case PodObserved() | PodGone() | PodMoved():
                self._pods(event)
            case PodScheduled() | WorkloadBlocked() | PodPreempted():
                self._decided(event)
            case (
                SubmissionRefused()
                | SessionOpened()
                | SessionClosed()
                | PlacementReleased()
                | DeadlinePassed()
                | PhaseChanged()
                | GpuIdle()
                | GpuBusy()
            ):
                pass
            case _:
                assert_never(event)

    # ------------------------------------------------------------ what it is

    def _submitted(self, time: datetime, event: WorkloadSubmitted) -> None:
        spec = event.spec
        self.submitted = True
        self.name, self.project, self.namespace = event.name, event.project, event.namespace
        self.kind = event.object_kind
        self.workload_class, self.workload_kind = WorkloadClass.NATIVE, spec.kind.value
        self.submitted_by, self.source = event.submitted_by.name, event.submitted_by.source.value
        self.created_at = time
        self.priority_class = self.priority_class or spec.priority_class.value
        if not self.discovered:
            self.owner = _planned(spec)
            self.requests = _asked_resources(spec, self.owner.desired_pods)
            self.supports = EVERYTHING

    def _discovered(self, event: WorkloadDiscovered) -> None:
        self.discovered = True
        if not self.submitted:
            self.name, self.project = event.name, event.project
            self.created_at = event.created_at
            self.source = "kubernetes"
            self.workload_class = event.workload_class
        self.kind, self.namespace = event.kind, event.namespace
        self.supports, self.parent, self.attributes = event.supports, event.parent, event.attributes
        self.requests, self.owner = event.requests, event.owner

    def _owner_observed(self, event: OwnerObserved) -> None:
        if self.suspended and not event.owner.suspended:
            self.stop_asked_by = ""  # whoever made it run again, the stop is over
        self.owner = event.owner
        self.attributes = self.attributes if event.attributes is None else event.attributes
        self.requests = self.requests if event.requests is None else event.requests
        self.parent = self.parent if event.parent is None else event.parent

    # ------------------------------------------------------------ what was asked

    def _asked(self, time: datetime, event: StopRequested | ActivateRequested | DeleteRequested) -> None:
        who = event.requested_by.name or "Somebody"
        match event:
            case StopRequested():
                self.stop_asked_by, self.resume_asked_by = who, ""
            case ActivateRequested():
                self.stop_asked_by, self.resume_asked_by = "", who
            case DeleteRequested():
                self._delete_asked(time, who)

    def _delete_asked(self, time: datetime, who: str) -> None:
        self.delete_asked_by = self.delete_asked_by or who
        if not self.applied and not self.discovered:
            self.deletable_at = time  # there never was an object whose end could be seen

    def _ended_by_rule(self, time: datetime, event: ObjectsRefused | LimitReached) -> None:
        reason = clean(event.reason)
        match event:
            case ObjectsRefused():
                self.refusal = reason or "Kubernetes refused its objects."
            case LimitReached(effect="fail"):
                self.failure = reason
            case LimitReached(effect="complete"):
                self.completion = reason
            case LimitReached(effect="delete"):
                self._delete_asked(time, f"The limit {event.limit}")
            case LimitReached():
                self.stop_asked_by, self.resume_asked_by = f"The limit {event.limit}", ""

    # ------------------------------------------------------------ its pods

    def _group(self, event: PodGroupFormed | PodGroupChanged) -> None:
        self.grouped = True
        if isinstance(event, PodGroupFormed):
            self.priority_class = event.priority_class
        elif event.dissolved:
            self.blocked.pop(event.pod_group_id, None)

    def _pods(self, event: PodObserved | PodGone | PodMoved) -> None:
        match event:
            case PodObserved():
                for facts in event.pods:
                    self._observe(facts.pod_id, pod_of(facts))
            case PodGone():
                for mark in event.pods:
                    self._depart(mark)
            case PodMoved():
                self.departed.add(event.pod_id)
                if (moved := self.pods.pop(event.pod_id, None)) is not None:
                    self.counts.add(moved, -1)

    def _observe(self, pod_id: UUID, pod: Pod) -> None:
        if pod_id in self.departed:
            return
        before = self.pods.get(pod_id)
        if before is not None:
            self.counts.add(before, -1)
        self.counts.add(pod)
        self.pods[pod_id] = pod
        self.seen_pods = True
        if pod.node and (before is None or not before.node):
            self.preemption = ""
        if pod.succeeded:
            self._succeeded(pod_id)
        if pod.finished and not pod.succeeded and not pod.terminating:
            self.last_failure = pod.trouble

    def _depart(self, mark: PodMark) -> None:
        """Forget a pod; how it ended stays counted, whether its end was seen before or is only told now."""
        if mark.pod_id in self.departed:
            return
        self.departed.add(mark.pod_id)
        before = self.pods.pop(mark.pod_id, None)
        if before is None or not before.finished:
            if before is not None:
                self.counts.add(before, -1)
            self.counts.succeeded += mark.last_phase is PodPhase.SUCCEEDED
        if mark.last_phase is PodPhase.SUCCEEDED:
            self._succeeded(mark.pod_id)
        if self.preempted.pop(mark.pod_id, "") and not self.preempted and self.has_enough_scheduled:
            self.preemption = ""  # it lost only what it can do without, and nothing that follows comes of it

    def _succeeded(self, pod_id: UUID) -> None:
        """Remember of a pod that ended well whether it had been told to go: it may not have done all its work."""
        if pod_id in self.preempted:
            self.yielded[pod_id] = self.preempted[pod_id]

    def _decided(self, event: PodScheduled | WorkloadBlocked | PodPreempted) -> None:
        match event:
            case PodScheduled():
                self.blocked.pop(event.pod_group_id, None)
            case WorkloadBlocked():
                self.blocked[event.pod_group_id] = why_blocked(event)
            case PodPreempted(final=True):
                self.failure = self.failure or f"It was preempted for good: {event.reason}"
            case PodPreempted():
                self.preemption = event.reason
                self.preempted |= {pod_id: event.reason for pod_id in event.pod_ids if pod_id not in self.departed}

    @property
    def has_enough_scheduled(self) -> bool:
        """Whether no fewer of its pods are scheduled than it needs, those counted that have done their work."""
        return self.counts.scheduled + self.succeeded >= self.required

    def allocated(self) -> Resources:
        """Sum up what its pods hold on nodes."""
        holding = [pod for pod in self.pods.values() if pod.node and not pod.finished]
        return Resources(
            cpu_milli=sum(pod.cpu_milli for pod in holding),
            memory_bytes=sum(pod.memory_bytes for pod in holding),
            gpu_millionths=sum(pod.gpu_millionths for pod in holding),
        )

    def nodes(self) -> Iterable[str]:
        """Return the nodes on which its pods hold something, in order of their names."""
        return sorted({pod.node for pod in self.pods.values() if pod.node and not pod.finished})

    @property
    def outcome(self) -> Outcome:
        """What its object says of its end."""
        return self.owner.outcome if self.owner else Outcome.NONE


def _planned(spec: WorkloadSpec) -> OwnerFacts:
    """Return what the object of a submission will say of its size."""
    desired = spec.parallelism if spec.completions is None else min(spec.parallelism, spec.completions)
    return OwnerFacts(desired_pods=desired, min_pods=min(spec.min_members or desired, desired))


def _asked_resources(spec: WorkloadSpec, pods: int) -> Resources:
    return Resources(
        cpu_milli=spec.cpu_milli * pods,
        memory_bytes=spec.memory_bytes * pods,
        gpu_millionths=0 if spec.gpu_memory_bytes else spec.gpu_devices * spec.gpu_portion_millionths * pods,
        gpu_memory_bytes=spec.gpu_devices * (spec.gpu_memory_bytes or 0) * pods,
    )


def why_blocked(event: WorkloadBlocked) -> str:
    """Return why it waits and what would free it, the same words wherever somebody looks, then as now."""
    return f"{event.reason} {event.remedy}".rstrip()
