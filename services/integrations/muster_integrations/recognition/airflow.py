"""Airflow: a DAG run is one workload, made of the pods of its tasks; in a project that says so, each task is one.

Nothing in Kubernetes stands for a run. The pods of the KubernetesExecutor and of the KubernetesPodOperator have no
owners and are known by their labels, in which Airflow cuts and hashes what is too long or has odd characters; every
run id has some. Only an executor's pod carries the true names, in its annotations.

A task that fails may be tried again by a new pod, so only its last try counts, and one whose pod is gone is remembered
in the attribute `failed_tasks`. Airflow keeps the executor's pod of a try that failed and deletes that of the try that
went well, so the later try has to be remembered too, in `retried_tasks`. That a run is over nobody says: it is when it
has been quiet for long enough. What a task makes (a Job, a SparkApplication) is a workload of its own with the run as
its parent.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Pod
from muster_contracts.values import Outcome, OwnerFacts, ParentRef, Supports

from muster_integrations.recognition.controls import delete_only
from muster_integrations.recognition.kinds import Claim, Kind, Sight, System
from muster_integrations.recognition.pods import fate_of

DAG: Final = "dag_id"
RUN: Final = "run_id"
TASK: Final = "task_id"
TRY: Final = "try_number"
MAP_INDEX: Final = "map_index"
FAILED_TASKS: Final = "failed_tasks"
"""The attribute that remembers whose last try failed, `task#try` each."""

RETRIED_TASKS: Final = "retried_tasks"
"""The attribute that remembers the last try of tasks whose earlier, failed pods are still there."""

BASE: Final = "base"
WORKER: Final = "airflow-worker"
_DATES: Final = ("logical_date", "execution_date")
_EXECUTOR: Final = "kubernetes_executor"
_MOST_TRIES: Final = 50
"""So many tries are named in an attribute; a mapped task may have thousands."""

_WRITTEN_TRY: Final = re.compile(r"(\S+)#([0-9]{1,9})")


@dataclass(frozen=True, slots=True, order=True)
class Try:
    """One try of a task. A task that is mapped has its index in brackets."""

    task: str
    number: int

    def __str__(self) -> str:
        """Write it as the attributes have it."""
        return f"{self.task}#{self.number}"


def claim(pod: Pod) -> Claim | None:
    """Return the DAG run of a task's pod, and the task. A pod that something owns is no pod of Airflow's own."""
    labels = pod.metadata.labels
    run, task = _run_key(labels), labels.get(TASK, "")
    if not run or not task or pod.metadata.owner_references:
        return None
    index = labels.get(MAP_INDEX, "")
    task_key = "/".join(filter(None, (run, task, index)))
    return Claim(DAG_RUN, "", run, finer=Claim(AIRFLOW_TASK, "", task_key))


def parent(metadata: Metadata) -> ParentRef | None:
    """Return the DAG run that labels name."""
    run = _run_key(metadata.labels)
    return ParentRef(kind=DAG_RUN.name, name=run) if run else None


def owner(sight: Sight, reason: Callable[[Sequence[Try], bool], str]) -> OwnerFacts:
    """Return how a run, or a task, stands by its last tries. Between two tasks it runs, whatever failed before.

    While a pod is alive the pods tell whether it runs. `reason` puts the tries that failed into words, given whether
    one is.
    """
    failed = _failed_tries(sight)
    alive = any(_fate(pod) is Outcome.NONE for pod in sight.pods)
    return OwnerFacts(
        ready=(False if failed else None) if alive else True,
        reason=reason(failed, alive),
        quiet_outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
    )


def role(pod: Pod, _sight: Sight) -> str:
    """Tell the executor's pod, in which Airflow itself runs, from the pod of the task it may have started."""
    return WORKER if _EXECUTOR in pod.metadata.labels or WORKER in pod.metadata.labels else "task"


def main_containers(pod: Pod) -> frozenset[str]:
    """Return the container of the task: others fetch its code, or hold its result until Airflow has read it."""
    return frozenset({_main_container(pod)})


def tries(sight: Sight) -> Mapping[str, str]:
    """Remember the tasks whose last try failed, and those that were tried again, for pods are deleted."""
    facts = {FAILED_TASKS: _written(_failed_tries(sight)), RETRIED_TASKS: _written(_retried(sight))}
    return {name: value for name, value in facts.items() if value}


def run_facts(sight: Sight) -> Mapping[str, str]:
    """Return whose task made the pods of any workload, by their true names as far as a pod ever told them.

    The tasks are those of the pods that are there. One that went tells its task only when it was the last: nobody looks
    again when that it went is written.
    """
    there, gone = ([pod.metadata for pod in pods if _run_key(pod.metadata.labels)] for pods in (sight.pods, sight.gone))
    described = there or gone
    if not described:
        return {}
    names = {name: _true_name(sight, [*there, *gone], name) for name in (DAG, RUN, *_DATES)}
    last = _last_numbers(sight)
    latest = [one for one in described if _try_of(one).number >= last[_try_of(one).task]]
    facts = {**names, **_task_facts(latest or described)}
    return {name: value for name, value in facts.items() if value}


