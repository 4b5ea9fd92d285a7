"""Kubeflow Trainer, v2: a TrainJob becomes a JobSet of its name, made from a training runtime.

The runtime is a JobSet's template; which of its replicated jobs the TrainJob's fields are meant for is said by the
label `trainjob-ancestor-step` on the Job template (it is on Jobs, not on pods). The JobSet's own operator does the
rest, so this one needs `jobset` beside it. Status: the JobSet's end and its counts; there is no condition for running.

Fields of a TrainJob reach its JobSet while it is suspended only; a running one takes up nothing but `suspend`.

Not here: the MPI and torch settings by which nodes find each other, PodGroups, patches of the runtime.
"""

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.operators.jobset import JOB_SET
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator
from simcluster.operators.system import System
from simcluster.pods import condition_of, is_true, name_of, namespace_of, with_condition
from simcluster.resources import Object

_GROUP, _VERSIONS = "trainer.kubeflow.org", ("v1alpha1",)
TRAIN_JOB = CustomKind(_GROUP, "TrainJob", "trainjobs", _VERSIONS)
RUNTIME = CustomKind(_GROUP, "TrainingRuntime", "trainingruntimes", _VERSIONS)
CLUSTER_RUNTIME = CustomKind(_GROUP, "ClusterTrainingRuntime", "clustertrainingruntimes", _VERSIONS, namespaced=False)
ITSELF = "trainer.kubeflow.org/trainjob-controller"
_STEP = "trainer.kubeflow.org/trainjob-ancestor-step"
_INITIALIZERS = {"dataset-initializer": "dataset", "model-initializer": "model"}
_CONTAINER_FIELDS = ("image", "command", "args")
_ENDS = {"Completed": "Complete", "Failed": "Failed"}


