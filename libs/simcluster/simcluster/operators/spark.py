"""Spark: the Spark operator's applications and schedules, and what every Spark driver does by itself.

A driver pod makes its executors: that is Spark's doing, not an operator's, so `DriverPlayer` plays it for any running
pod with `spark-role: driver`, whoever submitted it. Executors are owned by the driver pod, carry its labels, and
number from 1; one that is lost is replaced under the next number, and all go when the driver ends. How many there are
and what they take is in the ConfigMap with Spark's properties that the driver mounts (`spark_properties`); without
`spark.executor.instances` there are two, as Spark has it. The annotation `sim.spark-executors` of a driver says
otherwise.

A SparkApplication has a driver `<name>-driver` per submission, each with an id of its own. How long a driver runs and
how it ends is written in `spec.driver.annotations` (`sim.run-seconds`, …), as the operator copies them to the pod.

Not here: dynamic allocation, the driver's Services, SparkConnect.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.controllers.ownership import owner_reference
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators import cron, spark_properties
from simcluster.operators.kept import keep
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator, lasting, noted_failures
from simcluster.operators.system import System
from simcluster.pods import is_finished, is_terminating, name_of, namespace_of, phase_of, uid_of
from simcluster.resources import Object

_GROUP, _VERSIONS = "sparkoperator.k8s.io", ("v1beta2",)
APPLICATION = CustomKind(_GROUP, "SparkApplication", "sparkapplications", _VERSIONS, ("sparkapp",))
SCHEDULE = CustomKind(
    _GROUP, "ScheduledSparkApplication", "scheduledsparkapplications", _VERSIONS, ("scheduledsparkapp",)
)

_EXECUTOR_CONTAINER = "spark-kubernetes-executor"
_DRIVER_CONTAINER = "spark-kubernetes-driver"
_EXECUTORS = "sim.spark-executors"
_USUAL_EXECUTORS = 2
_LAST_ID = "sim.spark-last-executor"
_OVER = ("COMPLETED", "FAILED")


class DriverPlayer:
    """Does what Spark does in a driver: it makes executors and lets them go. A key is a driver's namespace and name."""

    watches = ("pods",)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        del events  # Spark tells nothing to Kubernetes
        self._client = client
        self._clock = clock

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the driver that changed, or whose executor did."""
        labels = change.object["metadata"].get("labels") or {}
        if labels.get("spark-role") == "driver":
            return [(namespace_of(change.object), name_of(change.object))]
        owners = change.object["metadata"].get("ownerReferences") or ()
        if labels.get("spark-role") == "executor":
            return [(namespace_of(change.object), owner["name"]) for owner in owners if owner["kind"] == "Pod"]
        return ()

    def reconcile(self, key: Key) -> datetime | None:
        """Keep the executors of a running driver at their number; those of one that ended go."""
        driver = self._client.get("pods", *key)
        if driver is None or is_terminating(driver):
            return None
        executors = self._client.list("pods", namespace_of(driver), owner_uid=uid_of(driver))
        executors = [each for each in executors if _label(each, "spark-role") == "executor"]
        if is_finished(driver) or _driver_ended(driver):
            self._delete(executors)
        elif phase_of(driver) == "Running":
            self._keep(driver, executors)
        return None

    def _keep(self, driver: Object, executors: list[Object]) -> None:
        self._delete(each for each in executors if is_finished(each))
        living = [each for each in executors if not is_finished(each) and not is_terminating(each)]
        properties = self._properties(driver)
        missing = _wanted(driver, properties) - len(living)
        if missing <= 0:
            return
        last = max([_executor_id(each) for each in executors] + [_last_id(driver)])
        for number in range(last + 1, last + missing + 1):
            self._client.create("pods", _executor(driver, number, properties))
        self._client.update("pods", _annotated(driver, _LAST_ID, str(last + missing)))

    def _properties(self, driver: Object) -> dict[str, str]:
        """Return what spark-submit told the driver of its executors, in one of the ConfigMaps it mounts."""
        found: dict[str, str] = {}
        for volume in driver["spec"].get("volumes") or ():
            name = (volume.get("configMap") or {}).get("name", "")
            config = self._client.get("configmaps", namespace_of(driver), name) if name else None
            found |= spark_properties.parse(config) if config is not None else {}
        return found

    def _delete(self, executors: Iterable[Object]) -> None:
        for executor in executors:
            if is_terminating(executor):
                continue
            try:
                self._client.delete("pods", namespace_of(executor), name_of(executor), uid=uid_of(executor))
            except ApiError as error:
                if error.code not in {404, 409}:
                    raise


class SparkApplicationOperator(Operator):
    """Submits applications, follows their drivers, and submits again what its restart policy wants."""

    owns = ("pods",)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(APPLICATION, "spark-operator", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the application itself, that of a driver, or that of an executor by its label."""
        app = _label(change.object, "sparkoperator.k8s.io/app-name")
        if change.kind == "pods" and app:
            return [(namespace_of(change.object), app)]
        return super().keys(change)

    def act(self, obj: Object) -> datetime | None:
        """Take the step that the application's state calls for."""
        status = dict(obj.get("status", {}))
        again = self._step(obj, status)
        self._count_executors(obj, status)
        self.report(obj, status)
        return again

    def _step(self, app: Object, status: dict[str, Any]) -> datetime | None:
        state = _state(status)
        if app["spec"].get("suspend"):
            if state not in (*_OVER, "SUSPENDED"):
                self._suspend(app, status)
            return None
        match state:
            case "" | "RESUMING":
                self._submit(app, status)
            case "SUSPENDED":
                _set_state(status, "RESUMING")
                return self.clock.now()
            case "SUBMITTED" | "RUNNING":
                return self._follow(app, status)
            case "PENDING_RERUN":
                return self._rerun(app, status)
            case "COMPLETED" | "FAILED":
                ended = from_timestamp(status["terminationTime"])
                return self.expire(app, ended, app["spec"].get("timeToLiveSeconds"))
        return None

    def _submit(self, app: Object, status: dict[str, Any]) -> None:
        attempt = int(status.get("submissionAttempts", 0)) + 1
        name = f"{name_of(app)}-driver"
        if self.client.get("pods", namespace_of(app), name) is not None:
            return
        submission = _identity(uid_of(app), attempt)
        selector = f"spark-{hashlib.md5(submission.encode(), usedforsecurity=False).hexdigest()}"
        keep(self, app, "configmaps", _config(app, f"{name}-conf-map"))
        self.create(app, "pods", _driver(app, name, submission, selector, int(status.get("executionAttempts", 0))))
        status |= {
            "submissionID": submission,
            "sparkApplicationId": selector,
            "submissionAttempts": attempt,
            "executionAttempts": int(status.get("executionAttempts", 0)) + 1,
            "lastSubmissionAttemptTime": to_timestamp(self.clock.now()),
            "terminationTime": None,
            "driverInfo": {"podName": name},
        }
        _set_state(status, "SUBMITTED")

    def _follow(self, app: Object, status: dict[str, Any]) -> datetime | None:
        driver = self.client.get("pods", namespace_of(app), f"{name_of(app)}-driver")
        if driver is None or is_terminating(driver):
            self._end(app, status, "driver pod not found", failed=True)
        elif phase_of(driver) == "Running" and not _driver_ended(driver):
            _set_state(status, "RUNNING")
        elif is_finished(driver) or _driver_ended(driver):
            failed = phase_of(driver) == "Failed" or bool(_exit_code(driver))
            self._end(app, status, _failure(driver) if failed else "", failed=failed)
        return self.clock.now() if _state(status) in ("PENDING_RERUN", *_OVER) else None

    def _end(self, app: Object, status: dict[str, Any], message: str, *, failed: bool) -> None:
        policy = app["spec"].get("restartPolicy") or {}
        kind = policy.get("type", "Never")
        retries = int(policy.get("onFailureRetries", 0))
        status["terminationTime"] = to_timestamp(self.clock.now())
        again = kind == "Always" or (kind == "OnFailure" and failed and int(status["executionAttempts"]) <= retries)
        state = "PENDING_RERUN" if again else ("FAILED" if failed else "COMPLETED")
        _set_state(status, state, message)
        self.tell(app, "Warning" if failed else "Normal", f"SparkApplication{state.title().replace('_', '')}", message)

    def _rerun(self, app: Object, status: dict[str, Any]) -> datetime | None:
        policy = app["spec"].get("restartPolicy") or {}
        interval = int(policy.get("onFailureRetryInterval", 5)) if policy.get("type") == "OnFailure" else 0
        due = from_timestamp(status["terminationTime"]) + timedelta(seconds=interval)
        if due > self.clock.now():
            return due
        if self._clear(app):
            self._submit(app, status)
        return None

    def _suspend(self, app: Object, status: dict[str, Any]) -> None:
        _set_state(status, "SUSPENDED" if self._clear(app) else "SUSPENDING")
        if _state(status) == "SUSPENDED":
            status |= {"terminationTime": to_timestamp(self.clock.now()), "executorState": {}}

    def _clear(self, app: Object) -> bool:
        """Delete the driver, if there is one, and say whether it is gone."""
        for pod in self.owned(app, "pods"):
            self.delete(app, "pods", pod)
        return not self.owned(app, "pods")

    def _count_executors(self, app: Object, status: dict[str, Any]) -> None:
        label = {"sparkoperator.k8s.io/app-name": name_of(app), "spark-role": "executor"}
        states = {
            name_of(pod): _executor_state(pod) for pod in self.client.list("pods", namespace_of(app), labels=label)
        }
        known = status.get("executorState") or {}
        if states or known:
            ended = "COMPLETED" if _state(status) == "COMPLETED" else "FAILED"
            kept = {name: ended if state in ("RUNNING", "PENDING") else state for name, state in known.items()}
            status["executorState"] = kept | states


