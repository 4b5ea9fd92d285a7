"""Why somebody waits: the code, the sentence and the numbers of each kind of reason."""

from datetime import UTC, datetime

import pytest
from muster_contracts import events as e
from muster_contracts.values import (
    WHOLE_GPU,
    BoundPod,
    GpuRequest,
    LabelRule,
    PlacementRules,
    PodTerm,
    Resources,
    SubGroup,
    Taint,
    TopologyConstraint,
    Victim,
)
from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import Limits, Plan, plan
from muster_scheduler.core.reasons import Blocked, amount_of
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.worlds import (
    GIBIBYTE,
    belongs,
    gang,
    group,
    id_of,
    node,
    plan_made,
    pod,
    pool,
    project,
    running,
    state_of,
)


def why(name: str, *events: e.AnyEvent, limits: Limits | None = None) -> Blocked:
    state = state_of(*events)
    snapshot = take_snapshot(state)
    made = plan(snapshot, limits)
    assert faults(snapshot, made) == []
    by_name = {state.groups[blocked.pod_group_id].name: blocked for blocked in made.blocked}
    return by_name[name]


def full(*, to: str = "p", gpus: int = 4) -> list[e.AnyEvent]:
    """Return a node whose devices one workload holds."""
    devices = ",".join(str(index) for index in range(gpus))
    old = running("old", "old", "a", devices, age=60, gpus=gpus)
    return [node("a", gpus=gpus), belongs("old", to), *group("old", [old], priority="build")]


def department(name: str, gpus: int, **more: object) -> e.DepartmentChanged:
    fields = {"department_id": id_of(f"department/{name}"), "name": name, "changed_by": {"name": "admin"}}
    return e.DepartmentChanged.model_validate({**fields, "quotas": [{"gpu_millionths": gpus * WHOLE_GPU, **more}]})


def test_a_limit_names_the_queue_that_has_it() -> None:
    events = [project("p", 4, gpu_limit_millionths=4 * WHOLE_GPU), node("b"), *full(), belongs("new", "p")]
    blocked = why("new", *events, *gang("new", 1))
    assert blocked.code == "OverLimit"
    assert blocked.reason == "new needs 1 GPU; p holds 4 GPUs and is limited to 4 GPUs."
    assert blocked.numbers == {
        "needed": WHOLE_GPU,
        "held": 4 * WHOLE_GPU,
        "bound": 4 * WHOLE_GPU,
        "queue_position": 1,
    }


def test_what_cannot_be_preempted_needs_quota_even_when_devices_are_free() -> None:
    blocked = why("new", project("p", 4), node("b"), *full(), belongs("new", "p"), *gang("new", 1, priority="build"))
    assert blocked.code == "QuotaExceededNonPreemptible"
    assert "p has a quota of 4 GPUs, of which such workloads hold 4 GPUs" in blocked.reason
    assert "preemptible" in blocked.remedy


def test_a_department_may_be_what_is_full() -> None:
    projects = [project("p", 4, department="d"), project("q", 4, department="d")]
    blocked = why(
        "new",
        department("d", 4, gpu_limit_millionths=4 * WHOLE_GPU),
        *projects,
        node("b"),
        *full(),
        belongs("new", "q"),
        *gang("new", 1),
    )
    assert blocked.reason == "new needs 1 GPU; d holds 4 GPUs and is limited to 4 GPUs."


def test_who_has_his_share_is_told_who_holds_the_rest() -> None:
    events = [project("p", 4), project("q", 0), *full(), belongs("new", "q")]
    blocked = why("new", *events, *gang("new", 1))
    assert blocked.code == "FairShareExceeded"
    assert blocked.reason == "new needs 1 GPU; q holds 0 GPUs of its fair share of 0 GPUs, and nothing is free."
    assert "Most is held by p: 4 GPUs, of which 4 GPUs cannot be preempted." in blocked.remedy


def test_who_waits_beside_a_project_without_quota_is_told_how_it_gets_one() -> None:
    events = [node("a", gpus=4), project("q", 4), belongs("new", "q"), *gang("new", 1)]
    old = [running("old", "old", "a", "0,1,2,3", gpus=4)]
    unbounded = (
        "No quota bounds p, so nothing of it can be claimed back; `muster project set p --node-pool default --gpu N`"
    )
    assert unbounded in why("new", *events, project("p", None), belongs("old", "p"), *group("old", old)).remedy
    firm = group("old", old, priority="build")
    assert "No quota" not in why("new", *events, project("p", None), belongs("old", "p"), *firm).remedy
    assert "No quota" not in why("new", *events, belongs("old", "q"), *group("old", old)).remedy


