"""Journals in a few words: events as they would be written, folded into the submitter's state."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from muster_contracts.commands import CreateProject, NodePoolSettings, SubmitWorkload
from muster_contracts.events import (
    AnyEvent,
    OwnerObserved,
    PodObserved,
    WorkloadDiscovered,
    WorkloadSubmitted,
)
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import (
    Caller,
    ContainerFacts,
    Controls,
    ObjectRef,
    Outcome,
    OwnerFacts,
    Patch,
    PodFacts,
    Supports,
)
from muster_contracts.wire import Envelope, Recorded
from muster_submitter.core.decisions import Append, Decision, decide_project, decide_submission
from muster_submitter.core.organisation import decide_node_pool
from muster_submitter.core.state import State

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ANNA = Caller(name="anna")
OBJECT_ID = UUID(int=77)
POD_ID = UUID(int=5)


class Story:
    """A journal that is written event by event, a second between them, and the fold of it."""

    def __init__(self) -> None:
        self.state = State()
        self.now = START
        self.told: list[Recorded] = []

    def tell(self, *events: AnyEvent) -> int:
        for event in events:
            position = len(self.told) + 1
            self.now += timedelta(seconds=1)
            envelope = Envelope(uuid5(OBJECT_ID, str(position)), self.now)
            self.told.append(Recorded(position, envelope, event))
            self.state.apply(self.told[-1])
        return len(self.told)

    def accept(self, decision: Decision) -> int:
        assert isinstance(decision, Append), decision
        return self.tell(decision.event)

    def make_node_pools(self, *names: str) -> None:
        for name in names:
            settings = NodePoolSettings(label_key="pool", label_value=name)
            self.accept(decide_node_pool(self.state, name, settings, None, ANNA))

    def create_project(self, name: str = "demo", **fields: Any) -> int:
        return self.accept(decide_project(self.state, CreateProject(name=name, **fields), ANNA))

    def submit(self, command: SubmitWorkload, caller: Caller = ANNA) -> UUID:
        decision = decide_submission(self.state, command, caller)
        self.accept(decision)
        assert isinstance(decision, Append)
        assert isinstance(decision.event, WorkloadSubmitted)
        return decision.event.workload_id


def asked(name: str = "hello", project: str = "demo", key: str | None = "key-1", **spec: Any) -> SubmitWorkload:
    return SubmitWorkload.model_validate(
        {
            "name": name,
            "project": project,
            "kind": spec.pop("kind", "training"),
            "spec": {"image": "python:3.12", **spec},
            "idempotency_key": key,
        }
    )


def job(name: str, namespace: str = "muster-demo") -> ObjectRef:
    return ObjectRef(api_version="batch/v1", kind="Job", resource="jobs", namespace=namespace, name=name, uid=OBJECT_ID)


def job_controls(name: str, version: str = "5") -> Controls:
    return Controls(
        stop=(Patch(object=job(name), resource_version=version, body={"spec": {"suspend": True}}),),
        activate=(Patch(object=job(name), resource_version=version, body={"spec": {"suspend": False}}),),
        delete=(job(name),),
    )


def discovered(
    workload_id: UUID,
    name: str = "hello",
    *,
    kind: str = "Job",
    owner: OwnerFacts | None = None,
    controls: Controls | None = None,
    supports: Supports | None = None,
) -> WorkloadDiscovered:
    return WorkloadDiscovered(
        workload_id=workload_id,
        kind=kind,
        api_version="batch/v1",
        workload_class=WorkloadClass.NATIVE,
        name=name,
        namespace="muster-demo",
        project="demo",
        object_id=OBJECT_ID,
        owner=owner or OwnerFacts(),
        controls=controls or job_controls(name),
        supports=supports or Supports(stop=True, activate=True),
        created_at=START,
    )


def owner(workload_id: UUID, *, suspended: bool = False, outcome: Outcome = Outcome.NONE) -> OwnerObserved:
    return OwnerObserved(workload_id=workload_id, owner=OwnerFacts(suspended=suspended, outcome=outcome))


def pod_waits(workload_id: UUID, reason: str, pod_id: UUID = POD_ID) -> PodObserved:
    pod = PodFacts(
        pod_id=pod_id,
        name="hello-x",
        namespace="muster-demo",
        created_at=START,
        containers=(ContainerFacts(name="main", reason=reason),),
    )
    return PodObserved(workload_id=workload_id, pods=(pod,))
