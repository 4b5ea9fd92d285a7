"""The status that Kubeflow's job kinds have in common (training operator and MPI operator), as it is being worked out.

Its conditions follow rules of their own. A job that Succeeded or Failed takes no further ones. `Running` drives out
`Restarting` and the other way round; the end of a job turns `Running` to False. A condition that is set anew goes to
the end of the list, and one whose status stays keeps its transition time.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from simcluster.clock import from_timestamp, to_timestamp
from simcluster.resources import Object

_DRIVES_OUT = {"Running": "Restarting", "Restarting": "Running"}
_LAST = ("Succeeded", "Failed")


class JobStatus:
    """The next status of a job, begun from the one it has."""

    def __init__(self, job: Object, now: datetime) -> None:
        """Begin with what the job's status says; a new job becomes `Created`."""
        self._fields: dict[str, Any] = dict(job.get("status") or {})
        self._conditions: list[dict[str, Any]] = list(self._fields.get("conditions") or [])
        self._kind, self._name = job["kind"], job["metadata"]["name"]
        self._now = now
        if not self._conditions:
            self.set("Created", f"{self._kind} {self._name} is created.")

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is written into the object."""
        return {**self._fields, "conditions": self._conditions}

    def is_true(self, kind: str) -> bool:
        """Say whether the job has the condition, and it holds."""
        return any(each["type"] == kind and each["status"] == "True" for each in self._conditions)

    @property
    def is_over(self) -> bool:
        """Whether the job has succeeded or failed."""
        return any(self.is_true(kind) for kind in _LAST)

    @property
    def started(self) -> datetime | None:
        """When it started, or was last resumed."""
        return self._instant("startTime")

    @property
    def completed(self) -> datetime | None:
        """When it ended."""
        return self._instant("completionTime")

    @property
    def replicas(self) -> Mapping[str, Mapping[str, Any]]:
        """How many pods of each type are active, succeeded and failed, as last written."""
        return self._fields.get("replicaStatuses") or {}

    def set(self, kind: str, message: str, reason: str = "", *, holds: bool = True) -> None:
        """Set a condition; unless another is given, its reason is the job's kind and the condition's type."""
        if self.is_over:
            return
        status, told = "True" if holds else "False", reason or f"{self._kind}{kind}"
        old = next((each for each in self._conditions if each["type"] == kind), None)
        if old is not None and (old["status"], old["reason"]) == (status, told):
            return
        now = to_timestamp(self._now)
        kept = old["lastTransitionTime"] if old is not None and old["status"] == status else now
        new = {"type": kind, "status": status, "reason": told, "message": message}
        self._conditions = [
            *_remaining(self._conditions, kind),
            {**new, "lastUpdateTime": now, "lastTransitionTime": kept},
        ]

    def start(self) -> None:
        """Note that it starts now."""
        self._fields["startTime"] = to_timestamp(self._now)

    def end(self, kind: str, message: str, reason: str = "") -> None:
        """Note that it has `Succeeded` or `Failed` now."""
        self._fields.setdefault("completionTime", to_timestamp(self._now))
        self.set(kind, message, reason)

    def count(self, replicas: Mapping[str, Mapping[str, Any]]) -> None:
        """Note how many pods of each type there are."""
        self._fields["replicaStatuses"] = {kind: dict(counts) for kind, counts in replicas.items()}

    def count_none_active(self, *, as_succeeded: bool = False) -> None:
        """Note that no pod is active any more; those that were count as succeeded if the job has."""
        if not self.replicas:
            return
        counted = {}
        for kind, counts in self.replicas.items():
            rest = {name: number for name, number in counts.items() if name != "active"}
            if as_succeeded and counts.get("active"):
                rest["succeeded"] = counts["active"] + counts.get("succeeded", 0)
            counted[kind] = rest
        self.count(counted)

    def _instant(self, field: str) -> datetime | None:
        return from_timestamp(self._fields[field]) if self._fields.get(field) else None


def _remaining(conditions: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return what is left of the conditions when one of that type is about to be added."""
    left = [each for each in conditions if each["type"] not in {kind, _DRIVES_OUT.get(kind)}]
    if kind not in _LAST:
        return left
    return [{**each, "status": "False"} if each["type"] == "Running" else each for each in left]
