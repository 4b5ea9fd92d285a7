"""What holds in every world: thousands of small ones by chance, each played until nothing moves any more."""

from dataclasses import replace

import pytest
from muster_scheduler.core.amounts import Amounts
from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import Limits, Plan, plan
from muster_scheduler.core.scenarios.world import World
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import Changes, State
from scheduler.random_cases import random_case

LIMITS = Limits(stale_gang_seconds=0)
ROUNDS = 60
QUIET_ROUNDS = 3
WORLDS, BATCH = 2000, 100
NIGHTLY_WORLDS, NIGHTLY_BATCH = 100_000, 1000


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_small_worlds_come_to_rest_without_breaking_a_rule(first: int) -> None:
    for seed in range(first, first + BATCH):
        check_world(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(WORLDS, WORLDS + NIGHTLY_WORLDS, NIGHTLY_BATCH))
def test_a_great_many_small_worlds_come_to_rest_without_breaking_a_rule(first: int) -> None:
    for seed in range(first, first + NIGHTLY_BATCH):
        check_world(seed)


def check_world(seed: int) -> None:
    """Play the world of a seed; every step must come to rest, and every plan must be sound."""
    case = random_case(seed)
    world = World(case)
    for step in case.steps:
        world.begin(step)
        come_to_rest(world, seed)


def come_to_rest(world: World, seed: int) -> None:
    quiet = 0
    for _ in range(ROUNDS):
        snapshot = take_snapshot(world.state)
        made = plan(snapshot, LIMITS)
        check_plan(snapshot, made, seed)
        world.carry_out(made)
        check_room(world.state, seed)
        world.settle()
        quiet = 0 if made.decides else quiet + 1
        if quiet == QUIET_ROUNDS:
            check_nothing_is_idle_in_vain(snapshot, made, seed)
            return
    raise AssertionError(f"The world of seed {seed} does not come to rest in {ROUNDS} rounds.")


def check_plan(snapshot: Snapshot, made: Plan, seed: int, limits: Limits = LIMITS) -> None:
    wrong = faults(snapshot, made)
    assert not wrong, f"seed {seed}: {wrong[:3]}"
    shuffled = replace(
        snapshot,
        views=dict(reversed(snapshot.views.items())),
        holding=dict(reversed(snapshot.holding.items())),
        nominations=dict(reversed(snapshot.nominations.items())),
    )
    assert plan(shuffled, limits) == made, f"seed {seed}: another plan from the same snapshot in another order"


def check_room(state: State, seed: int) -> None:
    """No node or device is over-committed, and what is kept from plan to plan is what a new look would find."""
    kept = take_snapshot(state)
    for amounts in (kept.idle.cpu, kept.idle.memory, kept.idle.pods, kept.idle.devices):
        assert amounts.min(initial=0) >= 0, f"seed {seed}: a node is over-committed"
    state.picture, state.changes = None, Changes()
    fresh = take_snapshot(state)
    assert _same(kept.idle, fresh.idle), f"seed {seed}: what is kept has drifted"
    assert kept.views == fresh.views, f"seed {seed}: a group was not looked at again"
    held = {key: both for key, both in kept.holding.items() if any(both[0])}
    assert held == {key: both for key, both in fresh.holding.items() if any(both[0])}, f"seed {seed}: holdings drifted"


def _same(first: Amounts, second: Amounts) -> bool:
    pairs = zip(
        (first.cpu, first.memory, first.pods, first.devices),
        (second.cpu, second.memory, second.pods, second.devices),
        strict=True,
    )
    return all((one == other).all() for one, other in pairs)


def check_nothing_is_idle_in_vain(snapshot: Snapshot, made: Plan, seed: int) -> None:
    """No single preemptible pod waits while a node has room for it, unless a limit, a gang or a topology forbids it."""
    codes = {blocked.pod_group_id: blocked.code for blocked in made.blocked}
    for view in snapshot.groups:
        single = len(view.waiting) == 1 and not view.tree.topology and not view.tree.parts
        if not single or codes.get(view.id) in {"OverLimit", "QuotaExceededNonPreemptible", "PodsMissing"}:
            continue
        pod = view.waiting[0].facts
        for row, node in enumerate(snapshot.terrain.nodes):
            portion = pod.gpu.portion_millionths
            if pod.gpu.memory_bytes:
                portion = -(-pod.gpu.memory_bytes * 1_000_000 // node.gpu_memory_bytes)
            devices = [free for free in snapshot.idle.devices[row].tolist() if free >= portion]
            fits = (
                len(devices) >= pod.gpu.devices
                and snapshot.idle.cpu[row] >= pod.requests.cpu_milli
                and snapshot.idle.memory[row] >= pod.requests.memory_bytes
                and snapshot.idle.pods[row] >= 1
            )
            fits = fits and not node.unschedulable
            assert not fits, f"seed {seed}: {view.name} waits although {node.name} has room"
