"""Small clusters as tests write them down: nodes, pods and groups as events, folded into a state."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from muster_contracts import events as e
from muster_contracts.phases import WorkloadClass
from muster_contracts.subjects import NAMESPACE
from muster_contracts.values import WHOLE_GPU, Caller, GpuRequest, PodFacts, PodMark, PodPhase, PoolQuota, Resources
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.plan import Plan
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


def running(name: str, group: str, node: str, devices: str = "", **more: object) -> PodFacts:
    """Return a pod of ours that runs on a node, with devices as the annotation writes them."""
    facts = pod(name, group, node=node, phase=PodPhase.RUNNING, **more)  # type: ignore[arg-type]
    return facts.model_copy(update={"gpus": devices})


def project(name: str, gpus: int | None = 0, *, pool: str = "default", **more: object) -> e.ProjectChanged:
    """Return a project with a quota of so many GPUs, None for no limit; more fields of the quota as they are named."""
    quota_fields = {key: more.pop(key) for key in list(more) if key in PoolQuota.model_fields}
    quota = {"node_pool": pool, "gpu_millionths": None if gpus is None else gpus * WHOLE_GPU, **quota_fields}
    fields = {"project_id": id_of(f"project/{name}"), "name": name, "namespace": name, "department": "", **more}
    fields |= {"changed_by": Caller(name="admin"), "quotas": [PoolQuota.model_validate(quota)]}
    return e.ProjectChanged.model_validate(fields)


def pool(name: str, **more: object) -> e.NodePoolChanged:
    """Return a pool of the nodes labelled pool=name."""
    label = {} if name == "default" else {"label_key": "pool", "label_value": name}
    fields = {"node_pool_id": id_of(f"pool/{name}"), "name": name, "changed_by": Caller(name="admin"), **label, **more}
    return e.NodePoolChanged.model_validate(fields)


def belongs(name: str, to: str) -> e.WorkloadDiscovered:
    """Return the event that says whose project a workload is in."""
    return e.WorkloadDiscovered(
        workload_id=id_of(f"workload/{name}"),
        kind="Job",
        api_version="batch/v1",
        workload_class=WorkloadClass.KUBERNETES,
        name=name,
        namespace=to,
        project=to,
        object_id=None,
        created_at=START,
    )


def plan_made(made: Plan, number: int = 1) -> e.PlanMade:
    """Return the event that writes a plan down."""
    return e.PlanMade(
        cluster_id=id_of("cluster"),
        plan_id=id_of(f"plan/{number}"),
        based_on=made.based_on,
        epoch=1,
        planner_version="2",
        settings_digest="d",
        step_limit=1,
        placements=made.placements,
        victims=made.victims,
        nominations=made.nominations,
        steps=made.steps,
    )


def gone(name: str, group: str) -> e.PodGone:
    """Return the event that a pod is gone."""
    mark = PodMark(pod_id=id_of(f"pod/{name}"), name=name, last_phase=PodPhase.RUNNING)
    return e.PodGone(workload_id=id_of(f"workload/{group}"), pods=(mark,))


def group(
    name: str, pods: Iterable[PodFacts], *, min_members: int = 1, priority: str = "train", **more: object
) -> list[e.AnyEvent]:
    """Return the events that make a workload of one pod group known."""
    workload_id = id_of(f"workload/{name}")
    fields = {
        "workload_id": workload_id,
        "pod_group_id": id_of(f"group/{name}"),
        "name": name,
        "min_members": min_members,
        "priority_class": priority,
    }
    return [
        e.PodGroupFormed.model_validate({**fields, **more}),
        e.PodObserved(workload_id=workload_id, pods=tuple(pods)),
    ]


def gang(name: str, size: int, **more: object) -> list[e.AnyEvent]:
    """Return a gang of so many equal pods that start together; fields of the group go to the group."""
    mine = {key: more.pop(key) for key in list(more) if key in {"priority", "topology", "node_pools", "preemptible"}}
    pods = [pod(f"{name}-{i}", name, **more) for i in range(size)]  # type: ignore[arg-type]
    return group(name, pods, min_members=size, **mine)  # type: ignore[arg-type]


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
