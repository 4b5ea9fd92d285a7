"""Sound plans, spoilt in ways that leave them plausible: the checker names every one of them.

Each world makes the planner decide something; then one datum of the plan is changed, as a mistake of the planner's
would change it.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from muster_contracts import events as e
from muster_contracts.values import (
    WHOLE_GPU,
    BoundPod,
    GpuRequest,
    Placement,
    PlacementRules,
    PoolQuota,
    Resources,
    Victim,
)
from muster_scheduler.core.check import faults
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.check_shares import Shares
from muster_scheduler.core.draft import Draft, Limits
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.scenarios.world import World
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from scheduler.random_cases import random_case
from scheduler.worlds import belongs, gang, group, id_of, node, plan_made, pod, project, running, state_of

Spoil = Callable[[Snapshot, Plan], Plan]


def holder(name: str, first: int, count: int, *, on: str = "a") -> list[e.AnyEvent]:
    """Return a project's pods of one GPU each, from a device on; every pod a workload of its own."""
    found: list[e.AnyEvent] = []
    for number in range(first, first + count):
        one = f"{name}{number}"
        found += [belongs(one, name), *group(one, [running(one, one, on, str(number), age=-number)])]
    return found


def borrowed() -> list[e.AnyEvent]:
    """Three projects with a share of 3 GPUs each: one holds 6, one 3, and one asks for its 3."""
    projects = [project(name, 1) for name in ("much", "due", "none")]
    return [
        node("a", gpus=9),
        *projects,
        *holder("much", 0, 6),
        *holder("due", 6, 3),
        belongs("new", "none"),
        *gang("new", 3),
    ]


def wanted_by_two() -> list[e.AnyEvent]:
    """The same, and the one that holds its share wants as much again, later."""
    return [*borrowed(), belongs("again", "due"), *gang("again", 3, age=-10)]


def full() -> list[e.AnyEvent]:
    """A project that holds its share of a full node and wants more."""
    return [
        node("a", gpus=4),
        project("mine", 2),
        project("other", 2),
        *holder("mine", 0, 2),
        *holder("other", 2, 2),
        belongs("more", "mine"),
        *gang("more", 1),
    ]


def too_large() -> list[e.AnyEvent]:
    return [node("a", gpus=4), node("b", gpus=2), belongs("big", "p"), *gang("big", 1, gpus=8)]


def half_a_gang() -> list[e.AnyEvent]:
    held = group("old", [running("old", "old", "a", "3", gpus=1)], priority="build")
    return [node("a", gpus=4), *held, belongs("wide", "p"), *gang("wide", 2, gpus=2)]


def busy() -> list[e.AnyEvent]:
    held = group("old", [running("old", "old", "a", "0,1,2,3", gpus=4)], priority="build")
    return [node("a", gpus=8), *held, belongs("big", "p"), *gang("big", 1, gpus=8)]


def all_held() -> list[e.AnyEvent]:
    held = group("old", [running("old", "old", "a", "0,1,2,3", gpus=4)], priority="build")
    return [node("a", gpus=4), *held, belongs("big", "p"), *gang("big", 1, gpus=2)]


def too_wide() -> list[e.AnyEvent]:
    return [node("a", gpus=3), node("b", gpus=2), belongs("wide", "p"), *gang("wide", 4, gpus=2)]


def in_pieces_for_a_gang() -> list[e.AnyEvent]:
    """Return a world in which a gang would find enough devices, and none of its pods finds enough on one node."""
    held = [running(f"old-{on}", "old", on, "0,1", gpus=2) for on in "abc"]
    nodes = [node(name, gpus=4) for name in "abc"]
    return [*nodes, *group("old", held, priority="build"), belongs("both", "p"), *gang("both", 2, gpus=3)]


def in_parts() -> list[e.AnyEvent]:
    parts = [
        running(f"old-{index}", "old", "a", f"{index}:400000", gpu=GpuRequest(devices=1, portion_millionths=400_000))
        for index in range(2)
    ]
    return [node("a", gpus=2), *group("old", parts, priority="build"), belongs("one", "p"), *gang("one", 1)]


