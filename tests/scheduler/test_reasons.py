"""Why somebody waits: the code, the sentence and the numbers of each kind of reason."""

from muster_contracts import events as e
from muster_contracts.values import WHOLE_GPU, GpuRequest, TopologyConstraint
from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import Limits, plan
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.worlds import belongs, gang, group, node, pod, pool, project, running, state_of


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
    department = e.DepartmentChanged.model_validate(
        {
            "department_id": "00000000-0000-0000-0000-000000000001",
            "name": "d",
            "quotas": [{"gpu_millionths": 4 * WHOLE_GPU, "gpu_limit_millionths": 4 * WHOLE_GPU}],
            "changed_by": {"name": "admin"},
        }
    )
    projects = [project("p", 4, department="d"), project("q", 4, department="d")]
    blocked = why("new", department, *projects, node("b"), *full(), belongs("new", "q"), *gang("new", 1))
    assert blocked.reason == "new needs 1 GPU; d holds 4 GPUs and is limited to 4 GPUs."


def test_who_has_his_share_is_told_who_holds_the_rest() -> None:
    events = [project("p", 4), project("q", 0), *full(), belongs("new", "q")]
    blocked = why("new", *events, *gang("new", 1))
    assert blocked.code == "FairShareExceeded"
    assert blocked.reason == "new needs 1 GPU; q holds 0 GPUs of its fair share of 0 GPUs, and nothing is free."
    assert "Most is held by p: 4 GPUs, of which 4 GPUs cannot be preempted." in blocked.remedy


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


def test_who_would_pass_the_share_is_told_what_is_free_and_when_it_would_not() -> None:
    held = group("x", [running("x", "x", "a", "0,1", gpus=2)], priority="build")
    more = [*group("y", [running("y", "y", "b", "0,1,2", gpus=3)], priority="build"), belongs("y", "q")]
    events = [project("p", 4), project("q", 4), node("a", gpus=4), node("b", gpus=4), *held, belongs("x", "p"), *more]
    blocked = why("new", *events, belongs("new", "p"), *gang("new", 1, gpus=4))
    assert blocked.code == "FairShareExceeded"
    assert "and no more than 3 GPUs are free" in blocked.reason
    assert "or when p holds no more than 1 GPU." in blocked.remedy


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
