"""The disruption controller: how many pods of a PodDisruptionBudget may be evicted now.

Pods count as expected by the size of what controls them (ReplicaSet, StatefulSet); those of other owners, Jobs for
one, count one by one, where Kubernetes would refuse a percentage or maxUnavailable for them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from simcluster import selectors
from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp
from simcluster.controllers.deployment import portion
from simcluster.machinery import Change, Key
from simcluster.pods import (
    controller_of,
    is_finished,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    spec_of,
    with_condition,
)
from simcluster.resources import Object

BUDGETS = "poddisruptionbudgets.policy"
_SCALED = {"ReplicaSet": "replicasets.apps", "StatefulSet": "statefulsets.apps"}
# An evicted pod that is still not on its way out after this long was not evicted after all.
FORGOTTEN_AFTER = timedelta(minutes=2)


class DisruptionController:
    """Keeps the status of budgets; a key is namespace and name of the budget."""

    watches = (BUDGETS, "pods")

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the budget that changed, or those that may select the pod."""
        obj = change.object
        namespace = namespace_of(obj)
        if change.kind == BUDGETS:
            return [(namespace, name_of(obj))]
        return [(namespace, name_of(each)) for each in self._client.list(BUDGETS, namespace) if _covers(each, obj)]

    def reconcile(self, key: Key) -> datetime | None:
        """Count the pods of one budget."""
        budget = self._client.get(BUDGETS, *key)
        if budget is None or is_terminating(budget):
            return None
        now = self._clock.now()
        pods = [pod for pod in self._client.list("pods", key[0]) if _covers(budget, pod) and not is_finished(pod)]
        disrupted = _still_disrupted(budget, pods, now)
        status = self._status(budget, pods, disrupted, now)
        if status != budget.get("status"):
            self._client.update_status(BUDGETS, {**budget, "status": status})
        return min((from_timestamp(at) + FORGOTTEN_AFTER for at in disrupted.values()), default=None)

    def _status(
        self, budget: Object, pods: Sequence[Object], disrupted: Mapping[str, str], now: datetime
    ) -> dict[str, Any]:
        expected, desired = self._wanted(spec_of(budget), pods)
        healthy = sum(1 for pod in pods if is_ready(pod) and not is_terminating(pod) and name_of(pod) not in disrupted)
        allowed = max(0, healthy - desired) if expected else 0
        truth, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        conditions = budget.get("status", {}).get("conditions", [])
        status: dict[str, Any] = {
            "expectedPods": expected,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "observedGeneration": budget["metadata"].get("generation", 1),
            "conditions": with_condition(conditions, "DisruptionAllowed", truth, now, reason),
        }
        return status | ({"disruptedPods": dict(disrupted)} if disrupted else {})

    def _wanted(self, spec: Object, pods: Sequence[Object]) -> tuple[int, int]:
        """Return how many pods there should be and how many of them must stay healthy."""
        least, most_gone = spec.get("minAvailable"), spec.get("maxUnavailable")
        if isinstance(least, int):
            return len(pods), least
        expected = self._expected(pods)
        if least is not None:
            return expected, portion(least, expected, round_up=True)
        return expected, max(0, expected - portion(1 if most_gone is None else most_gone, expected, round_up=True))

    def _expected(self, pods: Sequence[Object]) -> int:
        sizes: dict[str, int] = {}
        for pod in pods:
            owner = controller_of(pod)
            kind = _SCALED.get(owner["kind"]) if owner is not None else None
            found = self._client.get(kind, namespace_of(pod), owner["name"]) if kind and owner else None
            if found is None:
                sizes[name_of(pod)] = 1
            else:
                sizes[found["metadata"]["uid"]] = found["spec"].get("replicas", 1)
        return sum(sizes.values())


def _covers(budget: Object, pod: Object) -> bool:
    return selectors.selects(spec_of(budget).get("selector"), pod["metadata"].get("labels") or {})


def _still_disrupted(budget: Object, pods: Sequence[Object], now: datetime) -> dict[str, str]:
    there = {name_of(pod) for pod in pods if not is_terminating(pod)}
    noted = budget.get("status", {}).get("disruptedPods") or {}
    return {name: at for name, at in noted.items() if name in there and from_timestamp(at) + FORGOTTEN_AFTER > now}
