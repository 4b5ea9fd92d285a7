"""The Deployment controller: one ReplicaSet for each version of the template, and the way from one to the next.

`RollingUpdate` adds and takes pods within maxSurge and maxUnavailable, `Recreate` ends all old ones first. When two
versions run at once and the number changes, the newest is scaled and the old ones are only taken down: Kubernetes
would spread the change in proportion.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.controllers.ownership import owner_reference
from simcluster.controllers.revisions import POD_TEMPLATE_HASH, hash_of, without_hash
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.pods import condition_of, controller_of, is_finished, is_terminating, name_of, namespace_of, uid_of
from simcluster.resources import Object

DEPLOYMENTS, REPLICA_SETS = "deployments.apps", "replicasets.apps"
REVISION = "deployment.kubernetes.io/revision"


class DeploymentController:
    """Rolls Deployments out; a key is namespace and name of the Deployment."""

    watches = (DEPLOYMENTS, REPLICA_SETS, "pods")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._events = events

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the Deployment that changed or whose ReplicaSet did; a pod matters when it is gone (`Recreate`)."""
        obj = change.object
        namespace = namespace_of(obj)
        if change.kind == DEPLOYMENTS:
            return [(namespace, name_of(obj))]
        owner = controller_of(obj)
        if owner is not None and change.kind == "pods":
            if change.type != "DELETED" or owner["kind"] != "ReplicaSet":
                return []
            replica_set = self._client.get(REPLICA_SETS, namespace, owner["name"])
            owner = controller_of(replica_set) if replica_set is not None else None
        return [(namespace, owner["name"])] if owner is not None and owner["kind"] == "Deployment" else []

    def reconcile(self, key: Key) -> datetime | None:
        """Bring one Deployment a step further and report."""
        deployment = self._client.get(DEPLOYMENTS, *key)
        if deployment is None:
            return None
        sets = self._client.list(REPLICA_SETS, key[0], owner_uid=uid_of(deployment))
        current = _set_of_template(deployment, sets)
        if not is_terminating(deployment):
            current = self._step(deployment, sets, current)
            sets = self._client.list(REPLICA_SETS, key[0], owner_uid=uid_of(deployment))
        return self._report(self._client.get(DEPLOYMENTS, *key) or deployment, sets, current)

    def _step(self, deployment: Object, sets: Sequence[Object], current: Object | None) -> Object | None:
        old = [each for each in sets if current is None or uid_of(each) != uid_of(current)]
        if deployment["spec"].get("paused"):
            if current is not None and not any(map(_size, old)):
                self._scale(deployment, current, _wanted(deployment))
            return current
        recreate = deployment["spec"].get("strategy", {}).get("type") == "Recreate"
        if recreate and self._old_pods_remain(deployment, old):
            return current
        current = self._current(deployment, old, current)
        if recreate:
            self._scale(deployment, current, _wanted(deployment))
        else:
            self._roll(deployment, current, old)
        self._forget(deployment, old)
        return current

    def _old_pods_remain(self, deployment: Object, old: Sequence[Object]) -> bool:
        for replica_set in old:
            self._scale(deployment, replica_set, 0)
        pods = [pod for each in old for pod in self._client.list("pods", namespace_of(each), owner_uid=uid_of(each))]
        return any(not is_finished(pod) for pod in pods)

    def _current(self, deployment: Object, old: Sequence[Object], current: Object | None) -> Object:
        """Return the ReplicaSet of the present template, made if need be, numbered as the latest revision."""
        latest = max((_revision(each) for each in old), default=0)
        if current is None:
            current = self._client.create(REPLICA_SETS, _new_set(deployment, latest + 1))
        elif _revision(current) <= latest:
            current = self._annotate(REPLICA_SETS, current, str(latest + 1))
        number = str(_revision(current))
        if (deployment["metadata"].get("annotations") or {}).get(REVISION) != number:
            self._annotate(DEPLOYMENTS, deployment, number)
        return current

    def _annotate(self, kind: str, obj: Object, revision: str) -> Object:
        annotations = {**(obj["metadata"].get("annotations") or {}), REVISION: revision}
        return self._client.update(kind, {**obj, "metadata": {**obj["metadata"], "annotations": annotations}})

    def _roll(self, deployment: Object, current: Object, old: Sequence[Object]) -> None:
        wanted = _wanted(deployment)
        surge, unavailable = _allowances(deployment)
        running = _size(current) + sum(map(_size, old))
        room = wanted + surge - running
        if _size(current) > wanted:
            current = self._scale(deployment, current, wanted)
        elif _size(current) < wanted and room > 0:
            current = self._scale(deployment, current, min(wanted, _size(current) + room))
        if any(map(_size, old)):
            self._take_down(deployment, current, old, wanted - unavailable)

    def _take_down(self, deployment: Object, current: Object, old: Sequence[Object], least: int) -> None:
        """Take old pods away, unhealthy ones first, as long as enough are available."""
        waiting = _size(current) - _available(current)
        spare = sum(map(_size, old)) + _size(current) - least - waiting
        for replica_set in sorted(old, key=_revision):
            unhealthy = max(0, _size(replica_set) - _available(replica_set))
            fewer = min(unhealthy, max(0, spare))
            spare -= fewer
            self._scale(deployment, replica_set, _size(replica_set) - fewer)
        spare = min(spare, sum(map(_available, old)) + _available(current) - least)
        for replica_set in sorted(old, key=_revision):
            there = self._client.get(REPLICA_SETS, namespace_of(replica_set), name_of(replica_set)) or replica_set
            fewer = min(_size(there), max(0, spare))
            spare -= fewer
            self._scale(deployment, there, _size(there) - fewer)

    def _scale(self, deployment: Object, replica_set: Object, size: int) -> Object:
        before = _size(replica_set)
        if before == size:
            return replica_set
        direction = "up" if size > before else "down"
        message = f"Scaled {direction} replica set {name_of(replica_set)} from {before} to {size}"
        self._events.record(deployment, "Normal", "ScalingReplicaSet", message, "deployment-controller")
        return self._client.update(REPLICA_SETS, {**replica_set, "spec": {**replica_set["spec"], "replicas": size}})

    def _forget(self, deployment: Object, old: Sequence[Object]) -> None:
        """Delete the oldest versions beyond the history limit."""
        empty = [each for each in old if not _size(each) and not each.get("status", {}).get("replicas")]
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        for replica_set in sorted(empty, key=_revision)[: max(0, len(empty) - limit)]:
            try:
                self._client.delete(REPLICA_SETS, namespace_of(replica_set), name_of(replica_set))
            except ApiError as error:
                if error.code != 404:
                    raise

    def _report(self, deployment: Object, sets: Sequence[Object], current: Object | None) -> datetime | None:
        now = self._clock.now()
        mine = next((each for each in sets if current is not None and uid_of(each) == uid_of(current)), None)
        before = deployment.get("status", {})
        status = {**before, **_counts(deployment, sets, mine)}
        if status["unavailableReplicas"] == 0:
            del status["unavailableReplicas"]
        available, progressing = _available_condition(deployment, status), _progress(deployment, status, mine, now)
        status["conditions"] = _conditions(before, [available, progressing], status, now)
        if status != before:
            self._client.update_status(DEPLOYMENTS, {**deployment, "status": status})
        if progressing[2] != "ReplicaSetUpdated" or deployment["spec"].get("paused"):
            return None
        condition = condition_of({"status": status}, "Progressing")
        return None if condition is None else _deadline(deployment, condition)


