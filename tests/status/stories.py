"""Tells the story of a workload event by event, as the other services would write it, and folds it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from muster_contracts.events import (
    ActivateRequested,
    AnyEvent,
    DeleteRequested,
    DepartmentChanged,
    NodePoolChanged,
    OwnerObserved,
    PhaseChanged,
    PodGone,
    PodGroupFormed,
    PodObserved,
    PodPreempted,
    ProjectChanged,
    StopRequested,
    WorkloadDiscovered,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_contracts.phases import Phase, WorkloadClass, WorkloadKind
from muster_contracts.subjects import NAMESPACE
from muster_contracts.values import (
    Caller,
    ContainerFacts,
    ContainerState,
    Outcome,
    OwnerFacts,
    PodFacts,
    PodMark,
    PodPhase,
    PoolQuota,
    Resources,
    Source,
    Supports,
    WorkloadSpec,
)
from muster_contracts.wire import Envelope, Recorded
from muster_status.core.deriver import Derivation
from muster_status.core.phase_table import CURRENT_TABLE

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CLUSTER = UUID("00000000-0000-4000-8000-0000000000c1")
ALICE = Caller(name="alice", source=Source.CLI)
DEMO = uuid5(NAMESPACE, "demo")


def project(name: str = "demo") -> ProjectChanged:
    return ProjectChanged(project_id=uuid5(NAMESPACE, name), name=name, namespace=f"muster-{name}", changed_by=ALICE)


def department(name: str = "research") -> DepartmentChanged:
    quotas = (PoolQuota(gpu_millionths=8_000_000),)
    return DepartmentChanged(department_id=uuid5(NAMESPACE, name), name=name, quotas=quotas, changed_by=ALICE)


def node_pool(name: str = "a100") -> NodePoolChanged:
    pool_id = uuid5(NAMESPACE, f"pool/{name}")
    return NodePoolChanged(node_pool_id=pool_id, name=name, label_key="gpu", label_value=name, changed_by=ALICE)


class Story:
    """One workload. Every method returns one event; nothing is kept but names and ids."""

    def __init__(self, name: str = "train", *, project: str = "demo") -> None:
        self.name = name
        self.project = project
        self.id = uuid5(NAMESPACE, f"{project}/{name}")

    # ---- what it is

    def submitted(self, *, parallelism: int = 1, min_members: int | None = None, **spec: Any) -> WorkloadSubmitted:
        whole = {"kind": WorkloadKind.TRAINING, "image": "pytorch", "gpu_devices": 1} | spec
        return WorkloadSubmitted(
            workload_id=self.id,
            name=self.name,
            project_id=uuid5(NAMESPACE, self.project),
            project=self.project,
            namespace=f"muster-{self.project}",
            object_name=self.name,
            spec=WorkloadSpec(parallelism=parallelism, min_members=min_members, **whole),
            submitted_by=ALICE,
            idempotency_key=self.name,
            request_digest="0",
        )

    def discovered(
        self, *, kind: str = "Job", owner: OwnerFacts | None = None, native: bool = False, gpus: int = 1
    ) -> WorkloadDiscovered:
        owner = owner or OwnerFacts()
        return WorkloadDiscovered(
            workload_id=self.id,
            kind=kind,
            api_version="batch/v1",
            workload_class=WorkloadClass.NATIVE if native else WorkloadClass.KUBERNETES,
            name=self.name,
            namespace=f"muster-{self.project}",
            project=self.project,
            object_id=self.id,
            owner=owner,
            supports=Supports(stop=True, activate=True),
            requests=Resources(cpu_milli=1000 * owner.desired_pods, gpu_millionths=gpus * 1_000_000),
            created_at=EPOCH,
        )

    def grouped(self, *, minimum: int = 1) -> PodGroupFormed:
        return PodGroupFormed(
            workload_id=self.id, pod_group_id=self.group_id, name=self.name, min_members=minimum, priority_class="train"
        )

    @property
    def group_id(self) -> UUID:
        return uuid5(self.id, "group")

    # ---- its owner, and what is asked of it

    def owner(self, **facts: Any) -> OwnerObserved:
        return OwnerObserved(workload_id=self.id, owner=OwnerFacts(**facts))

    def succeeded(self, desired: int = 1) -> OwnerObserved:
        return self.owner(desired_pods=desired, min_pods=desired, outcome=Outcome.SUCCEEDED)

    def failed(self, reason: str = "Job has reached the specified backoff limit.", desired: int = 1) -> OwnerObserved:
        return self.owner(desired_pods=desired, min_pods=desired, outcome=Outcome.FAILED, reason=reason)

    def stop(self) -> StopRequested:
        return StopRequested(workload_id=self.id, requested_by=ALICE)

    def activate(self) -> ActivateRequested:
        return ActivateRequested(workload_id=self.id, requested_by=ALICE)

    def delete(self) -> DeleteRequested:
        return DeleteRequested(workload_id=self.id, requested_by=ALICE)

    def gone(self, *, end_seen: bool = True) -> WorkloadGone:
        return WorkloadGone(workload_id=self.id, end_seen=end_seen)

    # ---- its pods

    def pod_id(self, number: int) -> UUID:
        return uuid5(self.id, f"pod-{number}")

    def facts(self, number: int = 0, **changes: Any) -> PodFacts:
        """The facts of a pod that waits to be scheduled, with some of them changed."""
        whole: dict[str, Any] = {
            "pod_id": self.pod_id(number),
            "name": f"{self.name}-{number}",
            "namespace": f"muster-{self.project}",
            "pod_group_id": self.group_id,
            "created_at": EPOCH,
            "containers": (ContainerFacts(name="main"),),
            "requests": Resources(cpu_milli=1000, gpu_millionths=1_000_000),
        }
        return PodFacts(**(whole | changes))

    def observed(self, *pods: PodFacts) -> PodObserved:
        return PodObserved(workload_id=self.id, pods=pods)

    def waiting(self, *numbers: int) -> PodObserved:
        return self.observed(*(self.facts(number) for number in numbers))

    def scheduled(self, *numbers: int) -> PodObserved:
        return self.observed(*(self.facts(number, node=f"node-{number % 3}") for number in numbers))

    def ready(self, *numbers: int) -> PodObserved:
        return self.observed(*(self.ready_facts(number) for number in numbers))

    def ready_facts(self, number: int, **changes: Any) -> PodFacts:
        main = ContainerFacts(name="main", state=ContainerState.RUNNING, ready=True)
        whole = {"node": f"node-{number % 3}", "phase": PodPhase.RUNNING, "ready": True, "containers": (main,)}
        return self.facts(number, **(whole | changes))

    def crashed_facts(self, number: int, *, exit_code: int = 1, restarts: int = 1) -> PodFacts:
        main = ContainerFacts(name="main", reason="CrashLoopBackOff", restarts=restarts, exit_code=exit_code)
        return self.facts(number, node=f"node-{number % 3}", phase=PodPhase.RUNNING, containers=(main,))

    def ended(self, number: int, *, well: bool = True) -> PodObserved:
        exit_code, phase = (0, PodPhase.SUCCEEDED) if well else (1, PodPhase.FAILED)
        main = ContainerFacts(name="main", state=ContainerState.TERMINATED, exit_code=exit_code)
        return self.observed(self.facts(number, node=f"node-{number % 3}", phase=phase, containers=(main,)))

    def pods_gone(self, *numbers: int, last_phase: PodPhase = PodPhase.RUNNING) -> PodGone:
        marks = (PodMark(pod_id=self.pod_id(n), name=f"{self.name}-{n}", last_phase=last_phase) for n in numbers)
        return PodGone(workload_id=self.id, pods=tuple(marks))

    def preempted(self, number: int, *, final: bool = False) -> PodPreempted:
        return PodPreempted(
            workload_id=self.id,
            plan_id=CLUSTER,
            pod_ids=(self.pod_id(number),),
            rule="preempt",
            reason="Preempted for urgent of project vision.",
            final=final,
        )

    # ---- whole chapters

    def life(self, pods: int = 1) -> list[AnyEvent]:
        """From submission to completion."""
        numbers = range(pods)
        owner = OwnerFacts(desired_pods=pods, min_pods=pods)
        return [
            self.submitted(parallelism=pods, min_members=pods),
            self.discovered(owner=owner, native=True, gpus=pods),
            self.grouped(minimum=pods),
            self.waiting(*numbers),
            self.scheduled(*numbers),
            self.ready(*numbers),
            *(self.ended(number) for number in numbers),
            self.succeeded(pods),
        ]


def record(events: Iterable[AnyEvent], *, after: int = 0) -> list[Recorded]:
    """Put events into their envelopes, a second apart."""
    return [
        Recorded(position, Envelope(uuid5(NAMESPACE, str(position)), EPOCH + timedelta(seconds=position)), event)
        for position, event in enumerate(events, after + 1)
    ]


def derive(events: Iterable[AnyEvent]) -> Derivation:
    derivation = Derivation(table=CURRENT_TABLE)
    for recorded in record(events):
        assert derivation.apply(recorded) is None
    return derivation


def transitions(events: Iterable[AnyEvent], story: Story) -> Sequence[PhaseChanged]:
    return list(derive(events).open.get(story.id, ()))


def phases(events: Iterable[AnyEvent], story: Story) -> list[Phase]:
    return [transition.current for transition in transitions(events, story)]
