"""The checker finds what is wrong: sound plans, spoilt one way each."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from muster_contracts import events as e
from muster_contracts.values import (
    WHOLE_GPU,
    DeviceShare,
    GpuRequest,
    LabelRule,
    PlacementRules,
    PodTerm,
    PoolQuota,
    Taint,
    TopologyConstraint,
    Victim,
)
from muster_scheduler.core.check import faults
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from scheduler.worlds import belongs, gang, group, id_of, node, plan_made, pod, pool, project, running, state_of

RACK = TopologyConstraint(levels=("rack",), required="rack")


def sound(*events: e.AnyEvent) -> tuple[Snapshot, Plan]:
    snapshot = take_snapshot(state_of(*events))
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    return snapshot, made


def moved(made: Plan, number: int, **change: object) -> Plan:
    """Return the plan with one placement changed."""
    spoilt = made.placements[number].model_copy(update=change)
    return replace(made, placements=(*made.placements[:number], spoilt, *made.placements[number + 1 :]))


def complaint(snapshot: Snapshot, made: Plan) -> str:
    return " ".join(faults(snapshot, made))


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda made: moved(made, 0, devices=made.placements[1].devices), "given 1000000 too much now"),
        (lambda made: moved(made, 0, devices=()), "asks for 1 devices and gets 0"),
        (lambda made: moved(made, 0, devices=(DeviceShare(index=0, portion_millionths=1),)), "another part"),
        (lambda made: moved(made, 0, node="nowhere"), "There is no node nowhere"),
        (lambda made: moved(made, 0, node="closed"), "Node closed takes no pods"),
        (lambda made: moved(made, 0, node="tainted"), "does not tolerate the taint k"),
        (lambda made: moved(made, 0, node="small"), "thousandths of CPUs more than it has"),
        (lambda made: moved(made, 0, node="elsewhere"), "in the node pools"),
        (lambda made: moved(made, 0, pod_id=id_of("pod/stranger")), "does not wait"),
        (lambda made: moved(made, 1, pod_id=made.placements[0].pod_id), "is placed 2 times"),
        (lambda made: replace(made, placements=made.placements[1:]), "is started in part"),
    ],
)
def test_a_wrong_place_is_found(spoil: Callable[[Plan], Plan], word: str) -> None:
    nodes = [
        node("a", gpus=2),
        node("closed", unschedulable=True),
        node("tainted", taints=(Taint(key="k", effect="NoSchedule"),)),
        node("small", cpu=0),
        node("elsewhere", labels={"pool": "x"}),
    ]
    snapshot, made = sound(pool("x"), *nodes, *gang("g", 2))
    assert word in complaint(snapshot, spoil(made))


def test_a_label_that_is_not_there_is_found() -> None:
    choosy = pod("p", "g", node_selector={"zone": "a"})
    snapshot, made = sound(node("a", labels={"zone": "a"}), node("b"), *group("g", [choosy]))
    assert "wants a node labelled zone=a" in complaint(snapshot, moved(made, 0, node="b"))


def test_a_gang_outside_its_domain_is_found() -> None:
    nodes = [node(name, gpus=2, labels={"rack": rack}) for name, rack in (("a", "x"), ("b", "x"), ("c", "y"))]
    snapshot, made = sound(*nodes, *gang("g", 4, topology=RACK))
    spoilt = moved(moved(made, 0, node="c"), 1, node="c")
    assert "is not in one domain of rack" in complaint(snapshot, spoilt)


def test_too_little_of_a_device_is_found() -> None:
    asked = GpuRequest(devices=1, memory_bytes=50)
    snapshot, made = sound(node("a", gpus=1, gpu_memory_bytes=100), *group("g", [pod("p", "g", gpu=asked)]))
    less = (DeviceShare(index=0, portion_millionths=499_999),)
    assert "another part of device 0" in complaint(snapshot, moved(made, 0, devices=less))


def two_projects(**lender: object) -> list[e.AnyEvent]:
    events: list[e.AnyEvent] = [node("a", gpus=2), project("p", 1), project("q", 1)]
    for number in range(2):
        name = f"p{number}"
        events += [belongs(name, "p"), *group(name, [running(name, name, "a", str(number), age=-number)], **lender)]  # type: ignore[arg-type]
    return [*events, belongs("new", "q"), *gang("new", 1)]


def test_a_victim_that_is_not_preemptible_is_found() -> None:
    snapshot, made = sound(*two_projects())
    views = {key: replace(view, preemptible=view.name == "new") for key, view in snapshot.views.items()}
    assert "is not preemptible" in complaint(replace(snapshot, views=views), made)


def test_a_victim_within_its_quota_is_found() -> None:
    snapshot, made = sound(*two_projects())
    queues = tuple(
        replace(queue, quotas=tuple(q.model_copy(update={"gpu_millionths": 2 * WHOLE_GPU}) for q in queue.quotas))
        for queue in snapshot.queues
    )
    assert "is reclaimed and is not borrowed" in complaint(replace(snapshot, queues=queues), made)


def test_a_victim_that_could_have_stayed_when_the_others_had_gone_is_found() -> None:
    events = [node("a", gpus=3), project("lent", 1), project("due", 2), belongs("new", "due"), *gang("new", 1, gpus=2)]
    for name, devices, age in (("large", "0,1", 1), ("small", "2", 9)):
        facts = running(name, name, "a", devices, gpus=len(devices.split(",")), age=age)
        events += [belongs(name, "lent"), *group(name, [facts])]
    snapshot, made = sound(*events)
    (large,) = made.victims
    assert large.name == "large"
    small = large.model_copy(update={"pod_id": id_of("pod/small"), "workload_id": id_of("workload/small")})
    both = replace(made, victims=(small, large))  # one after the other each is above its share
    assert "which with it holds 1000000 of 1000000 GPUs" in complaint(snapshot, both)


def test_a_victim_of_the_same_importance_is_found() -> None:
    snapshot, made = sound(*two_projects())
    victims = tuple(victim.model_copy(update={"rule": "preempt"}) for victim in made.victims)
    assert "is no more important" in complaint(snapshot, replace(made, victims=victims))


def test_who_keeps_a_promise_in_another_pool_wants_nothing_of_this_one() -> None:
    old = group("old", [running("old", "old", "b", "0")], node_pools=("x",))
    new = gang("new", 1, priority="build", node_pools=("x", "default"))
    quotas = tuple(PoolQuota(node_pool=name, gpu_millionths=WHOLE_GPU) for name in ("default", "x"))
    mine = project("p").model_copy(update={"quotas": quotas})
    events = [pool("x"), node("b", gpus=1, labels={"pool": "x"}), mine, belongs("old", "p"), *old, belongs("new", "p")]
    _, promised = sound(*events, *new)
    held = group("held", [running("held", "held", "a", "0,1,2", gpus=3)])
    other = [node("a", gpus=4), project("q", 1), belongs("held", "q"), *held, belongs("more", "q")]
    _, made = sound(*events, *new, plan_made(promised), *other, *gang("more", 1, gpus=2))
    told = {blocked.code: blocked.numbers.get("fair_share") for blocked in made.blocked}
    assert told == {"RoomIsBeingMade": None, "FairShareExceeded": 4 * WHOLE_GPU}


def test_a_victim_for_nobody_or_moved_nowhere_or_gone_twice_is_found() -> None:
    snapshot, made = sound(*two_projects())
    (victim,) = made.victims
    assert "for nobody" in complaint(snapshot, replace(made, nominations=()))
    nowhere = victim.model_copy(update={"rule": "consolidate"})
    assert "is moved nowhere" in complaint(snapshot, replace(made, victims=(nowhere,)))
    assert "is told to go 2 times" in complaint(snapshot, replace(made, victims=(victim, victim)))
    stranger = Victim.model_validate({**victim.model_dump(), "pod_id": id_of("pod/stranger")})
    assert "is nowhere" in complaint(snapshot, replace(made, victims=(stranger,)))


def test_a_promise_without_room_is_found() -> None:
    snapshot, made = sound(*two_projects())
    assert "too much later" in complaint(snapshot, replace(made, victims=()))


@pytest.mark.parametrize(
    ("quota", "priority", "word"),
    [
        ({"gpu_limit_millionths": WHOLE_GPU}, "train", "project/p passes its limit: 2000000 of 1000000 GPUs"),
        ({"gpu_millionths": WHOLE_GPU}, "build", "passes its quota with what cannot be preempted"),
        ({"cpu_limit_milli": 1500}, "train", "project/p passes its limit: 2000 of 1500 processors"),
    ],
)
def test_a_passed_bound_is_found(quota: dict[str, int], priority: str, word: str) -> None:
    snapshot, made = sound(node("a"), project("p", 8), belongs("g", "p"), *gang("g", 2, priority=priority))
    queues = tuple(
        replace(queue, quotas=tuple(one.model_copy(update=quota) for one in queue.quotas)) for queue in snapshot.queues
    )
    assert word in complaint(replace(snapshot, queues=queues), made)


def test_a_missing_or_contradictory_reason_is_found() -> None:
    snapshot, made = sound(node("a", gpus=1), *gang("g", 1, gpus=2))
    assert "waits without a reason" in complaint(snapshot, replace(made, blocked=()))
    (blocked,) = made.blocked
    for numbers, word in (
        ({"needed": 1, "best": 1}, "is said to need 1 where 1 are best"),
        ({"needed": -1}, "negative"),
        ({"needed": 1, "held": 1, "bound": 2}, "is said to pass 2"),
    ):
        wrong = Blocked(blocked.workload_id, blocked.pod_group_id, blocked.code, blocked.reason, "", numbers)
        assert word in complaint(snapshot, replace(made, blocked=(wrong,)))


WEB = LabelRule(key="app", values=("web",))
MATES = PodTerm(topology_key="host", rules=(WEB,))


@pytest.mark.parametrize(
    ("rules", "labels", "word"),
    [
        (PlacementRules(apart=(MATES,)), {}, "is not kept apart from others"),
        (PlacementRules(host_ports=("TCP/80",)), {}, "wants TCP/80 of b"),
        (None, {"app": "shy"}, "is not kept away from others"),
        (
            PlacementRules(near=(PodTerm(topology_key="host", rules=(LabelRule(key="app", values=("db",)),)),)),
            {},
            "near",
        ),
    ],
)
def test_bad_company_is_found(rules: PlacementRules | None, labels: dict[str, str], word: str) -> None:
    shy = PodTerm(topology_key="host", rules=(LabelRule(key="app", values=("shy",)),))
    old = running(
        "old", "old", "b", "0", labels={"app": "web"}, rules=PlacementRules(apart=(shy,), host_ports=("TCP/80",))
    )
    store = running("db", "db", "a", "0", labels={"app": "db"})
    nodes = [node("a", labels={"host": "a"}), node("b", labels={"host": "b"})]
    new = pod("new", "new", rules=rules, labels=labels)
    snapshot, made = sound(*nodes, *group("old", [old]), *group("db", [store]), *group("new", [new]))
    assert made.placements[0].node == "a"
    assert word in complaint(snapshot, moved(made, 0, node="b"))


def test_a_plan_that_decides_nothing_is_judged_without_a_look_at_all_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of a hundred thousand pods is looked at many times a minute, mostly with nothing to decide."""
    snapshot = take_snapshot(state_of(node("a"), *group("old", [running("old", "old", "a", "0")])))
    made = plan(snapshot)
    monkeypatch.setattr(Facts, "bound", property(lambda _: pytest.fail("the checker looked at all pods")))
    assert faults(snapshot, made) == []
