"""Small clusters as tests write them down: nodes, pods and groups as events, folded into a state."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from muster_contracts import events as e
from muster_contracts.subjects import NAMESPACE
from muster_contracts.values import WHOLE_GPU, GpuRequest, PodFacts, PodPhase, Resources
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.state import State

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GIBIBYTE = 1024**3


def id_of(name: str) -> UUID:
    """Return the same id for the same name."""
    return uuid5(NAMESPACE, f"test/{name}")


def node(name: str, *, gpus: int = 8, cpu: int = 64, memory: int = 512, **more: object) -> e.NodeObserved:
    """Return a ready node with so many GPUs, processors and GiB."""
    fields = {
        "node_id": id_of(f"node/{name}"),
        "name": name,
        "ready": True,
        "allocatable": Resources(cpu_milli=cpu * 1000, memory_bytes=memory * GIBIBYTE, gpu_millionths=gpus * WHOLE_GPU),
        "gpu_devices": gpus,
    }
    return e.NodeObserved.model_validate({**fields, **more})


def pod(
    name: str, group: str, *, gpus: int = 1, cpu: int = 1, memory: int = 1, age: int = 0, **more: object
) -> PodFacts:
    """Return a pending pod of ours; `age` in seconds before the start of the world."""
    fields = {
        "pod_id": id_of(f"pod/{name}"),
        "name": name,
        "namespace": "muster-demo",
        "pod_group_id": id_of(f"group/{group}"),
        "scheduler_name": "muster-scheduler",
        "resource_version": "7",
        "created_at": START - timedelta(seconds=age),
        "phase": PodPhase.PENDING,
        "requests": Resources(cpu_milli=cpu * 1000, memory_bytes=memory * GIBIBYTE, gpu_millionths=gpus * WHOLE_GPU),
        "gpu": GpuRequest(devices=gpus),
    }
    return PodFacts.model_validate({**fields, **more})


def group(name: str, pods: Iterable[PodFacts], *, min_members: int = 1, priority: str = "train") -> list[e.AnyEvent]:
    """Return the events that make a workload of one pod group known."""
    workload_id = id_of(f"workload/{name}")
    return [
        e.PodGroupFormed(
            workload_id=workload_id,
            pod_group_id=id_of(f"group/{name}"),
            name=name,
            min_members=min_members,
            priority_class=priority,
        ),
        e.PodObserved(workload_id=workload_id, pods=tuple(pods)),
    ]


def gang(name: str, size: int, **more: object) -> list[e.AnyEvent]:
    """Return a gang of so many equal pods that start together."""
    return group(name, [pod(f"{name}-{i}", name, **more) for i in range(size)], min_members=size)  # type: ignore[arg-type]


def recorded(events: Iterable[e.AnyEvent], *, first: int = 1) -> list[Recorded]:
    """Put events at consecutive positions, a second apart."""
    return [
        Recorded(position, Envelope(id_of(f"event/{position}"), START + timedelta(seconds=position)), event)
        for position, event in enumerate(events, start=first)
    ]


def state_of(*events: e.AnyEvent) -> State:
    """Fold events into a state."""
    state = State()
    for one in recorded(events):
        state.apply(one)
    return state