def test_devices_in_pieces_are_called_fragmented() -> None:
    nodes = [node("a", gpus=4), node("b", gpus=4)]
    held = [
        *group("x", [running("x", "x", "a", "0,1", gpus=2)], priority="build"),
        *group("y", [running("y", "y", "b", "0,1", gpus=2)], priority="build"),
    ]
    blocked = why("new", *nodes, *held, *gang("new", 1, gpus=3))
    assert blocked.code == "FragmentedGPUs"
    assert blocked.reason == "new needs 3 GPUs on one node; 4 GPUs are free, but at most 2 GPUs on one."
    assert (blocked.numbers["needed"], blocked.numbers["free"], blocked.numbers["best"]) == (3, 4, 2)


def in_parts_of(*free: int, size: int = 8) -> list[e.AnyEvent]:
    """Return nodes of which so many devices are free; who holds the others cannot be preempted."""
    events: list[e.AnyEvent] = []
    for number, left in enumerate(free):
        held = running(
            f"old{number}", f"old{number}", f"n{number}", ",".join(map(str, range(left, size))), gpus=size - left
        )
        events += [node(f"n{number}", gpus=size), *group(f"old{number}", [held], priority="build")]
    return events


def test_a_gang_is_told_what_all_of_it_needs_and_what_one_node_lacks() -> None:
    blocked = why("new", *in_parts_of(3, 3), *gang("new", 2, gpus=4))
    assert blocked.code == "NoFittingNode"  # 6 free GPUs are too few for it, wherever they were
    assert blocked.reason == (
        "new needs room for 2 pods at once: 8 GPUs in pieces of 4 GPUs. "
        "Each needs 4 GPUs on one node; the best has 3 GPUs free."
    )
    assert blocked.numbers == {"members": 2, "needed": 4, "best": 3, "queue_position": 1}


def test_free_devices_are_in_pieces_for_a_gang_if_they_would_be_enough_for_all_of_it() -> None:
    blocked = why("new", *in_parts_of(3, 3, 3), *gang("new", 2, gpus=4))
    assert blocked.code == "FragmentedGPUs"
    assert blocked.reason == (
        "new needs room for 2 pods at once: 8 GPUs in pieces of 4 GPUs. "
        "Each needs 4 GPUs on one node; 9 GPUs are free, but at most 3 GPUs on one."
    )
    assert blocked.remedy.startswith("It starts when enough is free in 2 pieces at once")
    assert blocked.numbers == {"members": 2, "needed": 8, "free": 9, "best": 3, "queue_position": 1}


def test_pods_of_a_gang_that_differ_are_told_together() -> None:
    pods = [pod(f"p{size}", "new", gpus=size) for size in (4, 5)]
    blocked = why("new", *in_parts_of(3, 3, 3), *group("new", pods, min_members=2))
    assert blocked.code == "FragmentedGPUs"
    assert blocked.numbers["needed"] == 9
    assert ". Some need 5 GPUs on one node; 9 GPUs are free" in blocked.reason
    assert "That is so for 1 of its 2 pods" in blocked.reason


def test_pieces_of_devices_are_told_in_parts() -> None:
    part = [
        running(f"old-{index}", "old", "a", f"{index}:600000", gpu=GpuRequest(devices=1, portion_millionths=600_000))
        for index in range(2)
    ]
    wanted = pod("p", "new", gpu=GpuRequest(devices=1, portion_millionths=500_000))
    blocked = why("new", node("a", gpus=2), *group("old", part, priority="build"), *group("new", [wanted]))
    assert blocked.code == "FragmentedGPUs"
    assert blocked.reason == "new needs 0.5 of a GPU; 0.8 GPUs are free, but in pieces of at most 0.4."
    assert blocked.numbers == {"needed": 500_000, "free": 800_000, "best": 400_000, "queue_position": 1}


def test_memory_that_no_device_has_is_named_with_the_largest() -> None:
    wanted = pod("p", "new", gpu=GpuRequest(devices=1, memory_bytes=100 * 1024**3))
    blocked = why("new", node("a", gpus=1, gpu_memory_bytes=80 * 1024**3), *group("new", [wanted]))
    assert blocked.reason == "new needs 100 GiB of memory of a GPU; the largest has 80 GiB of memory."
    assert blocked.remedy.startswith("No GPU is that large")


def test_memory_of_devices_that_no_node_tells_is_said_to_be_untold() -> None:
    wanted = pod("p", "new", gpu=GpuRequest(devices=1, memory_bytes=GIBIBYTE))
    blocked = why("new", node("a", gpus=1), *group("new", [wanted]))
    assert blocked.reason.endswith("; no node that would take it tells how much its GPUs have.")


