"""Why a group waits: one dominant reason with its numbers, in words a person can act on.

The code is for machines and stays; the sentence may be improved. Numbers are those the sentence names; GPUs are counted
in millionths where a sentence can speak of parts of one, times (`until`) in seconds since 1970. Groups that wait alike
share the work of finding out why. Pitfall: sentences are stored and read later, so none may say how long from now.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from muster_scheduler.core.essence import essence
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.need import Need

GATED = "SchedulingGated"
UNBOUND = "BindingRefused"
HELD_BACK = frozenset({GATED, UNBOUND})
MEBIBYTE, GIBIBYTE = 1024**2, 1024**3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMED = 3
"""Names that a sentence lists at most."""


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
        """The gang is not complete: somebody holds pods of it back, or too few exist, of all or of a part."""
        present = sum(view.held.values()) + len(view.waiting)
        if present + len(view.gates) + len(view.rests) >= view.min_members:
            if view.gates:
                return cls.for_gates(view)
            if view.rests:
                return cls.for_rests(view)
        if present < view.min_members:
            needed, sentence = view.min_members, f"needs {view.min_members} pods to start together; {present} exist."
        else:
            name, needed, present = _short_part(view)
            sentence = f"needs {needed} pods of its part {name} to start; {present} exist."
        return cls(
            view.workload_id,
            view.id,
            "PodsMissing",
            f"{view.name} {sentence}",
            "The owner of the pods has to create the missing ones.",
            {"needed": needed, "present": present},
        )

    @classmethod
    def for_gates(cls, view: GroupView) -> "Blocked":
        """Somebody holds pods of it back."""
        names = listed(sorted({name for gates in view.gates for name in gates}))
        return cls(
            view.workload_id,
            view.id,
            GATED,
            f"{view.name} has {counted(len(view.gates), 'pod', 'pods')} that may not be scheduled yet, "
            f"by the scheduling gate {names}.",
            "Whoever set the gate has to take it away; nobody else can.",
            {"pods": len(view.gates)},
        )

    @classmethod
    def for_rests(cls, view: GroupView) -> "Blocked":
        """Kubernetes refused to bind pods of it, more than once in a row."""
        pods = counted(len(view.rests), "pod", "pods")
        return cls(
            view.workload_id,
            view.id,
            UNBOUND,
            f"{view.name} has {pods} that Kubernetes refused to bind, more than once in a row; "
            f"the next attempt is at {max(view.rests):%H:%M:%S} UTC.",
            "The history of the workload says what was refused; whoever keeps changing its pods has to stop.",
            {"pods": len(view.rests)},
        )


def _short_part(view: GroupView) -> tuple[str, int, int]:
    """Return the first part that has too few pods, how many it needs, and how many it has."""
    there = Counter(view.held) + Counter(view.leaf_of(pod.facts) for pod in view.waiting)
    leaves = view.tree.leaves()
    short = next((leaf for leaf in leaves if there[leaf.name] < leaf.minimum), leaves[0])
    return short.name, short.minimum, there[short.name]


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason without the group: the sentence goes on after its name. `awaited` are pods whose place it waits for."""

    code: str
    sentence: str
    remedy: str
    numbers: dict[str, int]
    awaited: frozenset[UUID] = frozenset()

    def of(self, view: GroupView, place: int) -> Blocked:
        """Say it of one group, which is `place` in the queue."""
        numbers = {**self.numbers, "queue_position": place}
        return Blocked(view.workload_id, view.id, self.code, f"{view.name} {self.sentence}", self.remedy, numbers)

    def adding(self, sentence: str) -> "Cause":
        """Say one thing more."""
        return replace(self, sentence=f"{self.sentence} {sentence}")


EXACT = ".15g"
"""How an amount is written that people compare with what they asked for: all its digits, and no power of ten."""


def gpus(millionths: int) -> str:
    """Write an amount of GPUs."""
    amount = f"{millionths / 1_000_000:{EXACT}}"
    return f"{amount} GPU" if amount == "1" else f"{amount} GPUs"


def amount_of(resource: int, value: int) -> str:
    """Write an amount of a resource by its place in a triple."""
    if resource == 0:
        return gpus(value)
    return _cpus(value) if resource == 1 else _memory(value)


def _memory(amount: int) -> str:
    small = 0 < amount < GIBIBYTE
    return f"{_short(amount / MEBIBYTE)} MiB of memory" if small else f"{_short(amount / GIBIBYTE)} GiB of memory"


def _short(amount: float) -> str:
    return f"{amount:.4g}" if amount < 1000 else f"{amount:.0f}"  # and not 1.234e+04


def _cpus(thousandths: int) -> str:
    amount = f"{thousandths / 1000:{EXACT}}"
    return f"{amount} CPU" if amount == "1" else f"{amount} CPUs"


def of_devices(need: Need) -> str:
    """Write which devices a pod wants a part of."""
    return "a GPU" if need.devices == 1 else f"{need.devices} GPUs of one node"


def whole_of(need: Need) -> str:
    """Write all that a pod asks for."""
    named = [f"{count} {name}" for name, count in need.extended]
    amounts = [amount_of(r, asked) for r, asked in ((1, need.cpu_milli), (2, need.memory_bytes)) if asked]
    return ", ".join([*_gpus_of(need), *amounts, *named]) or "a place"


def _gpus_of(need: Need) -> Iterator[str]:
    if need.device_bytes:
        yield f"{amount_of(2, need.device_bytes)} of {of_devices(need)}"
    elif need.devices:
        yield gpus(need.devices * need.portion)


def counted(count: int, one: str, many: str) -> str:
    """Write a number with its noun."""
    return f"{count} {one if count == 1 else many}"


def whole_seconds(moment: datetime) -> int:
    """Return a moment in seconds since 1970, rounded up: what ends then is over."""
    return -((EPOCH - moment) // timedelta(seconds=1))


def clock(seconds: int, today: datetime) -> str:
    """Write the time of the day of a moment in seconds since 1970, with the day if it is not today."""
    at = EPOCH + timedelta(seconds=seconds)
    return f"{at:%H:%M:%S} UTC" if at.date() == today.astimezone(UTC).date() else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def are_free(amount: str) -> str:
    """Say of a written amount that it is free."""
    return f"{amount} {'is' if amount.startswith('1 ') else 'are'} free"


def listed(names: Sequence[str]) -> str:
    """Write some names, not more than a few."""
    return ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])
