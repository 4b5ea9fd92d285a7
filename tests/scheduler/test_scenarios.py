"""Scenarios are read, played and judged. The planners follow a script here: the judge is on trial, not the plan."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from muster_contracts.values import WHOLE_GPU, DeviceShare, Placement, Victim
from muster_scheduler.core.plan import Plan
from muster_scheduler.core.scenarios import runner
from muster_scheduler.core.scenarios.cases import Case
from muster_scheduler.core.scenarios.document import Unreadable, parse
from muster_scheduler.core.scenarios.facts import id_of
from muster_scheduler.core.scenarios.reader import read_cases
from muster_scheduler.core.scenarios.reading import runnable_cases
from muster_scheduler.core.scenarios.runner import Outcome
from muster_scheduler.core.scenarios.world import World
from muster_scheduler.core.snapshot import Snapshot

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "scenarios"
OWN = Path(__file__).parent / "scenarios"
Shape = Callable[[dict[str, Any]], Any]


def file_with(**case: Any) -> str:
    """Return a file of one case: a node of two GPUs, one queue, one pod that waits; `case` overrides."""
    usual = {
        "id": "one",
        "nodes": [{"name": "node0", "gpus": 2}],
        "queues": [{"name": "team", "deserved_gpus": 2}],
        "jobs": [{"name": "job", "queue": "team", "gpus_per_task": 1, "tasks": [{"state": "Pending"}]}],
        "expect": {"jobs": {"job": {"status": "Running", "node": "node0"}}},
    }
    return json.dumps({"scenarios": [{**usual, **case}]})


def case_with(**case: Any) -> Case:
    (read,) = read_cases(parse(file_with(**case), "a.json"))
    return read


def placed(job: str, *, index: int = 0, generation: int = 0, devices: Sequence[int] = (0,)) -> Placement:
    return Placement(
        workload_id=id_of("workload", job),
        pod_group_id=id_of("group", job),
        pod_id=id_of("pod", job, str(index), str(generation)),
        namespace="muster-team",
        name=f"{job}-{index}",
        resource_version="1",
        node="node0",
        devices=tuple(DeviceShare(index=device) for device in devices),
    )


def driven_out(job: str, *, generation: int = 0) -> Victim:
    pod_id = id_of("pod", job, "0", str(generation))
    return Victim(workload_id=id_of("workload", job), pod_id=pod_id, namespace="", name=f"{job}-0", rule="preempt")


def following(*script: Plan) -> Callable[[Snapshot], Plan]:
    """Return a planner that makes these plans, one a round, and then plans nothing."""
    plans = iter(script)
    return lambda snapshot: next(plans, Plan(snapshot.position))


def plan_of(*placements: Placement, victims: Sequence[Victim] = (), nominations: Sequence[Placement] = ()) -> Plan:
    return Plan(0, placements, victims=tuple(victims), nominations=tuple(nominations))


def play(case: Case, planner: runner.Planner) -> Outcome:
    """Play a case by a script that no rule allows: nobody checks the plans."""
    return runner.play(case, planner, lambda snapshot, plan: [])


def running(name: str, **more: Any) -> dict[str, Any]:
    task = {"state": "Running", "node": "node0", **more}
    return {"name": name, "queue": "team", "gpus_per_task": 1, "tasks": [task]}


# ---------------------------------------------------------------- judging


def test_a_case_passes_when_its_expectation_holds_and_goes_on_holding() -> None:
    outcome = play(case_with(rounds_after_match=3), following(plan_of(placed("job"))))
    assert outcome == Outcome("one", (), rounds=4, binds=1, evictions=0)
    assert outcome.passed


def test_what_differs_is_said_with_what_should_be_and_what_is() -> None:
    outcome = play(case_with(), following())
    assert outcome.differences == ("job-0 should be Running on node0, and is Pending.",)
    assert not outcome.passed


def test_an_expectation_is_judged_even_if_no_round_should_be_played_for_it() -> None:
    assert not play(case_with(rounds_until_match=0, rounds_after_match=0), following()).passed


def test_an_expectation_that_held_and_then_fails_says_when() -> None:
    flips = following(plan_of(placed("job")), plan_of(victims=[driven_out("job")]))
    outcome = play(case_with(rounds_after_match=3), flips)
    assert outcome.differences == ("job-0 should be Running on node0, and is Pending (after round 2).",)
    assert outcome.evictions == 1


def test_bounds_are_upper_bounds() -> None:
    expectation = {"jobs": {"job": {"status": "Running"}}, "at_most": {"binds": 1, "evictions": 0}}
    script = following(
        plan_of(placed("job")), plan_of(victims=[driven_out("job")]), plan_of(placed("job", generation=1))
    )
    case = case_with(expect=expectation, rounds_until_match=3)
    assert play(case, script).differences == (
        "2 pods were bound, and 1 are the most allowed.",
        "1 pods were evicted, and 0 are the most allowed.",
    )
    assert play(case, following(plan_of(placed("job")))).passed


def test_evictions_that_do_not_end_are_found() -> None:
    rounds: list[Plan] = []
    for generation in range(4):
        rounds += [
            plan_of(placed("job", generation=generation)),
            plan_of(victims=[driven_out("job", generation=generation)]),
        ]
    case = case_with(expect={"no_evictions_after_rounds": 2}, rounds_after_match=7)
    assert play(case, following(*rounds)).differences == (
        "Evictions should have stopped after round 2; the last was in round 8.",
    )


def test_a_plan_that_is_wrong_is_not_carried_out() -> None:
    stranger = following(plan_of(placed("nobody")))
    outcome = runner.play(case_with(), stranger)
    assert outcome.differences
    assert all(one.startswith("The plan of round 1 is wrong: ") for one in outcome.differences)
    assert outcome.binds == 0


def test_labels_of_shared_devices_are_compared_by_device() -> None:
    expectation = {"jobs": {name: {"gpu_groups": ["x"], "check_gpu_group": True} for name in ("job", "old")}}
    jobs = [running("old"), {"name": "job", "queue": "team", "gpus_per_task": 0.5, "tasks": [{}]}]
    case = case_with(jobs=jobs, expect=expectation)
    assert not play(case, following(plan_of(placed("job", devices=[1])))).passed
    assert play(case, following(plan_of(placed("job", devices=[0])))).passed


def test_different_labels_are_different_devices() -> None:
    expectation = {"jobs": {name: {"gpu_groups": [name], "check_gpu_group": True} for name in ("job", "old")}}
    jobs = [running("old"), {"name": "job", "queue": "team", "gpus_per_task": 0.5, "tasks": [{}]}]
    case = case_with(jobs=jobs, expect=expectation)
    assert play(case, following(plan_of(placed("job", devices=[1])))).passed
    assert play(case, following(plan_of(placed("job", devices=[0])))).differences == (
        "old-0 should not share device 0 of node0 with job-0.",
    )


def test_promised_places_are_counted_and_bounded() -> None:
    case = case_with(expect={"at_most": {"pipelines": 0}})
    assert play(case, following(plan_of(nominations=[placed("job")]))).differences == (
        "1 places were promised, and 0 are the most allowed.",
    )


def test_totals_are_those_of_all_tasks() -> None:
    totals = {"gpus_requested_total": 2, "cpu_milli_total": 4000, "memory_total": 14}
    job = {"name": "job", "queue": "team", "gpus_per_task": 1, "cpu_per_task_milli": 2, "memory_per_task": 7}
    twice, once = ([{**job, "tasks": [{"count": count}]}] for count in (2, 1))
    assert play(case_with(jobs=twice, expect={"jobs": {"job": totals}}), following()).passed
    assert play(case_with(jobs=once, expect={"jobs": {"job": totals}}), following()).differences == (
        "job should ask for 2 GPUs in all, and asks for 1.",
        "job should ask for 4000 thousandths of a processor in all, and asks for 2000.",
        "job should ask for 14 bytes in all, and asks for 7.",
    )


def test_a_single_plan_is_judged_as_it_leaves_everybody() -> None:
    jobs = [
        running("old"),
        {"name": "next", "queue": "team", "tasks": [{}]},
        {"name": "job", "queue": "team", "tasks": [{}]},
    ]
    statuses = {"old": "Releasing", "next": "Pipelined", "job": "Binding"}
    case = case_with(
        jobs=jobs, mode="single_action", expect={"jobs": {name: {"status": one} for name, one in statuses.items()}}
    )
    plan = plan_of(placed("job"), victims=[driven_out("old")], nominations=[placed("next")])
    assert play(case, following(plan)) == Outcome("one", (), rounds=1, binds=1, evictions=1)


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        ("allocate", {"old": "Running", "urgent": "Pending", "small": "Binding"}),
        ("preempt", {"old": "Releasing", "urgent": "Pipelined", "small": "Pending"}),
        ("reclaim", {"old": "Running", "urgent": "Pending", "small": "Pending"}),
        ("everything", {"old": "Releasing", "urgent": "Pipelined", "small": "Binding"}),
    ],
)
def test_a_single_action_does_nothing_but_itself(action: str, wanted: dict[str, str]) -> None:
    urgent = {"name": "urgent", "queue": "team", "gpus_per_task": 2, "priority_class": "build", "tasks": [{}]}
    jobs = [urgent, running("old"), {"name": "small", "queue": "team", "tasks": [{}]}]
    expectation = {"jobs": {name: {"status": status} for name, status in wanted.items()}}
    case = case_with(
        queues=[{"name": "team", "deserved_gpus": 2}],
        jobs=jobs,
        mode="single_action",
        action=action,
        expect=expectation,
    )
    assert runner.play(case).differences == ()


@pytest.mark.parametrize("rounds", [1, 2, 7])
def test_a_single_action_is_judged_whatever_rounds_the_case_names(rounds: int) -> None:
    job = {"name": "job", "queue": "team", "tasks": [{}]}
    expectation = {"jobs": {"job": {"status": "Pending"}}}
    case = case_with(jobs=[job], mode="single_action", rounds_until_match=rounds, expect=expectation)
    assert runner.play(case).differences == ("job-0 should be Pending, and is Binding on node0.",)


def test_who_moves_both_leaves_and_has_a_place_promised() -> None:
    nodes = [{"name": "node0", "gpus": 2}, {"name": "node1", "gpus": 1}]
    jobs = [running("old"), {"name": "large", "queue": "team", "gpus_per_task": 2, "tasks": [{}]}]
    for status, node in (("Releasing", "node0"), ("Pipelined", "node1")):
        expectation = {"jobs": {"old": {"status": status, "node": node}, "large": {"status": "Pipelined"}}}
        case = case_with(nodes=nodes, jobs=jobs, mode="single_action", action="consolidation", expect=expectation)
        assert runner.play(case).differences == ()


def test_steps_go_on_from_where_the_one_before_ended() -> None:
    later = {"name": "later", "queue": "team", "gpus_per_task": 1, "tasks": [{}]}
    step = {"delete": ["job"], "jobs": [later], "expect": {"jobs": {"later": {"status": "Running"}}}}
    case = case_with(steps=[step])
    assert play(case, following(plan_of(placed("job")), plan_of(placed("later")))).passed
    assert play(case, following(plan_of(placed("job")))).differences == (
        "Step 1: later-0 should be Running, and is Pending.",
    )


def test_a_step_may_lose_nodes_and_change_others_and_queues() -> None:
    case = case_with(
        nodes=[{"name": "node0", "gpus": 1}, {"name": "node1", "gpus": 1}],
        queues=[{"name": "team", "max_allowed_gpus": 2}],
        jobs=[running("old"), {"name": "job", "queue": "team", "gpus_per_task": 1, "tasks": [{}]}],
        expect={"jobs": {"job": {"node": "node1"}}},
        steps=[
            {"lose_nodes": ["node0"], "expect": {"jobs": {"old": {"status": "Pending"}}}},
            {
                "nodes": [{"name": "node1", "gpus": 1, "unschedulable": True}, {"name": "node2", "gpus": 4}],
                "queues": [{"name": "team", "max_allowed_gpus": 1}],
                "expect": {"jobs": {"old": {"status": "Pending"}}},
            },
            {"queues": [{"name": "team"}], "expect": {"jobs": {"old": {"status": "Running", "node": "node2"}}}},
        ],
    )
    assert runner.play(case).differences == ()


def test_an_unknown_expectation_does_not_pass_and_another_unknown_field_is_remarked() -> None:
    unknown = case_with(expect={"jobs": {"job": {"statuss": "Running"}}}, colour="red")
    outcome = play(unknown, following())
    assert outcome.differences == ("expect.jobs.job.statuss is not known, so it cannot be checked.",)
    assert outcome.remarks == ("colour is not known and was passed over.",)


NOTHING = ("It expects nothing, so nothing was checked.",)


@pytest.mark.parametrize("nothing", [{}, {"jobs": {"job": {}}}, {"nodes": {"node0": {}}, "at_most": {}}])
def test_a_case_that_expects_nothing_does_not_pass(nothing: dict[str, Any]) -> None:
    assert play(case_with(expect=nothing), following()).differences == NOTHING
    assert play(case_with(expect=nothing, steps=[{"expect": {"at_most": {"binds": 0}}}]), following()).passed


def share_case(**more: Any) -> dict[str, Any]:
    queues = [{"id": "q", "gpu": {"deserved": 2, "request": 2}}]
    return {"id": "share", "call": "setResourceShare", "resource": "gpu", "total": 2, "queues": queues, **more}


def test_a_division_that_expects_nothing_does_not_pass() -> None:
    cases = [share_case(), share_case(expected_fair_share={}), share_case(expected_remaining=0)]
    outcomes = [run() for _, run in runnable_cases(json.dumps({"cases": cases}), "a.json")]
    assert [outcome.differences for outcome in outcomes] == [NOTHING, NOTHING, ()]


def test_a_file_may_have_cases_of_both_structures() -> None:
    both = {**json.loads(file_with()), "cases": [share_case()]}
    assert [name for name, _ in runnable_cases(json.dumps(both), "a.json")] == ["one", "share"]
    assert [name for name, _ in runnable_cases(json.dumps({**both, "cases": []}), "a.json")] == ["one"]
    with pytest.raises(Unreadable, match="missing, or empty"):
        runnable_cases('{"cases": []}', "a.json")


# ---------------------------------------------------------------- the world


def test_the_state_is_the_schedulers_own_fold() -> None:
    case = case_with(jobs=[running("old")], expect={})
    world = World(case)
    world.arrive(case.steps[0].jobs)
    (pod,) = world.state.pods.values()
    assert pod.assignment is not None
    assert (pod.assignment.node, pod.assignment.devices) == ("node0", (DeviceShare(index=0),))
    assert set(world.state.organisation.projects) == {"team"}
    assert world.state.organisation.projects["team"].quotas[0].gpu_millionths == 2 * WHOLE_GPU


def test_who_is_evicted_comes_back_as_another_pod_of_the_same_group() -> None:
    case = case_with(jobs=[running("old")], expect={})
    world = World(case)
    world.arrive(case.steps[0].jobs)
    world.carry_out(plan_of(victims=[driven_out("old")]))
    assert world.gpus_of("node0") == (1, 1)
    world.settle()
    (pod,) = world.state.pods.values()
    assert (pod.facts.pod_id, pod.facts.pod_group_id) == (id_of("pod", "old", "0", "1"), id_of("group", "old"))
    assert pod.assignment is None
    assert world.gpus_of("node0") == (2, 0)


def test_a_deleted_job_goes_on_leaving() -> None:
    job = {**running("old"), "deleted_in_test": True}
    expectation = {"jobs": {"old": {"status": "Releasing"}}, "nodes": {"node0": {"idle_gpus": 1, "releasing_gpus": 1}}}
    assert play(case_with(jobs=[job], expect=expectation, rounds_after_match=3), following()).passed


def test_a_job_deleted_while_it_was_planned_for_gets_no_place() -> None:
    job = {"name": "job", "queue": "team", "gpus_per_task": 1, "tasks": [{}], "deleted_in_test": True}
    case = case_with(jobs=[job], expect={"nodes": {"node0": {"idle_gpus": 2}}, "at_most": {"binds": 0}})
    assert play(case, following(plan_of(placed("job")))).passed


def test_tasks_of_one_label_run_on_one_device() -> None:
    jobs = [
        {"name": name, "queue": "team", "gpus_per_task": 0.5, "tasks": [{"state": "Running", "node": "node0", **label}]}
        for name, label in (("a", {"gpu_groups": ["x"]}), ("b", {}), ("c", {"gpu_groups": ["x"]}))
    ]
    case = case_with(jobs=jobs, expect={})
    world = World(case)
    world.arrive(case.steps[0].jobs)
    devices = {task.job.name: task.devices[0].index for task in world.tasks.values()}
    assert devices["a"] == devices["c"] != devices["b"]


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        ({"nodes": [{"gpus": 1}]}, "field nodes[0].name: It is missing."),
        ({"nodes": [{"name": "node0", "gpus": "two"}]}, 'nodes[0].gpus: It should be a number, not "two".'),
        ({"nodes": [{"name": "node0", "gpus": -1}]}, "nodes[0].gpus: It should be from 0"),
        ({"nodes": [{"name": "node0", "gpus": 100_000_000}]}, "nodes[0].gpus: It should be from 0 to 1000"),
        ({"nodes": [{"name": "node", "count": 10_000_000}]}, "nodes[0].count: It should be from 1 to 100000"),
        ({"delay_between_rounds_s": 10**12}, "field delay_between_rounds_s: It should be from 0 to 86400"),
        ({"jobs": [{**running("job"), "age_minutes": 10**12}]}, "jobs[0].age_minutes: It should be from 0 to 52704000"),
        ({"rounds_after_match": 3 * 10**9}, "field rounds_after_match: It should be from 0 to 10000"),
        ({"jobs": [{**running("job", count=400), "count": 400}]}, "jobs[0].count: It stands for more than 100000"),
        ({"nodes": [{"name": "n"}, {"name": "n"}]}, "field nodes: Two nodes have the name n."),
        ({"queues": [{"name": "team", "parent": "nobody"}]}, "The parent of team, nobody, is no queue"),
        ({"queues": [{"name": "team", "parent": "b"}, {"name": "b", "parent": "team"}]}, "is below itself."),
        ({"jobs": [{"name": "job", "queue": "other", "tasks": []}]}, "field jobs[0].queue: There is no queue other."),
        ({"jobs": [{**running("job"), "gpus_per_task": 1.5}]}, "jobs[0].gpus_per_task: It should be a fraction"),
        ({"jobs": [{**running("job"), "gpus_per_task": 3}]}, "runs on node0, which has no device left for it."),
        (
            {"jobs": [{**running("job"), "priority_class": "royal"}]},
            "jobs[0].priority_class: It should be one of train",
        ),
        ({"jobs": [running("job", node="mars")]}, "A task of job runs on mars, which is no node."),
        ({"jobs": [running("job", state="Asleep")]}, "jobs[0].tasks[0].state: It should be one of Pending"),
        (
            {"jobs": [{**running("job", gpu_groups=["x"], count=3), "gpus_per_task": 0.5}]},
            "runs on node0, which has no room left for it on the device that is labelled x.",
        ),
        ({"jobs": [running("job", sub_group="b")]}, "jobs[0].tasks[0].sub_group: There is no sub_group b."),
        ({"jobs": [{**running("job"), "gpu_memory_per_task": 9}]}, "gpu_memory_per_task: A task asks for GPUs or for"),
        ({"jobs": [{**running("job"), "gpus_per_task": 1e-9}]}, "It should be 0, or at least a millionth."),
        ({"expect": {"jobs": {"nobody": {}}}}, "field expect.jobs: There is no job nobody."),
        ({"mode": "twice"}, "field mode: It should be one of settled_full_cycle, single_action"),
        ({"steps": [{"queues": [{"name": "other"}]}]}, "field steps[0].queues[0].name: There is no queue other."),
        ({"steps": [{"lose_nodes": ["mars"]}]}, "field steps: There is no node mars to lose."),
        ({"steps": [{"delete": ["nobody"]}]}, "field steps[0].delete: There is no job nobody."),
        ({"jobs": None}, "field jobs: It should be a list, not null."),
        ({"expect": None}, "field expect: It should be an object, not null."),
        ({"nodes": [{"name": ""}]}, "field nodes[0].name: It is empty."),
        ({"queues": [{"name": ""}]}, "field queues[0].name: It is empty."),
        ({"jobs": [{**running("job"), "name": ""}]}, "field jobs[0].name: It is empty."),
        ({"nodes": [{"name": "node0", "gpus": 1.5}]}, "nodes[0].gpus: It should be a whole number, not 1.5."),
        ({"nodes": [{"name": "\ud800"}]}, 'nodes[0].name: "\\ud800" has half of a character'),
        ({"nodes": [{"name": "n", "labels": {"\ud800": ""}}]}, "nodes[0].labels: "),
        ({"jobs": [running("job", gpu_groups=["\ud800"])]}, "jobs[0].tasks[0].gpu_groups: "),
        ({"expect": {"jobs": {"\ud800": {}}}}, 'field expect.jobs: "\\ud800" has half of a character'),
    ],
)
def test_what_cannot_be_read_is_told_with_file_case_and_field(case: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Unreadable) as refused:
        case_with(**case)
    assert str(refused.value).startswith("a.json, case one, ")
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "{}", '{"scenarios": 3}', '{"scenarios": [7]}', "[" * 100_000, '{"\\ud800": 1}']
)
def test_what_is_no_file_of_scenarios_is_told_with_its_name(text: str) -> None:
    with pytest.raises(Unreadable, match=r"^a\.json"):
        runnable_cases(text, "a.json")


def test_processors_of_tasks_and_nodes_count_thousands_of_those_of_queues() -> None:
    case = case_with(
        nodes=[{"name": "node0", "gpus": 1, "cpu_milli": 5}],
        queues=[{"name": "team", "max_allowed_cpu_milli": 2500}],
        jobs=[{"name": "job", "queue": "team", "cpu_per_task_milli": 2, "tasks": [{}]}],
    )
    assert (case.nodes[0].cpu_milli, case.queues[-1].max_cpu_milli) == (5000, 2500)
    assert case.steps[0].jobs[0].cpu_milli == 2000


def test_jobs_are_older_the_earlier_they_stand_among_those_of_their_priority() -> None:
    waiting = [
        {"name": name, "queue": "team", "priority": priority, "tasks": [{}]}
        for name, priority in (("a", 50), ("b", 100), ("c", 50))
    ]
    jobs = case_with(jobs=waiting, expect={}).steps[0].jobs
    assert [(job.name, job.age_seconds) for job in jobs] == [("b", 180), ("a", 120), ("c", 60)]


def test_sub_groups_say_how_many_pods_are_enough() -> None:
    sets = [{"name": "a", "min_available": 2}, {"name": "b", "min_available": 1}]
    job = {"name": "job", "queue": "team", "min_available": "per sub_group", "tasks": [{"count": 4, "sub_group": "a"}]}
    every, some = ({**job, "sub_groups": {"pod_sets": sets, **more}} for more in ({}, {"min_sub_groups": 1}))
    assert case_with(jobs=[every]).steps[0].jobs[0].min_members == 3
    assert case_with(jobs=[some]).steps[0].jobs[0].min_members == 1


@pytest.mark.parametrize("task", [{}, {"sub_group": "all"}])
@pytest.mark.parametrize("shape", [lambda only: only, lambda only: [only]], ids=["object", "list"])
def test_a_sub_group_that_is_alone_keeps_all_tasks_near_each_other(shape: Shape, task: dict[str, Any]) -> None:
    near = {"topology": "racks", "required_level": "rack"}
    sub_groups = shape({"name": "all", "topology_constraint": near})
    case = case_with(
        nodes=[{"name": f"node{rack}", "gpus": 1, "labels": {"rack": str(rack)}} for rack in range(2)],
        topologies=[{"name": "racks", "levels": ["rack"]}],
        jobs=[{"name": "job", "queue": "team", "gpus_per_task": 1, "sub_groups": sub_groups, "tasks": [task] * 2}],
        expect={"jobs": {"job": {"status": "Pending"}}},
    )
    assert (runner.play(case).differences, case.remarks) == ((), ())


def test_what_is_allowed_and_hardly_meant_is_remarked() -> None:
    job = {"name": "job", "queue": "team"}
    parts = [{"name": name, "topology_constraint": {"topology": "t", "required_level": name}} for name in ("a", "b")]
    case = case_with(
        topologies=[{"name": "t", "levels": ["a"]}],
        jobs=[{**job, "min_available": 5, "sub_groups": parts, "tasks": [{"sub_group": "a"}, {}]}],
    )
    assert case.remarks == (
        "job has 2 of the 5 tasks of min_available and never starts.",
        "job has 1 of its tasks outside of its sub_groups, whose rules do not bind it there.",
        "job asks for b, which is no level of topology t.",
    )
    assert case_with(jobs=[job]).remarks == ("job has no tasks, so there is nothing to start.",)


def test_a_count_stands_for_many_and_its_tasks_go_round_the_nodes() -> None:
    case = case_with(
        nodes=[{"name": "node", "count": 2, "gpus": 4}],
        jobs=[{**running("job", node="node", count=2), "count": 3}],
        expect={"jobs": {"job": {"status": "Running"}, "job-1": {"status": "Running"}}},
    )
    jobs = case.steps[0].jobs
    assert [node.name for node in case.nodes] == ["node-0", "node-1"]
    assert [job.name for job in jobs] == ["job-0", "job-1", "job-2"]
    assert [task.node for job in jobs for task in job.tasks] == ["node-0", "node-1"] * 3
    assert play(case, following()).passed


def test_an_expectation_of_a_family_counts_all_of_it() -> None:
    family = [{"name": "job", "queue": "team", "count": 2, "tasks": [{}]}]
    case = case_with(jobs=family, expect={"jobs": {"job": {"running_at_least": 2}}})
    script = following(plan_of(placed("job-0", devices=[])))
    assert play(case, script).differences == ("job should have at least 2 pods running, and has 1.",)


def test_a_family_leaves_together() -> None:
    family = [{"name": "job", "queue": "team", "count": 2, "tasks": [{}]}]
    step = {"delete": ["job"], "jobs": [running("job")], "expect": {"jobs": {"job": {"status": "Running"}}}}
    assert play(case_with(jobs=family, expect={}, steps=[step]), following()).passed


# ---------------------------------------------------------------- whole files


def test_our_own_files_are_read_without_remarks() -> None:
    files = sorted(OWN.glob("*.json"))
    assert files
    for file in files:
        cases = read_cases(parse(file.read_text(encoding="utf-8"), file.name))
        assert [case.remarks for case in cases if case.remarks] == []
        assert [step.expectation.unknown for case in cases for step in case.steps if step.expectation.unknown] == []


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published cases are not on this machine")
def test_the_published_cases_are_read_as_they_are_and_all_hold() -> None:
    cases = read_cases(parse((PUBLISHED / "settled.json").read_text(encoding="utf-8"), "settled.json"))
    assert len(cases) == 52
    assert [case.remarks for case in cases if case.remarks] == []
    assert [outcome for case in cases if not (outcome := runner.play(case)).passed] == []


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published cases are not on this machine")
def test_the_published_fair_shares_all_hold() -> None:
    runs = runnable_cases((PUBLISHED / "fair_share.json").read_text(encoding="utf-8"), "fair_share.json")
    assert len(runs) == 30
    assert [outcome for _, run in runs if not (outcome := run()).passed] == []