def without(name: str, there: int = 0) -> Callable[[], list[e.AnyEvent]]:
    """Return a world in which two of an extended resource are wanted and one is used, of as many as are there."""

    def world() -> list[e.AnyEvent]:
        has = Resources(cpu_milli=8000, memory_bytes=2**33, gpu_millionths=0, extended={name: there} if there else {})
        some = [Resources(cpu_milli=1000, memory_bytes=1, gpu_millionths=0, extended={name: n}) for n in (1, 2)]
        held = group("old", [running("old", "old", "a", gpus=0, requests=some[0])], priority="build")
        wanted = group("new", [pod("new", "new", gpus=0, requests=some[1])])
        return [node("a", gpus=0, allocatable=has), *(held if there else []), belongs("new", "p"), *wanted]

    return world


def lent() -> list[e.AnyEvent]:
    """A project holds what another may take back."""
    old = running("old", "old", "a", "0,1,2,3", gpus=4)
    return [
        node("a", gpus=4),
        project("p", 0, reclaim_minimum_seconds=100),
        project("q", 4),
        belongs("old", "p"),
        *group("old", [old]),
        belongs("new", "q"),
        *gang("new", 1),
    ]


def protected() -> list[e.AnyEvent]:
    """And may not yet: it has just started."""
    ids = {"workload_id": id_of("workload/old"), "pod_group_id": id_of("group/old"), "plan_id": id_of("plan/0")}
    return [*lent(), e.PodScheduled(**ids, pods=(BoundPod(pod_id=id_of("pod/old"), name="old", node="a"),))]


def refused() -> list[e.AnyEvent]:
    """And may not yet: its eviction was refused."""
    ids = {"workload_id": id_of("workload/old"), "pod_id": id_of("pod/old")}
    decided = plan_made(Plan(1, victims=(Victim(**ids, namespace="muster-demo", name="old", rule="reclaim"),)))
    released = e.PlacementReleased(
        workload_id=ids["workload_id"],
        pod_group_id=id_of("group/old"),
        plan_id=decided.plan_id,
        pod_ids=(ids["pod_id"],),
        reason="no",
    )
    return [*lent(), decided, released]


def forbidden() -> list[e.AnyEvent]:
    ports = PlacementRules(host_ports=("TCP/80",))
    held = group("old", [running("old", "old", "a", gpus=0, rules=ports)])
    return [node("a"), node("b", gpus=0), *held, belongs("new", "p"), *group("new", [pod("new", "new", rules=ports)])]


def limited() -> list[e.AnyEvent]:
    return [node("a"), project("p", 1, gpu_limit_millionths=WHOLE_GPU), belongs("two", "p"), *gang("two", 2)]


def unsuitable() -> list[e.AnyEvent]:
    choosy = pod("choosy", "choosy", node_selector={"zone": "nowhere"})
    return [node("a"), node("b"), *group("choosy", [choosy])]


def incomplete() -> list[e.AnyEvent]:
    return [node("a"), *group("early", [pod("early-0", "early")], min_members=3)]


def take_from(*names: str) -> Spoil:
    """Let other pods go than those that the planner chose."""

    def spoil(snapshot: Snapshot, made: Plan) -> Plan:
        bound = {one.facts.name: (view, one.facts) for view in snapshot.views.values() for one in view.bound}
        first = made.victims[0]
        chosen = [
            Victim.model_validate(
                {
                    **first.model_dump(),
                    "workload_id": bound[name][0].workload_id,
                    "pod_id": bound[name][1].pod_id,
                    "name": name,
                }
            )
            for name in names
        ]
        seats = zip(made.nominations, names, strict=True)
        moved = [_on_device_of(place, name) for place, name in seats]
        return replace(made, victims=tuple(chosen), nominations=tuple(moved))

    return spoil


def _on_device_of(place: Placement, name: str) -> Placement:
    number = int("".join(letter for letter in name if letter.isdigit()))
    (share,) = place.devices
    return place.model_copy(update={"devices": (share.model_copy(update={"index": number}),)})


