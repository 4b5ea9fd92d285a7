"""Argo's workflow controller, as far as a run of Kubeflow Pipelines needs it: containers, DAGs, steps and retries.

`argo_run` works out which nodes of a workflow go on; this operator makes and ends their pods, `<workflow>-<template>-
<hash of the node's name>`, all owned by the Workflow, with Argo's init container `init`, its companion `wait` and the
user's `main`. `suspend` lets no new node begin; `shutdown` ends what runs, for good.

What a step puts out comes from its template: the value or default of each output parameter, or an annotation
`sim.output.<parameter>`, by which a driver says that its step is cached.

Not here: artifacts, loops, suspend and resource templates, exit handlers, hooks, memoisation, workflow templates.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.operators.argo_run import ENDED, Run, Step
from simcluster.operators.argo_text import settled
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator, noted_failures, pod_named, with_course
from simcluster.operators.system import System
from simcluster.pods import is_finished, name_of, phase_of
from simcluster.resources import Object

WORKFLOW = CustomKind(
    "argoproj.io", "Workflow", "workflows", versions=("v1alpha1",), short_names=("wf",), has_status=False
)
_MARK = "workflows.argoproj.io"
_EXECUTOR = "quay.io/argoproj/argoexec:latest"
_FOR_GOOD = (400, 422)  # refusals of a pod that will be refused again
_COLLECTED = {  # podGC strategy → ends of a pod, ends of the workflow at which the pod goes; None: at any time
    "OnPodCompletion": (("Succeeded", "Failed"), None),
    "OnPodSuccess": (("Succeeded",), None),
    "OnWorkflowCompletion": (("Succeeded", "Failed"), ("Succeeded", "Failed", "Error")),
    "OnWorkflowSuccess": (("Succeeded", "Failed"), ("Succeeded",)),
}


class WorkflowOperator(Operator):
    """Looks after Workflows."""

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(WORKFLOW, "workflow-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Bring a Workflow a step further, or clean up after it."""
        status = obj.get("status") or {}
        if status.get("phase") not in ENDED:
            pods = {_node_of(pod): pod for pod in self.owned(obj, "pods")}
            run = Run(obj, pods, to_timestamp(self.clock.now()))
            for step in run.proceed():
                self._begin(obj, run, step)
            self._shut_down(obj, run)
            self._let_companions_end(pods.values())
            status = run.status()
            self._write(obj, status)
        self._mark_and_collect(obj, status)
        return self._expire(obj, status)

    def _begin(self, workflow: Object, run: Run, step: Step) -> None:
        try:
            self.create(workflow, "pods", _pod(workflow, step))
        except ApiError as error:
            if error.code not in _FOR_GOOD:
                raise
            run.refuse(step, error.message)

    def _let_companions_end(self, pods: Iterable[Object]) -> None:
        """End the container `wait` of pods whose `main` has ended: it has nothing to wait for any more."""
        for pod in pods:
            if not is_finished(pod) and _main_has_ended(pod):
                metadata = pod["metadata"]
                ended = {**metadata["annotations"], "sim.run-seconds.wait": "0"}
                self.client.update("pods", {**pod, "metadata": {**metadata, "annotations": ended}})

    def _shut_down(self, workflow: Object, run: Run) -> None:
        strategy = workflow["spec"].get("shutdown")
        if strategy:
            run.end_all(f"Stopped with strategy '{strategy}'")
            for pod in self.owned(workflow, "pods"):
                if not is_finished(pod):
                    self.delete(workflow, "pods", pod)

    def _write(self, workflow: Object, status: Mapping[str, Any]) -> None:
        """Write status and labels at once; a workflow that says the same already stays as it is."""
        over = status["phase"] in ENDED
        labels = {
            **(workflow["metadata"].get("labels") or {}),
            f"{_MARK}/phase": status["phase"],
            f"{_MARK}/completed": "true" if over else "false",
        }
        metadata = {**workflow["metadata"], "labels": labels}
        self.client.update(self.kind.key, {**workflow, "metadata": metadata, "status": dict(status)})
        if over:
            severity = "Normal" if status["phase"] == "Succeeded" else "Warning"
            self.tell(workflow, severity, f"Workflow{status['phase']}", status.get("message", "Workflow completed"))

    def _mark_and_collect(self, workflow: Object, status: Mapping[str, Any]) -> None:
        strategy = (workflow["spec"].get("podGC") or {}).get("strategy", "")
        pod_ends, workflow_ends = _COLLECTED.get(strategy, ((), None))
        for pod in self.owned(workflow, "pods"):
            if not is_finished(pod):
                continue
            if phase_of(pod) in pod_ends and (workflow_ends is None or status["phase"] in workflow_ends):
                self.delete(workflow, "pods", pod)
            else:
                self._mark_completed(pod)

    def _mark_completed(self, pod: Object) -> None:
        labels = {**pod["metadata"]["labels"], f"{_MARK}/completed": "true"}
        self.client.update("pods", {**pod, "metadata": {**pod["metadata"], "labels": labels}})

    def _expire(self, workflow: Object, status: Mapping[str, Any]) -> datetime | None:
        if status["phase"] not in ENDED:
            return None
        strategy = workflow["spec"].get("ttlStrategy") or {}
        told = "secondsAfterSuccess" if status["phase"] == "Succeeded" else "secondsAfterFailure"
        seconds = strategy.get(told, strategy.get("secondsAfterCompletion"))
        return self.expire(workflow, from_timestamp(status["finishedAt"]), seconds)


