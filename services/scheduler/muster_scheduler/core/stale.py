"""Evicting gangs that run without being whole, once their grace is over: they hold devices and get nowhere."""

from collections import Counter
from datetime import timedelta

from muster_scheduler.core.draft import Draft
from muster_scheduler.core.groups import GroupView


def evict_stale_gangs(draft: Draft) -> None:
    """Tell the pods of every stale gang to go that this plan does not make whole."""
    for group_id in draft.snapshot.short:
        view = draft.snapshot.views[group_id]
        held = Counter(view.held) + draft.seated.get(view.id, Counter())
        if not view.is_whole(held) and _grace_is_over(draft, view) and all(pod.ours for pod in view.staying):
            for pod in view.staying:
                if pod.facts.pod_id not in draft.evicted:
                    draft.name_victim(view, pod, "stale-gang", None)


def _grace_is_over(draft: Draft, view: GroupView) -> bool:
    since = view.short_since
    grace = timedelta(seconds=draft.limits.stale_gang_seconds)
    return since is None or draft.snapshot.now is None or draft.snapshot.now >= since + grace
