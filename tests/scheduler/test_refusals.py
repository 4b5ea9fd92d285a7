"""What was refused is not asked for again and again: pauses that double, and end by the time of the journal."""

import asyncio
from contextlib import aclosing
from datetime import datetime, timedelta

from muster_cluster.objects import PODS
from muster_contracts import events as e
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.check import faults
from muster_scheduler.core.deadlines import next_deadline
from muster_scheduler.core.draft import Limits
from muster_scheduler.core.plan import plan
from muster_scheduler.core.refusals import LONGEST_REST
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from pydantic import TypeAdapter
from scheduler.scene import NAMESPACE, Scene, of_type, scheduled
from scheduler.worlds import gone, group, id_of, node, plan_made, pod, state_of


class Story:
    """Pods of one gang that wait on an empty node, and are refused to us whenever they are to be bound."""

    def __init__(self, *names: str) -> None:
        self.names = names or ("p",)
        pods = [pod(name, "g") for name in self.names]
        self.state = state_of(node("a"), *group("g", pods, min_members=len(pods)))
        self.turn = 0

    @property
    def now(self) -> datetime:
        assert self.state.now is not None
        return self.state.now

    def tell(self, event: e.AnyEvent) -> None:
        """Let something happen in the same moment, as far as any clock can tell."""
        position = self.state.position + 1
        self.state.apply(Recorded(position, Envelope(id_of(f"event/{position}"), self.now), event))

    def is_placed(self) -> bool:
        return bool(plan(take_snapshot(self.state)).placements)

    def refuse(self) -> None:
        """Plan, refuse, and let the pods be seen as they are since then."""
        self.turn += 1
        made = plan_made(plan(take_snapshot(self.state)), self.turn)
        self.tell(made)
        workload_id = made.placements[0].workload_id
        ids = {"workload_id": workload_id, "pod_group_id": id_of("group/g"), "plan_id": made.plan_id}
        pod_ids = [place.pod_id for place in made.placements]
        self.tell(e.PlacementReleased.model_validate({**ids, "pod_ids": pod_ids, "reason": "It changed."}))
        seen = [pod(name, "g").model_copy(update={"resource_version": f"7{self.turn}"}) for name in self.names]
        self.tell(e.PodObserved(workload_id=workload_id, pods=tuple(seen)))

    def wait(self) -> timedelta:
        """Let the next deadline pass, as the scheduler's loop writes it, and return how far off it was."""
        deadline = next_deadline(take_snapshot(self.state), Limits())
        assert deadline is not None
        before = self.now
        ids = {"workload_id": deadline.workload_id, "pod_group_id": deadline.pod_group_id}
        self.tell(e.DeadlinePassed.model_validate({**ids, "deadline": deadline.deadline, "at": deadline.at}))
        return self.now - before


def why(state: State) -> dict[str, str]:
    """Return the reasons that the next plan gives, by code."""
    snapshot = take_snapshot(state)
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    return {blocked.code: blocked.reason for blocked in made.blocked}


def test_a_gang_of_which_one_pod_rests_is_not_said_to_miss_it() -> None:
    story = Story("p", "q")
    for _ in range(2):
        story.refuse()
    until = story.now + timedelta(seconds=1)
    story.tell(gone("q", "g"))
    story.tell(e.PodObserved(workload_id=id_of("workload/g"), pods=(pod("new", "g"),)))
    sentence = (
        "g has 1 pod that Kubernetes refused to bind, more than once in a row; "
        f"the next attempt is at {until:%H:%M:%S} UTC."
    )
    assert why(story.state) == {"BindingRefused": sentence}


def test_a_pod_that_was_refused_once_is_planned_again_as_soon_as_it_is_seen_anew() -> None:
    story = Story()
    story.refuse()
    assert story.is_placed()


def test_a_pod_that_is_refused_again_and_again_waits_twice_as_long_each_time() -> None:
    story, waits = Story(), []
    story.refuse()
    for _ in range(9):
        story.refuse()
        assert not story.is_placed()
        assert list(why(story.state)) == ["BindingRefused"]
        waits.append(story.wait())
        assert story.is_placed()
        assert not why(story.state)
    assert [wait.total_seconds() for wait in waits[:4]] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_REST


def test_a_fold_that_was_written_down_while_a_pod_rests_lets_it_rest_as_long() -> None:
    story = Story()
    story.refuse()
    story.refuse()
    adapter = TypeAdapter(State)
    story.state = adapter.validate_json(adapter.dump_json(story.state, exclude_defaults=True))
    assert not story.is_placed()
    assert story.wait() == timedelta(seconds=1)
    assert story.is_placed()


def test_a_deadline_that_passed_is_not_waited_for_again_although_the_clock_of_who_wrote_it_is_behind() -> None:
    story = Story()
    story.refuse()
    story.refuse()
    story.wait()
    assert next_deadline(take_snapshot(story.state), Limits()) is None


async def test_a_pod_that_is_always_seen_as_it_was_a_change_ago_is_not_planned_on_and_on(scene: Scene) -> None:
    """Whoever watches is one change behind, and every refusal changes the pod: it is never bound at what was seen."""
    await scene.observe("gang", 1)
    await scene.cluster.patch(PODS, NAMESPACE, "gang-0", {"metadata": {"labels": {"touched": "yes"}}})
    catches_up = asyncio.Event()
    watching = asyncio.create_task(_watch(scene, catches_up))
    scene.start_scheduler(cycle_pause_seconds=0)
    rested = await scene.until(lambda events: bool(of_type(events, e.DeadlinePassed)) or _plans(events) > 2)
    assert of_type(rested, e.DeadlinePassed)
    catches_up.set()
    await scene.until(scheduled(1))
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def _plans(events: list[e.AnyEvent]) -> int:
    return len(of_type(events, e.PlanMade))


async def _watch(scene: Scene, catches_up: asyncio.Event) -> None:
    """Tell of each change of the pod when the next one has happened; later of each as it happens."""
    page = await scene.cluster.list_page(PODS, namespace=NAMESPACE)
    before = scene.facts("gang-0", "gang")
    async with aclosing(scene.cluster.watch(PODS, resource_version=page.resource_version)) as batches:
        async for _ in batches:
            now = scene.facts("gang-0", "gang")
            for seen in (before, now) if catches_up.is_set() else (before,):
                await scene.observer.append(e.PodObserved(workload_id=id_of("workload/gang"), pods=(seen,)))
            before = now
