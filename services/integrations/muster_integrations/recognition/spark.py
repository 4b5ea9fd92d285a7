"""Spark: applications of the Spark operator, and those that somebody started with `spark-submit`.

A driver makes its executors itself and owns them; it may live in a pod of something else (a notebook, an Airflow
task), so an executor is known by its labels before anybody asks who owns it. An operator's application may be
submitted again under another Spark id: there the name is what stays. Without an operator the Spark id is all there is.

The driver starts first and alone; a gang with its executors in it could never start. How many executors a plain
application wants stands in a file that nobody can read from outside.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Container, Pod, PodSpec, Resources
from muster_contracts.values import Controls, Outcome, OwnerFacts, ParentRef, Supports

from muster_integrations.recognition.controls import by_switch, delete_only, pod_reference
from muster_integrations.recognition.fields import field, flag, moment, number, pod_spec, text, texts
from muster_integrations.recognition.kinds import (
    Claim,
    Handle,
    Kind,
    Members,
    Sight,
    Standing,
    System,
    Watch,
    together,
)
from muster_integrations.recognition.pod_facts import has_ended
from muster_integrations.recognition.pods import fate_of

GROUP: Final = "sparkoperator.k8s.io"
API_VERSION: Final = "sparkoperator.k8s.io/v1beta2"
CONNECT_VERSION: Final = "sparkoperator.k8s.io/v1alpha1"

SELECTOR: Final = "spark-app-selector"
ROLE: Final = "spark-role"
APP_NAME: Final = "spark-app-name"
OPERATOR_NAME: Final = "sparkoperator.k8s.io/app-name"
CONNECT_NAME: Final = "sparkoperator.k8s.io/connect-name"
SCHEDULED_NAME: Final = "sparkoperator.k8s.io/scheduled-app-name"

DRIVER: Final = "driver"
EXECUTOR: Final = "executor"
SERVER: Final = "connect-server"
DRIVER_CONTAINER: Final = "spark-kubernetes-driver"
EXECUTOR_CONTAINER: Final = "spark-kubernetes-executor"

_OUTCOMES: Final = {"COMPLETED": Outcome.SUCCEEDED, "FAILED": Outcome.FAILED}
_HEALTH: Final = {"RUNNING": True, "SUBMISSION_FAILED": False, "UNKNOWN": False}
_JAVA_MEMORY: Final = re.compile(r"([0-9]{1,9})([kmgt]?)b?", re.IGNORECASE)
_FACTOR: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")
_MEBIBYTES: Final = {"k": 1 / 1024, "": 1, "m": 1, "g": 1024, "t": 1024 * 1024}
_DYNAMIC: Final = "dynamicAllocation"
_SETTINGS: Final = "sparkConf"
_LEAST_OVERHEAD_MEBIBYTES: Final = 384
_JVM_LANGUAGES: Final = frozenset({"Java", "Scala", ""})


# ------------------------------------------------------------ who a pod belongs to


def executor_claim(pod: Pod) -> Claim | None:
    """Return the application of an executor that no operator knows: its owner may be any pod its driver lives in."""
    labels = pod.metadata.labels
    if labels.get(ROLE) != EXECUTOR or OPERATOR_NAME in labels or CONNECT_NAME in labels:
        return None
    return _application(pod)


def claim(pod: Pod) -> Claim | None:
    """Return the object of the operator that labels name, else the plain application."""
    labels = pod.metadata.labels
    if name := labels.get(OPERATOR_NAME):
        return Claim(SPARK_APPLICATION, API_VERSION, name, object_name=name)
    if name := labels.get(CONNECT_NAME):
        return Claim(SPARK_CONNECT, CONNECT_VERSION, name, object_name=name)
    return _application(pod)


def parent(metadata: Metadata) -> ParentRef | None:
    """Return the schedule that a label names."""
    name = metadata.labels.get(SCHEDULED_NAME)
    return ParentRef(kind=SCHEDULED_SPARK_APPLICATION.name, name=name) if name else None


def _application(pod: Pod) -> Claim | None:
    """Return a plain application. Before Spark 3.3 pods do not say its name."""
    labels = pod.metadata.labels
    selector = labels.get(SELECTOR, "")
    if not selector or ROLE not in labels:
        return None
    return Claim(SPARK_APP, "", selector, name=labels.get(APP_NAME, "") or _driver_of(pod) or selector)


def _driver_of(pod: Pod) -> str:
    """Return the name of the driver, which before Spark 3.3 is all that people know the application by."""
    if pod.metadata.labels.get(ROLE) != EXECUTOR:
        return pod.metadata.name
    return next((owner.name for owner in pod.metadata.owner_references if owner.kind == "Pod"), "")


# ------------------------------------------------------------ pods


def role(pod: Pod, _sight: Sight) -> str:
    """Return what Spark calls the pod."""
    return pod.metadata.labels.get(ROLE) or DRIVER


def main_containers(pod: Pod) -> frozenset[str] | None:
    """Return Spark's own container; one that is called otherwise, by a template, is no reason to count none."""
    mains = {DRIVER_CONTAINER, EXECUTOR_CONTAINER} & {container.name for container in pod.spec.containers}
    return frozenset(mains) or None


