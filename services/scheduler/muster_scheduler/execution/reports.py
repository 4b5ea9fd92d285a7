"""What is written of decisions that were carried out, or given up: from outcomes to events, one for each whole gang."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import structlog
from muster_contracts.events import PlacementReleased, PodPreempted, PodScheduled
from muster_contracts.values import BoundPod, Placement

from muster_scheduler.core.promises import Decided, Eviction, Promise
from muster_scheduler.core.state import State

log = structlog.get_logger()
Item = TypeVar("Item")
Report = PodScheduled | PlacementReleased | PodPreempted

WHY = {
    "reclaim": "Project {project} takes its share back for {name}; this workload runs beyond the share of its own.",
    "preempt": "{name} of the same project has the higher priority.",
    "consolidate": "It moves to another place so that {name} fits.",
    "stale-gang": "Its gang has run without enough pods for longer than a gang may.",
}
"""What a victim's owner reads, by rule."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Decided]):
    """What became of a promise or an eviction: `refusal` says why it was not carried out; `misplaced`, it cannot be."""

    decided: Decided
    refusal: str | None
    misplaced: bool = False


def by_gang(items: Iterable[Item], decided: Callable[[Item], Promise | Eviction]) -> list[list[Item]]:
    """Put together what one plan decided about one pod group."""
    return _together(items, lambda item: (decided(item).plan_id, decided(item).pod_group_id))


def reports_of_promises(outcomes: Sequence[Outcome[Promise]]) -> Iterator[Report]:
    """Tell who is bound, and which promises were given up."""
    kept = [outcome.decided for outcome in outcomes if outcome.refusal is None]
    for gang in by_gang(kept, lambda promise: promise):
        yield PodScheduled(
            workload_id=gang[0].pod.workload_id,
            pod_group_id=gang[0].pod_group_id,
            plan_id=gang[0].plan_id,
            pods=tuple(_bound(promise.placement) for promise in gang),
        )
    yield from _releases(outcomes)


def reports_of_evictions(outcomes: Sequence[Outcome[Eviction]], state: State) -> Iterator[Report]:
    """Tell who was evicted, for whom and by which rule, and which victims stay."""
    gone = [outcome.decided for outcome in outcomes if outcome.refusal is None]
    for victims in _together(gone, lambda one: (one.plan_id, one.victim.beneficiary_id, one.victim.rule)):
        first = victims[0].victim
        yield PodPreempted(
            workload_id=first.workload_id,
            plan_id=victims[0].plan_id,
            pod_ids=tuple(eviction.victim.pod_id for eviction in victims),
            beneficiary_id=first.beneficiary_id,
            rule=first.rule,
            reason=_why(first.rule, first.beneficiary_id, state),
        )
    yield from _releases(outcomes)


def _releases(outcomes: Sequence[Outcome[Decided]]) -> Iterator[PlacementReleased]:
    refused = [outcome for outcome in outcomes if outcome.refusal is not None]
    for gang in by_gang(refused, lambda outcome: outcome.decided):
        first, reason = gang[0].decided, gang[0].refusal or ""
        log.info("Decisions were given up.", reason=reason, pods=len(gang))
        yield PlacementReleased(
            workload_id=first.pod.workload_id,
            pod_group_id=first.pod_group_id,
            plan_id=first.plan_id,
            pod_ids=tuple(outcome.decided.pod.pod_id for outcome in gang),
            reason=reason,
            misplaced=tuple(outcome.decided.pod.pod_id for outcome in gang if outcome.misplaced),
        )


def _why(rule: str, beneficiary_id: UUID | None, state: State) -> str:
    entry = state.workloads.get(beneficiary_id) if beneficiary_id else None
    name, project = (entry.name, entry.project) if entry else ("", "")
    return WHY[rule].format(name=name or "another workload", project=project or "another")


def _together(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Put items with the same key together, in the order in which the keys first come."""
    found: dict[Hashable, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def _bound(placement: Placement) -> BoundPod:
    return BoundPod(pod_id=placement.pod_id, name=placement.name, node=placement.node, devices=placement.devices)
