"""Small worlds by chance in which pods have rules about each other: every plan is sound, whoever comes and goes."""

from random import Random
from typing import Any
from uuid import UUID

import pytest
from muster_contracts import events as e
from muster_contracts.values import LabelRule, PlacementRules, PodFacts, PodPhase, PodTerm, SpreadRule, Taint
from muster_scheduler.core.check import faults
from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.worlds import gone, group, id_of, node, plan_made, pod, recorded

ROUNDS = 6
WORLDS, BATCH = 400, 100
NIGHTLY_WORLDS, NIGHTLY_BATCH = 20_000, 1000
APPS = ("web", "db", "batch")


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_rules_about_company_hold_in_every_plan(first: int) -> None:
    placed = sum(play(seed) for seed in range(first, first + BATCH))
    assert placed > BATCH  # the worlds are not so strict that nothing ever happens


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(WORLDS, WORLDS + NIGHTLY_WORLDS, NIGHTLY_BATCH))
def test_rules_about_company_hold_in_a_great_many_worlds(first: int) -> None:
    assert sum(play(seed) for seed in range(first, first + NIGHTLY_BATCH)) > NIGHTLY_BATCH


def play(seed: int) -> int:
    """Play one world; return how many pods found a place."""
    world = CompanyWorld(Random(seed))
    placed = 0
    for number in range(ROUNDS):
        world.arrive(number)
        snapshot = take_snapshot(world.state)
        made = plan(snapshot)
        assert faults(snapshot, made) == [], f"seed {seed}, round {number}"
        placed += len(made.placements)
        world.carry_out(made, number)
    return placed


class CompanyWorld:
    """Nodes in zones, and pods that come, are bound, are told to go, and go."""

    def __init__(self, chance: Random) -> None:
        self.state = State()
        self._chance = chance
        self._groups: dict[UUID, str] = {}
        self._pods: dict[UUID, PodFacts] = {}
        self._tell(*[self._node(number) for number in range(chance.randint(2, 6))])

    def _tell(self, *events: e.AnyEvent) -> None:
        for one in recorded(events, first=self.state.position + 1):
            self.state.apply(one)

    def _node(self, number: int) -> e.NodeObserved:
        chance = self._chance
        labels = {"host": f"h{number}"} | ({"zone": f"z{number % 3}"} if chance.random() < 0.9 else {})
        taints = (Taint(key="reserved", effect="NoSchedule"),) if chance.random() < 0.15 else ()
        return node(
            f"n{number}", gpus=chance.choice((0, 2, 4)), cpu=chance.choice((3, 8)), labels=labels, taints=taints
        )

    def arrive(self, number: int) -> None:
        """Let some groups come."""
        for count in range(self._chance.randint(1, 3)):
            self._come(f"g{number}-{count}")

    def _come(self, name: str) -> None:
        chance = self._chance
        size, app = chance.randint(1, 4), chance.choice(APPS)
        common: dict[str, Any] = {
            "gpus": chance.choice((0, 1)),
            "labels": {"app": app} if chance.random() < 0.7 else {},
            "rules": self._rules() if chance.random() < 0.7 else None,
            "namespace": chance.choice(("one", "one", "two")),
        }
        pods = [pod(f"{name}-{n}", name, **common) for n in range(size)]
        self._groups[id_of(f"group/{name}")] = name
        self._pods |= {facts.pod_id: facts for facts in pods}
        minimum, priority = chance.randint(1, size), chance.choice(("train", "build"))
        self._tell(*group(name, pods, min_members=minimum, priority=priority))

    def _rules(self) -> PlacementRules:
        chance = self._chance
        return PlacementRules(
            near=(self._term(),) if chance.random() < 0.2 else (),
            apart=(self._term(),) if chance.random() < 0.3 else (),
            spread=tuple(self._spread() for _ in range(chance.choice((0, 1, 1, 2)))),
            host_ports=("TCP/80",) if chance.random() < 0.2 else (),
        )

    def _term(self) -> PodTerm:
        namespaces = self._chance.choice(((), (), ("one", "two")))
        return PodTerm(
            topology_key=self._chance.choice(("zone", "host")), rules=self._selector(), namespaces=namespaces
        )

    def _spread(self) -> SpreadRule:
        chance = self._chance
        return SpreadRule(
            topology_key=chance.choice(("zone", "host")),
            max_skew=chance.randint(1, 2),
            rules=self._selector(),
            required=chance.random() < 0.7,
            min_domains=chance.choice((1, 1, 3)),
            honours_affinity=chance.random() < 0.7,
            honours_taints=chance.random() < 0.4,
        )

    def _selector(self) -> tuple[LabelRule, ...]:
        chance = self._chance
        if chance.random() < 0.1:
            return ()
        operator = chance.choice(("In", "In", "In", "NotIn"))
        return (LabelRule(key="app", operator=operator, values=(chance.choice(APPS),)),)

    def carry_out(self, made: Plan, number: int) -> None:
        """Do what a plan says, and let others come to their end."""
        self._tell(plan_made(made, self.state.position))
        for place in made.placements:
            facts = self._pods[place.pod_id]
            change = {"node": place.node, "gpus": format_devices(place.devices), "phase": PodPhase.RUNNING}
            self._see(facts.model_copy(update=change))
        leaving = [victim.pod_id for victim in made.victims]
        leaving += [pod_id for pod_id, facts in self._pods.items() if facts.node and self._chance.random() < 0.1]
        for pod_id in dict.fromkeys(leaving):
            self._leave(self._pods[pod_id])

    def _leave(self, facts: PodFacts) -> None:
        """Let a pod go, at once or after a while in which it ends."""
        if not facts.terminating and self._chance.random() < 0.4:
            self._see(facts.model_copy(update={"terminating": True}))
            return
        del self._pods[facts.pod_id]
        assert facts.pod_group_id is not None
        self._tell(gone(facts.name, self._groups[facts.pod_group_id]))

    def _see(self, facts: PodFacts) -> None:
        self._pods[facts.pod_id] = facts
        assert facts.pod_group_id is not None
        workload_id = id_of(f"workload/{self._groups[facts.pod_group_id]}")
        self._tell(e.PodObserved(workload_id=workload_id, pods=(facts,)))
