"""Kubernetes' own Events, as `kubectl describe` shows them.

Repeated ones are one object whose count grows. They are news, not state: the oldest go when there are too many, and
all go after an hour, so that a cluster that creates a thousand pods a second does not drown in them.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.errors import ApiError
from simcluster.pods import name_of, namespace_of
from simcluster.resources import Object

_Likeness = tuple[str, str, str, str, str]


class EventRecorder:
    """Writes Events and forgets old ones."""

    lifetime = timedelta(hours=1)

    def __init__(self, client: Client, clock: Clock, most: int = 10_000) -> None:
        self._client = client
        self._clock = clock
        self._most = most
        self._kept: OrderedDict[_Likeness, tuple[str, str, datetime]] = OrderedDict()
        self._written = 0
        for event in sorted(client.list("events"), key=lambda each: str(each.get("lastTimestamp"))):
            self._adopt(event)

    def _adopt(self, event: Object) -> None:
        involved = event.get("involvedObject", {})
        fields = (involved.get("uid"), involved.get("fieldPath"), event.get("type"), event.get("reason"))
        if event.get("lastTimestamp"):
            last = from_timestamp(event["lastTimestamp"])
            likeness = (*(str(each or "") for each in fields), str(event.get("message", "")))
            self._kept[likeness] = (namespace_of(event), name_of(event), last)  # type: ignore[index]

    def record(
        self, obj: Object, kind: str, reason: str, message: str, component: str, host: str = "", field_path: str = ""
    ) -> None:
        """Tell that something happened to an object; `kind` is `Normal` or `Warning`."""
        now = self._clock.now()
        self._forget_old(now)
        likeness = (str(obj["metadata"].get("uid", "")), field_path, kind, reason, message)
        known = self._kept.get(likeness)
        if known is None or not self._count(likeness, known, now):
            self._write(likeness, obj, component, host, now)

    def _count(self, likeness: _Likeness, known: tuple[str, str, datetime], now: datetime) -> bool:
        namespace, name, _ = known
        event = self._client.get("events", namespace, name)
        if event is None:
            return False
        more = {"count": event.get("count", 1) + 1, "lastTimestamp": to_timestamp(now)}
        self._client.update("events", {**event, **more})
        self._kept[likeness] = (namespace, name, now)
        self._kept.move_to_end(likeness)
        return True

    def _write(self, likeness: _Likeness, obj: Object, component: str, host: str, now: datetime) -> None:
        _, field_path, kind, reason, message = likeness
        self._written += 1
        namespace = namespace_of(obj) or "default"
        name = f"{name_of(obj)[:200]}.{int(now.timestamp() * 1e6) * 1000 + self._written % 1000:x}"
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": _reference(obj, field_path),
            "reason": reason,
            "message": message,
            "type": kind,
            "source": {"component": component} | ({"host": host} if host else {}),
            "reportingComponent": component,
            "reportingInstance": host,
            "count": 1,
            "firstTimestamp": to_timestamp(now),
            "lastTimestamp": to_timestamp(now),
            "eventTime": None,
        }
        try:
            self._client.create("events", event)
        except ApiError as error:
            if error.code not in {403, 404, 409}:  # the namespace is going, or that very Event is there
                raise
            return
        self._kept[likeness] = (namespace, name, now)

    def _forget_old(self, now: datetime) -> None:
        while self._kept:
            likeness, (namespace, name, last) = next(iter(self._kept.items()))
            if len(self._kept) < self._most and now - last < self.lifetime:
                return
            del self._kept[likeness]
            if self._client.get("events", namespace, name) is not None:
                self._client.delete("events", namespace, name)


def _reference(obj: Object, field_path: str) -> dict[str, Any]:
    metadata = obj["metadata"]
    reference = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "name": metadata["name"]}
    reference |= {key: metadata[key] for key in ("namespace", "uid", "resourceVersion") if metadata.get(key)}
    return reference | ({"fieldPath": field_path} if field_path else {})