def give_to(group_name: str) -> Spoil:
    """Make the room for another group."""

    def spoil(snapshot: Snapshot, made: Plan) -> Plan:
        (view,) = (view for view in snapshot.groups if view.id == id_of(f"group/{group_name}"))
        pods = [pod.facts for pod in view.waiting]
        places = [
            place.model_copy(
                update={
                    "workload_id": view.workload_id,
                    "pod_group_id": view.id,
                    "pod_id": facts.pod_id,
                    "name": facts.name,
                }
            )
            for place, facts in zip(made.nominations, pods, strict=True)
        ]
        victims = [victim.model_copy(update={"beneficiary_id": view.workload_id}) for victim in made.victims]
        return replace(made, nominations=tuple(places), victims=tuple(victims))

    return spoil


def tell(**numbers: int) -> Spoil:
    """Change numbers of a reason, and say so in the sentence."""

    def spoil(_: Snapshot, made: Plan) -> Plan:
        (blocked,) = made.blocked
        return replace(made, blocked=(replace_numbers(blocked, numbers),))

    return spoil


def replace_numbers(blocked: Blocked, numbers: dict[str, int]) -> Blocked:
    told = " ".join(f"{value} {value / WHOLE_GPU:g} {value / 1000:g}" for value in numbers.values())
    return replace(blocked, numbers={**blocked.numbers, **numbers}, reason=f"{blocked.reason} {told}")


def say(old: str, new: str) -> Spoil:
    """Change the sentence alone."""

    def spoil(_: Snapshot, made: Plan) -> Plan:
        (blocked,) = made.blocked
        assert old in blocked.reason
        return replace(made, blocked=(replace(blocked, reason=blocked.reason.replace(old, new)),))

    return spoil


def with_code(code: str, **numbers: int) -> Spoil:
    """Give another reason."""

    def spoil(_: Snapshot, made: Plan) -> Plan:
        (blocked,) = made.blocked
        told = replace_numbers(replace(blocked, numbers={}), numbers)
        return replace(made, blocked=(replace(told, code=code),))

    return spoil