def test_who_would_pass_the_share_is_told_what_is_free_and_when_it_would_not() -> None:
    held = group("x", [running("x", "x", "a", "0,1", gpus=2)], priority="build")
    more = [*group("y", [running("y", "y", "b", "0,1,2", gpus=3)], priority="build"), belongs("y", "q")]
    events = [project("p", 4), project("q", 4), node("a", gpus=4), node("b", gpus=4), *held, belongs("x", "p"), *more]
    blocked = why("new", *events, belongs("new", "p"), *gang("new", 1, gpus=4))
    assert blocked.code == "FairShareExceeded"
    assert "and no more than 3 GPUs are free" in blocked.reason
    assert "or when p holds no more than 1 GPU." in blocked.remedy
    whole = why("new", *events, belongs("new", "p"), *gang("new", 5))
    assert "or when p holds none." in whole.remedy


def test_a_gang_of_which_one_pod_would_fit_is_told_of_its_share_all_the_same() -> None:
    held = group("x", [running("x", "x", "a", "0,1", gpus=2)], priority="build")
    more = [*group("y", [running("y", "y", "b", "0,1,2", gpus=3)], priority="build"), belongs("y", "q")]
    events = [project("p", 4), project("q", 4), node("a", gpus=4), node("b", gpus=4), *held, belongs("x", "p"), *more]
    blocked = why("new", *events, belongs("new", "p"), *gang("new", 2, gpus=2))
    assert blocked.code == "FairShareExceeded"
    sentence = "needs 4 GPUs; p holds 2 GPUs of its fair share of 5 GPUs, and no more than 3 GPUs are free"
    assert sentence in blocked.reason


def test_a_limit_is_not_all_that_has_to_be_raised_when_the_quota_is_short_too() -> None:
    events = [project("p", 4, gpu_limit_millionths=4 * WHOLE_GPU), node("b"), *full(), belongs("new", "p")]
    blocked = why("new", *events, *gang("new", 1, priority="build"))
    assert blocked.code == "OverLimit"
    assert blocked.remedy.endswith("Raise the quota of p, too: it cannot be preempted.")


def test_a_pool_without_nodes_says_so() -> None:
    blocked = why("new", node("a"), pool("fast"), *gang("new", 1, node_pools=("fast",)))
    assert blocked.code == "NodePoolUnschedulable"
    assert blocked.reason == "new waits for node pool fast, which has 0 nodes."
    assert blocked.remedy == "Give a node the label pool=fast, or name another pool."
    assert blocked.numbers["nodes"] == 0


def test_a_pool_that_nobody_made_is_told_from_one_without_nodes() -> None:
    blocked = why("new", node("a"), *gang("new", 1, node_pools=("fats",)))
    assert blocked.code == "NodePoolUnschedulable"
    assert "node pool fats, which nobody has made" in blocked.reason
    assert blocked.numbers["nodes"] == 0


def test_processors_and_memory_are_named_in_their_units() -> None:
    blocked = why("new", node("a", gpus=0, cpu=4), *group("new", [pod("p", "new", gpus=0, cpu=6)]))
    assert blocked.reason == "new needs 6 CPUs on one node; the largest has 4 CPUs."
    blocked = why("new", node("a", gpus=0, memory=8), *group("new", [pod("p", "new", gpus=0, memory=16)]))
    assert blocked.reason == "new needs 16 GiB of memory on one node; the largest has 8 GiB of memory."


def test_what_no_node_could_ever_hold_is_not_told_to_wait_for_others() -> None:
    held = group("old", [running("old", "old", "a", "0", gpus=1)], priority="build")
    for_ever = why("new", node("a", gpus=2), *held, *group("new", [pod("p", "new", gpus=3)]))
    assert for_ever.remedy == "No node is that large: ask for less on one node, or add a larger node."
    for_now = why("new", node("a", gpus=2), *held, *group("new", [pod("p", "new", gpus=2)]))
    assert for_now.remedy.startswith("It starts when running workloads release capacity")


def test_a_gang_is_told_how_many_of_it_would_fit() -> None:
    held = group("old", [running("old", "old", "c", "0,1,2,3", gpus=4)], priority="build")
    blocked = why(
        "new",
        *(node(name, gpus=size) for name, size in zip("abc", (3, 2, 4), strict=True)),
        *held,
        *gang("new", 4, gpus=2),
    )
    assert blocked.code == "GangDoesNotFit"
    assert blocked.numbers == {"members": 4, "needed": 8, "free": 5, "fitting": 2, "queue_position": 1}
    assert blocked.reason == (
        "new needs room for 4 pods at once: 8 GPUs in pieces of 2 GPUs; 5 GPUs are free. 2 of them would fit."
    )


