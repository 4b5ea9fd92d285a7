"""Whatever position a fold is written down at, it is read back as it was, and becomes what a fold from 0 becomes.

The events are those of a disturbed world, so that every fold has met kills, evictions and ends of all sorts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from muster_chassis.checkpointing import Checkpointing
from muster_contracts import versions
from muster_contracts.wire import Recorded
from muster_integrations.core.fold import Fold
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_scheduler.core.plan import plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State as SchedulerState
from muster_status.core.deriver import Derivation
from muster_status.core.projection import Projection
from muster_submitter.core.state import State as SubmitterState
from pydantic import TypeAdapter
from simulation.laws import settle
from simulation.stories import a_disturbed_day
from simulation.virtual_time import run_in_virtual_time
from simulation.world import World, play

SEED = 3
TAILS = 40
"""Every so many positions the tail is folded as well: once a state is equal, so is what becomes of it by its fields."""


@dataclass(frozen=True)
class Kind:
    """A fold, how it takes an event, and what it gives beside its fields: equal folds must give the same."""

    make: Callable[[], Any]
    apply: Callable[[Any, Recorded], object]
    give: Callable[[Any], object]

    def folded(self, fold: Any, events: Sequence[Recorded]) -> Any:
        for recorded in events:
            self.apply(fold, recorded)
            self.give(fold)
        return fold


def _apply(fold: Any, recorded: Recorded) -> None:
    fold.apply(recorded)


KINDS = {
    "scheduler": Kind(SchedulerState, _apply, lambda state: plan(take_snapshot(state))),
    "submitter": Kind(
        SubmitterState,
        _apply,
        lambda state: [state.namesakes(workload.project, workload.name) for workload in state.workloads.values()],
    ),
    "deriver": Kind(Derivation, _apply, lambda _derivation: None),
    "projector": Kind(Projection, _apply, lambda projection: projection.take()),
    "integrations": Kind(
        Fold, lambda fold, recorded: fold.follow(recorded.position, recorded.event), lambda _fold: None
    ),
}


@cache
def a_past() -> tuple[Recorded, ...]:
    """Return the journal of a world."""
    events: list[Recorded] = []

    async def day(world: World) -> None:
        await a_disturbed_day(world)
        await settle(world)
        events.extend(await world.events())

    run_in_virtual_time(lambda: play(SEED, day))
    return tuple(events)


@pytest.mark.parametrize("name", KINDS)
def test_a_fold_that_was_written_down_anywhere_becomes_what_a_fold_from_the_beginning_is(name: str) -> None:
    kind, events = KINDS[name], a_past()
    adapter = TypeAdapter(kind.make().__class__)
    live, restored_ones = kind.make(), []
    for number, recorded in enumerate(events):
        kind.folded(live, [recorded])
        restored = adapter.validate_json(adapter.dump_json(live, exclude_defaults=True))
        assert restored == live, recorded
        assert kind.give(restored) == kind.give(live), recorded
        if number % TAILS == 0:
            restored_ones.append((number, restored))
    for number, restored in restored_ones:
        assert kind.folded(restored, events[number + 1 :]) == live
    assert len(restored_ones) > 5


@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_is_believed_no_longer_when_old_events_are_read_otherwise(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def code() -> str:
        versions.code_version.cache_clear()
        return Checkpointing(MemoryCheckpoints(), name, KINDS[name].make(), events_between=1).code

    before, read = code(), versions._source

    def changed(module: str) -> bytes | None:
        return b"" if module == "muster_contracts.upcasts" else read(module)

    monkeypatch.setattr(versions, "_source", changed)
    assert code() != before
    monkeypatch.undo()
    assert code() == before
