"""Why a group waits: one dominant reason with its numbers, in words a person can act on.

The code is for machines and stays; the sentence may be improved. Numbers are those the sentence names; GPUs are counted
in millionths where a sentence can speak of parts of one. Groups that wait alike share the work of finding out why.
"""

from dataclasses import dataclass, field
from uuid import UUID

from muster_scheduler.core.essence import essence
from muster_scheduler.core.groups import GroupView

GIBIBYTE = 1024**3


@dataclass(frozen=True, slots=True)
class Blocked:
    """A group that stays waiting, and why. What would free it is `remedy`."""

    workload_id: UUID
    pod_group_id: UUID
    code: str
    reason: str
    remedy: str = ""
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def essence(self) -> str:
        """What makes it another reason."""
        return essence(self.code, self.numbers)

    @classmethod
    def for_missing_pods(cls, view: GroupView) -> "Blocked":
        """The gang is not complete: too few of its pods exist."""
        present = sum(view.held.values()) + len(view.waiting)
        if present < view.min_members:
            sentence = f"{view.name} needs {view.min_members} pods to start together; {present} exist."
        else:
            sentence = f"{view.name} has {present} pods, but a part of it has fewer than it needs to start."
        return cls(
            view.workload_id,
            view.id,
            "PodsMissing",
            sentence,
            "The owner of the pods has to create the missing ones.",
            {"needed": view.min_members, "present": present},
        )


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason without the group: the sentence goes on after its name, `owner` being the queue it speaks of."""

    code: str
    sentence: str
    remedy: str
    numbers: dict[str, int]

    def of(self, view: GroupView, place: int) -> Blocked:
        """Say it of one group, which is `place` in the queue."""
        numbers = {**self.numbers, "queue_position": place}
        return Blocked(view.workload_id, view.id, self.code, f"{view.name} {self.sentence}", self.remedy, numbers)


def gpus(millionths: int) -> str:
    """Write an amount of GPUs."""
    amount = f"{millionths / 1_000_000:g}"
    return f"{amount} GPU" if amount == "1" else f"{amount} GPUs"


def amount_of(resource: int, value: int) -> str:
    """Write an amount of a resource by its place in a triple."""
    if resource == 0:
        return gpus(value)
    return f"{value / 1000:g} CPUs" if resource == 1 else f"{value / GIBIBYTE:.4g} GiB of memory"