def _wanted(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _size(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _available(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("availableReplicas", 0))


def _revision(replica_set: Object) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdecimal() else 0


def _allowances(deployment: Object) -> tuple[int, int]:
    """Return maxSurge and maxUnavailable as numbers of pods; never both zero."""
    rolling = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
    wanted = _wanted(deployment)
    surge = portion(rolling.get("maxSurge", "25%"), wanted, round_up=True)
    unavailable = portion(rolling.get("maxUnavailable", "25%"), wanted, round_up=False)
    return surge, unavailable if surge or unavailable else 1


def portion(value: int | str, total: int, *, round_up: bool) -> int:
    """Return a number or a percentage of a total as a number."""
    if isinstance(value, int) or not value.endswith("%"):
        return int(value)
    exact = total * int(value[:-1]) / 100
    return math.ceil(exact) if round_up else math.floor(exact)


def _set_of_template(deployment: Object, sets: Sequence[Object]) -> Object | None:
    wanted = without_hash(deployment["spec"]["template"])
    return next((each for each in sets if without_hash(each["spec"]["template"]) == wanted), None)


def _new_set(deployment: Object, revision: int) -> Object:
    spec = deployment["spec"]
    template = spec["template"]
    name = hash_of(without_hash(template))
    label = {POD_TEMPLATE_HASH: name}
    labels = {**(template["metadata"].get("labels") or {}), **label}
    selector = {**spec["selector"], "matchLabels": {**spec["selector"].get("matchLabels", {}), **label}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{name}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": {REVISION: str(revision)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": 0,
            "selector": selector,
            "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            "minReadySeconds": spec.get("minReadySeconds", 0),
        },
    }


def _counts(deployment: Object, sets: Sequence[Object], mine: Object | None) -> dict[str, Any]:
    def total(field: str) -> int:
        return sum(int(each.get("status", {}).get(field, 0)) for each in sets)

    wanted = max(_wanted(deployment), sum(map(_size, sets)))
    available = total("availableReplicas")
    return {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": total("replicas"),
        "updatedReplicas": int(mine.get("status", {}).get("replicas", 0)) if mine else 0,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
    }


_Wanted = tuple[str, str, str, str]  # type, status, reason, message


def _available_condition(deployment: Object, status: Object) -> _Wanted:
    recreate = deployment["spec"].get("strategy", {}).get("type") == "Recreate"
    least = _wanted(deployment) - (0 if recreate else _allowances(deployment)[1])
    if status["availableReplicas"] >= least:
        return "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
    return (
        "Available",
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
    )


def _progress(deployment: Object, status: Object, mine: Object | None, now: datetime) -> _Wanted:
    name = name_of(mine) if mine is not None else name_of(deployment)
    wanted = _wanted(deployment)
    if status["updatedReplicas"] == status["replicas"] == status["availableReplicas"] == wanted:
        message = f'ReplicaSet "{name}" has successfully progressed.'
        return "Progressing", "True", "NewReplicaSetAvailable", message
    condition = condition_of(deployment, "Progressing")
    standstill = condition is not None and not _advances(deployment.get("status", {}), status)
    if standstill and condition is not None and condition.get("reason") != "NewReplicaSetAvailable":
        deadline = _deadline(deployment, condition)
        if condition["status"] == "False" or (deadline is not None and deadline <= now):
            message = f'ReplicaSet "{name}" has timed out progressing.'
            return "Progressing", "False", "ProgressDeadlineExceeded", message
    return "Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'


def _advances(before: Object, after: Object) -> bool:
    fields = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return any(after[field] > before.get(field, 0) for field in fields)


def _deadline(deployment: Object, condition: Any) -> datetime | None:
    seconds = deployment["spec"].get("progressDeadlineSeconds", 600)
    updated = condition.get("lastUpdateTime")
    return from_timestamp(updated) + timedelta(seconds=seconds) if updated else None


def _conditions(before: Object, wanted: Sequence[_Wanted], status: Object, now: datetime) -> list[dict[str, Any]]:
    return [_condition(before, each, status, now) for each in wanted]


def _condition(before: Object, wanted: _Wanted, status: Object, now: datetime) -> dict[str, Any]:
    kind, truth, reason, message = wanted
    old = condition_of({"status": before}, kind)
    instant = to_timestamp(now)
    changed = {"lastUpdateTime": instant, "lastTransitionTime": instant}
    if old is not None and old["status"] == truth and "lastUpdateTime" in old:
        changed["lastTransitionTime"] = old["lastTransitionTime"]
        moved = kind == "Progressing" and reason == "ReplicaSetUpdated" and _advances(before, status)
        if (old.get("reason"), old.get("message")) == (reason, message) and not moved:
            changed["lastUpdateTime"] = old["lastUpdateTime"]
    return {"type": kind, "status": truth, **changed, "reason": reason, "message": message}
