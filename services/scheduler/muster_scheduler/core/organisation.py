"""The projects and departments as they were last written, and the queues that follow from them.

A queue is as old as the first event of its name: who was there before others comes before them, whatever is changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from muster_contracts.events import DepartmentChanged, ProjectChanged

from muster_scheduler.core.accounts import Queue


@dataclass
class Organisation:
    """Everybody who may have quota; those that were removed as well."""

    projects: dict[str, ProjectChanged] = field(default_factory=dict)
    departments: dict[str, DepartmentChanged] = field(default_factory=dict)
    ages: dict[str, int] = field(default_factory=dict)  # position of the first event, by key of the queue

    def put_project(self, event: ProjectChanged, position: int) -> None:
        """Take over a project."""
        self.ages.setdefault(f"project/{event.name}", position)
        self.projects[event.name] = event

    def put_department(self, event: DepartmentChanged, position: int) -> None:
        """Take over a department."""
        self.ages.setdefault(f"department/{event.name}", position)
        self.departments[event.name] = event

    def queues(self) -> tuple[Queue, ...]:
        """Return the queues that there are, the oldest first."""
        return tuple(sorted(self._queues(), key=lambda queue: (queue.age, queue.key)))

    def _queues(self) -> Iterator[Queue]:
        for name, department in self.departments.items():
            if not department.removed:
                yield self._queue(f"department/{name}", department, department.parent)
        for name, project in self.projects.items():
            if not project.removed:
                yield self._queue(f"project/{name}", project, project.department)

    def _queue(self, key: str, event: ProjectChanged | DepartmentChanged, above: str) -> Queue:
        return Queue(
            key=key,
            name=event.name,
            parent=f"department/{above}" if above else "",
            age=self.ages[key],
            quotas=event.quotas,
            preempt_minimum_seconds=event.preempt_minimum_seconds,
            reclaim_minimum_seconds=event.reclaim_minimum_seconds,
        )
