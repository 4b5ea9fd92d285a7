"""Worlds that did not come to rest, made as small as possible: somebody was evicted in vain, again and again."""

from typing import Any

import pytest
from muster_contracts import events as e
from muster_contracts.values import LabelRule, PlacementRules, PodTerm, SpreadRule
from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.worlds import belongs, gang, group, node, project, running, state_of

DATABASES = (LabelRule(key="app", values=("db",)),)


def planned(*events: e.AnyEvent) -> Plan:
    snapshot = take_snapshot(state_of(*events))
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    return made


def near_a_database() -> list[e.AnyEvent]:
    """Return a node, and a workload with a quota, which has to be near a database, that borrows the room it needs."""
    rules = PlacementRules(near=(PodTerm(topology_key="zone", rules=DATABASES),))
    database = running("db", "db", "a", "0,1", gpus=2, labels={"app": "db"})
    owned = [project("due", 2), belongs("new", "due"), project("lent", 0), belongs("db", "lent")]
    land = node("a", gpus=2, labels={"zone": "z"})
    return [land, *owned, *group("db", [database]), *gang("new", 1, gpus=2, rules=rules)]


def test_nobody_is_evicted_whom_the_pod_for_which_that_happens_has_to_be_near() -> None:
    assert planned(*near_a_database()).victims == ()


def test_of_those_whom_a_pod_has_to_be_near_one_may_go_if_another_stays() -> None:
    another = running("small", "small", "a", gpus=0, labels={"app": "db"})
    made = planned(*near_a_database(), *group("small", [another]))
    assert [victim.name for victim in made.victims] == ["db"]


def test_nobody_is_evicted_who_keeps_domains_even_enough_for_the_pod_for_which_that_happens() -> None:
    rules = PlacementRules(spread=(SpreadRule(topology_key="zone", rules=DATABASES, honours_affinity=False),))
    demands: dict[str, Any] = {"labels": {"app": "db"}, "node_selector": {"zone": "a"}, "rules": rules}
    lands = [node(name, gpus=2, labels={"zone": name}) for name in ("a", "b")]
    owned = [project("due", 2), belongs("new", "due"), project("lent", 0), belongs("old", "lent")]
    beside = running("beside", "beside", "a", "0", labels={"app": "db"})
    old = [running("old-0", "old", "a", "1"), running("old-1", "old", "b", "0", labels={"app": "db"})]
    gangs = [*group("old", old, min_members=2), *group("beside", [beside], priority="build")]
    assert planned(*lands, *owned, *gangs, *gang("new", 1, **demands)).victims == ()


@pytest.mark.parametrize(("processors", "victims"), [(62, []), (100, ["low-0"])])
def test_who_could_never_start_holds_up_nobody_who_preempts_above_quota(processors: int, victims: list[str]) -> None:
    nodes = [node("a", gpus=2, cpu=64), node("b", gpus=0, cpu=64)]
    owned = [project("p", 1), project("q", 1), *(belongs(name, "p") for name in ("low", "high")), belongs("large", "q")]
    low = group("low", [running("low-0", "low", "a", "0", cpu=10)])
    high = gang("high", 1, gpus=2, priority="interactive-preemptible")
    made = planned(*nodes, *owned, *low, *high, *gang("large", 1, cpu=processors))
    assert [victim.name for victim in made.victims] == victims
