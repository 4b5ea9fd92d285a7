"""The recorded history scheduled again: what stays as it was, what a change of quota or nodes makes of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from muster_contracts import events as e
from muster_contracts.values import BoundPod, Caller, PodFacts, PodMark, PodPhase, PoolQuota
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.scenarios.changes import NO_CHANGES, Changes, NodeChange, QuotaChange, read_changes
from muster_scheduler.core.scenarios.document import parse
from muster_scheduler.core.scenarios.replay import Change, Course, replay
from muster_scheduler.core.scenarios.runner import as_the_service
from scheduler.worlds import START, group, id_of, node, pod

Moments = dict[str, tuple[datetime, datetime | None, datetime | None]]


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def recorded(*timed: tuple[int, e.AnyEvent]) -> list[Recorded]:
    return [
        Recorded(position, Envelope(id_of(f"event/{position}"), at(seconds)), event)
        for position, (seconds, event) in enumerate(timed, start=1)
    ]


def submitted(name: str, seconds: int) -> list[tuple[int, e.AnyEvent]]:
    """A workload of one pod that wants one GPU."""
    appears = e.WorkloadDiscovered(
        workload_id=id_of(f"workload/{name}"),
        kind="Job",
        api_version="batch/v1",
        workload_class="kubernetes",
        name=name,
        namespace="muster-demo",
        project="demo",
        object_id=None,
        created_at=at(seconds),
    )
    return [(seconds, event) for event in (appears, *group(name, [waiting(name)]))]


def waiting(name: str) -> PodFacts:
    return pod(name, name)


def bound(name: str, seconds: int) -> list[tuple[int, e.AnyEvent]]:
    """The recorded scheduler gave it its place, and it ran."""
    facts = waiting(name).model_copy(update={"node": "a", "gpus": "0", "phase": PodPhase.RUNNING})
    scheduled = e.PodScheduled(
        workload_id=id_of(f"workload/{name}"),
        pod_group_id=id_of(f"group/{name}"),
        plan_id=id_of("plan"),
        pods=(BoundPod(pod_id=facts.pod_id, name=name, node="a"),),
    )
    return [(seconds, scheduled), (seconds + 1, e.PodObserved(workload_id=scheduled.workload_id, pods=(facts,)))]


def ended(name: str, seconds: int, last_phase: PodPhase = PodPhase.SUCCEEDED) -> tuple[int, e.AnyEvent]:
    mark = PodMark(pod_id=id_of(f"pod/{name}"), name=name, last_phase=last_phase, node="a")
    return seconds, e.PodGone(workload_id=id_of(f"workload/{name}"), pods=(mark,))


def one_after_the_other() -> list[Recorded]:
    """One GPU: the first runs from 10 to 100, the second waits for it from 20 on and starts at 105."""
    return recorded(
        (0, node("a", gpus=1)),
        *submitted("first", 5),
        *bound("first", 10),
        *submitted("second", 20),
        ended("first", 100),
        *bound("second", 105),
        (200, node("a", gpus=1, labels={"touched": "yes"})),
    )


def starts(history: Sequence[Recorded], change: Change = NO_CHANGES) -> Moments:
    found = replay(history, change, as_the_service)
    return {one.name: (one.submitted, one.before.started, one.after.started) for one in found}


def changes(**nodes: NodeChange) -> Changes:
    return Changes({}, {}, nodes)


def test_the_same_cluster_gives_the_same_order() -> None:
    assert starts(one_after_the_other()) == {
        "first": (at(5), at(10), at(5)),
        "second": (at(20), at(105), at(95)),  # ninety seconds of running after the place at 5
    }


def test_one_node_more_spares_the_wait() -> None:
    again = starts(one_after_the_other(), changes(b=NodeChange(like="a")))
    assert again["second"] == (at(20), at(105), at(20))


def test_without_the_node_nobody_starts() -> None:
    again = starts(one_after_the_other(), changes(a=NodeChange(removed=True)))
    assert [started for _, _, started in again.values()] == [None, None]


def test_another_size_holds_for_every_sighting_of_the_node() -> None:
    again = starts(one_after_the_other(), changes(a=NodeChange(gpus=2)))
    assert again["second"] == (at(20), at(105), at(20))


def test_who_starts_later_than_in_the_record_outlives_its_end_there() -> None:
    history = recorded(
        (0, node("a", gpus=2)),
        *submitted("first", 5),
        *bound("first", 5),
        *submitted("second", 10),
        *bound("second", 10),
        ended("second", 60),
        (61, e.WorkloadGone(workload_id=id_of("workload/second"), end_seen=True)),
        ended("first", 95),
        (200, node("a", gpus=2, labels={"touched": "yes"})),
    )
    again = starts(history, changes(a=NodeChange(gpus=1)))
    assert again["second"] == (at(10), at(10), at(95))


def evicted(name: str, seconds: int) -> list[tuple[int, e.AnyEvent]]:
    """The recorded scheduler took its place away, and a pod came in its stead."""
    workload_id = id_of(f"workload/{name}")
    preempted = e.PodPreempted(
        workload_id=workload_id, plan_id=id_of("plan"), pod_ids=(id_of(f"pod/{name}"),), rule="reclaim", reason=""
    )
    stead = waiting(name).model_copy(update={"pod_id": id_of(f"pod/{name}-again"), "name": f"{name}-again"})
    return [
        (seconds, preempted),
        ended(name, seconds + 2),
        (seconds + 3, e.PodObserved(workload_id=workload_id, pods=(stead,))),
    ]


def one_takes_the_place_of_another(*more: tuple[int, e.AnyEvent]) -> list[Recorded]:
    """One GPU: the first is evicted at 50, for the second. The planner of the replay has no reason to do that."""
    return recorded(
        (0, node("a", gpus=1)),
        *submitted("first", 5),
        *bound("first", 5),
        *submitted("second", 20),
        *evicted("first", 50),
        *bound("second", 54),
        *more,
        (400, node("a", gpus=1, labels={"touched": "yes"})),
    )


def test_an_eviction_of_the_record_is_not_the_end_of_a_run() -> None:
    again = starts(one_takes_the_place_of_another())
    assert again == {"first": (at(5), at(5), at(5)), "second": (at(20), at(54), None)}


def test_a_victim_in_whose_stead_nobody_came_has_no_end_that_is_known() -> None:
    stead = id_of("pod/first-again")
    history = [
        one
        for one in one_takes_the_place_of_another()
        if not (isinstance(one.event, e.PodObserved) and one.event.pods[0].pod_id == stead)
    ]
    assert starts(history)["second"] == (at(20), at(54), None)


def test_a_victim_of_the_record_runs_as_long_as_who_came_in_its_stead() -> None:
    gone, placed = again("first", ended("first", 300)), again("first", *bound("first", 200))
    found = starts(one_takes_the_place_of_another(ended("second", 190), *placed, *gone))
    assert found["second"] == (at(20), at(54), at(105))


def test_a_victim_whose_stead_was_given_up_leaves_at_that_moment() -> None:
    gone = again("first", ended("first", 120))
    assert starts(one_takes_the_place_of_another(*gone))["second"] == (at(20), at(54), at(120))


def test_a_victim_whose_stead_was_deleted_while_it_ran_leaves_at_that_moment() -> None:
    facts = waiting("first").model_copy(update={"node": "a", "phase": PodPhase.RUNNING, "terminating": True})
    going = (70, e.PodObserved(workload_id=id_of("workload/first"), pods=(facts,)))
    more = again("first", *bound("first", 63), going, ended("first", 71))
    assert starts(one_takes_the_place_of_another(*more))["second"] == (at(20), at(54), at(71))
    unseen = again("first", *bound("first", 63), ended("first", 71, PodPhase.FAILED))
    assert starts(one_takes_the_place_of_another(*unseen))["second"] == (at(20), at(54), at(71))


def again(name: str, *timed: tuple[int, e.AnyEvent]) -> list[tuple[int, e.AnyEvent]]:
    """The same happens to the pod that came in the stead of another."""
    pod_id = id_of(f"pod/{name}-again")

    def renamed(event: e.AnyEvent) -> e.AnyEvent:
        assert isinstance(event, e.PodScheduled | e.PodObserved | e.PodGone)
        return event.model_copy(update={"pods": tuple(one.model_copy(update={"pod_id": pod_id}) for one in event.pods)})

    return [(seconds, renamed(event)) for seconds, event in timed]


def test_what_evictions_cost_is_told_of_the_record_and_of_the_replay() -> None:
    first, _ = replay(one_takes_the_place_of_another(*again("first", *bound("first", 63))), NO_CHANGES, as_the_service)
    assert first.before == Course(at(5), evictions=1, lost_seconds=47, waited_again_seconds=10)
    assert first.after == Course(at(5), evictions=0, lost_seconds=0, waited_again_seconds=0)


def test_who_left_before_getting_a_place_leaves_at_the_same_moment() -> None:
    history = recorded((0, node("a", gpus=0)), *submitted("first", 5), ended("first", 50), (60, node("a", gpus=1)))
    assert starts(history) == {"first": (at(5), None, None)}


def test_a_quota_is_changed_where_the_file_says_and_nowhere_else() -> None:
    event = e.ProjectChanged(
        project_id=id_of("project"),
        name="demo",
        namespace="muster-demo",
        quotas=(PoolQuota(node_pool="default", gpu_millionths=1, priority=3), PoolQuota(node_pool="other")),
        changed_by=Caller(name="ada"),
    )
    changed = Changes({"demo": QuotaChange("default", {"gpu_millionths": 7})}, {}, {})
    (told,) = changed(event)
    assert isinstance(told, e.ProjectChanged)
    assert sorted(told.quotas, key=lambda quota: quota.node_pool) == [
        PoolQuota(node_pool="default", gpu_millionths=7, priority=3),
        PoolQuota(node_pool="other"),
    ]


def test_names_the_history_does_not_know_are_told() -> None:
    changed = Changes({"nobody": QuotaChange("default", {})}, {}, {"a": NodeChange(), "b": NodeChange(like="c")})
    assert changed.unknown(one_after_the_other()) == [("projects.nobody", "project nobody"), ("nodes.b.like", "node c")]


def test_a_node_pool_the_history_does_not_know_is_told() -> None:
    changed = Changes({}, {"research": QuotaChange("fast", {})}, {})
    known = e.DepartmentChanged(department_id=id_of("department"), name="research", changed_by=Caller(name="ada"))
    assert changed.unknown(recorded((0, known))) == [("departments.research.node_pool", "node pool fast")]


def test_a_weight_may_be_named_as_on_the_command_line() -> None:
    read = read_changes(parse('{"projects": {"a": {"over_quota_weight": "high"}}}', "file"))
    assert read.projects["a"].fields == {"over_quota_weight": 3}
