"""What people ask of the scheduler: would it fit, who holds what, why does it wait."""

from typing import Any

import pytest
from cli.stage import WORKLOAD_ID, Answer, Log, Muster, Type, error, show, shown, workload
from scheduler.worlds import gang, id_of, node, recorded

NOTHING = {"gpu_millionths": 0, "cpu_milli": 0, "memory_bytes": 0}
UNBOUND = {"gpu_millionths": None, "cpu_milli": None, "memory_bytes": None}
NO = {
    "type": "Fit.v1",
    "position": 9,
    "fits": "no",
    "node_pool": "",
    "places": [],
    "victims": [],
    "code": "NoFittingNode",
    "reason": "It needs 8 GPUs on one node; the best has 5 GPUs free.",
    "remedy": "It starts when running workloads release capacity.",
    "numbers": {"needed": 8, "best": 5},
}
FITS = "/api/v1/scheduling/fits"


def gpus(amount: float) -> dict[str, int]:
    return {**NOTHING, "gpu_millionths": int(amount * 1_000_000)}


def queue(kind: str, name: str, **different: Any) -> dict[str, Any]:
    fields = ("fair_share", "allocated", "over_quota", "not_preemptible", "pending")
    return {
        "kind": kind,
        "name": name,
        "parent": "",
        "quota": UNBOUND,
        "limit": UNBOUND,
        "over_quota_weight": 2,
        "priority": 0,
        "pending_pods": 0,
        **dict.fromkeys(fields, NOTHING),
        **different,
    }


def test_what_is_asked_is_sent_in_the_units_of_the_api(muster: Muster, types: Type) -> None:
    muster.answers["GET", FITS] = {
        **NO,
        "fits": "after-evictions",
        "node_pool": "a100",
        "places": [{"node": "n-1", "pods": 2}],
        "victims": [{"workload_id": WORKLOAD_ID, "name": "borrower", "pods": 2, "rule": "reclaim"}],
    }
    typed = types("fits", "-p", "demo", "--gpu", "0.5", "--pods", "2", "--memory", "1Gi", "--node-pool", "a100")
    assert typed.code == 0, typed.err
    assert muster.asked[0].query == {
        "project": ["demo"],
        "pods": ["2"],
        "gpu_devices": ["1"],
        "gpu_portion_millionths": ["500000"],
        "cpu_milli": ["1000"],
        "memory_bytes": [str(2**30)],
        "priority_class": ["train"],
        "node_pool": ["a100"],
    }
    assert "It fits when others have gone, in node pool a100." in typed.out
    assert "borrower  2     reclaim" in typed.out


def test_no_is_told_with_its_reason_and_what_would_help(muster: Muster, types: Type) -> None:
    muster.answers["GET", FITS] = NO
    typed = types("fits", "-p", "demo", "--gpu", "8")
    assert typed.code == 1
    assert typed.err == f"It does not fit: {NO['reason']}\n{NO['remedy']}\n"
    assert types("fits", "-p", "demo", "--gpu", "8", "-o", "json").data == NO


def test_gpus_that_are_neither_whole_nor_part_of_one_are_refused(muster: Muster, types: Type) -> None:
    typed = types("fits", "-p", "demo", "--gpu", "1.5")
    assert (typed.code, muster.asked) == (2, [])


def test_no_scheduler_is_a_sentence(muster: Muster, types: Type) -> None:
    sentence = "No scheduler is there to answer. Please try again."
    muster.answers["GET", "/api/v1/scheduling/queues"] = Answer(error(503, sentence), 503)
    typed = types("top")
    assert (typed.code, typed.err) == (5, f"{sentence}\n")


@pytest.mark.parametrize("words", [["top"], ["top", "projects"]])
def test_queues_stand_below_their_departments(muster: Muster, types: Type, words: list[str]) -> None:
    pool = {
        "node_pool": "default",
        "nodes": 3,
        "ready_nodes": 2,
        "capacity": gpus(16),
        "allocated": gpus(5.5),
        "queues": [
            queue("department", "research", quota={**UNBOUND, "gpu_millionths": 4_000_000}, allocated=gpus(5.5)),
            queue("project", "demo", parent="research", allocated=gpus(5.5), over_quota=gpus(2.5), pending=gpus(1)),
        ],
    }
    muster.answers["GET", "/api/v1/scheduling/queues"] = {"position": 9, "node_pools": [pool]}
    lines = types(*words).out.splitlines()
    assert lines[0].startswith("Node pool default: 2 of 3 nodes ready; 5.5 of 16 GPUs held, 0 of 0 CPUs")
    assert lines[2].split() == ["research/", "4", "0", "5.5", "0", "0", "0", "0", "0"]
    assert lines[3].startswith("  demo")
    assert lines[3].split()[1:7] == ["unlimited", "0", "5.5", "2.5", "0", "1"]


@pytest.mark.parametrize(
    ("gone", "unready", "said"),
    [
        (8, 0, "(8 on nodes that are gone)"),
        (0, 4, "(4 on nodes that are not ready)"),
        (8, 0.5, "(8 on nodes that are gone, 0.5 on nodes that are not ready)"),
    ],
)
def test_gpus_that_are_held_of_no_ready_node_are_told_apart(
    muster: Muster, types: Type, gone: float, unready: float, said: str
) -> None:
    pool = {
        "node_pool": "default",
        "nodes": 7,
        "ready_nodes": 7,
        "capacity": gpus(56),
        "allocated": gpus(64),
        "allocated_on_gone_nodes": gpus(gone),
        "allocated_on_unready_nodes": gpus(unready),
        "queues": [],
    }
    muster.answers["GET", "/api/v1/scheduling/queues"] = {"position": 9, "node_pools": [pool]}
    assert f"; 64 of 56 GPUs held {said}, 0 of 0 CPUs" in types("top").out