def _task_facts(described: Sequence[Metadata]) -> Mapping[str, str]:
    """Return which try of which task it is, or the list of them when there are several."""
    last = _last_tries(described)
    if len(last) != 1:
        return {"tasks": _written(sorted(last))}
    labels = described[0].labels
    facts = {TASK: labels.get(TASK, ""), MAP_INDEX: labels.get(MAP_INDEX, ""), TRY: str(last[0].number)}
    return {**facts, TASK: described[0].annotations.get(TASK, facts[TASK])}


def _true_name(sight: Sight, described: Sequence[Metadata], name: str) -> str:
    annotated = (metadata.annotations[name] for metadata in described if name in metadata.annotations)
    return next(annotated, "") or sight.remembered.get(name, "") or described[0].labels.get(name, "")


def _run_key(labels: Mapping[str, str]) -> str:
    """Return the DAG and the run as labels have them; before Airflow 2.2 the run was known by its date."""
    if not labels.get(DAG):
        return ""
    run = next((labels[name] for name in (RUN, *_DATES) if labels.get(name)), "")
    return f"{labels[DAG]}/{run}" if run else ""


def _try_of(metadata: Metadata) -> Try:
    labels = metadata.labels
    index, number = labels.get(MAP_INDEX, ""), labels.get(TRY, "")
    task = f"{labels.get(TASK, '')}[{index}]" if index else labels.get(TASK, "")
    return Try(task, int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 1)


def _last_tries(described: Sequence[Metadata]) -> list[Try]:
    last: dict[str, int] = {}
    for one in map(_try_of, described):
        last[one.task] = max(one.number, last.get(one.task, 0))
    return [Try(task, number) for task, number in last.items()]


def _failed_tries(sight: Sight) -> list[Try]:
    """Return the tries that failed, seen now or remembered, of which no later one was seen."""
    last = _last_numbers(sight)
    failed: dict[str, int] = {}
    for one in (*_remembered(sight, FAILED_TASKS), *_seen_failures(sight)):
        if one.number >= last.get(one.task, 0):
            failed[one.task] = max(one.number, failed.get(one.task, 0))
    return [Try(task, number) for task, number in sorted(failed.items())]


def _retried(sight: Sight) -> list[Try]:
    """Return the last tries of tasks of which an earlier one failed and is still seen."""
    last = _last_numbers(sight)
    tasks = {one.task for one in _seen_failures(sight) if one.number < last[one.task]}
    return [Try(task, last[task]) for task in sorted(tasks)]


def _seen_failures(sight: Sight) -> set[Try]:
    return {_try_of(pod.metadata) for pod in (*sight.pods, *sight.gone) if _fate(pod) is Outcome.FAILED}


def _last_numbers(sight: Sight) -> Mapping[str, int]:
    """Return the number of the last try of each task that is seen; or remembered, while an earlier one is seen."""
    last = {one.task: one.number for one in _last_tries([pod.metadata for pod in (*sight.pods, *sight.gone)])}
    for one in _remembered(sight, RETRIED_TASKS):
        if one.task in last:
            last[one.task] = max(one.number, last[one.task])
    return last


def _remembered(sight: Sight, attribute: str) -> Iterator[Try]:
    for task, number in _WRITTEN_TRY.findall(sight.remembered.get(attribute, "")):
        yield Try(task, int(number))


def _written(tries: Sequence[Try]) -> str:
    return " ".join(map(str, tries[:_MOST_TRIES]))


def _reason_of_run(failed: Sequence[Try], alive: bool) -> str:
    if not failed:
        return "" if alive else "No task of it has a pod at the moment."
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return f"The last try failed of {', '.join(one.task for one in failed[:3])}{more}."


def _reason_of_task(failed: Sequence[Try], alive: bool) -> str:
    if failed:
        return "Its last try failed."
    return "" if alive else "It has no pod at the moment."


def _main_container(pod: Pod) -> str:
    """Return its name: `base`, unless the operator was told another; then it is the first."""
    names = [container.name for container in pod.spec.containers]
    return BASE if BASE in names or not names else names[0]


def _fate(pod: Pod) -> Outcome:
    return fate_of(pod, _main_container(pod))


def _kind(name: str, reason: Callable[[Sequence[Try], bool], str]) -> Kind:
    return Kind(
        group="",
        name=name,
        supports=Supports(stop=False, activate=False, delete=True),
        owner=partial(owner, reason=reason),
        role=role,
        main_containers=main_containers,
        attributes=tries,
        controls=delete_only(
            "Airflow starts its tasks itself: a DAG run is stopped, and cleared to run again, in Airflow.",
            warning="Airflow may try a task again whose pod is deleted.",
        ),
    )


DAG_RUN = _kind("AirflowDagRun", _reason_of_run)
AIRFLOW_TASK = _kind("AirflowTask", _reason_of_task)

SYSTEM = System(kinds=(DAG_RUN, AIRFLOW_TASK), by_label=(claim,), parents=(parent,), attributes=(run_facts,))
