"""One entry of a file that stands for many: `count` nodes or jobs, named after it and a number.

A copy remembers its family, and an expectation that names the family speaks of all of it. A task that runs on a family
of nodes runs on one of them: the tasks of a family of jobs go round its nodes, one after the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from muster_scheduler.core.scenarios.cases import JobCase, NodeCase, TaskCase, TaskState


def node_copies(node: NodeCase, count: int | None) -> Iterator[NodeCase]:
    """Yield the node itself, or its copies."""
    if count is None:
        yield node
        return
    for number in range(count):
        yield replace(node, name=f"{node.name}-{number}")


def job_copies(job: JobCase, count: int | None, families: Mapping[str, int]) -> Iterator[JobCase]:
    """Yield the job itself, or its copies, each task on one node; `families` says how many nodes each has."""
    for number in range(1 if count is None else count):
        first = number * len(job.tasks)
        tasks = tuple(_on_one_node(task, first + index, families) for index, task in enumerate(job.tasks))
        yield replace(job, name=job.name if count is None else f"{job.name}-{number}", tasks=tasks)


def _on_one_node(task: TaskCase, place: int, families: Mapping[str, int]) -> TaskCase:
    if task.state is TaskState.PENDING or task.node not in families:
        return task
    return replace(task, node=f"{task.node}-{place % families[task.node]}")
