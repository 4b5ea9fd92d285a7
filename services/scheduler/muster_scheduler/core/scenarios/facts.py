"""From the nouns of a scenario to events of the contracts: what the other services would have written about them.

Pure: the same case gives the same events, ids and moments. Everything lives in one node pool, and every job is one
workload with one pod group.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from muster_contracts import events as e
from muster_contracts.names import SCHEDULER_NAME, project_namespace
from muster_contracts.phases import WorkloadClass
from muster_contracts.subjects import NAMESPACE
from muster_contracts.values import (
    WHOLE_GPU,
    Caller,
    DeviceShare,
    GpuRequest,
    PodFacts,
    PodPhase,
    PoolQuota,
    Resources,
    SubGroup,
    TopologyConstraint,
)

from muster_scheduler.core.decision import planner_version
from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.plan import Limits, Plan
from muster_scheduler.core.scenarios.cases import JobCase, NearnessCase, NodeCase, QueueCase, SubGroupCase, TopologyCase

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When every scenario begins."""

POOL = "default"
AUTHOR = Caller(name="scenario", kind="system")
Levels = Mapping[str, tuple[str, ...]]
"""The node labels of every topology, by its name."""

CLUSTER_ID = uuid5(NAMESPACE, "scenario/cluster")


def id_of(*parts: str) -> UUID:
    """Return the id of a thing of a scenario; the same for the same name."""
    return uuid5(NAMESPACE, "/".join(("scenario", *parts)))


def organisation(queues: Iterable[QueueCase]) -> Iterator[e.AnyEvent]:
    """Yield the node pool, then departments and projects, older first. A queue with queues below is a department."""
    queues = tuple(queues)
    yield e.NodePoolChanged(node_pool_id=id_of("pool"), name=POOL, changed_by=AUTHOR)
    yield from changed_queues(queues, {queue.parent for queue in queues})


def changed_queues(queues: Iterable[QueueCase], departments: Container[str]) -> Iterator[e.AnyEvent]:
    """Yield queues as they are put, some of which are departments."""
    for queue in queues:
        yield _department(queue) if queue.name in departments else _project(queue)


def _department(queue: QueueCase) -> e.DepartmentChanged:
    return e.DepartmentChanged(
        department_id=id_of("department", queue.name),
        name=queue.name,
        parent=queue.parent,
        quotas=(_quota(queue),),
        changed_by=AUTHOR,
    )


def _project(queue: QueueCase) -> e.ProjectChanged:
    return e.ProjectChanged(
        project_id=id_of("project", queue.name),
        name=queue.name,
        namespace=project_namespace(queue.name),
        department=queue.parent,
        quotas=(_quota(queue),),
        node_pools=(POOL,),
        changed_by=AUTHOR,
    )


def _quota(queue: QueueCase) -> PoolQuota:
    return PoolQuota(
        node_pool=POOL,
        gpu_millionths=queue.deserved_gpu_millionths,
        cpu_milli=queue.deserved_cpu_milli,
        memory_bytes=queue.deserved_memory_bytes,
        gpu_limit_millionths=queue.max_gpu_millionths,
        cpu_limit_milli=queue.max_cpu_milli,
        memory_limit_bytes=queue.max_memory_bytes,
        over_quota_weight=queue.gpu_weight,
        priority=queue.priority,
    )


def observed_node(node: NodeCase) -> e.NodeObserved:
    """Return a node as it is seen, ready and empty."""
    return e.NodeObserved(
        node_id=id_of("node", node.name),
        name=node.name,
        ready=True,
        allocatable=Resources(
            cpu_milli=node.cpu_milli, memory_bytes=node.memory_bytes, gpu_millionths=node.gpus * WHOLE_GPU
        ),
        max_pods=node.max_pods,
        gpu_devices=node.gpus,
        gpu_memory_bytes=node.gpu_memory_bytes,
        labels=node.labels,
        unschedulable=node.unschedulable,
    )


def lost_node(name: str) -> e.NodeGone:
    """Return the end of a node."""
    return e.NodeGone(node_id=id_of("node", name), name=name)


