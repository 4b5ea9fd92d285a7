"""RayCronJob: a RayJob whenever the schedule says."""

from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.kube_events import EventRecorder
from simcluster.operators import cron
from simcluster.operators.operator import Operator
from simcluster.operators.ray.kinds import CRON_JOB, JOB, course_of
from simcluster.pods import name_of
from simcluster.resources import Object


class RayCronJobOperator(Operator):
    """Makes a job whenever the schedule says."""

    owns = (JOB.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(CRON_JOB, "raycronjob-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make the job that is due; return when the next one is."""
        if obj["spec"].get("suspend"):
            return None
        following, status = cron.parse(obj["spec"]["schedule"]), obj.get("status", {})
        last = status.get("lastScheduleTime") or obj["metadata"]["creationTimestamp"]
        due, now = following(from_timestamp(last)), self.clock.now()
        if due > now:
            return due
        labels = {"ray.io/cronjob-name": name_of(obj)}
        metadata: dict[str, Any] = {"name": f"{name_of(obj)}-{int(now.timestamp()) // 60}", "labels": labels}
        metadata["annotations"] = course_of(obj)
        body = {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata}
        self.create(obj, JOB.key, {**body, "spec": obj["spec"]["jobTemplate"]})
        self.report(obj, {"lastScheduleTime": to_timestamp(now)})
        return following(now)