def test_parts_of_devices_are_named_as_parts() -> None:
    held = running("old", "old", "a", "0:600000", gpu=GpuRequest(devices=1, portion_millionths=600_000))
    wanted = pod("p", "new", gpu=GpuRequest(devices=1, portion_millionths=500_000))
    blocked = why("new", node("a", gpus=1), *group("old", [held], priority="build"), *group("new", [wanted]))
    assert blocked.code == "NoFittingNode"
    assert blocked.reason == "new needs 0.5 of a GPU; the best has 0.4 free."


def test_the_position_in_the_queue_counts_those_who_wait_before() -> None:
    events = [node("a", gpus=1), *gang("first", 1, gpus=2, age=60), *gang("second", 1, gpus=2)]
    assert why("second", *events).numbers["queue_position"] == 2


def test_a_required_level_outside_of_the_topology_is_named() -> None:
    halls = TopologyConstraint(levels=("zone",), required="hall")
    blocked = why("new", node("a", labels={"zone": "z"}), *gang("new", 2, topology=halls))
    assert "has to share one value of the node label hall" in blocked.reason


def test_an_exhausted_plan_says_when_the_turn_comes() -> None:
    events = [node("a"), *gang("first", 2, age=60), *gang("second", 2)]
    blocked = why("second", *events, limits=Limits(step_limit=1))
    assert blocked.code == "BudgetExhausted"
    assert blocked.numbers["step_limit"] == 1


RACK = TopologyConstraint(levels=("rack",), required="rack")


def test_a_level_that_no_node_has_is_named() -> None:
    blocked = why("new", node("a"), node("b", ready=False, labels={"rack": "1"}), *gang("new", 2, topology=RACK))
    assert blocked.code == "NodesUnsuitable"
    assert blocked.reason == (
        "new has to share one value of the node label rack, and no node it could use has that label: "
        "node pool default has 2 nodes, 1 of them ready."
    )
    assert blocked.remedy == "Name a label that the nodes have, or label the nodes."


def test_a_gang_that_fits_into_no_single_domain_is_told_how_much_of_it_would() -> None:
    nodes = [node(name, gpus=3, labels={"rack": name}) for name in "ab"]
    held = [pod for name in "ab" for pod in group(name, [running(name, name, name, "0")], priority="build")]
    blocked = why("new", *nodes, *held, *gang("new", 3, topology=RACK))
    assert blocked.code == "GangDoesNotFit"
    assert blocked.reason == (
        "new needs room for 3 pods at once within one value of the node label rack: "
        "3 GPUs in pieces of 1 GPU; 4 GPUs are free. 2 of them would fit."
    )


GATE = "kueue.x-k8s.io/admission"
WEB = (LabelRule(key="app", values=("web",)),)
HOST = "kubernetes.io/hostname"


def hosts(count: int, **more: object) -> list[e.AnyEvent]:
    return [node(f"n{number}", labels={HOST: f"n{number}"}, **more) for number in range(count)]  # type: ignore[arg-type]


def started(name: str, on: str = "a") -> e.PodScheduled:
    """Return the event that a workload of one pod has started."""
    bound = BoundPod(pod_id=id_of(f"pod/{name}"), name=name, node=on)
    ids = {"workload_id": id_of(f"workload/{name}"), "pod_group_id": id_of(f"group/{name}")}
    return e.PodScheduled(**ids, plan_id=id_of("plan/0"), pods=(bound,))


def refused(name: str, sentence: str) -> list[e.AnyEvent]:
    """Return the events that a workload of one pod was to be evicted, and could not be."""
    pod_id, workload_id = id_of(f"pod/{name}"), id_of(f"workload/{name}")
    victim = Victim(workload_id=workload_id, pod_id=pod_id, namespace="muster-demo", name=name, rule="reclaim")
    decided = plan_made(Plan(1, victims=(victim,)))
    released = e.PlacementReleased(
        workload_id=workload_id,
        pod_group_id=id_of(f"group/{name}"),
        plan_id=decided.plan_id,
        pod_ids=(pod_id,),
        reason=sentence,
    )
    return [decided, released]


def lent(*, protected_seconds: int = 0) -> list[e.AnyEvent]:
    """Return a node that one project holds whole and another may take back."""
    lender = project("p", 0, reclaim_minimum_seconds=protected_seconds)
    old = running("old", "old", "a", "0,1,2,3", gpus=4)
    return [node("a", gpus=4), lender, project("q", 4), belongs("old", "p"), *group("old", [old]), belongs("new", "q")]


