"""Katib: an Experiment makes Trials, a Trial makes one run object of its own name, of whatever kind it describes.

Parameters are drawn at random, the same for the same experiment; nothing is measured, so an Experiment ends when it has
made all its trials or too many of them failed. The Suggestion and its Deployment are there while it runs.

In namespaces labelled for it, Katib's admission webhook labels a trial's pods and gives the primary one a container
that reads its metrics. Here the run object's pod templates say so from the start; the pods come out the same.
"""

import copy
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators.job_status import JobStatus
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator, with_course
from simcluster.operators.system import System
from simcluster.pods import is_true, name_of, namespace_of, uid_of
from simcluster.resources import Object

_GROUP, _VERSIONS = "kubeflow.org", ("v1beta1",)
EXPERIMENT = CustomKind(_GROUP, "Experiment", "experiments", _VERSIONS)
SUGGESTION = CustomKind(_GROUP, "Suggestion", "suggestions", _VERSIONS)
TRIAL = CustomKind(_GROUP, "Trial", "trials", _VERSIONS)
_RUNS = (  # kinds a trial may run
    "jobs.batch",
    *(f"{kind}s.kubeflow.org" for kind in ("pytorchjob", "tfjob", "xgboostjob", "jaxjob", "paddlejob", "mpijob")),
    "trainjobs.trainer.kubeflow.org",
    "workflows.argoproj.io",
    "rayjobs.ray.io",
)
DEPLOYMENTS = "deployments.apps"
_MARK = "katib.kubeflow.org"
_INJECTION = f"{_MARK}/metrics-collector-injection"
_COLLECTOR = "metrics-logger-and-collector"
_PRIMARY = ("Master", "Chief", "Launcher")  # replica types whose pod is the primary one
_PARAMETER = re.compile(r"\$\{trialParameters\.([\w-]+)\}")