def test_a_node_shows_how_full_its_devices_are_and_who_is_on_them(muster: Muster, types: Type) -> None:
    share = {"index": 1, "portion_millionths": 500_000}
    pod = {"workload_id": WORKLOAD_ID, "workload": "half", "project": "demo", "pod": "p", "leaving": False}
    node = {
        "name": "a",
        "node_pool": "default",
        "ready": True,
        "unschedulable": False,
        "capacity": gpus(3),
        "free": {**gpus(1.5), "cpu_milli": 62_000},
        "free_gpus": [1_000_000, 500_000, 0],
        "pods": [{**pod, "devices": [share]}],
    }
    answers = {"": "a", "a": ""}

    def page(asked: Any) -> Any:
        after = asked.query.get("after", [""])[0]
        return {"position": 9, "nodes": [{**node, "name": f"{after}a"}], "next": answers[after]}

    muster.answers["GET", "/api/v1/scheduling/nodes"] = page
    lines = types("top", "nodes").out.splitlines()
    assert lines[1].split() == ["a", "default", "·▄█", "1.5", "62", "0", "bytes", "demo/half", "on", "1:0.5"]
    assert lines[2].split()[0] == "aa"


def waits(**others: Any) -> dict[str, Any]:
    """Make what the planner says of one pod that waits."""
    said = {"pods": 1, "reason": "hello needs 1 GPU.", "remedy": "", "code": "NoFittingNode", "holders": []}
    return {**said, "queue_position": None, **others}


def test_describe_says_why_it_waits_and_who_holds_what_it_needs(muster: Muster, types: Type) -> None:
    reason, remedy = "hello needs 8 GPUs on one node; the best has 5 GPUs free.", "It starts when others end."
    show(muster, workload(phase="Pending", message=f"{reason} {remedy}"))
    holder = {"project": "vision", "allocated": gpus(5), "quota": gpus(4), "fair_share": gpus(4)}
    group = waits(reason=reason, remedy=remedy, queue_position=2, holders=[holder])
    muster.answers["GET", f"/api/v1/workloads/{WORKLOAD_ID}/waiting"] = {"position": 9, "groups": [group]}
    out = types("describe", "hello").out
    assert f"{reason} {remedy}" in out
    for line in (
        f"Reason:             {reason}",
        f"What would free it: {remedy}",
        "Place in the queue: 2",
        "Most is held by:    vision 5 GPUs (quota 4, fair share 4)",
    ):
        assert line in out.splitlines()


def test_pods_that_wait_for_the_same_are_told_once(muster: Muster, types: Type) -> None:
    show(muster, workload(phase="Pending"))
    alike = [waits(queue_position=place) for place in (7, 8, 9)]
    other = waits(reason="hello needs a volume.", queue_position=10)
    muster.answers["GET", f"/api/v1/workloads/{WORKLOAD_ID}/waiting"] = {"position": 9, "groups": [*alike, other]}
    lines = types("why", "hello").out.splitlines()
    assert [line for line in lines if line.startswith("Reason")] == [
        "Reason:             hello needs 1 GPU.",
        "Reason:             hello needs a volume.",
    ]
    assert "Pods:               3 wait for this" in lines
    assert "Place in the queue: 7 to 9" in lines
    assert "Place in the queue: 10" in lines


def test_why_asks_the_scheduler_or_folds_the_past(muster: Muster, types: Type) -> None:
    """Position 3 is a pod of one GPU, beside a node without any; position 4 is the node that takes it."""
    name, workload_id = "late", str(id_of("workload/late"))
    known = [node("small", gpus=0), *gang(name, 1), node("large", gpus=1)]
    listed = [shown(one) for one in recorded(known)]
    Log(listed).serve(muster)
    show(muster, workload(name, id=workload_id, phase="Pending"))
    then = types("why", name, "--at", "3", "-o", "json").data
    (group,) = then["groups"]
    assert (then["position"], group["code"], group["queue_position"]) == (3, "NoFittingNode", 1)
    assert types("why", name, "--at", "4", "-o", "json").data["groups"][0]["code"] == "ItsTurn"
    asked = listed[2]["time"]
    assert types("why", name, "--at", asked, "-o", "json").data | {"as_of": then["as_of"]} == then
    assert types("why", name, "--at", "1").err == f"No pod of {name} waited to be scheduled then.\n"
    assert types("why", name).err == f"No pod of {name} waits to be scheduled.\n"
    assert types("why", name, "--at", "yesterday").code == 2
    for far in (len(listed) + 1, 10**30):
        typed = types("why", name, "--at", str(far))
        assert (typed.code, typed.out) == (2, "")
        assert typed.err.startswith(f"There is no position {far} yet: the event log ends at {len(listed)}.")


def test_describe_goes_on_without_a_scheduler(muster: Muster, types: Type) -> None:
    show(muster, workload(phase="Pending", message="It waits."))
    muster.answers["GET", f"/api/v1/workloads/{WORKLOAD_ID}/waiting"] = Answer(error(503, "Nobody."), 503)
    typed = types("describe", "hello")
    assert (typed.code, "It waits." in typed.out, "Why it waits" in typed.out) == (0, True, False)