def discovered(job: JobCase, moment: datetime) -> e.WorkloadDiscovered:
    """Return a job as it is recognised."""
    return e.WorkloadDiscovered(
        workload_id=id_of("workload", job.name),
        kind="Job",
        api_version="batch/v1",
        workload_class=WorkloadClass.KUBERNETES,
        name=job.name,
        namespace=namespace_of(job),
        project=job.queue,
        object_id=id_of("object", job.name),
        created_at=moment - timedelta(seconds=job.age_seconds),
    )


def namespace_of(job: JobCase) -> str:
    """Return where the job's pods are."""
    return job.namespace or project_namespace(job.queue)


def formed(job: JobCase, topologies: Iterable[TopologyCase]) -> e.PodGroupFormed:
    """Return the pod group of a job. With sub-groups, the minima stand there."""
    levels = {topology.name: topology.levels for topology in topologies}
    root = job.root
    return e.PodGroupFormed(
        workload_id=id_of("workload", job.name),
        pod_group_id=id_of("group", job.name),
        name=job.name,
        min_members=job.min_members,
        priority=job.priority,
        preemptible=job.preemptible,
        node_pools=(POOL,),
        sub_groups=tuple(_sub_groups(root.parts, "", levels)) if root else (),
        min_sub_groups=root.min_parts if root else None,
        topology=_topology(root.topology, levels) if root else None,
    )


def _sub_groups(parts: Iterable[SubGroupCase], parent: str, levels: Levels) -> Iterator[SubGroup]:
    for part in parts:
        yield SubGroup(
            name=part.name,
            min_members=part.min_members,
            parent=parent,
            min_sub_groups=part.min_parts,
            topology=_topology(part.topology, levels),
        )
        yield from _sub_groups(part.parts, part.name, levels)


def _topology(wanted: NearnessCase, levels: Levels) -> TopologyConstraint | None:
    if not (wanted.required or wanted.preferred):
        return None
    usual = tuple(level for level in (wanted.required, wanted.preferred) if level)
    return TopologyConstraint(
        levels=levels.get(wanted.topology, usual), required=wanted.required, preferred=wanted.preferred
    )


def gpu_request(job: JobCase) -> GpuRequest:
    """Return what each task of a job asks of devices."""
    if job.gpu_millionths == 0 and job.gpu_memory_bytes is None:
        return GpuRequest()
    return GpuRequest(
        devices=max(1, job.gpu_millionths // WHOLE_GPU),
        portion_millionths=min(job.gpu_millionths, WHOLE_GPU) or WHOLE_GPU,
        memory_bytes=job.gpu_memory_bytes,
    )


def pending_pod(job: JobCase, index: int, generation: int, moment: datetime) -> PodFacts:
    """Return the pod of a task that waits for a place. Each generation is another pod of the same name."""
    task = job.tasks[index]
    return PodFacts(
        pod_id=id_of("pod", job.name, str(index), str(generation)),
        name=f"{job.name}-{index}",
        namespace=namespace_of(job),
        pod_group_id=id_of("group", job.name),
        scheduler_name=SCHEDULER_NAME,
        resource_version=str(generation + 1),
        created_at=moment,
        requests=Resources(cpu_milli=job.cpu_milli, memory_bytes=job.memory_bytes, gpu_millionths=job.gpu_millionths),
        gpu=gpu_request(job),
        sub_group=task.sub_group,
        order_priority=task.order,
    )


def running_pod(waiting: PodFacts, node: str, devices: Iterable[DeviceShare]) -> PodFacts:
    """Return the same pod as it runs on a node."""
    return waiting.model_copy(
        update={
            "phase": PodPhase.RUNNING,
            "node": node,
            "gpus": format_devices(devices),
            "ready": True,
            "initialized": True,
        }
    )


def plan_made(plan: Plan, plan_id: UUID) -> e.PlanMade:
    """Return a plan as it is written down before it is carried out."""
    return e.PlanMade(
        cluster_id=CLUSTER_ID,
        plan_id=plan_id,
        based_on=plan.based_on,
        epoch=1,
        planner_version=planner_version(),
        settings_digest="",
        step_limit=Limits().step_limit,
        placements=plan.placements,
        victims=plan.victims,
        nominations=plan.nominations,
        steps=plan.steps,
    )
