"""What differs between a world and what a scenario expects of it, one sentence for each difference."""

from collections.abc import Callable, Iterable, Iterator

from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.scenarios.cases import Expectation, Expected, TaskState
from muster_scheduler.core.scenarios.world import Deeds, Task, World


def differences(expectation: Expectation, world: World, deeds: Deeds) -> list[str]:
    """Return what does not hold; `deeds` are those the upper bounds speak of."""
    return [
        *(f"{path} is not known, so it cannot be checked." for path in expectation.unknown),
        *_jobs(expectation, world),
        *_tasks(expectation, world),
        *_shared_devices(expectation, world),
        *_nodes(expectation, world),
        *_bounds(expectation, deeds),
    ]


def _jobs(expectation: Expectation, world: World) -> Iterator[str]:
    for name, expected in expectation.jobs.items():
        tasks = _tasks_of(name, world)
        if not tasks:
            yield f"{name} has no pods."
        for task in tasks:
            yield from _standing(task, expected)
        yield from _totals(name, tasks, expected)
        yield from _running(name, tasks, expected)


def _tasks(expectation: Expectation, world: World) -> Iterator[str]:
    by_name = {task.name: task for task in world.tasks.values()}
    for name, expected in expectation.tasks.items():
        if (task := by_name.get(name)) is None:
            yield f"{name} has no pod."
        else:
            yield from _standing(task, expected)
            yield from _totals(name, [task], expected)


def _tasks_of(job: str, world: World) -> list[Task]:
    """Return the tasks of a job, or of a family of jobs."""
    tasks = [task for task in world.tasks.values() if job in {task.job.name, task.job.family}]
    return sorted(tasks, key=lambda task: (task.job.name, task.index))


def _standing(task: Task, expected: Expected) -> Iterator[str]:
    """Yield how a task stands if it should stand otherwise; one that moves both leaves and has a place promised."""
    statuses = {task.status, TaskState.PIPELINED} if task.promised else {task.status}
    wrong_status = expected.status is not None and expected.status not in statuses
    if wrong_status or (expected.node is not None and expected.node not in {task.node, task.promised}):
        where = f" on {task.node or task.promised}" if task.node or task.promised else ""
        wanted = f" on {expected.node}" if expected.node else ""
        yield f"{task.name} should be {expected.status or task.status}{wanted}, and is {task.status}{where}."


def _totals(name: str, tasks: Iterable[Task], expected: Expected) -> Iterator[str]:
    requests = [task.pod.requests for task in tasks]
    gpus = sum(request.gpu_millionths for request in requests)
    if expected.gpu_millionths not in {None, gpus}:
        yield f"{name} should ask for {_gpus(expected.gpu_millionths or 0)} GPUs in all, and asks for {_gpus(gpus)}."
    cpu_milli = sum(request.cpu_milli for request in requests)
    if expected.cpu_milli not in {None, cpu_milli}:
        yield f"{name} should ask for {expected.cpu_milli} thousandths of a processor in all, and asks for {cpu_milli}."
    memory = sum(request.memory_bytes for request in requests)
    if expected.memory_bytes not in {None, memory}:
        yield f"{name} should ask for {expected.memory_bytes} bytes in all, and asks for {memory}."


def _running(name: str, tasks: Iterable[Task], expected: Expected) -> Iterator[str]:
    running = sum(task.status is TaskState.RUNNING for task in tasks)
    if expected.running_at_least is not None and running < expected.running_at_least:
        yield f"{name} should have at least {expected.running_at_least} pods running, and has {running}."
    if expected.running_at_most is not None and running > expected.running_at_most:
        yield f"{name} should have at most {expected.running_at_most} pods running, and has {running}."


def _shared_devices(expectation: Expectation, world: World) -> Iterator[str]:
    """Yield where labels and devices do not match: on one node, one label is one device."""
    devices: dict[tuple[str, str], tuple[int, str]] = {}
    labels: dict[tuple[str, int], tuple[str, str]] = {}
    for task, label, index in _labelled_shares(expectation, world):
        device, other = devices.setdefault((task.node, label), (index, task.name))
        if device != index:
            yield f"{task.name} should share a device of {task.node} with {other}, and has {index} instead of {device}."
        known, other = labels.setdefault((task.node, index), (label, task.name))
        if known != label:
            yield f"{task.name} should not share device {index} of {task.node} with {other}."


def _labelled_shares(expectation: Expectation, world: World) -> Iterator[tuple[Task, str, int]]:
    by_name = {task.name: [task] for task in world.tasks.values()}
    expected = [(_tasks_of(name, world), one) for name, one in expectation.jobs.items()]
    expected += [(by_name.get(name, []), one) for name, one in expectation.tasks.items()]
    for tasks, one in expected:
        for task in tasks:
            if task.node and not task.promised and one.gpu_groups is not None:  # who moves still has those he leaves
                for label, share in zip(one.gpu_groups, task.devices, strict=False):
                    yield task, label, share.index


def _nodes(expectation: Expectation, world: World) -> Iterator[str]:
    for name, expected in expectation.nodes.items():
        idle, releasing = world.gpus_of(name)
        if expected.idle_gpus not in {None, idle}:
            yield f"{name} should have {expected.idle_gpus} idle GPUs, and has {idle}."
        if expected.releasing_gpus not in {None, releasing}:
            yield f"{name} should have {expected.releasing_gpus} GPUs in release, and has {releasing}."


def _bounds(expectation: Expectation, deeds: Deeds) -> Iterator[str]:
    bounds: list[tuple[int | None, int, Callable[[int], str]]] = [
        (expectation.most_binds, deeds.binds, lambda count: f"{count} pods were bound"),
        (expectation.most_evictions, deeds.evictions, lambda count: f"{count} pods were evicted"),
        (expectation.most_pipelines, deeds.pipelines, lambda count: f"{count} places were promised"),
    ]
    for most, done, sentence in bounds:
        if most is not None and done > most:
            yield f"{sentence(done)}, and {most} are the most allowed."


def _gpus(millionths: int) -> str:
    return f"{millionths / WHOLE_GPU:g}"