def test_however_many_wait_for_a_minimum_run_time_each_is_told_so() -> None:
    kinds = [f"new{memory}" for memory in range(1, 101)]
    waiting = [event for n, name in enumerate(kinds, 1) for event in (belongs(name, "q"), *gang(name, 1, memory=n))]
    snapshot = take_snapshot(state_of(*lent(protected_seconds=1000), started("old"), *waiting))
    made = plan(snapshot)
    assert {blocked.code for blocked in made.blocked} == {"MinimumRunTime"}
    assert len(made.blocked) == len(kinds)
    assert faults(snapshot, made) == []


def test_who_waits_for_a_minimum_run_time_is_told_whose_and_until_when() -> None:
    blocked = why("new", *lent(protected_seconds=100), started("old"), *gang("new", 1))
    assert blocked.code == "MinimumRunTime"
    assert blocked.reason == (
        "new needs the place of old, which may not be told to go before the minimum run time is over at 12:01:48 UTC."
    )
    until = int(datetime(2026, 3, 1, 12, 1, 48, tzinfo=UTC).timestamp())
    assert blocked.numbers == {"until": until, "pods": 1, "queue_position": 1}
    assert blocked.remedy.startswith("Nothing has to be done")


def test_who_waits_for_a_place_that_others_before_it_wait_for_is_not_told_to_do_nothing() -> None:
    waiting = [event for name in ("first", "second", "third") for event in (belongs(name, "q"), *gang(name, 1, gpus=4))]
    told = [why(name, *lent(protected_seconds=100), started("old"), *waiting) for name in ("first", "second", "third")]
    told.sort(key=lambda blocked: blocked.numbers["queue_position"])
    assert [blocked.numbers.get("before", 0) for blocked in told] == [0, 1, 2]
    assert told[1].reason.endswith("12:01:48 UTC. 1 before it in the queue waits for the same place.")
    assert told[2].reason.endswith("12:01:48 UTC. 2 before it in the queue wait for the same place.")
    assert ["Nothing has to be done" in blocked.remedy for blocked in told] == [True, False, False]


def test_a_time_that_is_told_makes_another_reason_when_it_changes_and_only_then() -> None:
    earlier, later = (
        why("new", *lent(protected_seconds=seconds), started("old"), *gang("new", 1)) for seconds in (100, 400)
    )
    assert earlier.essence != later.essence
    known = [*lent(protected_seconds=100), started("old"), *gang("new", 1)]
    assert why("new", *known, belongs("other", "p")).essence == earlier.essence


def test_of_several_minimum_run_times_the_first_that_helps_is_told() -> None:
    halves = [running(name, name, "a", devices, gpus=2) for name, devices in (("one", "0,1"), ("two", "2,3"))]
    known = [event for half in halves for event in (belongs(half.name, "p"), *group(half.name, [half]))]
    events = [node("a", gpus=4), project("p", 0, reclaim_minimum_seconds=100), project("q", 4), *known]
    later = [belongs(f"w{number}", "p") for number in range(20)]
    blocked = why("new", *events, started("one"), *later, started("two"), belongs("new", "q"), *gang("new", 1))
    assert blocked.reason.startswith(
        "new needs the place of one, which may not be told to go before the minimum run time is over at 12:01:50"
    )
    both = why("new", *events, started("one"), *later, started("two"), belongs("new", "q"), *gang("new", 1, gpus=4))
    assert both.reason.startswith(
        "new needs the place of two, which may not be told to go before the minimum run time is over at 12:02:11"
    )


def test_a_long_minimum_run_time_is_told_with_its_day() -> None:
    blocked = why("new", *lent(protected_seconds=100_000), started("old"), *gang("new", 1))
    assert "may not be told to go before the minimum run time is over at 2026-03-02 15:46:48 UTC." in blocked.reason


def test_a_minimum_run_time_that_would_not_help_is_no_reason() -> None:
    events = [*lent(protected_seconds=100), started("old"), project("q", 0, over_quota_weight=0)]
    assert why("new", *events, *gang("new", 1)).code == "FairShareExceeded"


def test_a_refused_eviction_reaches_who_waits_for_it() -> None:
    told = "A disruption budget protects old: The disruption budget keep needs 1 healthy pods and has 1 currently"
    blocked = why("new", *lent(), *refused("old", told), *gang("new", 1))
    assert blocked.code == "EvictionRefused"
    assert blocked.reason == (
        f"new needs the place of old, whose eviction was refused. {told}. It is asked for again at 12:01:09 UTC."
    )