@pytest.mark.parametrize(
    ("world", "spoil", "word"),
    [
        (
            borrowed,
            take_from("due6", "due7", "due8"),
            "from project/due, which with it holds 1000000 of 3000000 GPUs,",
        ),
        (borrowed, take_from("much3", "much4", "due8"), "from project/due, which with it holds"),
        (borrowed, lambda _, made: replace(made, victims=made.victims[1:]), "too much later"),
        (wanted_by_two, give_to("again"), "with which project/due holds more than its fair share"),
        (full, tell(held=WHOLE_GPU), "told FairShareExceeded"),
        (full, tell(fair_share=WHOLE_GPU), "told FairShareExceeded"),
        (full, tell(needed=2 * WHOLE_GPU), "told FairShareExceeded"),
        (full, say("holds 2 GPUs", "holds 3 GPUs"), "does not say fair_share: 2000000"),
        (full, with_code("NoFittingNode", needed=2, best=0), "told NoFittingNode"),
        (too_large, tell(largest=3), "told NoFittingNode"),
        (too_large, tell(needed=7), "told NoFittingNode"),
        (too_large, tell(largest=8), "is said never to find 8 where 8 would be"),
        (busy, tell(best=3), "told NoFittingNode"),
        (busy, say("4 GPUs free", "5 GPUs free"), "does not say best: 4"),
        (all_held, tell(held=WHOLE_GPU), "told NoFittingNode"),
        (all_held, say("4 GPUs, is held", "5 GPUs, is held"), "does not say held: 4000000"),
        (busy, tell(held=8 * WHOLE_GPU), "told NoFittingNode"),
        (without("rdma/hca"), tell(needed=3), "told NoFittingNode"),
        (without("rdma/hca", 2), tell(best=0), "told NoFittingNode"),
        (in_parts, tell(free=2_000_000), "told FragmentedGPUs"),
        (in_parts, say("1.2 GPUs", "2 GPUs"), "does not say free: 1200000"),
        (in_parts, tell(free=1), "told FragmentedGPUs"),
        (in_pieces_for_a_gang, tell(members=3), "told FragmentedGPUs"),
        (in_pieces_for_a_gang, tell(needed=4), "told FragmentedGPUs"),
        (in_pieces_for_a_gang, tell(free=7), "told FragmentedGPUs"),
        (in_pieces_for_a_gang, say("2 pods", "3 pods"), "does not say"),
        (in_pieces_for_a_gang, with_code("NoFittingNode", members=1, needed=3, best=2), "told NoFittingNode"),
        (too_wide, tell(largest=1), "told GangDoesNotFit"),
        (too_wide, tell(members=5), "told GangDoesNotFit"),
        (half_a_gang, tell(free=2), "told GangDoesNotFit"),
        (half_a_gang, tell(fitting=3), "told GangDoesNotFit"),
        (half_a_gang, say("1 of them", "0 of them"), "does not say fitting: 1"),
        (protected, tell(until=50), "told MinimumRunTime"),
        (protected, tell(before=1), "told MinimumRunTime"),
        (protected, say("over at 12:", "over at 13:"), "does not say until"),
        (refused, tell(until=50), "told EvictionRefused"),
        (forbidden, tell(nodes=2), "told OtherPodsForbid"),
        (limited, tell(bound=0), "told OverLimit"),
        (limited, tell(held=WHOLE_GPU), "told OverLimit"),
        (limited, say("limited to 1 GPU", "limited to 3 GPUs"), "does not say bound"),
        (limited, with_code("QuotaExceededNonPreemptible", needed=2_000_000, held=0, bound=1_000_000), "told Quota"),
        (unsuitable, tell(nodes=3), "told NodesUnsuitable"),
        (unsuitable, tell(ready=1), "told NodesUnsuitable"),
        (unsuitable, with_code("NodePoolUnschedulable", nodes=2), "told NodePoolUnschedulable"),
        (half_a_gang, with_code("NodesUnsuitable", nodes=1, ready=1), "told NodesUnsuitable"),
        (incomplete, tell(present=2), "told PodsMissing"),
        (incomplete, with_code("RoomIsBeingMade", places=1), "told RoomIsBeingMade"),
        (incomplete, with_code("BudgetExhausted", step_limit=10), "told BudgetExhausted"),
    ],
)
def test_a_decision_that_is_spoilt_is_named(world: Callable[[], list[e.AnyEvent]], spoil: Spoil, word: str) -> None:
    snapshot = take_snapshot(state_of(*world()))
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    assert word in " ".join(faults(snapshot, spoil(snapshot, made)))


def test_a_department_that_holds_its_share_is_taken_from_by_no_other() -> None:
    quotas = (PoolQuota(gpu_millionths=4 * WHOLE_GPU),)
    departments = [
        e.DepartmentChanged.model_validate(
            {"department_id": id_of(name), "name": name, "quotas": quotas, "changed_by": {"name": "admin"}}
        )
        for name in ("left", "right")
    ]
    projects = [
        project("rich", 0, department="left"),
        project("poor", 4, department="left"),
        project("own", 4, department="right"),
    ]
    events = [node("a"), *departments, *projects, *holder("rich", 0, 4), *holder("own", 4, 4)]
    snapshot = take_snapshot(state_of(*events, belongs("new", "poor"), *gang("new", 2)))
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    assert {victim.name for victim in made.victims} == {"rich2", "rich3"}
    spoilt = take_from("own4", "own5")(snapshot, made)
    assert "from department/right, which with it holds 3000000 of 4000000 GPUs" in " ".join(faults(snapshot, spoilt))


def test_both_arithmetics_of_fair_share_agree_in_worlds_by_chance() -> None:
    for seed in range(150):
        case = random_case(seed)
        world = World(case)
        for step in case.steps:
            world.arrive(step.jobs)
            snapshot = take_snapshot(world.state)
            made = plan(snapshot)
            accounts = Draft(snapshot, Limits()).accounts("default")
            planned = {key: tuple(account.fair) for key, account in accounts.by_key.items()}
            shares = Shares(Facts(snapshot, made))
            checked = {key: shares.bounds("default", key) for key in planned}
            assert checked == {key: (share, share) for key, share in planned.items()}, f"seed {seed}"
            world.carry_out(made)
            world.settle()
