"""Worlds by chance with everything at once: lists of node pools under three levels of departments.

Beside what the scenarios of `random_cases` have, there are quotas and limits of processors and memory, minimum run
times, evictions that are refused, pods of other schedulers, and nodes that come, go and are closed. For a few rounds
people, nodes and quotas do as they like; then nothing happens any more but what the planner does, and it must come to
rest. Whoever is evicted is replaced by a pod that waits, so nobody leaves because he was taken from.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from muster_contracts import events as e
from muster_contracts.values import (
    WHOLE_GPU,
    Caller,
    GpuRequest,
    PodFacts,
    PodPhase,
    PoolQuota,
    SubGroup,
    TopologyConstraint,
    Victim,
)
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import State
from scheduler.test_plan_properties import LIMITS, QUIET_ROUNDS, ROUNDS, check_plan, check_room
from scheduler.worlds import GIBIBYTE, START, belongs, gone, group, id_of, node, plan_made, pod, pool, project

BUSY_ROUNDS = 5
WORLDS, BATCH = 200, 50
NIGHTLY_WORLDS, NIGHTLY_BATCH = 20_000, 500
ROUND = timedelta(seconds=10)
POOLS = ("default", "blue", "green")
LISTS = (("default",), ("blue",), ("default", "blue"), ("blue", "default"), ("green", "blue", "default"))
DEPARTMENTS = {"top": "", "middle": "top", "low": "middle", "beside": ""}
CLASSES = ("train", "train", "interactive-preemptible", "build", "inference")
PARTS = (SubGroup(name="head", min_members=1), SubGroup(name="workers", min_members=1))
NEAR = (
    TopologyConstraint(levels=("zone", "rack"), required="rack"),
    TopologyConstraint(levels=("zone", "rack"), required="zone", preferred="rack"),
    TopologyConstraint(levels=("zone", "rack"), preferred="rack"),
)
ADMIN = Caller(name="admin")


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_worlds_with_everything_come_to_rest_without_breaking_a_rule(first: int) -> None:
    evicted = sum(play(seed) for seed in range(first, first + BATCH))
    assert evicted > BATCH // 2  # there is little enough room that somebody has to go


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(WORLDS, WORLDS + NIGHTLY_WORLDS, NIGHTLY_BATCH))
def test_a_great_many_worlds_with_everything_come_to_rest_without_breaking_a_rule(first: int) -> None:
    assert sum(play(seed) for seed in range(first, first + NIGHTLY_BATCH)) > NIGHTLY_BATCH // 2


def play(seed: int) -> int:
    """Play one world until it comes to rest; return how many pods were evicted."""
    world = WideWorld(seed)
    for number in range(BUSY_ROUNDS):
        world.live(number)
        world.turn()
    world.refuses = False
    quiet = 0
    for _ in range(ROUNDS):
        quiet = 0 if world.turn().decides else quiet + 1
        if quiet == QUIET_ROUNDS:
            return world.evicted
    raise AssertionError(f"The world of seed {seed} does not come to rest in {ROUNDS} rounds.")


class WideWorld:
    """Everybody but the planner. A turn is a plan that is carried out, and the time in which victims go."""

    def __init__(self, seed: int) -> None:
        self.state = State()
        self.evicted = 0
        self.refuses = True
        self._seed, self._chance = seed, Random(seed)
        self._now = START
        self._pods: dict[UUID, PodFacts] = {}
        self._names: dict[UUID, str] = {}
        self._nodes: dict[str, e.NodeObserved] = {}
        self._projects = [f"p{number}" for number in range(self._chance.randint(2, 4))]
        self._tell(*(pool(name, gpu_placement=self._chance.choice(("bin-pack", "spread"))) for name in POOLS))
        self._tell(*map(self._department, DEPARTMENTS), *map(self._project, self._projects))
        for number in range(self._chance.randint(1, 4)):
            self._see_node(f"n{number}")

    def turn(self) -> Plan:
        """Plan, judge the plan, carry it out, and let those go who were told to."""
        snapshot = take_snapshot(self.state)
        made = plan(snapshot, LIMITS)
        check_plan(snapshot, made, self._seed)
        check_whole_gangs(snapshot, made, self._seed)
        check_dues(snapshot, made, self._seed)
        self._carry_out(made)
        check_room(self.state, self._seed)
        self._settle()
        return made

    def live(self, number: int) -> None:
        """Let workloads come and go, nodes come, close and vanish, strangers use them, and quotas change."""
        chance = self._chance
        for count in range(chance.randint(2, 6)):
            self._come(f"w{number}-{count}")
        for name in dict.fromkeys(self._names.values()):
            if chance.random() < 0.1:
                self._leave(name)
        self._change_nodes(number)
        if chance.random() < 0.4:
            self._let_a_stranger_come(f"stranger{number}")
        self._tell(*(self._project(name) for name in self._projects if chance.random() < 0.1))

    # ------------------------------------------------------------ the organisation

    def _department(self, name: str) -> e.DepartmentChanged:
        quotas = () if self._chance.random() < 0.3 else tuple(self._quota(each, 6) for each in POOLS)
        return e.DepartmentChanged(
            department_id=id_of(name), name=name, parent=DEPARTMENTS[name], quotas=quotas, changed_by=ADMIN
        )

    def _project(self, name: str) -> e.ProjectChanged:
        chance = self._chance
        quotas = () if chance.random() < 0.1 else tuple(self._quota(each, 3) for each in POOLS if chance.random() < 0.9)
        changes = {
            "quotas": quotas,
            "preempt_minimum_seconds": chance.choice((0, 0, 0, 25)),
            "reclaim_minimum_seconds": chance.choice((0, 0, 0, 25)),
        }
        department = chance.choice((*DEPARTMENTS, ""))
        return project(name, department=department).model_copy(update=changes)

    def _quota(self, name: str, most: int) -> PoolQuota:
        chance = self._chance
        gpus = chance.randint(0, most)
        return PoolQuota(
            node_pool=name,
            gpu_millionths=chance.choice((gpus, gpus, gpus, None)) and gpus * WHOLE_GPU,
            gpu_limit_millionths=(gpus + 1) * WHOLE_GPU if chance.random() < 0.15 else None,
            cpu_milli=chance.choice((None, None, 2000, 6000)),
            cpu_limit_milli=chance.choice((None, None, None, 9000)),
            memory_bytes=chance.choice((None, None, None, 4 * GIBIBYTE)),
            over_quota_weight=chance.choice((None, 0, 1, 2, 3)),
            priority=chance.choice((0, 0, 0, 1)),
        )

    # ------------------------------------------------------------ nodes

    def _see_node(self, name: str, **more: object) -> None:
        chance, number = self._chance, len(self._nodes)
        where = chance.choice(({}, {}, {}, {"pool": "blue"}, {"pool": "green"}))
        labels = {**where, "zone": f"z{number // 3}", "rack": f"r{number // 2}"}
        sizes: dict[str, Any] = {"gpus": chance.choice((0, 2, 4, 4)), "cpu": chance.choice((4, 16)), "memory": 16}
        memory = chance.choice((40, 80)) * GIBIBYTE
        self._nodes[name] = node(name, labels=labels, gpu_memory_bytes=memory, **sizes, **more)
        self._tell(self._nodes[name])

    def _change_nodes(self, number: int) -> None:
        chance = self._chance
        if chance.random() < 0.2:
            self._see_node(f"late{number}")
        for name, seen in list(self._nodes.items()):
            if chance.random() < 0.06:
                self._lose_node(name)
            elif chance.random() < 0.1:
                self._nodes[name] = seen.model_copy(update={"unschedulable": not seen.unschedulable})
                self._tell(self._nodes[name])

    def _lose_node(self, name: str) -> None:
        """Let a node go, with all that is on it."""
        lost = self._nodes.pop(name)
        self._tell(e.NodeGone(node_id=lost.node_id, name=name))
        for facts in [facts for facts in self._pods.values() if facts.node == name]:
            self._replace(facts)

    def _let_a_stranger_come(self, name: str) -> None:
        """Let another scheduler put a pod where there is room for it."""
        snapshot = take_snapshot(self.state)
        rooms = zip(snapshot.terrain.nodes, snapshot.idle.cpu.tolist(), snapshot.idle.memory.tolist(), strict=True)
        fitting = [node.name for node, cpu, memory in rooms if cpu >= 1000 and memory >= GIBIBYTE]
        if fitting:
            more = {"node": fitting[0], "phase": PodPhase.RUNNING, "scheduler_name": "default-scheduler"}
            facts = pod(name, name, gpus=0, **more).model_copy(update={"pod_group_id": None})
            self._tell(e.PodObserved(workload_id=id_of(f"workload/{name}"), pods=(facts,)))

    # ------------------------------------------------------------ workloads

    def _come(self, name: str) -> None:
        chance = self._chance
        size = chance.choice((1, 1, 2, 3, 4))
        common: dict[str, Any] = {"gpu": self._gpu(), "cpu": chance.choice((0, 1, 1, 3)), "created_at": self._now}
        with_parts = size > 1 and chance.random() < 0.3
        parts = ["head", *["workers"] * (size - 1)] if with_parts else [""] * size
        pods = [pod(f"{name}-{n}", name, sub_group=part, **common) for n, part in enumerate(parts)]
        self._names[id_of(f"group/{name}")] = name
        self._pods |= {facts.pod_id: facts for facts in pods}
        shape: dict[str, Any] = {
            "min_members": chance.choice((1, size, chance.randint(1, size))),
            "priority": chance.choice(CLASSES),
            "node_pools": chance.choice(LISTS),
            "sub_groups": PARTS if with_parts else (),
            "min_sub_groups": chance.choice((None, None, 1)) if with_parts else None,
            "topology": chance.choice(NEAR) if chance.random() < 0.2 else None,
            "preemptible": chance.choice((None, None, None, None, True, False)),
        }
        self._tell(belongs(name, chance.choice(self._projects)), *group(name, pods, **shape))

    def _gpu(self) -> GpuRequest:
        chance = self._chance
        if chance.random() < 0.15:
            return GpuRequest(devices=1, memory_bytes=chance.choice((10, 20, 60)) * GIBIBYTE)
        if chance.random() < 0.3:
            return GpuRequest(devices=1, portion_millionths=chance.choice((300_000, 500_000, 700_000)))
        return GpuRequest(devices=chance.choice((0, 1, 1, 1, 2, 4)))

    def _leave(self, name: str) -> None:
        """Let a workload go with all its pods."""
        for facts in [facts for facts in self._pods.values() if self._name_of(facts) == name]:
            del self._pods[facts.pod_id]
            self._tell(gone(facts.name, name))
        del self._names[id_of(f"group/{name}")]
        self._tell(e.WorkloadGone(workload_id=id_of(f"workload/{name}"), end_seen=True))

    def _replace(self, facts: PodFacts) -> None:
        """Let a pod go, and another wait in its stead."""
        del self._pods[facts.pod_id]
        self._tell(gone(facts.name, self._name_of(facts)))
        name = f"{facts.name}x"
        left = {"node": "", "gpus": "", "terminating": False, "phase": PodPhase.PENDING, "created_at": self._now}
        self._see(facts.model_copy(update={"pod_id": id_of(f"pod/{name}"), "name": name, **left}))

    # ------------------------------------------------------------ carrying out

    def _carry_out(self, made: Plan) -> None:
        number = self.state.position
        self._tell(plan_made(made, number))
        for place in made.placements:
            change = {"node": place.node, "gpus": format_devices(place.devices), "phase": PodPhase.RUNNING}
            self._see(self._pods[place.pod_id].model_copy(update=change))
        for victim in made.victims:
            if self.refuses and self._chance.random() < 0.2:
                self._refuse(victim, number)
            else:
                self.evicted += 1
                self._see(self._pods[victim.pod_id].model_copy(update={"terminating": True}))

    def _refuse(self, victim: Victim, number: int) -> None:
        """Say that a disruption budget is used up."""
        group_id = self._pods[victim.pod_id].pod_group_id
        assert group_id is not None
        self._tell(
            e.PlacementReleased(
                workload_id=victim.workload_id,
                pod_group_id=group_id,
                plan_id=id_of(f"plan/{number}"),
                pod_ids=(victim.pod_id,),
                reason="A disruption budget forbids it.",
            )
        )

    def _settle(self) -> None:
        """Let time pass, and those go who are on their way; one or the other may take longer."""
        self._now += ROUND
        for facts in [facts for facts in self._pods.values() if facts.terminating]:
            if not self.refuses or self._chance.random() < 0.8:
                self._replace(facts)
        self._tell(*list(self._nodes.values())[:1])  # nothing new, but a later time

    # ------------------------------------------------------------ the journal

    def _see(self, facts: PodFacts) -> None:
        self._pods[facts.pod_id] = facts
        self._tell(e.PodObserved(workload_id=id_of(f"workload/{self._name_of(facts)}"), pods=(facts,)))

    def _name_of(self, facts: PodFacts) -> str:
        assert facts.pod_group_id is not None
        return self._names[facts.pod_group_id]

    def _tell(self, *events: e.AnyEvent) -> None:
        for event in events:
            position = self.state.position + 1
            self.state.apply(Recorded(position, Envelope(id_of(f"event/{position}"), self._now), event))


def check_whole_gangs(snapshot: Snapshot, made: Plan, seed: int) -> None:
    """No plan leaves a gang with a part of the pods that it needs, neither whom it places nor whom it takes from."""
    placed = Counter(place.pod_id for place in made.placements)
    taken = Counter(victim.pod_id for victim in made.victims if victim.rule in {"reclaim", "preempt"})
    for view in snapshot.views.values():
        here = {bound.facts.pod_id: bound.facts for bound in view.staying}
        come = {one.facts.pod_id: one.facts for one in view.waiting if one.facts.pod_id in placed}
        left = {pod_id: facts for pod_id, facts in here.items() if pod_id not in taken} | come
        touched = come or (view.is_whole(view.held) and len(left) < len(here))
        if touched and left:
            parts = Counter(view.leaf_of(facts) for facts in left.values())
            assert view.is_whole(parts), f"seed {seed}: {view.name} has {dict(parts)}, which is not enough to run"


def check_dues(snapshot: Snapshot, made: Plan, seed: int) -> None:
    """Nothing is reclaimed from a project that holds, like all departments above it, no more than quota and limit."""
    bound = {one.facts.pod_id: (view, one.node) for view in snapshot.views.values() for one in view.bound}
    pool_of = dict(zip((one.name for one in snapshot.terrain.nodes), snapshot.terrain.pool_names, strict=True))
    for victim in made.victims:
        if victim.rule == "reclaim":
            view, where = bound[victim.pod_id]
            assert _is_above_quota(snapshot, pool_of[where], view.queue), (
                f"seed {seed}: {view.queue} is told to give what is due to it"
            )


def _is_above_quota(snapshot: Snapshot, pool_name: str, key: str) -> bool:
    queues = {queue.key: queue for queue in snapshot.queues}
    while key in queues:
        quota = next((quota for quota in queues[key].quotas if quota.node_pool == pool_name), None)
        due = quota or PoolQuota(gpu_millionths=0 if queues[key].quotas else None)
        bounds = (
            (due.gpu_millionths, due.cpu_milli, due.memory_bytes),
            (due.gpu_limit_millionths, due.cpu_limit_milli, due.memory_limit_bytes),
            snapshot.terrain.capacity(pool_name),  # of nodes that closed nobody is due anything
        )
        held = _held_below(snapshot, pool_name, key)
        if any(most is not None and has > most for mosts in bounds for has, most in zip(held, mosts, strict=True)):
            return True
        key = queues[key].parent
    return False


def _held_below(snapshot: Snapshot, pool_name: str, key: str) -> Iterable[int]:
    parents = {queue.key: queue.parent for queue in snapshot.queues}
    held = [0, 0, 0]
    for (where, queue), (amounts, _) in snapshot.holding.items():
        below = queue
        while below and below != key:
            below = parents.get(below, "")
        if where == pool_name and below == key:
            held = [first + second for first, second in zip(held, amounts, strict=True)]
    return held
