"""What a case says that is allowed, and yet is hardly meant: told beside the outcome, and played all the same.

What contradicts itself is refused by `reader`; here is what has a meaning that surprises. A gang may have fewer pods
than it needs, for its owner may make more; it then waits for ever.
"""

from collections.abc import Iterable, Iterator

from muster_scheduler.core.scenarios.cases import Case, JobCase, NearnessCase, SubGroupCase, TopologyCase


def doubts(case: Case) -> Iterator[str]:
    """Yield one sentence for each thing that is hardly meant."""
    for job in (job for step in case.steps for job in step.jobs):
        yield from _missing_pods(job)
        if job.root:
            yield from _left_outside(job, job.root)
            for part in (job.root, *job.root.below()):
                yield from _unknown_levels(job, part.topology, case.topologies)


def _missing_pods(job: JobCase) -> Iterator[str]:
    if job.min_members > len(job.tasks):
        yield f"{job.name} has {len(job.tasks)} of the {job.min_members} tasks of min_available and never starts."
    elif not job.tasks:
        yield f"{job.name} has no tasks, so there is nothing to start."


def _left_outside(job: JobCase, root: SubGroupCase) -> Iterator[str]:
    leaves = {part.name for part in root.below() if not part.parts}
    outside = sum(task.sub_group not in leaves for task in job.tasks) if leaves else 0
    if outside:
        yield f"{job.name} has {outside} of its tasks outside of its sub_groups, whose rules do not bind it there."


def _unknown_levels(job: JobCase, wanted: NearnessCase, topologies: Iterable[TopologyCase]) -> Iterator[str]:
    if not (wanted.topology and (wanted.required or wanted.preferred)):
        return
    topology = next((one for one in topologies if one.name == wanted.topology), None)
    if topology is None:
        yield f"{job.name} asks for topology {wanted.topology}, which there is not."
        return
    for level in (wanted.required, wanted.preferred):
        if level and level not in topology.levels:
            yield f"{job.name} asks for {level}, which is no level of topology {wanted.topology}."
