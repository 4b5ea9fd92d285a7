"""Kubeflow Pipelines' recurring runs: a ScheduledWorkflow makes a Workflow each time its interval is over.

The runs themselves are Argo Workflows (`argo` is needed too). A run that is due while as many run as may run at once
waits for one of them to end; runs that were missed meanwhile are not made up for.

Not here: cron schedules, catching up, the pipeline server with its runs and experiments.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.kube_events import EventRecorder
from simcluster.operators.argo import WORKFLOW
from simcluster.operators.argo_run import ENDED
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator
from simcluster.operators.system import System
from simcluster.pods import name_of, with_condition
from simcluster.resources import Object

SCHEDULED_WORKFLOW = CustomKind(
    "kubeflow.org", "ScheduledWorkflow", "scheduledworkflows", versions=("v1beta1",), short_names=("swf",)
)
_MARK = "scheduledworkflows.kubeflow.org"


class ScheduledWorkflowOperator(Operator):
    """Looks after ScheduledWorkflows."""

    owns = (WORKFLOW.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(SCHEDULED_WORKFLOW, "scheduled-workflow-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make the run that is due, unless too many run; return when the next one is."""
        seconds = ((obj["spec"].get("trigger") or {}).get("periodicSchedule") or {}).get("intervalSecond")
        if not obj["spec"].get("enabled") or not seconds:
            self._report(obj, _triggers(obj), "Enabled" if obj["spec"].get("enabled") else "Disabled")
            return None
        interval, triggers = timedelta(seconds=int(seconds)), _triggers(obj)
        due = _last(obj) + interval
        if due <= self.clock.now() and self._has_room(obj):
            triggers = self._trigger(obj)
            due = self.clock.now() + interval
        self._report(obj, {**triggers, "nextTriggeredTime": to_timestamp(due)}, "Enabled")
        return due if due > self.clock.now() else None  # else the end of a run asks again

    def _has_room(self, schedule: Object) -> bool:
        running = [run for run in self.owned(schedule, WORKFLOW.key) if not _has_ended(run)]
        return len(running) < int(schedule["spec"].get("maxConcurrency", 1))

    def _trigger(self, schedule: Object) -> dict[str, Any]:
        index, now = int(_triggers(schedule).get("nextIndex", 1)), self.clock.now()
        self.create(schedule, WORKFLOW.key, _run(schedule, index, now))
        return {"lastTriggeredTime": to_timestamp(now), "lastIndex": index, "nextIndex": index + 1}

    def _report(self, schedule: Object, triggers: dict[str, Any], state: str) -> None:
        before = schedule.get("status") or {}
        conditions = [each for each in before.get("conditions") or [] if each["type"] == state]
        conditions = with_condition(
            conditions, state, "True", self.clock.now(), state, f"The schedule is {state.lower()}."
        )
        runs = self.owned(schedule, WORKFLOW.key)
        history = {"active": _described(runs, ended=False), "completed": _described(runs, ended=True)}
        self.report(schedule, {"conditions": conditions, "trigger": triggers, "workflowHistory": history})


def _triggers(schedule: Object) -> dict[str, Any]:
    return dict((schedule.get("status") or {}).get("trigger") or {})


def _last(schedule: Object) -> datetime:
    """Return when it last made a run; before the first, when it was created."""
    return from_timestamp(_triggers(schedule).get("lastTriggeredTime", schedule["metadata"]["creationTimestamp"]))


def _has_ended(run: Object) -> bool:
    return (run.get("status") or {}).get("phase") in ENDED


def _described(runs: Sequence[Object], *, ended: bool) -> list[dict[str, Any]]:
    chosen = [run for run in runs if _has_ended(run) == ended]
    return [{"name": name_of(run), "phase": (run.get("status") or {}).get("phase", "")} for run in chosen]


def _run(schedule: Object, index: int, now: datetime) -> Object:
    template = schedule["spec"]["workflow"]
    spec = template.get("spec") or {}
    labels = {
        "isOwnedByScheduledWorkflow": "true",
        "scheduledWorkflowName": name_of(schedule),
        "workflowEpoch": str(int(now.timestamp())),
        "workflowIndex": str(index),
    }
    return {
        "apiVersion": WORKFLOW.api_version,
        "kind": WORKFLOW.kind,
        "metadata": {
            "generateName": f"{name_of(schedule)}-{index}-",
            "labels": {f"{_MARK}/{key}": value for key, value in labels.items()},
        },
        "spec": json.loads(spec) if isinstance(spec, str) else spec,
    }


SYSTEM = System(kinds=(SCHEDULED_WORKFLOW,), operators=(ScheduledWorkflowOperator,))
