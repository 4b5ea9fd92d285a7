"""Small worlds by chance with departments, several node pools and little room: whatever is taken back is due.

The checker has its own arithmetic of fair share, so each plan that it finds sound is two opinions that agree.
"""

from random import Random
from uuid import UUID

import pytest
from muster_contracts import events as e
from muster_contracts.values import WHOLE_GPU, Caller, GpuRequest, PodFacts, PodPhase, PoolQuota
from muster_scheduler.core.check import faults
from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.worlds import GIBIBYTE, belongs, gone, group, id_of, node, plan_made, pod, pool, project, recorded

ROUNDS = 8
WORLDS, BATCH = 400, 100
NIGHTLY_WORLDS, NIGHTLY_BATCH = 20_000, 1000
POOLS = ("default", "blue")
DEPARTMENTS = ("north", "south")


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_what_is_taken_back_is_due_in_every_plan(first: int) -> None:
    assert sum(play(seed) for seed in range(first, first + BATCH)) > BATCH // 4


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(WORLDS, WORLDS + NIGHTLY_WORLDS, NIGHTLY_BATCH))
def test_what_is_taken_back_is_due_in_a_great_many_worlds(first: int) -> None:
    assert sum(play(seed) for seed in range(first, first + NIGHTLY_BATCH)) > NIGHTLY_BATCH // 4


def play(seed: int) -> int:
    """Play one world; return how many pods were reclaimed."""
    world = ShareWorld(Random(seed))
    reclaimed = 0
    for number in range(ROUNDS):
        world.arrive(number)
        snapshot = take_snapshot(world.state)
        made = plan(snapshot)
        assert faults(snapshot, made) == [], f"seed {seed}, round {number}"
        reclaimed += sum(victim.rule == "reclaim" for victim in made.victims)
        world.carry_out(made)
    return reclaimed


class ShareWorld:
    """Two pools, two departments and a few projects, whose workloads come one after the other and seldom end."""

    def __init__(self, chance: Random) -> None:
        self.state = State()
        self._chance = chance
        self._projects = [f"p{number}" for number in range(chance.randint(2, 4))]
        self._names: dict[UUID, str] = {}
        self._pods: dict[UUID, PodFacts] = {}
        nodes = [self._node(number) for number in range(chance.randint(2, 4))]
        self._tell(pool("blue"), *nodes, *map(self._department, DEPARTMENTS), *map(self._project, self._projects))

    def _tell(self, *events: e.AnyEvent) -> None:
        for one in recorded(events, first=self.state.position + 1):
            self.state.apply(one)

    def _node(self, number: int) -> e.NodeObserved:
        chance = self._chance
        labels = {"pool": "blue"} if chance.random() < 0.4 else {}
        size = chance.choice((40, 80)) * GIBIBYTE
        return node(f"n{number}", gpus=chance.choice((2, 4, 4)), cpu=16, labels=labels, gpu_memory_bytes=size)

    def _department(self, name: str) -> e.DepartmentChanged:
        quotas = () if self._chance.random() < 0.3 else tuple(self._quota(each, 6) for each in POOLS)
        return e.DepartmentChanged(department_id=id_of(name), name=name, quotas=quotas, changed_by=Caller(name="admin"))

    def _quota(self, name: str, most: int) -> PoolQuota:
        chance = self._chance
        return PoolQuota(
            node_pool=name,
            gpu_millionths=chance.choice((0, 1, 2, most)) * WHOLE_GPU,
            over_quota_weight=chance.choice((None, 0, 1, 2, 3)),
            priority=chance.choice((0, 0, 0, 1)),
        )

    def _project(self, name: str) -> e.ProjectChanged:
        chance = self._chance
        quotas = tuple(self._quota(each, 3) for each in POOLS if chance.random() < 0.9)
        department = chance.choice((*DEPARTMENTS, ""))
        return project(name, department=department).model_copy(update={"quotas": quotas})

    def arrive(self, number: int) -> None:
        """Let some workloads come."""
        for count in range(self._chance.randint(1, 3)):
            self._come(f"w{number}-{count}")

    def _come(self, name: str) -> None:
        chance = self._chance
        size = chance.choice((1, 1, 2, 4))
        gpu = chance.choice(
            (
                GpuRequest(devices=1),
                GpuRequest(devices=1),
                GpuRequest(devices=2),
                GpuRequest(devices=1, portion_millionths=500_000),
                GpuRequest(devices=1, memory_bytes=20 * GIBIBYTE),
            )
        )
        pods = [pod(f"{name}-{n}", name, gpu=gpu) for n in range(size)]
        self._names[id_of(f"group/{name}")] = name
        self._pods |= {facts.pod_id: facts for facts in pods}
        self._tell(
            belongs(name, chance.choice(self._projects)),
            *group(
                name,
                pods,
                min_members=chance.randint(1, size),
                priority=chance.choice(("train", "train", "build")),
                node_pools=chance.choice((("default",), ("blue",), ("default", "blue"), ("blue", "default"))),
            ),
        )

    def carry_out(self, made: Plan) -> None:
        """Do what a plan says, and let few others come to their end."""
        self._tell(plan_made(made, self.state.position))
        for place in made.placements:
            change = {"node": place.node, "gpus": format_devices(place.devices), "phase": PodPhase.RUNNING}
            facts = self._pods[place.pod_id] = self._pods[place.pod_id].model_copy(update=change)
            self._tell(e.PodObserved(workload_id=id_of(f"workload/{self._name_of(facts)}"), pods=(facts,)))
        leaving = [victim.pod_id for victim in made.victims]
        leaving += [pod_id for pod_id, facts in self._pods.items() if facts.node and self._chance.random() < 0.05]
        for pod_id in dict.fromkeys(leaving):
            facts = self._pods.pop(pod_id)
            self._tell(gone(facts.name, self._name_of(facts)))

    def _name_of(self, facts: PodFacts) -> str:
        assert facts.pod_group_id is not None
        return self._names[facts.pod_group_id]