def with_extended(name: str, has: int, uses: int, wants: int) -> list[e.AnyEvent]:
    def amounts(count: int) -> Resources:
        return Resources(cpu_milli=1000, memory_bytes=GIBIBYTE, extended={name: count} if count else {})

    here = amounts(has).model_copy(update={"cpu_milli": 8000, "memory_bytes": 8 * GIBIBYTE})
    held = group("old", [running("old", "old", "a", gpus=0, requests=amounts(uses))], priority="build")
    return [
        node("a", gpus=0, allocatable=here),
        *held,
        *group("new", [pod("p", "new", gpus=0, requests=amounts(wants))]),
    ]


def test_an_extended_resource_is_named_with_what_the_best_node_has_of_it() -> None:
    blocked = why("new", *with_extended("rdma/hca", 3, 2, 2))
    assert blocked.reason == "new needs 2 rdma/hca on one node; the best has 1 rdma/hca free."
    assert blocked.numbers == {"needed": 2, "best": 1, "queue_position": 1}


def test_an_extended_resource_that_no_node_has_is_told_to_be_looked_for() -> None:
    blocked = why("new", *with_extended("nvidia.com/mig-1g.5gb", 0, 0, 1))
    assert blocked.reason == "new needs 1 nvidia.com/mig-1g.5gb on one node; no node that would take it has any."
    assert blocked.remedy.startswith("Check the name of the resource")


def test_a_share_is_not_the_reason_where_only_an_extended_resource_is_missing() -> None:
    blocked = why("new", project("p", 0), belongs("new", "p"), *with_extended("rdma/hca", 1, 1, 1))
    assert blocked.code == "NoFittingNode"


def test_whole_devices_in_parts_are_counted_in_parts() -> None:
    parts = [
        running(f"old-{index}", "old", "a", f"{index}:400000", gpu=GpuRequest(devices=1, portion_millionths=400_000))
        for index in range(2)
    ]
    blocked = why("new", node("a", gpus=2), *group("old", parts, priority="build"), *gang("new", 1))
    assert blocked.code == "FragmentedGPUs"
    assert blocked.reason == (
        "new needs 1 GPU on one node; 1.2 GPUs are free, but of some only a part: at most 0 GPUs whole on one."
    )
    assert blocked.numbers == {"needed": 1_000_000, "free": 1_200_000, "best": 0, "queue_position": 1}


def test_a_gang_that_no_empty_pool_could_hold_is_not_told_to_wait() -> None:
    blocked = why("new", node("a", gpus=3), node("b", gpus=2), *gang("new", 4, gpus=2))
    assert blocked.reason == (
        "new needs room for 4 pods at once: 8 GPUs in pieces of 2 GPUs; "
        "node pool default has room for no more than 2 of them, even when it is empty."
    )
    assert blocked.remedy.startswith("It can never start here as it is")
    assert blocked.numbers == {"members": 4, "largest": 2, "queue_position": 1}


def test_a_gang_that_no_domain_could_hold_is_told_how_large_the_largest_is() -> None:
    nodes = [node(name, gpus=2, labels={"rack": name}) for name in "ab"]
    blocked = why("new", *nodes, *gang("new", 3, topology=RACK))
    assert "; the largest value of rack has room for no more than 2 of them, even when it is empty." in blocked.reason
    assert blocked.remedy.endswith("A level with wider domains would help, too.")


def test_a_part_of_a_gang_may_be_too_large_for_every_domain() -> None:
    parts = (SubGroup(name="head", min_members=1), SubGroup(name="work", min_members=2, topology=RACK))
    pods = [pod("h", "new", sub_group="head"), *(pod(f"w{i}", "new", sub_group="work", gpus=2) for i in range(2))]
    nodes = [node(name, gpus=2, labels={"rack": name}) for name in "abc"]
    blocked = why("new", *nodes, *group("new", pods, min_members=3, sub_groups=parts))
    assert blocked.code == "GangDoesNotFit"
    assert (blocked.numbers["members"], blocked.numbers["largest"]) == (2, 1)
    assert "That is so for 2 of its 3 pods, of 2 GPUs, 1 CPU, 1 GiB of memory each." in blocked.reason


def test_of_pods_that_differ_those_are_named_that_nothing_takes() -> None:
    pods = [pod("a", "new", gpus=4), pod("b", "new", gpus=0, node_selector={"disk": "ssd"})]
    blocked = why("new", node("a"), *group("new", pods, min_members=2))
    assert blocked.reason == (
        "new is taken by no node of node pool default, which has 1 node, 1 of them ready: 1 lacks the label disk=ssd. "
        "That is so for 1 of its 2 pods, of 1 CPU, 1 GiB of memory each."
    )


