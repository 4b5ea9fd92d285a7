"""Airflow: there is no custom resource for a DAG run, so a ConfigMap plays the scheduler's part.

A ConfigMap with the label `sim.airflow/dag-run` holds a run in `data.dag-run.yaml`:

    dag_id: nightly_training
    run_id: scheduled__2026-11-22T00:00:00+00:00
    logical_date: 2026-11-22T00:00:00+00:00      # optional
    executor: kubernetes                         # or celery: no worker pods
    airflow_version: 3.3.2                       # 2.x writes execution_date for logical_date
    on_finish_action: delete_pod                 # or delete_succeeded_pod, keep_pod
    worker: {spec: {schedulerName: mine}}        # optional: the KubernetesExecutor's pod template
    tasks:
    - task_id: prepare_data
      annotations: {sim.run-seconds: "5"}        # how a try fares, in the pod that does the work
    - task_id: train_model
      after: [prepare_data]
      retries: 1
      retry_delay: 10                            # seconds, 300 without
      map_index: 3                               # optional
      pod: {namespace: team-a, labels: {team: ml}, spec: {containers: [{image: train:1}]}}

A task is done in a worker pod of the KubernetesExecutor; one with `pod` in a pod of the KubernetesPodOperator, beside
which its worker waits. A failed try is followed by another with the next `try_number`. What has become of the tasks is
written to `data.progress`, as Airflow keeps it in its database: pods of ended tries may be gone.

Not here: triggers (deferrable operators), pools and the order of queued tasks. Deleting the ConfigMap ends nothing
that runs but begins nothing more.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import yaml

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators.operator import noted_failures
from simcluster.operators.system import System
from simcluster.pods import is_finished, is_terminating, name_of, namespace_of, phase_of, uid_of
from simcluster.resources import Object

RUN_LABEL = "sim.airflow/dag-run"
_RUN, _PROGRESS = "dag-run.yaml", "progress"
_LONGEST_LABEL, _KEPT_OF_LONG, _DIGEST_LETTERS = 63, 53, 9
_SUFFIX_LETTERS = 8
_UNSAFE = re.compile(r"^[^a-z0-9A-Z]*|[^a-zA-Z0-9_\-.]|[^a-z0-9A-Z]*$")
_SCHEDULER_JOB = "42"
_USUAL_DELAY = 300
_BASE = "base"
_ENDED = ("success", "failed", "upstream_failed")


@dataclass(frozen=True)
class _Try:
    """One try of one task of a run: all its pods are named after."""

    run: Mapping[str, Any]
    run_uid: str
    task: Mapping[str, Any]
    number: int

    @property
    def is_operated(self) -> bool:
        return "pod" in self.task

    @property
    def has_worker(self) -> bool:
        return self.run.get("executor", "kubernetes") == "kubernetes" or not self.is_operated

    def name(self, text: str, role: str) -> str:
        """Return a pod's name: what it is about and eight letters, the same whenever it is asked."""
        told = f"{self.run_uid}/{self.task['task_id']}/{self.task.get('map_index')}/{self.number}/{role}"
        suffix = hashlib.sha256(told.encode()).hexdigest()[:_SUFFIX_LETTERS]
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        return f"{slug[: _LONGEST_LABEL - _SUFFIX_LETTERS - 1].rstrip('-')}-{suffix}"

    def labels(self) -> dict[str, str]:
        """Return the labels that pods of both kinds bear."""
        labels = {
            "dag_id": safe_label(str(self.run["dag_id"])),
            "task_id": safe_label(str(self.task["task_id"])),
            "run_id": safe_label(str(self.run["run_id"])),
            "try_number": str(self.number),
            "airflow_version": self._version,
        }
        if self.task.get("map_index") is not None:
            labels["map_index"] = str(self.task["map_index"])
        return labels

    def worker(self, namespace: str) -> Object:
        """Return the pod in which the KubernetesExecutor has the try done."""
        own = {"tier": "airflow", "component": "worker", "release": "airflow"}
        own |= {"kubernetes_executor": "True", "airflow-worker": _SCHEDULER_JOB}
        annotations = {
            "dag_id": str(self.run["dag_id"]),
            "task_id": str(self.task["task_id"]),
            "run_id": str(self.run["run_id"]),
            "try_number": str(self.number),
        }
        if self.task.get("map_index") is not None:
            annotations["map_index"] = str(self.task["map_index"])
        date = self.run.get("logical_date")
        if date:
            text = date.isoformat() if isinstance(date, datetime) else str(date)
            annotations[self._date_key] = text
            own[self._date_key] = text.replace(":", "_").replace("+", "_plus_")
        name = self.name(f"{self.run['dag_id']}-{self.task['task_id']}", "worker")
        container = {"name": _BASE, "image": f"apache/airflow:{self._version}", "args": ["airflow", "tasks", "run"]}
        metadata = {"name": name, "namespace": namespace, "labels": self.labels() | own, "annotations": annotations}
        template = (self.run.get("worker") or {}).get("spec") or {}
        spec = {**template, "containers": [container], "restartPolicy": "Never"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        course = {"sim.run-seconds": "forever"} if self.is_operated else self._course
        return noted_failures(_annotated(pod, course), self.number - 1)

    def operated(self, namespace: str) -> Object:
        """Return the pod the KubernetesPodOperator makes."""
        written = self.task["pod"] or {}
        name = written.get("name") or str(self.task["task_id"]).rpartition(".")[2]
        containers = (written.get("spec") or {}).get("containers") or [{"image": "busybox"}]
        spec = {"restartPolicy": "Never", **(written.get("spec") or {})}
        spec["containers"] = [{"name": _BASE, **containers[0]}, *containers[1:]]
        labels = {**(written.get("labels") or {}), **self.labels()}
        labels |= {"kubernetes_pod_operator": "True", "airflow_kpo_in_cluster": "True"}
        metadata = {
            "name": self.name(name, "pod"),
            "namespace": written.get("namespace") or namespace,
            "labels": labels,
            "annotations": dict(written.get("annotations") or {}),
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        return noted_failures(_annotated(pod, self._course), self.number - 1)

    @property
    def _version(self) -> str:
        return str(self.run.get("airflow_version", "3.3.2"))

    @property
    def _date_key(self) -> str:
        return "execution_date" if self._version.startswith("2.") else "logical_date"

    @property
    def _course(self) -> dict[str, str]:
        return dict(self.task.get("annotations") or {})


class DagRunPlayer:
    """Plays DAG runs; a key is a ConfigMap's namespace and name."""

    watches = ("configmaps", "pods")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        del events  # Airflow tells nothing to Kubernetes
        self._client = client
        self._clock = clock

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the run that changed; a pod with a run's label asks for all runs, which are few."""
        labels = change.object["metadata"].get("labels") or {}
        if change.kind == "configmaps":
            return [(namespace_of(change.object), name_of(change.object))] if RUN_LABEL in labels else []
        if "run_id" not in labels:
            return []
        every = self._client.list("configmaps")
        runs = [each for each in every if RUN_LABEL in (each["metadata"].get("labels") or {})]
        return [(namespace_of(each), name_of(each)) for each in runs]

    def reconcile(self, key: Key) -> datetime | None:
        """Take each task of a run a step further.

        What has ended is written down before pods are removed or made, for either may be interrupted by a webhook, and
        then all of this is done again.
        """
        config = self._client.get("configmaps", *key)
        if config is None or is_terminating(config):
            return None
        run = _parse(config["data"][_RUN])
        progress: dict[str, Any] = orjson.loads(config["data"].get(_PROGRESS) or "{}")
        tries = [(_Try(run, uid_of(config), task, each["try"]), each) for task, each in _tasks(run, progress)]
        for attempt, each in tries:
            self._judge(attempt, each, namespace_of(config))
        config = self._written(config, progress)
        for attempt, each in tries:
            self._tidy(attempt, each, namespace_of(config))
        instants = [self._go_on(config, attempt, each, progress) for attempt, each in tries]
        self._written(config, progress)
        return min(filter(None, instants), default=None)

    def _written(self, config: Object, progress: Mapping[str, Any]) -> Object:
        text = orjson.dumps(progress).decode()
        if text == config["data"].get(_PROGRESS):
            return config
        return self._client.update("configmaps", {**config, "data": {**config["data"], _PROGRESS: text}})

    def _go_on(
        self, config: Object, attempt: _Try, known: dict[str, Any], progress: Mapping[str, Any]
    ) -> datetime | None:
        """Begin the next try if it is due, and make the pods of a try that is under way."""
        if known["state"] in ("none", "up_for_retry"):
            due = self._due(attempt.task, attempt.run, progress, known)
            if due is None or due > self._clock.now():
                return due
            known |= {"state": "running", "try": known["try"] + 1}
            attempt = replace(attempt, number=known["try"])
        if known["state"] == "running":
            self._make(attempt, known, namespace_of(config))
        return None

    def _due(
        self, task: Mapping[str, Any], run: Mapping[str, Any], progress: Mapping[str, Any], known: dict[str, Any]
    ) -> datetime | None:
        """Return when the next try may begin; None while others have to end first, or for ever."""
        if known["state"] == "up_for_retry":
            return from_timestamp(known["ended"]) + timedelta(seconds=float(task.get("retry_delay", _USUAL_DELAY)))
        upstream = [each for each in run["tasks"] if each["task_id"] in (task.get("after") or ())]
        states = [progress.get(_task_key(each), {"state": "none"})["state"] for each in upstream]
        if any(state in ("failed", "upstream_failed") for state in states):
            known["state"] = "upstream_failed"
            return None
        return self._clock.now() if all(state == "success" for state in states) else None

    def _make(self, attempt: _Try, known: dict[str, Any], namespace: str) -> None:
        """Make a try's worker, and once that runs, the pod it starts."""
        worker = self._made(attempt.worker(namespace), known, "worker") if attempt.has_worker else None
        if attempt.is_operated and (worker is None or phase_of(worker) == "Running"):
            self._made(attempt.operated(namespace), known, "operated")

    def _made(self, pod: Object, known: dict[str, Any], role: str) -> Object | None:
        """Return a pod of the try, made if it never was; None when it is gone."""
        if role not in known:
            known[role] = name_of(pod)
            try:
                self._client.create("pods", pod)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        return self._client.get("pods", namespace_of(pod), name_of(pod))

    def _judge(self, attempt: _Try, known: dict[str, Any], namespace: str) -> None:
        """End a try with the pod that does its work; or with its worker, without which nobody watches that pod."""
        if known["state"] != "running":
            return
        worker = self._pod(attempt.worker(namespace)) if "worker" in known else None
        if attempt.is_operated and worker is not None and is_finished(worker):
            self._end(attempt, known, succeeded=False)
        elif ("operated" if attempt.is_operated else "worker") in known:
            pod = self._pod(attempt.operated(namespace)) if attempt.is_operated else worker
            if pod is None or is_terminating(pod):
                self._end(attempt, known, succeeded=False)
            elif is_finished(pod) or _exit_code(pod) is not None:
                self._end(attempt, known, succeeded=phase_of(pod) == "Succeeded" or _exit_code(pod) == 0)

    def _end(self, attempt: _Try, known: dict[str, Any], *, succeeded: bool) -> None:
        again = attempt.number <= int(attempt.task.get("retries", 0))
        state = "success" if succeeded else ("up_for_retry" if again else "failed")
        known |= {"state": state, "ended": to_timestamp(self._clock.now())}

    def _tidy(self, attempt: _Try, known: dict[str, Any], namespace: str) -> None:
        """Do with the pods of an ended try what Airflow does with them."""
        if known["state"] == "running":
            return
        succeeded = known["state"] == "success"
        self._tidy_worker(attempt, known, namespace, succeeded=succeeded)
        operated = self._pod(attempt.operated(namespace)) if known.pop("operated", None) else None
        action = attempt.run.get("on_finish_action", "delete_pod")
        if operated is not None and (action == "delete_pod" or (action == "delete_succeeded_pod" and succeeded)):
            self._delete(operated)
        elif operated is not None:
            self._mark(operated, {"already_checked": "True"}, {})

    def _tidy_worker(self, attempt: _Try, known: dict[str, Any], namespace: str, *, succeeded: bool) -> None:
        """Let a worker end as its task did: well, to be deleted then, or with an error, to be kept and looked at."""
        worker = self._pod(attempt.worker(namespace)) if "worker" in known else None
        if worker is not None and succeeded and not is_finished(worker):
            self._mark(worker, {}, {"sim.run-seconds": "0"})
            return  # it is still known, and asked for again when it has ended
        known.pop("worker", None)
        if worker is not None and succeeded:
            self._delete(worker)
        elif worker is not None:
            self._mark(worker, {"airflow_executor_done": "True"}, {"sim.run-seconds": "0", "sim.exit-code": "1"})

    def _pod(self, pod: Object) -> Object | None:
        return self._client.get("pods", namespace_of(pod), name_of(pod))

    def _delete(self, pod: Object) -> None:
        if not is_terminating(pod):
            self._client.delete("pods", namespace_of(pod), name_of(pod), uid=uid_of(pod))

    def _mark(self, pod: Object, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        metadata = pod["metadata"]
        marked = {
            **metadata,
            "labels": {**(metadata.get("labels") or {}), **labels},
            "annotations": {**(metadata.get("annotations") or {}), **annotations},
        }
        self._client.update("pods", {**pod, "metadata": marked})


def safe_label(text: str) -> str:
    """Return a value as Airflow writes it into a label: cleaned, and cut with a digest if that or its length needs it.

    The rule of Airflow's `make_safe_label_value`: characters that may not be there are dropped, and whatever differs
    from the original or is over 63 long becomes its first 53 characters, a dash and nine letters of its md5.
    """
    safe = _UNSAFE.sub("", text)
    if safe == text and len(safe) <= _LONGEST_LABEL:
        return safe
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:_DIGEST_LETTERS]
    return f"{safe[:_KEPT_OF_LONG]}-{digest}"


def _parse(text: str) -> Mapping[str, Any]:
    """Read a run; raises ValueError when it is none."""
    try:
        run = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{_RUN} is not YAML: {error}") from None
    if not isinstance(run, dict) or not {"dag_id", "run_id", "tasks"} <= run.keys():
        raise ValueError(f"{_RUN} needs dag_id, run_id and tasks")
    return run


def _tasks(run: Mapping[str, Any], progress: dict[str, Any]) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Return each task with what has become of it, noted in `progress` if it is new."""
    return [(task, progress.setdefault(_task_key(task), {"state": "none", "try": 0})) for task in run["tasks"]]


def _task_key(task: Mapping[str, Any]) -> str:
    index = task.get("map_index")
    return str(task["task_id"]) if index is None else f"{task['task_id']}[{index}]"


def _annotated(pod: Object, annotations: Mapping[str, str]) -> Object:
    metadata = pod["metadata"]
    return {**pod, "metadata": {**metadata, "annotations": {**metadata["annotations"], **annotations}}}


def _exit_code(pod: Object) -> int | None:
    """Return how the container that counts ended, although a sidecar may hold the pod."""
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container["name"] == _BASE and "terminated" in container["state"]:
            return int(container["state"]["terminated"]["exitCode"])
    return None


SYSTEM = System(kinds=(), operators=(DagRunPlayer,))