def _node_of(pod: Object) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(f"{_MARK}/node-name", ""))


def _pod(workflow: Object, step: Step) -> Object:
    """Return the pod of a node: the template's container as `main`, between Argo's own."""
    template, node = step.template, step.node
    pod = pod_named(workflow, _template(workflow, template), step.pod_name)
    metadata = pod["metadata"]
    metadata["labels"] |= {f"{_MARK}/workflow": name_of(workflow), f"{_MARK}/completed": "false"}
    metadata["annotations"] |= {
        f"{_MARK}/node-name": node["name"],
        f"{_MARK}/node-id": node["id"],
        "kubectl.kubernetes.io/default-container": "main",
    }
    pod = with_course(pod, "init", run_seconds="1")
    pod = with_course(pod, "wait", run_seconds="forever")
    return noted_failures(pod, step.failures) if step.failures else pod


def _main_has_ended(pod: Object) -> bool:
    shown = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(each["name"] == "main" and "terminated" in each["state"] for each in shown)


def _template(workflow: Object, template: Mapping[str, Any]) -> Object:
    spec = workflow["spec"]
    shared, own = spec.get("podMetadata") or {}, template.get("metadata") or {}
    main = template.get("container") or template.get("script") or {}
    carried = ("nodeSelector", "affinity", "tolerations", "schedulerName", "priorityClassName", "volumes")
    settings = {key: template.get(key, spec.get(key)) for key in (*carried, "serviceAccountName")}
    return {
        "metadata": {
            part: settled({**(shared.get(part) or {}), **(own.get(part) or {})}) for part in ("labels", "annotations")
        },
        "spec": {
            **{key: value for key, value in settings.items() if value},
            "restartPolicy": "Never",
            "initContainers": [
                {"name": "init", "image": _EXECUTOR, "command": ["argoexec", "init"]},
                *(template.get("initContainers") or ()),
            ],
            "containers": [
                {"name": "wait", "image": _EXECUTOR, "command": ["argoexec", "wait"]},
                {key: value for key, value in main.items() if key != "source"} | {"name": "main"},
                *(template.get("sidecars") or ()),
            ],
        },
    }


SYSTEM = System(kinds=(WORKFLOW,), operators=(WorkflowOperator,))