class ScheduleOperator(Operator):
    """Makes applications `<name>-<number>`, each when the schedule says."""

    owns = (APPLICATION.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(SCHEDULE, "scheduled-spark-operator", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the schedule itself, or that of an application, whose reference names no controller."""
        schedule = _label(change.object, "sparkoperator.k8s.io/scheduled-app-name")
        if change.kind == APPLICATION.key:
            return [(namespace_of(change.object), schedule)] if schedule else []
        return super().keys(change)

    def act(self, obj: Object) -> datetime | None:
        """Make the run that is due; return when the next one is."""
        spec, status = obj["spec"], dict(obj.get("status", {}))
        try:
            following = cron.parse(str(spec.get("schedule", "")))
        except ValueError as error:
            self.report(obj, status | {"scheduleState": "FailedValidation", "reason": str(error)})
            return None
        if spec.get("suspend"):
            status.pop("nextRun", None)
            self.report(obj, status | {"scheduleState": "Scheduled"})
            return None
        now = self.clock.now()
        due = from_timestamp(status["nextRun"]) if status.get("nextRun") else following(now)
        if due <= now:
            self._run(obj, status)
            due = following(now)
        status |= {"scheduleState": "Scheduled", "nextRun": to_timestamp(due)}
        self.report(obj, status)
        return from_timestamp(status["nextRun"])

    def _run(self, schedule: Object, status: dict[str, Any]) -> None:
        last = status.get("lastRunName", "")
        running = self.client.get(APPLICATION.key, namespace_of(schedule), last) if last else None
        busy = running is not None and _state(running.get("status", {})) not in _OVER
        policy = schedule["spec"].get("concurrencyPolicy", "Allow")
        if busy and policy == "Forbid":
            return
        if busy and policy == "Replace" and running is not None:
            self.delete(schedule, APPLICATION.key, running)
        now = self.clock.now()
        name = f"{name_of(schedule)}-{int(now.timestamp())}"
        reference = {key: value for key, value in owner_reference(schedule).items() if key != "controller"}
        labels = {"sparkoperator.k8s.io/scheduled-app-name": name_of(schedule)}
        metadata = {"name": name, "labels": labels, "ownerReferences": [reference]}
        body = {"apiVersion": APPLICATION.api_version, "kind": APPLICATION.kind, "metadata": metadata}
        self.create(schedule, APPLICATION.key, {**body, "spec": schedule["spec"]["template"]})
        status |= {"lastRun": to_timestamp(now), "lastRunName": name}


def _driver(app: Object, name: str, submission: str, selector: str, failures: int) -> Object:
    """Return the driver of a submission, its labels as the submission and the operator's webhook write them."""
    spec, own = app["spec"], app["spec"].get("driver") or {}
    labels = {
        **(own.get("labels") or {}),
        "sparkoperator.k8s.io/app-name": name_of(app),
        "sparkoperator.k8s.io/launched-by-spark-operator": "true",
        "sparkoperator.k8s.io/submission-id": submission,
        "spark-app-selector": selector,
        "spark-app-name": name_of(app),
        "spark-role": "driver",
    }
    if spec.get("sparkVersion"):
        labels["spark-version"] = str(spec["sparkVersion"])
    pod = _pod(spec, own, _DRIVER_CONTAINER)
    volume = {"name": "spark-conf-volume-driver", "configMap": {"name": f"{name}-conf-map"}}
    pod["spec"]["volumes"] = [volume]
    pod["metadata"] = {"name": name, "labels": labels, "annotations": dict(own.get("annotations") or {})}
    return noted_failures(pod, failures) if failures else pod


def _wanted(driver: Object, properties: Mapping[str, str]) -> int:
    """Return how many executors a driver wants."""
    annotations = driver["metadata"].get("annotations") or {}
    written = annotations.get(_EXECUTORS) or properties.get("spark.executor.instances") or ""
    return int(written) if written.isdecimal() else _USUAL_EXECUTORS


def _executor(driver: Object, number: int, properties: Mapping[str, str]) -> Object:
    """Return an executor as its driver makes it: what labels the application, and the driver as its controller."""
    shared = {name: value for name, value in _labels(driver).items() if _is_of_application(name)}
    labels = spark_properties.labels_of(properties) | shared
    labels |= {"spark-role": "executor", "spark-exec-id": str(number), "spark-exec-resourceprofile-id": "0"}
    reference = {key: value for key, value in owner_reference(driver).items() if key != "blockOwnerDeletion"}
    token = hashlib.md5(uid_of(driver).encode(), usedforsecurity=False).hexdigest()[:16]
    name = _labels(driver).get("spark-app-name", "spark")[:47].strip("-.")
    name = f"x{name}" if name[:1].isdecimal() else name
    image = driver["spec"]["containers"][0].get("image", "")
    resources = spark_properties.resources_of(properties)
    container = {"name": _EXECUTOR_CONTAINER, "image": image, "args": ["executor"], "resources": resources}
    fields = spark_properties.pod_fields_of(properties)
    spec = {"containers": [container], "restartPolicy": "Never", **fields}
    metadata = {
        "name": f"{name}-{token}-exec-{number}",
        "namespace": namespace_of(driver),
        "labels": labels,
        "annotations": spark_properties.annotations_of(properties),
        "ownerReferences": [reference],
    }
    return lasting({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _pod(spec: Mapping[str, Any], role: Mapping[str, Any], container: str) -> Object:
    resources = spark_properties.resources_for(str(role.get("cores", 1)), str(role.get("memory", "1g")))
    gpu = role.get("gpu")
    if gpu:
        resources["limits"][gpu["name"]] = str(gpu["quantity"])
    main = {"name": container, "image": role.get("image") or spec.get("image") or "spark", "resources": resources}
    sidecars = role.get("sidecars") or []
    written: dict[str, Any] = {"containers": [main, *sidecars], "restartPolicy": "Never"}
    for field in ("schedulerName", "nodeSelector", "tolerations", "initContainers"):
        if role.get(field):
            written[field] = role[field]
    if (spec.get("batchScheduler") or "") and "schedulerName" not in written:
        written["schedulerName"] = spec["batchScheduler"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": written}


def _config(app: Object, name: str) -> Object:
    data = {"spark.properties": spark_properties.to_text(spark_properties.of_application(app["spec"]))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _is_of_application(label: str) -> bool:
    """Say whether a label of the driver is one that all pods of the application bear."""
    return label.startswith("sparkoperator.k8s.io/") or label in (
        "spark-app-selector",
        "spark-app-name",
        "spark-version",
    )


def _annotated(pod: Object, name: str, value: str) -> Object:
    metadata = pod["metadata"]
    annotations = {**(metadata.get("annotations") or {}), name: value}
    return {**pod, "metadata": {**metadata, "annotations": annotations}}


def _driver_ended(driver: Object) -> bool:
    """Say whether Spark itself has ended, although a sidecar may hold the pod."""
    return _exit_code(driver) is not None


def _exit_code(driver: Object) -> int | None:
    for container in driver.get("status", {}).get("containerStatuses", []):
        if container["name"] == _DRIVER_CONTAINER and "terminated" in container["state"]:
            return int(container["state"]["terminated"]["exitCode"])
    return None


def _failure(driver: Object) -> str:
    return f"driver container failed with ExitCode: {_exit_code(driver)}"


def _executor_state(pod: Object) -> str:
    return {"Pending": "PENDING", "Running": "RUNNING", "Succeeded": "COMPLETED", "Failed": "FAILED"}[phase_of(pod)]


def _executor_id(pod: Object) -> int:
    text = _label(pod, "spark-exec-id")
    return int(text) if text.isdecimal() else 0


def _last_id(driver: Object) -> int:
    text = (driver["metadata"].get("annotations") or {}).get(_LAST_ID, "")
    return int(text) if text.isdecimal() else 0


def _identity(uid: str, attempt: int) -> str:
    """Return the id of a submission, another one each time."""
    digest = hashlib.md5(f"{uid}/{attempt}".encode(), usedforsecurity=False).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))


def _state(status: Mapping[str, Any]) -> str:
    return str((status.get("applicationState") or {}).get("state", ""))


def _set_state(status: dict[str, Any], state: str, message: str = "") -> None:
    status["applicationState"] = {"state": state} | ({"errorMessage": message} if message else {})


def _labels(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})


def _label(obj: Object, name: str) -> str:
    return str(_labels(obj).get(name, ""))


SYSTEM = System(kinds=(APPLICATION, SCHEDULE), operators=(SparkApplicationOperator, ScheduleOperator, DriverPlayer))