class ExperimentOperator(Operator):
    """Looks after Experiments."""

    owns = (TRIAL.key, SUGGESTION.key)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(EXPERIMENT, "experiment-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make the trials that are due, and count those there are."""
        status = JobStatus(obj, self.clock.now())
        if status.is_over:
            return None
        if status.started is None:
            status.start()
        if self.client.get(SUGGESTION.key, namespace_of(obj), name_of(obj)) is None:
            self.create(obj, SUGGESTION.key, _suggestion(obj))
        self._make_trials(obj)
        trials = self.owned(obj, TRIAL.key)
        self._judge(obj, status, trials)
        self.report(obj, status.to_dict() | _counts(trials))
        return None

    def _make_trials(self, experiment: Object) -> None:
        trials = self.owned(experiment, TRIAL.key)
        running = sum(1 for trial in trials if not _is_over(trial))
        due = experiment["spec"].get("parallelTrialCount", 3) - running
        left = experiment["spec"].get("maxTrialCount", len(trials) + due) - len(trials)
        for number in range(len(trials), len(trials) + max(0, min(due, left))):
            self.create(experiment, TRIAL.key, _trial(experiment, number))

    def _judge(self, experiment: Object, status: JobStatus, trials: list[Object]) -> None:
        failed = sum(1 for trial in trials if is_true(trial, "Failed"))
        most = experiment["spec"].get("maxTrialCount")
        if failed > experiment["spec"].get("maxFailedTrialCount", failed):
            status.end("Failed", "Experiment has failed because max failed trial count has reached")
        elif most is not None and len(trials) >= most and all(map(_is_over, trials)):
            reached = "Experiment has succeeded because max trial count has reached"
            status.end("Succeeded", reached, "ExperimentMaxTrialsReached")
        elif trials:
            status.set("Running", "Experiment is running")


class SuggestionOperator(Operator):
    """Looks after Suggestions: a Deployment each, until the experiment is over."""

    owns = (DEPLOYMENTS, EXPERIMENT.key)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(SUGGESTION, "suggestion-controller", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the Suggestion in question; an Experiment's has its name."""
        if change.kind == EXPERIMENT.key:
            return [(namespace_of(change.object), name_of(change.object))]
        return super().keys(change)

    def act(self, obj: Object) -> datetime | None:
        """Make the Deployment that suggests, or take it away."""
        experiment = self.client.get(EXPERIMENT.key, namespace_of(obj), name_of(obj))
        deployments = self.owned(obj, DEPLOYMENTS)
        if experiment is not None and _is_over(experiment):
            for deployment in deployments:
                self.delete(obj, DEPLOYMENTS, deployment)
        elif not deployments:
            self.create(obj, DEPLOYMENTS, _suggesting(obj))
        return None


class TrialOperator(Operator):
    """Looks after Trials."""

    owns = _RUNS

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(TRIAL, "trial-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make a trial's run object, and take its end for the trial's."""
        status, kind = JobStatus(obj, self.clock.now()), _kind_of(obj["spec"]["runSpec"])
        run = self.client.get(kind, namespace_of(obj), name_of(obj))
        if not status.is_over:
            if status.started is None:
                status.start()
            if run is None:
                run = self.create(obj, kind, self._run(obj))
            _judge_trial(status, run)
            self.report(obj, status.to_dict())
        if status.is_over and run is not None and not obj["spec"].get("retainRun"):
            self.delete(obj, kind, run)
        return None

    def _run(self, trial: Object) -> Object:
        run: Object = copy.deepcopy(trial["spec"]["runSpec"])
        run["metadata"] = {**(run.get("metadata") or {}), "name": name_of(trial), "namespace": namespace_of(trial)}
        namespace = self.client.get("namespaces", None, namespace_of(trial)) or {"metadata": {}}
        if (namespace["metadata"].get("labels") or {}).get(_INJECTION) == "enabled":
            _inject(trial, run)
        return run


def _is_over(obj: Object) -> bool:
    return is_true(obj, "Succeeded") or is_true(obj, "Failed")


def _judge_trial(status: JobStatus, run: Object) -> None:
    phase = (run.get("status") or {}).get("phase")
    if is_true(run, "Complete") or is_true(run, "Succeeded") or phase == "Succeeded":
        status.end("Succeeded", "Trial has succeeded")
    elif is_true(run, "Failed") or phase in ("Failed", "Error"):
        status.end("Failed", "Trial has failed")
    else:
        status.set("Running", "Trial is running")


def _counts(trials: list[Object]) -> dict[str, Any]:
    states = {
        "Succeeded": [name_of(trial) for trial in trials if is_true(trial, "Succeeded")],
        "Failed": [name_of(trial) for trial in trials if is_true(trial, "Failed")],
        "Running": [name_of(trial) for trial in trials if not _is_over(trial)],
    }
    counts: dict[str, Any] = {"trials": len(trials)}
    for state, names in states.items():
        if names:
            counts |= {f"trials{state}": len(names), f"{state.lower()}TrialList": names}
    return counts


def _kind_of(run: Mapping[str, Any]) -> str:
    group, _, _ = str(run["apiVersion"]).rpartition("/")
    return f"{str(run['kind']).lower()}s.{group}"


def _suggestion(experiment: Object) -> Object:
    algorithm = experiment["spec"].get("algorithm") or {"algorithmName": "random"}
    body = {"apiVersion": SUGGESTION.api_version, "kind": SUGGESTION.kind, "metadata": {"name": name_of(experiment)}}
    return {**body, "spec": {"algorithm": algorithm}}


def _suggesting(suggestion: Object) -> Object:
    name = f"{name_of(suggestion)}-{suggestion['spec']['algorithm']['algorithmName']}"
    belongs = {"deployment": name, "experiment": name_of(suggestion), "suggestion": name_of(suggestion)}
    labels = {f"{_MARK}/{key}": value for key, value in belongs.items()}
    container = {"name": "suggestion", "image": "ghcr.io/kubeflow/katib/suggestion:latest"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _trial(experiment: Object, number: int) -> Object:
    """Return a trial with parameters of its own, the same each time for the same experiment and number."""
    chance = random.Random(f"{uid_of(experiment)}/{number}")
    name = f"{name_of(experiment)}-{chance.getrandbits(32):08x}"
    drawn = {each["name"]: _draw(each, chance) for each in experiment["spec"].get("parameters") or ()}
    template = experiment["spec"]["trialTemplate"]
    values = {each["name"]: drawn.get(each["reference"], "") for each in template.get("trialParameters") or ()}
    text = _PARAMETER.sub(lambda found: values.get(found[1], found[0]), json.dumps(template["trialSpec"]))
    kept = {key: template[key] for key in ("primaryContainerName", "primaryPodLabels") if key in template}
    labels = {**(experiment["metadata"].get("labels") or {}), f"{_MARK}/experiment": name_of(experiment)}
    return {
        "apiVersion": TRIAL.api_version,
        "kind": TRIAL.kind,
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "objective": experiment["spec"].get("objective", {}),
            "parameterAssignments": [{"name": key, "value": value} for key, value in drawn.items()],
            "retainRun": bool(template.get("retain")),
            "runSpec": json.loads(text),
            **kept,
        },
    }


def _draw(parameter: Mapping[str, Any], chance: random.Random) -> str:
    space = parameter["feasibleSpace"]
    if space.get("list"):
        return str(chance.choice(space["list"]))
    if parameter["parameterType"] == "int":
        return str(chance.randint(int(space["min"]), int(space["max"])))
    return str(chance.uniform(float(space["min"]), float(space["max"])))


def _inject(trial: Object, run: Object) -> None:
    """Write into the pod templates of a run object what Katib's webhook writes into its pods, in place."""
    experiment = trial["metadata"]["labels"][f"{_MARK}/experiment"]
    belongs = {f"{_MARK}/experiment": experiment, f"{_MARK}/trial": name_of(trial)}
    templates = list(_templates(run["spec"]))
    primary = next((template for kind, template in templates if kind in _PRIMARY), templates[0][1] if templates else {})
    for _, template in templates:
        metadata = template.setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), **belongs}
        if template is primary:
            _add_collector(template)


def _templates(value: Any, within: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pod templates within an object, each with the name of the field above it."""
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "template" and isinstance(inner, dict) and "containers" in (inner.get("spec") or {}):
            yield within, inner
        else:
            yield from _templates(inner, key)


def _add_collector(template: dict[str, Any]) -> None:
    annotations = template["metadata"].get("annotations") or {}
    seconds = annotations.get("sim.run-seconds", "3")
    template["metadata"] = with_course(template, _COLLECTOR, run_seconds=seconds)["metadata"]
    image = "ghcr.io/kubeflow/katib/file-metrics-collector:latest"
    template["spec"]["containers"].append({"name": _COLLECTOR, "image": image})


SYSTEM = System(
    kinds=(EXPERIMENT, SUGGESTION, TRIAL), operators=(ExperimentOperator, SuggestionOperator, TrialOperator)
)