def test_what_excludes_nodes_is_counted_and_a_cordoned_one_that_would_suit_is_named() -> None:
    keep_off = Taint(key="dedicated", value="infra", effect="NoSchedule")
    nodes = [
        node("a", labels={"gpu": "h100"}, unschedulable=True),
        node("b"),
        node("c", labels={"gpu": "h100"}, taints=(keep_off,)),
    ]
    blocked = why("new", *nodes, *group("new", [pod("p", "new", node_selector={"gpu": "h100"})]))
    assert blocked.reason == (
        "new is taken by no node of node pool default, which has 3 nodes, 2 of them ready: 1 lacks the label gpu=h100, "
        "1 has a taint that it does not tolerate (dedicated=infra). It would suit a, not ready or cordoned."
    )


def test_nodes_that_are_cordoned_are_told_from_those_that_are_not_ready() -> None:
    blocked = why("new", node("a", unschedulable=True), node("b", ready=False), *gang("new", 1))
    assert blocked.reason == (
        "new waits for node pool default, of whose 2 nodes none takes pods: 1 node is cordoned, 1 node is not ready."
    )


PORT = PlacementRules(host_ports=("TCP/80",))
APART = PlacementRules(apart=(PodTerm(topology_key=HOST, rules=WEB),))
NEAR = PlacementRules(near=(PodTerm(topology_key=HOST, rules=WEB),))


@pytest.mark.parametrize(
    ("there", "wants", "words"),
    [
        ({"rules": PORT}, {"rules": PORT}, "a host port of TCP/80 is taken"),
        ({"labels": {"app": "web"}}, {"rules": APART}, "it has to be apart from pods with app=web"),
        ({"rules": APART}, {"labels": {"app": "web"}}, "pods that are there keep away pods with app=web"),
        ({}, {"rules": NEAR}, "it has to be near pods with app=web"),
    ],
)
def test_other_pods_are_the_reason_where_nodes_have_room(
    there: dict[str, object], wants: dict[str, object], words: str
) -> None:
    old = [running(f"old-{number}", "old", f"n{number}", gpus=0, **there) for number in range(2)]
    blocked = why("new", *hosts(2), *group("old", old), *group("new", [pod("p", "new", **wants)]))
    assert blocked.code == "OtherPodsForbid"
    assert blocked.reason.startswith("new has room on 2 nodes, and other pods forbid it there: ")
    assert words in blocked.reason
    assert "(on n0, n1)" in blocked.reason


def test_of_a_gang_that_keeps_apart_as_many_fit_as_there_are_nodes() -> None:
    pods = [pod(f"p{number}", "new", labels={"app": "web"}, rules=APART) for number in range(4)]
    blocked = why("new", *hosts(3), *group("new", pods, min_members=4))
    assert (blocked.code, blocked.numbers["fitting"]) == ("GangDoesNotFit", 3)
    assert "relax its rules about other pods" in blocked.remedy


def test_pods_that_are_held_back_are_not_said_to_be_missing() -> None:
    pods = [pod("free", "new"), pod("held", "new", scheduling_gates=(GATE,))]
    blocked = why("new", node("a"), *group("new", pods, min_members=2))
    assert blocked.code == "SchedulingGated"
    assert blocked.reason == f"new has 1 pod that may not be scheduled yet, by the scheduling gate {GATE}."


def test_a_group_that_is_held_back_whole_is_told_so() -> None:
    pods = [pod(f"p{number}", "new", scheduling_gates=(GATE,)) for number in range(2)]
    blocked = why("new", node("a"), *group("new", pods))
    assert (blocked.code, blocked.numbers) == ("SchedulingGated", {"pods": 2})


def test_a_part_without_enough_pods_is_named() -> None:
    parts = (SubGroup(name="head", min_members=1), SubGroup(name="work", min_members=2))
    pods = [pod(f"h{number}", "new", sub_group="head") for number in range(3)]
    blocked = why("new", node("a"), *group("new", pods, min_members=3, sub_groups=parts))
    assert blocked.reason == "new needs 2 pods of its part work to start; 0 exist."


def test_of_two_pools_the_one_with_hope_is_told_first() -> None:
    nodes = [node("f", gpus=1, labels={"pool": "fast"}), *full()]
    blocked = why("new", pool("fast"), *nodes, *gang("new", 1, gpus=2, node_pools=("fast", "default")))
    assert blocked.reason == (
        "new needs 2 GPUs on one node; nothing is free: all that it could have, 4 GPUs, is held. "
        "That is node pool default; in node pool fast it needs 2 GPUs on one node; the largest has 1 GPU."
    )


def test_where_only_parts_of_gpus_are_left_nobody_is_told_that_nothing_is_free() -> None:
    old = running("old", "old", "a", "0:600000", gpu=GpuRequest(devices=1, portion_millionths=600_000))
    events = [node("a", gpus=1), *group("old", [old], priority="build"), *gang("new", 1, gpus=1)]
    assert why("new", *events).reason == "new needs 1 GPU on one node; the best has 0 GPUs free."


