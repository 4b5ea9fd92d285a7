"""Moments at which a plan may come out otherwise although nothing happened: a grace, a protection, a refusal is over.

A plan looks at no clock; the time it knows is that of the last event. Whoever runs it waits for the next of these
moments and writes `DeadlinePassed`, and by that the time has come.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from muster_scheduler.core.accounts import Queue
from muster_scheduler.core.draft import Limits
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Deadline:
    """When something is over, of which group."""

    at: datetime
    workload_id: UUID
    pod_group_id: UUID
    deadline: Literal[
        "minimum-run-time",
        "stale-gang",
        "refused-eviction",
        "refused-volume",
        "refused-binding",
        "awaited-successor",
        "set-aside",
    ]


def next_deadline(snapshot: Snapshot, limits: Limits) -> Deadline | None:
    """Return the first moment after the snapshot's at which another plan might be made."""
    now = snapshot.now
    if now is None:
        return None
    refusals = (*_refusals(snapshot), *_shunnings(snapshot), *_rests(snapshot))
    known = (*_graces(snapshot, limits), *_protections(snapshot), *refusals, *_awaited(snapshot), *_set_aside(snapshot))
    ahead = (one for one in known if one.at > now)
    return min(ahead, key=lambda one: (one.at, one.pod_group_id), default=None)


def _graces(snapshot: Snapshot, limits: Limits) -> Iterator[Deadline]:
    for group_id in snapshot.short:
        view = snapshot.views[group_id]
        since = view.short_since
        if since is not None:
            at = since + timedelta(seconds=limits.stale_gang_seconds)
            yield Deadline(at, view.workload_id, view.id, "stale-gang")


def _protections(snapshot: Snapshot) -> Iterator[Deadline]:
    """Return when running groups lose their protection, as long as somebody waits for it."""
    queues = {queue.key: queue for queue in snapshot.queues}
    if not snapshot.groups or not any(_times(queue) for queue in snapshot.queues):
        return
    for view in snapshot.views.values():
        if view.started_at is None or not view.preemptible:
            continue
        for seconds in _granted(queues, view):
            yield Deadline(view.started_at + timedelta(seconds=seconds), view.workload_id, view.id, "minimum-run-time")


def _refusals(snapshot: Snapshot) -> Iterator[Deadline]:
    """Return when pods whose eviction was refused may be asked again."""
    for group_id, at in snapshot.spared:
        view = snapshot.views.get(group_id)
        if view is not None:
            yield Deadline(at, view.workload_id, view.id, "refused-eviction")


def _shunnings(snapshot: Snapshot) -> Iterator[Deadline]:
    """Return when pods that wait may be placed again where their volumes could not be made."""
    for group_id, at in snapshot.shunned:
        view = snapshot.views.get(group_id)
        if view is not None and any(pod.need.shunned for pod in view.waiting):
            yield Deadline(at, view.workload_id, view.id, "refused-volume")


def _rests(snapshot: Snapshot) -> Iterator[Deadline]:
    """Return when pods that were not bound again and again may be placed anew."""
    for group_id, at in snapshot.resting:
        view = snapshot.views.get(group_id)
        if view is not None:
            yield Deadline(at, view.workload_id, view.id, "refused-binding")


def _awaited(snapshot: Snapshot) -> Iterator[Deadline]:
    """Return when places are no longer kept for pods that should have come in the stead of those that moved."""
    for view in (snapshot.views[group_id] for group_id in snapshot.nominations if group_id in snapshot.views):
        for one in view.awaited:
            yield Deadline(one.until, view.workload_id, view.id, "awaited-successor")


def _set_aside(snapshot: Snapshot) -> Iterator[Deadline]:
    """Return when groups with which planning failed are tried again."""
    for group_id, aside in snapshot.aside.items():
        yield Deadline(aside.until, aside.told.workload_id, group_id, "set-aside")


def _granted(queues: dict[str, Queue], view: GroupView) -> Iterator[int]:
    queue = queues.get(view.queue)
    while queue is not None:
        yield from _times(queue)
        queue = queues.get(queue.parent)


def _times(queue: Queue) -> list[int]:
    return [seconds for seconds in (queue.preempt_minimum_seconds, queue.reclaim_minimum_seconds) if seconds]
