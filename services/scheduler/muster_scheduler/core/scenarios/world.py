"""A scenario as it goes on: its events, folded into the scheduler's own state exactly as the service folds them.

The world plays everybody but the planner. A round is: time passes, what was bound runs and what was evicted is replaced
by a pod that waits (`settle`), a plan is made from the state, and the plan is written and carried out (`carry_out`).
Between the last two everybody stands as the plan left them: bound but not running, leaving, or waiting for a place that
was promised. What leaves in the file itself leaves for ever when its job was deleted, and comes back otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid5

from muster_contracts import events as e
from muster_contracts.values import BoundPod, DeviceShare, Placement, PodFacts, PodMark, Victim
from muster_contracts.wire import Envelope, Recorded

from muster_scheduler.core.plan import Plan
from muster_scheduler.core.scenarios import facts
from muster_scheduler.core.scenarios.cases import Case, JobCase, NodeCase, QueueCase, Step, TaskCase, TaskState
from muster_scheduler.core.scenarios.devices import Devices
from muster_scheduler.core.state import State


@dataclass(slots=True)
class Task:
    """One task of a job, and the pod that stands for it now. `promised` is the node it has a nomination for."""

    job: JobCase
    index: int
    pod: PodFacts
    status: TaskState = TaskState.PENDING
    node: str = ""
    promised: str = ""
    devices: tuple[DeviceShare, ...] = ()
    generation: int = 0
    leaves_for_ever: bool = False

    @property
    def name(self) -> str:
        """The name by which an expectation calls it."""
        return f"{self.job.name}-{self.index}"

    @property
    def case(self) -> TaskCase:
        """What the file says of it."""
        return self.job.tasks[self.index]


@dataclass(slots=True)
class Deeds:
    """What was done: pods bound, pods evicted, places promised."""

    binds: int = 0
    evictions: int = 0
    pipelines: int = 0

    def since(self, earlier: "Deeds") -> "Deeds":
        """Return what was done after an earlier count."""
        return Deeds(self.binds - earlier.binds, self.evictions - earlier.evictions, self.pipelines - earlier.pipelines)

    def copy(self) -> "Deeds":
        """Return the count as it is now."""
        return Deeds(self.binds, self.evictions, self.pipelines)


class World:
    """The cluster of one case. `state` is what the planner sees, `tasks` are those of the jobs that are there."""

    def __init__(self, case: Case) -> None:
        self.state = State()
        self.tasks: dict[UUID, Task] = {}
        self.deeds = Deeds()
        self._case = case
        self._position = 0
        self._now = facts.START
        self._nodes: dict[str, Devices] = {}
        self.see_nodes(case.nodes)
        for event in facts.organisation(case.queues):
            self._tell(event)

    # ------------------------------------------------------------ what people do

    def begin(self, step: Step) -> None:
        """Let everything happen with which a step begins."""
        self.leave(step.leaving)
        self.lose_nodes(step.lost_nodes)
        self.see_nodes(step.nodes)
        self.change_queues(step.queues)
        self.arrive(step.jobs)

    def see_nodes(self, nodes: Iterable[NodeCase]) -> None:
        """Let nodes come, or be other than they were."""
        for node in nodes:
            self._nodes[node.name] = Devices(node.gpus, node.gpu_memory_bytes)
            self._tell(facts.observed_node(node))

    def lose_nodes(self, names: Iterable[str]) -> None:
        """Let nodes go with all that is on them; other pods wait in the stead of those."""
        for name in names:
            self._tell(facts.lost_node(name))
            for task in [task for task in self.tasks.values() if task.node == name]:
                self._replace(task)
            del self._nodes[name]

    def change_queues(self, queues: Iterable[QueueCase]) -> None:
        """Give queues other quotas."""
        for event in facts.changed_queues(queues, {queue.parent for queue in self._case.queues}):
            self._tell(event)

    def arrive(self, jobs: Iterable[JobCase]) -> None:
        """Let jobs appear, the oldest first."""
        for job in sorted(jobs, key=lambda job: -job.age_seconds):
            moment = self._now - timedelta(seconds=job.age_seconds)
            self._tell(facts.discovered(job, moment))
            self._tell(facts.formed(job, self._case.topologies))
            tasks = [Task(job, index, facts.pending_pod(job, index, 0, moment)) for index in range(len(job.tasks))]
            for task in tasks:
                if task.case.state is not TaskState.PENDING:
                    self._put(task)
                self.tasks[task.pod.pod_id] = task
            self._tell_pods(job, [task.pod for task in tasks])

    def leave(self, names: Iterable[str]) -> None:
        """Delete jobs whose pods are gone at once."""
        named = set(names)
        leaving = [task for task in self.tasks.values() if named & {task.job.name, task.job.family}]
        for task in leaving:
            self._forget(task)
        for name in dict.fromkeys(task.job.name for task in leaving):
            self._tell(e.WorkloadGone(workload_id=facts.id_of("workload", name), end_seen=True))

    def without_the_gone(self, plan: Plan) -> Plan:
        """Return a plan without the places of pods that are gone since its snapshot."""
        return replace(
            plan,
            placements=tuple(place for place in plan.placements if place.pod_id in self.tasks),
            nominations=tuple(place for place in plan.nominations if place.pod_id in self.tasks),
        )

    def delete_jobs(self) -> None:
        """Delete the jobs of which the case says so: what is bound leaves, and never ends; the rest is gone."""
        for task in [task for task in self.tasks.values() if task.job.deleted]:
            task.leaves_for_ever = True
            if task.node:
                self._start_to_leave(task)
            else:
                self._forget(task)
        for name in dict.fromkeys(task.job.name for task in self.tasks.values() if task.job.deleted):
            self._tell(
                e.PodGroupChanged(
                    workload_id=facts.id_of("workload", name),
                    pod_group_id=facts.id_of("group", name),
                    min_members=0,
                    dissolved=True,
                )
            )

    # ------------------------------------------------------------ what the scheduler and the cluster do

    def carry_out(self, plan: Plan) -> None:
        """Write the plan, evict its victims, bind whom it places."""
        plan_id = uuid5(facts.CLUSTER_ID, f"plan/{self._position}")
        if plan.placements or plan.victims or plan.nominations:
            self._tell(facts.plan_made(plan, plan_id))
        for victim in plan.victims:
            self._evict(victim, plan_id)
        for placement in plan.placements:
            self._bind(placement, plan_id)
        for nomination in plan.nominations:
            task = self.tasks[nomination.pod_id]
            task.promised = nomination.node
            if task.status is TaskState.PENDING:  # and not a pod that leaves first, to come again elsewhere
                task.status = TaskState.PIPELINED
        self.deeds.pipelines += len(plan.nominations)

    def settle(self) -> None:
        """Let time pass: what was bound runs, what was evicted is gone, and another pod waits in its stead."""
        self._now += timedelta(seconds=self._case.seconds_between_rounds)
        for task in list(self.tasks.values()):
            task.promised = ""
            if task.status is TaskState.BINDING:
                self._start(task)
            elif task.status is TaskState.PIPELINED:
                task.status = TaskState.PENDING
            elif task.status is TaskState.RELEASING and not task.leaves_for_ever:
                self._replace(task)

    def gpus_of(self, node: str) -> tuple[int, int]:
        """Return how many whole devices of a node nobody has, and how many only those have who are leaving."""
        holders = [task for task in self.tasks.values() if task.node == node]
        held = {share.index for task in holders for share in task.devices}
        kept = {share.index for task in holders if task.status is not TaskState.RELEASING for share in task.devices}
        return self._nodes[node].count - len(held), len(held - kept)

    # ------------------------------------------------------------ one pod at a time

    def _put(self, task: Task) -> None:
        """Let a task begin on the node the file names, on the device of its label or on free ones."""
        devices = self._nodes[task.case.node].take(task.pod.gpu, task.case.gpu_groups)
        task.node, task.devices, task.status = task.case.node, devices, task.case.state
        task.pod = facts.running_pod(task.pod, task.node, devices)
        if task.status is TaskState.RELEASING:
            task.pod = task.pod.model_copy(update={"terminating": True})

    def _bind(self, placement: Placement, plan_id: UUID) -> None:
        task = self.tasks[placement.pod_id]
        assert task.status is TaskState.PENDING, f"{task.name} is bound twice"
        task.node, task.devices, task.status = placement.node, placement.devices, TaskState.BINDING
        bound = BoundPod(pod_id=placement.pod_id, name=task.name, node=placement.node, devices=placement.devices)
        self._tell(
            e.PodScheduled(
                workload_id=placement.workload_id,
                pod_group_id=placement.pod_group_id,
                plan_id=plan_id,
                pods=(bound,),
            )
        )
        self.deeds.binds += 1

    def _evict(self, victim: Victim, plan_id: UUID) -> None:
        task = self.tasks[victim.pod_id]
        assert task.node, f"{task.name} is evicted and is nowhere"
        self._tell(
            e.PodPreempted(
                workload_id=victim.workload_id,
                plan_id=plan_id,
                pod_ids=(victim.pod_id,),
                beneficiary_id=victim.beneficiary_id,
                rule=victim.rule,
                reason="",
            )
        )
        self._start_to_leave(task)
        self.deeds.evictions += 1

    def _start(self, task: Task) -> None:
        task.status, task.pod = TaskState.RUNNING, facts.running_pod(task.pod, task.node, task.devices)
        self._tell_pods(task.job, [task.pod])

    def _start_to_leave(self, task: Task) -> None:
        task.status, task.pod = TaskState.RELEASING, task.pod.model_copy(update={"terminating": True})
        self._tell_pods(task.job, [task.pod])

    def _replace(self, task: Task) -> None:
        self._forget(task)
        task.generation += 1
        task.node, task.devices, task.status = "", (), TaskState.PENDING
        task.pod = facts.pending_pod(task.job, task.index, task.generation, self._now)
        self.tasks[task.pod.pod_id] = task
        self._tell_pods(task.job, [task.pod])

    def _forget(self, task: Task) -> None:
        del self.tasks[task.pod.pod_id]
        mark = PodMark(pod_id=task.pod.pod_id, name=task.name, last_phase=task.pod.phase, node=task.node)
        self._tell(e.PodGone(workload_id=facts.id_of("workload", task.job.name), pods=(mark,)))

    # ------------------------------------------------------------ the journal

    def _tell_pods(self, job: JobCase, pods: Iterable[PodFacts]) -> None:
        self._tell(e.PodObserved(workload_id=facts.id_of("workload", job.name), pods=tuple(pods)))

    def _tell(self, event: e.AnyEvent) -> None:
        self._position += 1
        envelope = Envelope(uuid5(facts.CLUSTER_ID, str(self._position)), self._now)
        self.state.apply(Recorded(self._position, envelope, event))