class TrainJobOperator(Operator):
    """Looks after TrainJobs."""

    owns = (JOB_SET.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(TRAIN_JOB, "trainer.kubeflow.org-trainjob-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make a TrainJob's JobSet, keep it suspended or not as the TrainJob says, and report."""
        over = any(is_true(obj, kind) for kind in _ENDS.values())
        if over or obj["spec"].get("managedBy", ITSELF) != ITSELF:
            return None
        job_set = self.client.get(JOB_SET.key, namespace_of(obj), name_of(obj))
        if job_set is not None:
            self._keep_up(obj, job_set)
        elif (runtime := self._runtime(obj)) is not None:
            self.create(obj, JOB_SET.key, _job_set(obj, runtime))
        else:
            self._refuse(obj)
            return None
        self._report(obj)
        return None

    def _runtime(self, train_job: Object) -> Object | None:
        reference = train_job["spec"]["runtimeRef"]
        if reference.get("kind", CLUSTER_RUNTIME.kind) == CLUSTER_RUNTIME.kind:
            return self.client.get(CLUSTER_RUNTIME.key, None, reference["name"])
        return self.client.get(RUNTIME.key, namespace_of(train_job), reference["name"])

    def _refuse(self, train_job: Object) -> None:
        name = train_job["spec"]["runtimeRef"]["name"]
        conditions = with_condition(
            (train_job.get("status") or {}).get("conditions") or [],
            "Failed",
            "True",
            self.clock.now(),
            "TrainingRuntimeNotSupported",
            f"the referenced training runtime {name} does not exist",
        )
        self.report(train_job, {"conditions": conditions})

    def _keep_up(self, train_job: Object, job_set: Object) -> None:
        suspended = bool(train_job["spec"].get("suspend"))
        spec = {**job_set["spec"], "suspend": suspended}
        if suspended and job_set["spec"].get("suspend") and (runtime := self._runtime(train_job)) is not None:
            spec = _job_set(train_job, runtime)["spec"]
        if spec != job_set["spec"]:
            self.client.update(JOB_SET.key, {**job_set, "spec": spec})

    def _report(self, train_job: Object) -> None:
        job_set = self.client.get(JOB_SET.key, namespace_of(train_job), name_of(train_job))
        before = train_job.get("status") or {}
        conditions = self._suspension(train_job, before.get("conditions") or [])
        for theirs, ours in _ENDS.items():
            end = condition_of(job_set or {}, theirs)
            if end is not None and end["status"] == "True":
                conditions = with_condition(
                    conditions, ours, "True", self.clock.now(), end.get("reason", ""), end.get("message", "")
                )
        counts = ((job_set or {}).get("status") or {}).get("replicatedJobsStatus")
        status = (
            before | ({"conditions": conditions} if conditions else {}) | ({"jobsStatus": counts} if counts else {})
        )
        self.report(train_job, status)

    def _suspension(self, train_job: Object, conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        now = self.clock.now()
        if train_job["spec"].get("suspend"):
            return with_condition(conditions, "Suspended", "True", now, "Suspended", "TrainJob is suspended")
        if is_true(train_job, "Suspended"):
            return with_condition(conditions, "Suspended", "False", now, "Resumed", "TrainJob is resumed")
        return conditions


def _job_set(train_job: Object, runtime: Object) -> Object:
    """Return the JobSet a runtime makes of a TrainJob, as it is wanted now."""
    template = copy.deepcopy(runtime["spec"]["template"])
    written = template.get("metadata") or {}
    spec = template["spec"]
    for replicated in spec["replicatedJobs"]:
        _fill_in(replicated["template"], train_job["spec"], runtime["spec"].get("mlPolicy") or {})
    spec["suspend"] = bool(train_job["spec"].get("suspend"))
    return {
        "apiVersion": JOB_SET.api_version,
        "kind": JOB_SET.kind,
        "metadata": {
            "name": name_of(train_job),
            "labels": {**(written.get("labels") or {}), **(train_job["spec"].get("labels") or {})},
            "annotations": {**(written.get("annotations") or {}), **(train_job["spec"].get("annotations") or {})},
        },
        "spec": spec,
    }


def _fill_in(job: dict[str, Any], wanted: Mapping[str, Any], policy: Mapping[str, Any]) -> None:
    """Write what the TrainJob says of a step into the Job template of that step, in place."""
    step = ((job.get("metadata") or {}).get("labels") or {}).get(_STEP, "")
    pod = job["spec"]["template"]["spec"]
    if step == "trainer":
        trainer = wanted.get("trainer") or {}
        nodes = trainer.get("numNodes") or policy.get("numNodes") or 1
        job["spec"] |= {"parallelism": nodes, "completions": nodes}
        _fill_container(_container(pod, "node"), trainer)
    elif step in _INITIALIZERS:
        source = (wanted.get("initializer") or {}).get(_INITIALIZERS[step]) or {}
        uri = [{"name": "STORAGE_URI", "value": source["storageUri"]}] if source.get("storageUri") else []
        _fill_container(_container(pod, step), {"env": [*uri, *(source.get("env") or [])]})


def _container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the container of that name, else the first."""
    containers: list[dict[str, Any]] = pod["containers"]
    return next((each for each in containers if each["name"] == name), containers[0])


def _fill_container(container: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    container |= {field: wanted[field] for field in _CONTAINER_FIELDS if wanted.get(field)}
    if wanted.get("resourcesPerNode"):
        container["resources"] = wanted["resourcesPerNode"]
    if wanted.get("env"):
        named = {each["name"] for each in wanted["env"]}
        kept = [each for each in container.get("env") or [] if each["name"] not in named]
        container["env"] = [*kept, *wanted["env"]]


def _plain_runtime(name: str, framework: str, image: str) -> Object:
    """Return a runtime of one node and nothing else, as the system's installation brings them."""
    container = {"name": "node", "image": image}
    job = {
        "name": "node",
        "template": {
            "metadata": {"labels": {_STEP: "trainer"}},
            "spec": {"template": {"spec": {"containers": [container]}}},
        },
    }
    return {
        "apiVersion": CLUSTER_RUNTIME.api_version,
        "kind": CLUSTER_RUNTIME.kind,
        "metadata": {"name": name, "labels": {"trainer.kubeflow.org/framework": framework}},
        "spec": {"mlPolicy": {"numNodes": 1}, "template": {"spec": {"replicatedJobs": [job]}}},
    }


SYSTEM = System(
    kinds=(TRAIN_JOB, RUNTIME, CLUSTER_RUNTIME),
    operators=(TrainJobOperator,),
    objects=((CLUSTER_RUNTIME, _plain_runtime("torch-distributed", "torch", "pytorch/pytorch")),),
)