def spark_facts(sight: Sight) -> Mapping[str, str]:
    """Return the Spark id and version, as the newest pod has them: a new attempt has a new id."""
    newest = max(sight.pods, key=_age, default=None)
    labels = newest.metadata.labels if newest is not None else {}
    facts = {"spark_app_id": labels.get(SELECTOR, ""), "spark_version": labels.get("spark-version", "")}
    return {name: value for name, value in facts.items() if value}


def _age(pod: Pod) -> tuple[str, str]:
    created = pod.metadata.creation_timestamp
    return created.isoformat() if created else "", pod.metadata.name


# ------------------------------------------------------------ applications of the operator


def operator_owner(sight: Sight) -> OwnerFacts:
    """Return what the operator says. Between two attempts it says neither that all is well nor that it is not."""
    state = text(sight.status, "applicationState", "state")
    outcome = _OUTCOMES.get(state, Outcome.NONE)
    return OwnerFacts(
        suspended=flag(sight.spec, "suspend"),
        deleting=sight.deleting,
        outcome=outcome,
        reason=text(sight.status, "applicationState", "errorMessage"),
        finished_at=moment(sight.status, "terminationTime") if outcome is not Outcome.NONE else None,
        ready=_HEALTH.get(state),
    )


def operator_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the driver, which is enough to start, and its executors."""
    if sight.item is None:
        return None
    return (
        Members(DRIVER, 1, 1, _template(sight.spec, DRIVER)),
        Members(EXECUTOR, _executors(sight), 0, _template(sight.spec, EXECUTOR)),
    )


def _executors(sight: Sight) -> int:
    """Return how many executors there are to be; where Spark decides, as many as it has, or begins with."""
    written = number(sight.spec, EXECUTOR, "instances")
    fixed = _setting(sight.spec, "executor.instances") if written is None else written
    if not _is_dynamic(sight.spec):
        return 1 if fixed is None else fixed
    names = ("initialExecutors", "minExecutors")
    first = [number(sight.spec, _DYNAMIC, name) or _setting(sight.spec, f"{_DYNAMIC}.{name}") for name in names]
    living = sum(1 for pod in sight.pods if role(pod, sight) == EXECUTOR and not has_ended(pod))
    return max(living, *(size or 0 for size in (*first, fixed)))


def _is_dynamic(spec: Any) -> bool:
    return flag(spec, _DYNAMIC, "enabled") or texts(spec, _SETTINGS).get(f"spark.{_DYNAMIC}.enabled") == "true"


def _setting(spec: Any, name: str) -> int | None:
    """Return a number that is written among Spark's own settings, not in a field of the operator's."""
    written = texts(spec, _SETTINGS).get(f"spark.{name}", "")
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else None


def _template(spec: Any, part: str) -> PodSpec:
    """Return what the operator asks for a driver or an executor: cores, memory with its overhead, GPUs."""
    written = field(spec, part)
    cores = field(written, "coreRequest") or field(written, "cores") or 1
    requests: dict[str, str | int | float] = {"cpu": cores if isinstance(cores, str | int | float) else 1}
    memory = _mebibytes(text(written, "memory") or "1g")
    if memory is not None:
        requests["memory"] = f"{memory + _overhead(spec, written, memory)}Mi"
    resources = Resources(requests=requests, limits=_devices(spec, part))
    return PodSpec(containers=(Container(resources=resources),))


def _devices(spec: Any, part: str) -> dict[str, str | int | float]:
    """Return the GPUs of a driver or an executor: by its own field, by Spark's settings, or by its template."""
    if name := text(spec, part, "gpu", "name"):
        return {name: number(spec, part, "gpu", "quantity") or 0}
    vendor = texts(spec, _SETTINGS).get(f"spark.{part}.resource.gpu.vendor", "")
    if vendor and (amount := _setting(spec, f"{part}.resource.gpu.amount")):
        return {f"{vendor}/gpu": amount}
    template = pod_spec(spec, part, "template", "spec")
    limits = template.containers[0].resources.limits if template is not None and template.containers else {}
    return {name: amount for name, amount in limits.items() if "/" in name}


