"""From a file of scenarios to cases. The structure is that of `docs/simulate.md`; defaults are filled in here.

Pitfall: the published cases count the processors of nodes and tasks in thousands of what the queues' limits and the
expected totals count (a task of "5" is expected to show 5000). `CPU_SCALE` brings them together, so that the files are
read as they are. Fields nobody knows are passed over with a remark, except under `expect`: an expectation that cannot
be checked must not pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.scenarios.cases import (
    Case,
    Expectation,
    Expected,
    ExpectedNode,
    JobCase,
    Mode,
    NearnessCase,
    NodeCase,
    QueueCase,
    Step,
    SubGroupCase,
    TaskCase,
    TaskState,
    TopologyCase,
)
from muster_scheduler.core.scenarios.copies import job_copies, node_copies
from muster_scheduler.core.scenarios.devices import Devices
from muster_scheduler.core.scenarios.document import MOST, Part, Place
from muster_scheduler.core.scenarios.doubts import doubts
from muster_scheduler.core.scenarios.facts import gpu_request

CPU_SCALE = 1000
WEIGHT_SCALE = 1000
"""Weights may have decimals; only their proportions matter, so all are multiplied alike."""

MEBIBYTE = 1024**2
MINUTE_SECONDS = 60
NODE_CPU_MILLI = 20_000 * CPU_SCALE
NODE_MEMORY_BYTES = 20 * 10**9
NODE_GPU_MEMORY_MIB = 100
NODE_MAX_PODS = 110
PREEMPTIBLE_BELOW = 100
PRIORITIES = {"train": 50, "interactive-preemptible": 75, "build": 100, "inference": 125}
USUAL_CLASS = "train"
DEPARTMENT = "default"
MOST_COPIES, MOST_GPUS = 100_000, 1000
MOST_ROUNDS = 10_000
"""More would not end while anybody waits for it."""

MOST_DELAY_SECONDS, MOST_AGE_MINUTES = 24 * 60 * 60, 100 * 366 * 24 * 60
"""A day between rounds and a job of a hundred years: beyond them the calendar ends."""

MILLION = 1_000_000
PER_SUB_GROUP = "per sub_group"
FOR_PEOPLE = ("source", "tags", "portable", "name", "description", "read_as", "title")
STATES = {
    **{state.value: state for state in (TaskState.PENDING, TaskState.RUNNING, TaskState.RELEASING)},
    "Pipelined": TaskState.PENDING,
    "Binding": TaskState.RUNNING,
    "Bound": TaskState.RUNNING,
}
"""A task that waits for victims begins anew; one that is being bound will run."""

EXPECTED_STATES = {state.value: state for state in TaskState} | {"Bound": TaskState.BINDING}


def read_cases(document: Part) -> list[Case]:
    """Return the cases of a file. Raises Unreadable with file, case and field."""
    document.skip("meta")
    cases = [_case(part, number) for number, part in enumerate(document.parts("scenarios"))]
    _refuse_doubles([case.id for case in cases], document, "scenarios", "cases")
    return cases


def _case(part: Part, number: int) -> Case:
    case_id = part.name("id", f"number {number + 1}")
    part.place = Place(part.place.file, case_id)
    part.skip(*FOR_PEOPLE)
    queues = _queues(part)
    families = {
        one.name(): one.whole("count", least=1, most=MOST_COPIES) for one in part.parts("nodes") if one.has("count")
    }
    case = Case(
        id=case_id,
        mode=Mode(part.one_of("mode", [mode.value for mode in Mode], Mode.SETTLED)),
        action=part.text("action", ""),
        seconds_between_rounds=_delay_seconds(part),
        nodes=tuple(node for one in part.parts("nodes") for node in node_copies(_node(one), _copies(one))),
        queues=queues,
        topologies=tuple(_topology(one) for one in part.parts("topologies")),
        steps=tuple(_steps(part, queues, families)),
    )
    _refuse_doubles([node.name for node in case.nodes], part, "nodes", "nodes")
    _check_places(case, part)
    unread = (f"{path} is not known and was passed over." for path in part.take_unread())
    return replace(case, remarks=(*unread, *doubts(case)))


def _delay_seconds(part: Part) -> float:
    return part.amount("delay_between_rounds_s", MILLION, unit=MILLION, most=MOST_DELAY_SECONDS) / MILLION


def _refuse_doubles(names: list[str], part: Part, field: str, what: str) -> None:
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        part.refuse(field, f"Two {what} have the name {doubles[0]}.")


def _check_places(case: Case, part: Part) -> None:
    """Refuse pods that run where there is no node, or on devices that are not there."""
    nodes: dict[str, Devices] = {}
    for step in case.steps:
        for name in step.lost_nodes:
            if nodes.pop(name, None) is None:
                part.refuse("steps", f"There is no node {name} to lose.")
        here = case.nodes if step is case.steps[0] else step.nodes
        nodes |= {node.name: Devices(node.gpus, node.gpu_memory_bytes) for node in here}
        for job in step.jobs:
            _check_tasks(job, nodes, part)
        for name in step.expectation.nodes:
            if name not in nodes:
                part.refuse("expect", f"There is no node {name}.")


def _check_tasks(job: JobCase, nodes: Mapping[str, Devices], part: Part) -> None:
    for task in (task for task in job.tasks if task.state is not TaskState.PENDING):
        if task.node not in nodes:
            part.refuse("jobs", f"A task of {job.name} runs on {task.node}, which is no node.")
        try:
            nodes[task.node].take(gpu_request(job), task.gpu_groups)
        except ValueError as error:
            part.refuse("jobs", f"A task of {job.name} runs on {task.node}, which {error}.")


def _node(part: Part) -> NodeCase:
    return NodeCase(
        name=part.name(),
        gpus=part.whole("gpus", 0, most=MOST_GPUS),
        cpu_milli=part.amount("cpu_milli", NODE_CPU_MILLI, unit=CPU_SCALE),
        memory_bytes=part.whole("memory", NODE_MEMORY_BYTES),
        max_pods=part.whole("max_pods", NODE_MAX_PODS),
        gpu_memory_bytes=part.whole("gpu_memory_mib", NODE_GPU_MEMORY_MIB) * MEBIBYTE,
        labels=part.labels("labels"),
        unschedulable=part.flag("unschedulable", default=False),
    )


def _copies(part: Part) -> int | None:
    return part.whole("count", least=1, most=MOST_COPIES) if part.has("count") else None


def _topology(part: Part) -> TopologyCase:
    return TopologyCase(part.name(), part.texts("levels"))


# ---------------------------------------------------------------- queues


def _queues(part: Part) -> tuple[QueueCase, ...]:
    """Read departments and queues, older first. Where no departments are given, there is one without bounds."""
    departments = [_queue(one, is_department=True, home="") for one in part.parts("departments")]
    home = "" if departments else DEPARTMENT
    queues = [_queue(one, is_department=False, home=home) for one in part.parts("queues")]
    named = {queue.name for queue in (*departments, *queues)}
    if DEPARTMENT not in named and any(queue.parent == DEPARTMENT for queue in queues):
        departments.insert(0, QueueCase(DEPARTMENT, "", gpu_weight=WEIGHT_SCALE))
    everyone = (*departments, *queues)
    _refuse_doubles([queue.name for queue in everyone], part, "queues", "queues")
    _check_parents(everyone, part)
    return everyone


def _queue(part: Part, *, is_department: bool, home: str) -> QueueCase:
    deserved = part.limit("deserved_gpus", unit=WHOLE_GPU, default=0)
    return QueueCase(
        name=part.name(),
        parent=part.text("parent", home),
        priority=part.whole("priority", 0, least=-MOST),
        deserved_gpu_millionths=deserved,
        max_gpu_millionths=part.limit("max_allowed_gpus", unit=WHOLE_GPU) or None,
        gpu_weight=_weight(part, deserved if is_department else WHOLE_GPU),
        deserved_cpu_milli=part.limit("deserved_cpu_milli"),
        max_cpu_milli=part.limit("max_allowed_cpu_milli") or None,
        deserved_memory_bytes=part.limit("deserved_memory"),
        max_memory_bytes=part.limit("max_allowed_memory") or None,
    )


def _weight(part: Part, otherwise_gpu_millionths: int | None) -> int:
    """Read the weight; a department without one weighs what it deserves."""
    usual = WEIGHT_SCALE if otherwise_gpu_millionths is None else otherwise_gpu_millionths * WEIGHT_SCALE // WHOLE_GPU
    weight = part.limit("over_quota_weight", unit=WEIGHT_SCALE, default=usual)
    return usual if weight is None else weight


def _check_parents(queues: Iterable[QueueCase], part: Part) -> None:
    parents = {queue.name: queue.parent for queue in queues}
    for name, parent in parents.items():
        if parent and parent not in parents:
            part.refuse("queues", f"The parent of {name}, {parent}, is no queue and no department.")
    for name in parents:
        if name in _above(name, parents):
            part.refuse("queues", f"{name} is below itself.")


def _above(name: str, parents: dict[str, str]) -> list[str]:
    above: list[str] = []
    while (name := parents[name]) and name not in above:
        above.append(name)
    return above


# ---------------------------------------------------------------- steps and jobs


def _steps(part: Part, queues: tuple[QueueCase, ...], families: Mapping[str, int]) -> Iterable[Step]:
    """Read the case as its first step, then the steps that follow it."""
    names: dict[str, str] = {}
    for step in (part, *part.parts("steps")):
        jobs = _jobs(step, {queue.name for queue in queues}, families)
        leaving = step.texts("delete") if step is not part else ()
        _check_jobs(step, jobs, leaving, names)
        first = Step(
            jobs=jobs,
            leaving=leaving,
            expectation=_expectation(step.part("expect"), {*names, *names.values()}),
            rounds_until_match=step.whole("rounds_until_match", 1, most=MOST_ROUNDS),
            rounds_after_match=step.whole("rounds_after_match", 0, most=MOST_ROUNDS),
        )
        yield first if step is part else _with_changes(first, step, queues)


def _with_changes(step: Step, part: Part, queues: tuple[QueueCase, ...]) -> Step:
    """Read what else is other from a later step on: nodes and queues."""
    parents = {queue.name: queue.parent for queue in queues}
    changed = [(one, True) for one in part.parts("departments")] + [(one, False) for one in part.parts("queues")]
    for one, _ in changed:
        if one.name() not in parents:
            one.refuse("name", f"There is no queue {one.name()}.")
    return replace(
        step,
        nodes=tuple(_node(one) for one in part.parts("nodes")),
        lost_nodes=part.texts("lose_nodes"),
        queues=tuple(_queue(one, is_department=kind, home=parents[one.name()]) for one, kind in changed),
    )


def _check_jobs(step: Part, jobs: Iterable[JobCase], leaving: Iterable[str], names: dict[str, str]) -> None:
    """Follow which jobs there are, and of which family; refuse what leaves or comes at the wrong time."""
    for name in leaving:
        gone = [one for one, family in names.items() if name in {one, family}]
        if not gone:
            step.refuse("delete", f"There is no job {name}.")
        for one in gone:
            del names[one]
    for job in jobs:
        if job.name in names:
            step.refuse("jobs", f"Two jobs have the name {job.name}.")
        names[job.name] = job.family


def _jobs(step: Part, queues: set[str], families: Mapping[str, int]) -> tuple[JobCase, ...]:
    """Read the jobs, higher priority first; the earlier of them is a minute older than the next."""
    parts = sorted(step.parts("jobs"), key=lambda part: -_priority(part))
    ages = [(len(parts) - index) * MINUTE_SECONDS for index in range(len(parts))]
    return tuple(
        copy
        for part, age_seconds in zip(parts, ages, strict=True)
        for copy in _job_copies(part, _job(part, queues, age_seconds), families)
    )


def _job_copies(part: Part, job: JobCase, families: Mapping[str, int]) -> Iterable[JobCase]:
    count = _copies(part)
    if (count or 1) * len(job.tasks) > MOST_COPIES:
        part.refuse("count", f"It stands for more than {MOST_COPIES} tasks.")
    return job_copies(job, count, families)


def _priority(part: Part) -> int:
    """Read the number; without one the class says it, which else may be any."""
    if part.has("priority"):
        part.skip("priority_class")
        return part.whole("priority", least=-MOST)
    return PRIORITIES[part.one_of("priority_class", list(PRIORITIES), USUAL_CLASS)]


def _job(part: Part, queues: set[str], usual_age_seconds: int) -> JobCase:
    part.skip("action")
    queue = part.name("queue")
    if queue not in queues:
        part.refuse("queue", f"There is no queue {queue}.")
    priority = _priority(part)
    root = _root(part) if part.has("sub_groups") else None
    tasks = tuple(task for one in part.parts("tasks") for task in _tasks(one, root))
    memory_mib = part.whole("gpu_memory_per_task", 0)
    if memory_mib and part.gpus("gpus_per_task", 0):
        part.refuse("gpu_memory_per_task", "A task asks for GPUs or for memory of one, not for both.")
    return JobCase(
        name=part.name(),
        family=part.name(),
        queue=queue,
        namespace=part.text("namespace", ""),
        priority=priority,
        preemptible=part.flag("preemptible", default=priority < PREEMPTIBLE_BELOW),
        min_members=_min_members(part, root, len(tasks)),
        gpu_millionths=_gpus_per_task(part),
        gpu_memory_bytes=memory_mib * MEBIBYTE if memory_mib else None,
        cpu_milli=part.amount("cpu_per_task_milli", 0, unit=CPU_SCALE),
        memory_bytes=part.whole("memory_per_task", 0),
        tasks=tasks,
        age_seconds=part.amount("age_minutes", usual_age_seconds, unit=MINUTE_SECONDS, most=MOST_AGE_MINUTES),
        root=root,
        deleted=part.flag("deleted_in_test", default=False),
    )


def _gpus_per_task(part: Part) -> int:
    """Read how many devices a task wants; only below one may it be a part of a device."""
    wanted = part.gpus("gpus_per_task", 0)
    if not wanted and part.content.get("gpus_per_task"):
        part.refuse("gpus_per_task", "It should be 0, or at least a millionth.")
    if wanted > WHOLE_GPU and wanted % WHOLE_GPU:
        part.refuse("gpus_per_task", "It should be a fraction below 1, or a whole number.")
    return wanted


def _min_members(part: Part, root: SubGroupCase | None, tasks: int) -> int:
    if part.content.get("min_available") == PER_SUB_GROUP:
        part.skip("min_available")
        return (root.fewest or tasks) if root else tasks
    return part.whole("min_available", tasks)


def _root(part: Part) -> SubGroupCase:
    """Read the tree of sub-groups: its root, or a list; what stands alone in a list is the root, too."""
    if not isinstance(part.content["sub_groups"], list):
        return _sub_group(part.part("sub_groups"))
    listed = tuple(_sub_group(one) for one in part.parts("sub_groups"))
    return listed[0] if len(listed) == 1 else SubGroupCase("root", parts=listed)


def _sub_group(part: Part) -> SubGroupCase:
    constraint = part.part("topology_constraint")
    sets = [_sub_group(one) for one in part.parts("pod_sets")]
    groups = [_sub_group(one) for one in part.parts("sub_groups")]
    return SubGroupCase(
        name=part.text("name", "root"),
        min_members=part.whole("min_available", 0),
        parts=(*sets, *groups),
        min_parts=part.whole("min_sub_groups") if part.has("min_sub_groups") else None,
        topology=NearnessCase(
            constraint.text("topology", ""),
            constraint.text("required_level", ""),
            constraint.text("preferred_level", ""),
        ),
    )


def _tasks(part: Part, root: SubGroupCase | None) -> list[TaskCase]:
    """Read a task, which may stand for `count` equal ones; it may name any part of the tree."""
    state = STATES[part.one_of("state", list(STATES), TaskState.PENDING)]
    task = TaskCase(
        state=state,
        node=part.text("node", "") if state is TaskState.PENDING else part.name("node"),
        gpu_groups=part.texts("gpu_groups"),
        sub_group=_part_named(part, root),
        order=part.whole("order_priority", 0),
    )
    return [task] * part.whole("count", 1, most=MOST_COPIES)


def _part_named(part: Part, root: SubGroupCase | None) -> str:
    """Read which part a task belongs to; the root is what it belongs to without a name."""
    name = part.text("sub_group", "")
    if not name or (root and name == root.name):
        return ""
    if name not in {below.name for below in (root.below() if root else ())}:
        part.refuse("sub_group", f"There is no sub_group {name}.")
    return name


# ---------------------------------------------------------------- expectations


def _expectation(part: Part, jobs: set[str]) -> Expectation:
    at_most = part.part("at_most")
    expectation = Expectation(
        jobs={name: _expected(one) for name, one in part.named_parts("jobs").items()},
        tasks={name: _expected(one) for name, one in part.named_parts("tasks").items()},
        nodes={name: _expected_node(one) for name, one in part.named_parts("nodes").items()},
        most_binds=_count(at_most, "binds"),
        most_evictions=_count(at_most, "evictions"),
        most_pipelines=_count(at_most, "pipelines"),
        quiet_after_rounds=_count(part, "no_evictions_after_rounds"),
    )
    for name in expectation.jobs:
        if name not in jobs:
            part.refuse("jobs", f"There is no job {name}.")
    return replace(expectation, unknown=tuple(part.take_unread()))


def _expected(part: Part) -> Expected:
    checks_groups = part.flag("check_gpu_group", default=False)
    groups = part.texts("gpu_groups")
    status = part.one_of("status", list(EXPECTED_STATES)) if part.has("status") else None
    return Expected(
        status=EXPECTED_STATES[status] if status else None,
        node=part.text("node") if part.has("node") else None,
        gpu_millionths=part.gpus("gpus_requested_total") if part.has("gpus_requested_total") else None,
        cpu_milli=_count(part, "cpu_milli_total"),
        memory_bytes=_count(part, "memory_total"),
        gpu_groups=groups if checks_groups else None,
        running_at_least=_count(part, "running_at_least"),
        running_at_most=_count(part, "running_at_most"),
    )


def _expected_node(part: Part) -> ExpectedNode:
    return ExpectedNode(_count(part, "idle_gpus"), _count(part, "releasing_gpus"))


def _count(part: Part, name: str) -> int | None:
    return part.whole(name) if part.has(name) else None