def test_who_runs_already_is_told_with_how_much() -> None:
    pods = [running("first", "new", "a", "0,1", gpus=2), pod("second", "new", gpus=2)]
    blocked = why("new", node("a", gpus=2), *group("new", pods))
    assert blocked.reason == (
        "new needs 2 GPUs on one node; nothing is free: all that it could have, 2 GPUs, is held. "
        "It runs with 1 pod meanwhile."
    )
    assert blocked.numbers == {"needed": 2, "best": 0, "held": 2 * WHOLE_GPU, "queue_position": 1}


def test_what_no_node_has_together_is_told_with_the_node_that_comes_closest() -> None:
    nodes = [node("a", gpus=8, cpu=2), node("b", gpus=1, cpu=64)]
    blocked = why("new", *nodes, *group("new", [pod("p", "new", gpus=4, cpu=6)]))
    assert (
        "no node is large enough for all of it; a comes closest: it has 2 CPUs, too little for 6 CPUs."
        in blocked.reason
    )
    assert blocked.numbers == {"needed": 6000, "closest": 2000, "queue_position": 1}


def test_of_parts_of_several_gpus_it_is_told_what_the_closest_node_has_of_the_last_of_them() -> None:
    nodes = [node("a", gpus=2, cpu=64), node("b", gpus=2, cpu=2)]
    half = GpuRequest(devices=2, portion_millionths=500_000)
    held = running("old", "old", "a", "0:600000", cpu=1, gpu=GpuRequest(devices=1, portion_millionths=600_000))
    blocked = why("new", *nodes, *group("old", [held], priority="build"), *gang("new", 1, cpu=6, gpu=half))
    assert "a comes closest: it has 0.4, too little for 0.5 of 2 GPUs of one node." in blocked.reason


def test_a_node_that_lacks_only_a_place_for_a_pod_comes_closest() -> None:
    nodes = [node("a", max_pods=1), node("b", gpus=0, cpu=2)]
    held = group("old", [running("old", "old", "a", "0")], priority="build")
    blocked = why("next", *nodes, *held, *gang("next", 1, cpu=6, memory=0))
    assert "a comes closest: it has 0 places, too little for a place for 1 pod more." in blocked.reason


def test_a_limit_that_is_smaller_than_what_is_asked_for_is_not_helped_by_ending_others() -> None:
    limited = project("p", 4, gpu_limit_millionths=4 * WHOLE_GPU)
    blocked = why("new", limited, node("b"), belongs("new", "p"), *gang("new", 1, gpus=5))
    assert blocked.remedy == "It alone asks for more than the whole limit of p: ask for less, or raise it."


def test_a_department_may_have_its_share() -> None:
    held = [running("one", "one", "a", "0,1,2,3", gpus=4), running("two", "two", "a", "4,5,6,7", gpus=4)]
    owned = [belongs("one", "p"), belongs("two", "r"), belongs("new", "q")]
    projects = [project("p", 4, department="d"), project("q", 4, department="d"), project("r", 4, department="e")]
    departments = [department("d", 4), department("e", 4)]
    groups = [event for one in held for event in group(one.name, [one], priority="build")]
    blocked = why("new", node("a"), *departments, *projects, *owned, *groups, *gang("new", 1))
    assert blocked.reason == "new needs 1 GPU; d holds 4 GPUs of its fair share of 4 GPUs, and nothing is free."


def test_parts_of_several_gpus_are_counted_on_different_ones() -> None:
    quarters = GpuRequest(devices=2, portion_millionths=250_000)
    held = running("old", "old", "a", "1:750000", gpu=GpuRequest(devices=1, portion_millionths=750_000))
    waiting = gang("new", 2, gpu=quarters)
    blocked = why("new", node("a", gpus=2), *group("old", [held], priority="build"), *waiting)
    assert (blocked.code, blocked.numbers["fitting"]) == ("GangDoesNotFit", 1)


@pytest.mark.parametrize(
    ("resource", "amount", "told"),
    [
        (0, 1_920_000 * WHOLE_GPU, "1920000 GPUs"),
        (0, WHOLE_GPU // 4, "0.25 GPUs"),
        (1, 1_234_567_500, "1234567.5 CPUs"),
        (2, 12_345 * 1024**3, "12345 GiB of memory"),
        (2, 1536 * 1024**2, "1.5 GiB of memory"),
    ],
)
def test_large_amounts_are_told_without_powers_of_ten(resource: int, amount: int, told: str) -> None:
    assert amount_of(resource, amount) == told