def _overhead(spec: Any, written: Any, memory: int) -> int:
    """Return what Spark adds to the memory of the heap, by the rule in its documentation for Kubernetes."""
    said = _mebibytes(text(written, "memoryOverhead"))
    if said is not None:
        return said
    factor = text(spec, "memoryOverheadFactor")
    if not _FACTOR.fullmatch(factor):
        factor = "0.1" if text(spec, "type") in _JVM_LANGUAGES else "0.4"
    return max(int(memory * float(factor)), _LEAST_OVERHEAD_MEBIBYTES)


def _mebibytes(written: str) -> int | None:
    """Return an amount of memory as Java writes it (`512m`, `2g`)."""
    found = _JAVA_MEMORY.fullmatch(written)
    return int(int(found[1]) * _MEBIBYTES[found[2].lower()]) if found else None


# ------------------------------------------------------------ plain applications


def plain_owner(sight: Sight) -> OwnerFacts:
    """Return how the driver ended; executors that are still on their way out do not matter."""
    driver = _driver(sight)
    outcome = fate_of(driver, DRIVER_CONTAINER) if driver is not None else Outcome.NONE
    return OwnerFacts(outcome=outcome, reason=driver.status.message if driver and outcome is Outcome.FAILED else "")


def plain_controls(sight: Sight, handle: Handle | None, remembered: Controls) -> Controls:
    """Delete the driver, which takes its executors along; where there is none, the executors."""
    driver = _driver(sight)
    controls = _DELETE_PLAIN(sight, handle, remembered)
    return controls if driver is None else controls.model_copy(update={"delete": (pod_reference(driver),)})


def _driver(sight: Sight) -> Pod | None:
    return next((pod for pod in sight.pods if role(pod, sight) == DRIVER), None)


_DELETE_PLAIN: Final = delete_only("What spark-submit started cannot be suspended; it can only be deleted.")


# ------------------------------------------------------------ Spark Connect


def connect_owner(sight: Sight) -> OwnerFacts:
    """Return what the operator says of a server, which never completes."""
    ready = {"Ready": True, "Failed": False}.get(text(sight.status, "state"))
    return OwnerFacts(serving=True, deleting=sight.deleting, ready=ready)


def connect_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the server and its executors."""
    if sight.item is None:
        return None
    executors = number(sight.spec, EXECUTOR, "instances")
    return (
        Members(SERVER, 1, 1, _connect_template(sight.spec, "server")),
        Members(EXECUTOR, 1 if executors is None else executors, 0, _connect_template(sight.spec, EXECUTOR)),
    )


def _connect_template(spec: Any, part: str) -> PodSpec:
    """Return the template if it asks for something, else what the numbers beside it say."""
    template = pod_spec(spec, part, "template", "spec")
    asks = template is not None and any(container.resources.requests for container in template.containers)
    return template if template is not None and asks else _template(spec, part)


# ------------------------------------------------------------ the system


SPARK_APPLICATION = Kind(
    group=GROUP,
    name="SparkApplication",
    watch=Watch("sparkapplications", versions=("v1beta2",)),
    supports=Supports(stop=True, activate=True, delete=True),
    owner=operator_owner,
    members=operator_members,
    groups=together,
    role=role,
    main_containers=main_containers,
    attributes=spark_facts,
    controls=by_switch("spec", "suspend"),
)

SCHEDULED_SPARK_APPLICATION = Kind(
    group=GROUP,
    name="ScheduledSparkApplication",
    standing=Standing.PARENT,
    watch=Watch("scheduledsparkapplications", versions=("v1beta2",)),
)

SPARK_CONNECT = Kind(
    group=GROUP,
    name="SparkConnect",
    watch=Watch("sparkconnects", versions=("v1alpha1",)),
    supports=Supports(stop=False, activate=False, delete=True),
    owner=connect_owner,
    members=connect_members,
    groups=together,
    role=role,
    main_containers=main_containers,
    attributes=spark_facts,
    controls=delete_only("A SparkConnect has nothing that suspends it; it can only be deleted."),
)

SPARK_APP = Kind(
    group="",
    name="SparkApp",
    supports=Supports(stop=False, activate=False, delete=True),
    owner=plain_owner,
    groups=together,
    role=role,
    main_containers=main_containers,
    attributes=spark_facts,
    controls=plain_controls,
)


SYSTEM = System(
    kinds=(SPARK_APPLICATION, SCHEDULED_SPARK_APPLICATION, SPARK_CONNECT, SPARK_APP),
    before_walk=(executor_claim,),
    by_label=(claim,),
    parents=(parent,),
)
