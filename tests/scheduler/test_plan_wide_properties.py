"""Worlds by chance with everything at once (`wide_world`): every plan is sound, and evictions come to rest.

For a few rounds people, nodes and quotas do as they like; then nothing happens any more but what the planner does, and
it must come to rest; and again after an hour, when every pause and every minimum run time is over.
"""

from collections import Counter
from collections.abc import Iterable

import pytest
from muster_contracts.values import PoolQuota
from muster_scheduler.core.plan import Limits, Plan
from muster_scheduler.core.snapshot import Snapshot
from scheduler.test_plan_properties import QUIET_ROUNDS, ROUNDS, check_plan, check_room
from scheduler.wide_world import WideWorld

BUSY_ROUNDS = 5
WORLDS, BATCH = 200, 50
NIGHTLY_WORLDS, NIGHTLY_BATCH = 20_000, 500


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_worlds_with_everything_come_to_rest_without_breaking_a_rule(first: int) -> None:
    evicted = sum(play(seed) for seed in range(first, first + BATCH))
    assert evicted > BATCH // 2  # there is little enough room that somebody has to go


@pytest.mark.parametrize(
    ("seed", "what_was_wrong"),
    [
        (49, "who had to be near others had them evicted"),
        (81, "planning failed with a group that found room in its second pool"),
        (4558, "parts of several GPUs were counted on one"),
        (6270, "somebody was told to wait for a minimum run time that was nobody's"),
        (6310, "what other pods forbid was told in the order in which they were known"),
    ],
)
def test_a_world_in_which_something_was_wrong_comes_to_rest(seed: int, what_was_wrong: str) -> None:
    assert play(seed) >= 0, what_was_wrong


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(WORLDS, WORLDS + NIGHTLY_WORLDS, NIGHTLY_BATCH))
def test_a_great_many_worlds_with_everything_come_to_rest_without_breaking_a_rule(first: int) -> None:
    assert sum(play(seed) for seed in range(first, first + NIGHTLY_BATCH)) > NIGHTLY_BATCH // 2


def play(seed: int) -> int:
    """Play one world until it comes to rest; return how many pods were evicted."""
    world = WideWorld(seed)
    for number in range(BUSY_ROUNDS):
        world.live(number)
        turn(world)
    world.busy = False
    come_to_rest(world)
    world.wait_long()
    come_to_rest(world)
    return world.evicted


def come_to_rest(world: WideWorld) -> None:
    quiet = 0
    for _ in range(ROUNDS):
        quiet = 0 if turn(world).decides else quiet + 1
        if quiet == QUIET_ROUNDS:
            return
    raise AssertionError(f"The world of seed {world.seed} does not come to rest in {ROUNDS} rounds.")


def turn(world: WideWorld) -> Plan:
    made = world.turn(check_all)
    check_room(world.state, world.seed)
    return made


def check_all(snapshot: Snapshot, made: Plan, limits: Limits, seed: int) -> None:
    check_plan(snapshot, made, seed, limits)
    check_whole_gangs(snapshot, made, seed)
    check_dues(snapshot, made, seed)


def check_whole_gangs(snapshot: Snapshot, made: Plan, seed: int) -> None:
    """No plan leaves a gang with a part of the pods that it needs, neither whom it places nor whom it takes from."""
    placed = Counter(place.pod_id for place in made.placements)
    taken = Counter(victim.pod_id for victim in made.victims if victim.rule in {"reclaim", "preempt"})
    for view in snapshot.views.values():
        here = {bound.facts.pod_id: bound.facts for bound in view.staying}
        come = {one.facts.pod_id: one.facts for one in view.waiting if one.facts.pod_id in placed}
        left = {pod_id: facts for pod_id, facts in here.items() if pod_id not in taken} | come
        touched = come or (view.is_whole(view.held) and len(left) < len(here))
        if touched and left:
            parts = Counter(view.finished) + Counter(view.leaf_of(facts) for facts in left.values())
            assert view.is_whole(parts), f"seed {seed}: {view.name} has {dict(parts)}, which is not enough to run"


def check_dues(snapshot: Snapshot, made: Plan, seed: int) -> None:
    """Nothing is reclaimed from a project that holds, like all departments above it, no more than quota and limit."""
    bound = {one.facts.pod_id: (view, one.node) for view in snapshot.views.values() for one in view.bound}
    pool_of = dict(zip((one.name for one in snapshot.terrain.nodes), snapshot.terrain.pool_names, strict=True))
    for victim in made.victims:
        if victim.rule == "reclaim":
            view, where = bound[victim.pod_id]
            assert _is_above_quota(snapshot, pool_of[where], view.queue), (
                f"seed {seed}: {view.queue} is told to give what is due to it"
            )


def _is_above_quota(snapshot: Snapshot, pool_name: str, key: str) -> bool:
    queues = {queue.key: queue for queue in snapshot.queues}
    while key in queues:
        quota = next((quota for quota in queues[key].quotas if quota.node_pool == pool_name), None)
        due = quota or PoolQuota(gpu_millionths=0 if queues[key].quotas else None)
        bounds = (
            (due.gpu_millionths, due.cpu_milli, due.memory_bytes),
            (due.gpu_limit_millionths, due.cpu_limit_milli, due.memory_limit_bytes),
            snapshot.terrain.capacity(pool_name),  # of nodes that closed nobody is due anything
        )
        held = _held_below(snapshot, pool_name, key)
        if any(most is not None and has > most for mosts in bounds for has, most in zip(held, mosts, strict=True)):
            return True
        key = queues[key].parent
    return False


def _held_below(snapshot: Snapshot, pool_name: str, key: str) -> Iterable[int]:
    parents = {queue.key: queue.parent for queue in snapshot.queues}
    held = [0, 0, 0]
    for (where, queue), (amounts, _) in snapshot.holding.items():
        below = queue
        while below and below != key:
            below = parents.get(below, "")
        if where == pool_name and below == key:
            held = [first + second for first, second in zip(held, amounts, strict=True)]
    return held
