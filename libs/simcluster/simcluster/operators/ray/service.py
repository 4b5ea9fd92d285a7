"""RayService: one cluster, and a second one while it moves to another configuration."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp
from simcluster.kube_events import EventRecorder
from simcluster.operators.operator import Operator
from simcluster.operators.ray.kinds import CLUSTER, SERVICE, child_cluster, truth
from simcluster.pods import is_terminating, name_of, with_condition
from simcluster.resources import Object

_HASH = "ray.io/cluster-config-hash"
_SIZES = ("replicas", "minReplicas", "maxReplicas", "scaleStrategy")


class RayServiceOperator(Operator):
    """Keeps one cluster per service, two while it moves from one configuration to the next."""

    owns = ("rayclusters.ray.io", "services")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(SERVICE, "rayservice-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make the cluster the configuration asks for, and move to it once it is ready."""
        status = dict(obj.get("status", {}))
        if obj["spec"].get("suspend"):
            self._suspend(obj, status)
        else:
            self._serve(obj, status)
        self.report(obj, status | {"observedGeneration": obj["metadata"].get("generation", 1)})
        return self._forget(obj, status)

    def _suspend(self, service: Object, status: dict[str, Any]) -> None:
        for cluster in self.owned(service, CLUSTER.key):
            self.delete(service, CLUSTER.key, cluster)
        gone = not self.owned(service, CLUSTER.key)
        if gone:
            status |= {"activeServiceStatus": {}, "pendingServiceStatus": {}, "numServeEndpoints": 0}
        over = ("False", "SuspendComplete" if gone else "SuspendInProgress")
        going, there = (truth(not gone), over[1]), (truth(gone), over[1])
        self._state(status, {"Suspending": going, "Suspended": there, "Ready": over, "UpgradeInProgress": over})

    def _serve(self, service: Object, status: dict[str, Any]) -> None:
        wanted = self._wanted_cluster(service)
        ready = wanted.get("status", {}).get("state") == "ready"
        active = _active_name(status)
        if ready:
            status["activeServiceStatus"] = {"rayClusterName": name_of(wanted)}
            status["pendingServiceStatus"] = {}
            self._keep_services(service)
        elif name_of(wanted) != active:
            status["pendingServiceStatus"] = {"rayClusterName": name_of(wanted)}
        status["numServeEndpoints"] = len(self._living(service)) if ready or active else 0
        status["serviceStatus"] = "Running" if ready or active else ""
        self._state(status, {"Ready": _readiness(status), "UpgradeInProgress": _upgrade(status)} | _resumption(status))

    def _wanted_cluster(self, service: Object) -> Object:
        """Return the cluster of the current configuration, made or brought to its sizes."""
        spec = service["spec"]["rayClusterConfig"]
        digest = _digest(spec)
        for cluster in self._living(service):
            if (cluster["metadata"].get("annotations") or {}).get(_HASH) == digest:
                if cluster["spec"] != spec:
                    return self.client.update(CLUSTER.key, {**cluster, "spec": spec})
                return cluster
        made = child_cluster(service, "RayService", spec)
        made["metadata"]["annotations"] = {_HASH: digest}
        return self.create(service, CLUSTER.key, made)

    def _living(self, service: Object) -> list[Object]:
        return [each for each in self.owned(service, CLUSTER.key) if not is_terminating(each)]

    def _keep_services(self, service: Object) -> None:
        there = {name_of(each) for each in self.owned(service, "services")}
        for name in (f"{name_of(service)}-head-svc", f"{name_of(service)}-serve-svc"):
            if name not in there:
                ports = [{"name": "serve", "port": 8000}]
                body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}
                self.create(service, "services", body)

    def _forget(self, service: Object, status: Mapping[str, Any]) -> datetime | None:
        """Delete clusters that no longer count, a while after the service left them."""
        kept = {_active_name(status), _pending_name(status)}
        left = [each for each in self._living(service) if name_of(each) not in kept]
        if not left:
            return None
        delay = timedelta(seconds=int(service["spec"].get("rayClusterDeletionDelaySeconds", 60)))
        moved = next(each for each in status["conditions"] if each["type"] == "UpgradeInProgress")
        due = from_timestamp(moved["lastTransitionTime"]) + delay
        if due > self.clock.now():
            return due
        for cluster in left:
            self.delete(service, CLUSTER.key, cluster)
        return None

    def _state(self, status: dict[str, Any], said: Mapping[str, tuple[str, str]]) -> None:
        """Write conditions, each with its status and reason."""
        conditions = status.get("conditions", [])
        for kind, (holds, reason) in said.items():
            conditions = with_condition(conditions, kind, holds, self.clock.now(), reason)
        status["conditions"] = conditions


def _readiness(status: Mapping[str, Any]) -> tuple[str, str]:
    """Say whether anything serves; a service that once did is told from one that starts."""
    if status["numServeEndpoints"]:
        return "True", "NonZeroServeEndpoints"
    served = any(each["reason"].endswith("ZeroServeEndpoints") for each in _conditions(status, "Ready"))
    return "False", "ZeroServeEndpoints" if served else "Initializing"


def _upgrade(status: Mapping[str, Any]) -> tuple[str, str]:
    if not _active_name(status):
        return "False", "Initializing"
    if _pending_name(status):
        return "True", "BothActivePendingClustersExist"
    return "False", "NoPendingCluster"


def _resumption(status: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what a service that runs says of its suspension: nothing if it never was suspended.

    `Resumed` is a word of ours: the reason that KubeRay gives is not known to us.
    """
    suspended = any(_conditions(status, "Suspended"))
    return dict.fromkeys(("Suspending", "Suspended"), ("False", "Resumed")) if suspended else {}


def _conditions(status: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    return [each for each in status.get("conditions", []) if each["type"] == kind]


def _digest(spec: Object) -> str:
    """Return what tells one configuration from another; sizes of groups are not part of it."""
    groups = [
        {name: value for name, value in group.items() if name not in _SIZES}
        for group in spec.get("workerGroupSpecs") or ()
    ]
    told = orjson.dumps({**spec, "workerGroupSpecs": groups}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(told).hexdigest()[:32]


def _active_name(status: Mapping[str, Any]) -> str:
    return str((status.get("activeServiceStatus") or {}).get("rayClusterName") or "")


def _pending_name(status: Mapping[str, Any]) -> str:
    return str((status.get("pendingServiceStatus") or {}).get("rayClusterName") or "")
