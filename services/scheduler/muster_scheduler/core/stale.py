"""Evicting gangs that run without being whole, once their grace is over: they hold devices and get nowhere."""

from collections import Counter
from datetime import timedelta

from muster_scheduler.core.amounts import total_of
from muster_scheduler.core.draft import Draft
from muster_scheduler.core.groups import Bound, GroupView
from muster_scheduler.core.terrain import DEFAULT_POOL


def evict_stale_gangs(draft: Draft) -> None:
    """Tell the pods of every stale gang to go that this plan does not make whole."""
    for group_id in draft.snapshot.short:
        view = draft.snapshot.views[group_id]
        held = Counter(view.held) + draft.seated.get(view.id, Counter())
        if not view.is_whole(held) and _grace_is_over(draft, view) and all(pod.ours for pod in view.staying):
            for pod in view.staying:
                if pod.facts.pod_id not in draft.evicted:
                    _evict(draft, view, pod)


def _evict(draft: Draft, view: GroupView, pod: Bound) -> None:
    """Tell a pod to go. It counts for its queue no more, where others read how much that holds."""
    row = draft.terrain.rows.get(pod.node)
    pool = DEFAULT_POOL if row is None else draft.terrain.pool_names[row]
    amounts = total_of((pod.need,), draft.device_bytes)
    draft.accounts(pool).charge(draft.account(view, pool), amounts, firm=not view.preemptible, sign=-1)
    draft.name_victim(view, pod, "stale-gang", None)


def _grace_is_over(draft: Draft, view: GroupView) -> bool:
    since = view.short_since
    grace = timedelta(seconds=draft.limits.stale_gang_seconds)
    return since is None or draft.snapshot.now is None or draft.snapshot.now >= since + grace
