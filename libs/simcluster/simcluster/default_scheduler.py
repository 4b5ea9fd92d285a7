"""The scheduler of pods that name none: the first ready node that fits, by selectors, taints and requests.

It is here because an ordinary cluster has one. It does not score, preempt or spread. Pods that name another scheduler
are counted against their nodes and otherwise left alone.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import orjson

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.placement import allocatable, lacking, selects, takes_pods, untolerated
from simcluster.pods import (
    condition_of,
    is_finished,
    is_terminating,
    name_of,
    namespace_of,
    requests_of,
    with_condition,
)
from simcluster.quantities import Amounts, add_to
from simcluster.resources import Object

NAME = "default-scheduler"
_NO_POD: Key = ()


class DefaultScheduler:
    """Binds pods of `default-scheduler`, one at a time, in the order they came."""

    watches = ("pods", "nodes")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._events = events
        self._nodes: dict[str, Object] = {}
        self._used: dict[str, Amounts] = {}
        self._placed: dict[Key, tuple[str, Amounts]] = {}
        self._left_waiting: dict[Key, None] = {}
        # What was found not to fit, and why: pods of one Job are alike, and looking at a thousand nodes for each of
        # them again and again would stop everything else. Forgotten as soon as anything becomes free.
        self._misfits: dict[bytes, Counter[str]] = {}

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the pod if it waits for us; `()` for a change that may make room for those left waiting."""
        obj = change.object
        if change.kind == "nodes":
            return self._note_node(change)
        key = (namespace_of(obj), name_of(obj))
        if change.type == "DELETED" or is_finished(obj):
            self._left_waiting.pop(key, None)
            return self._free(key)
        if obj["spec"].get("nodeName"):
            self._place(key, obj, obj["spec"]["nodeName"])
            return ()
        return (key,) if _is_ours(obj) else ()

    def _note_node(self, change: Change) -> tuple[Key, ...]:
        node = change.object
        self._misfits.clear()
        if change.type == "DELETED":
            self._nodes.pop(name_of(node), None)
        else:
            self._nodes[name_of(node)] = node
        return (_NO_POD,) if self._left_waiting else ()

    def _place(self, key: Key, pod: Object, node: str) -> None:
        self._left_waiting.pop(key, None)
        if key not in self._placed:
            requests = requests_of(pod)
            self._placed[key] = (node, requests)
            add_to(self._used.setdefault(node, {}), requests)

    def _free(self, key: Key) -> tuple[Key, ...]:
        placed = self._placed.pop(key, None)
        if placed is None:
            return ()
        add_to(self._used[placed[0]], placed[1], times=-1)
        self._misfits.clear()
        return (_NO_POD,) if self._left_waiting else ()

    def reconcile(self, key: Key) -> datetime | None:
        """Bind one pod, or try all those left waiting anew."""
        for waiting in (key,) if key else tuple(self._left_waiting):
            pod = self._client.get("pods", *waiting)
            if pod is not None and _is_ours(pod):
                self._schedule(waiting, pod)
            else:
                self._left_waiting.pop(waiting, None)
        return None

    def _schedule(self, key: Key, pod: Object) -> None:
        requests = requests_of(pod)
        wish = _wish(pod, requests)
        reasons = self._misfits.get(wish)
        if reasons is None:
            node, reasons = self._search(pod, requests)
            if node is not None:
                self._bind(key, pod, node)
                return
            self._misfits[wish] = reasons
        self._leave_waiting(key, pod, reasons)

    def _search(self, pod: Object, requests: Amounts) -> tuple[str | None, Counter[str]]:
        """Return the first node that takes the pod, or why each does not."""
        reasons: Counter[str] = Counter()
        for name, node in self._nodes.items():
            obstacle = self._obstacle(pod, requests, node)
            if not obstacle:
                return name, reasons
            reasons[obstacle] += 1
        return None, reasons

    def _obstacle(self, pod: Object, requests: Amounts, node: Object) -> str:
        if not takes_pods(node):
            return "node(s) were unschedulable"
        taint = untolerated(pod, node, ("NoSchedule", "NoExecute"))
        if taint is not None:
            return f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value', '')}}}"
        if not selects(pod, node):
            return "node(s) didn't match Pod's node affinity/selector"
        free = allocatable(node)
        add_to(free, self._used.get(name_of(node), {}), times=-1)
        resource = lacking(free, requests)
        return f"Insufficient {resource}" if resource else ""

    def _bind(self, key: Key, pod: Object, node: str) -> None:
        try:
            self._client.bind(key[0], key[1], node, uid=pod["metadata"]["uid"])
        except ApiError as error:
            if error.code not in {404, 409}:  # somebody else was faster, which is as good
                raise
            return
        self._place(key, pod, node)
        message = f"Successfully assigned {key[0]}/{key[1]} to {node}"
        self._events.record(pod, "Normal", "Scheduled", message, NAME)

    def _leave_waiting(self, key: Key, pod: Object, reasons: Counter[str]) -> None:
        self._left_waiting[key] = None
        why = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        message = f"0/{len(self._nodes)} nodes are available: {why}." if why else "no nodes available to schedule pods"
        condition = condition_of(pod, "PodScheduled")
        if condition is not None and condition.get("message") == message:
            return
        before = pod.get("status", {})
        conditions = with_condition(
            before.get("conditions", []), "PodScheduled", "False", self._clock.now(), "Unschedulable", message
        )
        self._client.update_status("pods", {**pod, "status": {**before, "conditions": conditions}})
        self._events.record(pod, "Warning", "FailedScheduling", message, NAME)


def _wish(pod: Object, requests: Amounts) -> bytes:
    """Return everything about a pod that decides where it fits."""
    spec = pod["spec"]
    return orjson.dumps([requests, *(spec.get(field) for field in ("nodeSelector", "affinity", "tolerations"))])


def _is_ours(pod: Object) -> bool:
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and spec.get("schedulerName", NAME) == NAME
        and not spec.get("schedulingGates")
        and not is_terminating(pod)
        and not is_finished(pod)
    )
