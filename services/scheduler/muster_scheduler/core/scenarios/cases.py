"""What a scenario says, as frozen values in the units of the contracts: the cluster, who wants what, what must come.

`reader` makes these from JSON, `world` makes events of them, `expectations` compares. None stands for unlimited, or for
"not said" where that differs. A queue that has none below it is a project, the others are departments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

NOTHING_EXPECTED = "It expects nothing, so nothing was checked."


class TaskState(StrEnum):
    """How a task stands when the scenario begins, and how it may be expected to stand."""

    PENDING = "Pending"
    RUNNING = "Running"
    RELEASING = "Releasing"
    BINDING = "Binding"
    PIPELINED = "Pipelined"


class Mode(StrEnum):
    """Full cycles until the expectation holds, or one look at what a single plan would do."""

    SETTLED = "settled_full_cycle"
    SINGLE = "single_action"


@dataclass(frozen=True, slots=True)
class NodeCase:
    """A node; `gpu_memory_bytes` per device."""

    name: str
    gpus: int
    cpu_milli: int
    memory_bytes: int
    max_pods: int
    gpu_memory_bytes: int
    labels: dict[str, str]
    unschedulable: bool = False


@dataclass(frozen=True, slots=True)
class QueueCase:
    """A queue or a department. `parent` "" stands directly below the cluster."""

    name: str
    parent: str
    priority: int = 0
    deserved_gpu_millionths: int | None = None
    max_gpu_millionths: int | None = None
    gpu_weight: int = 0
    deserved_cpu_milli: int | None = None
    max_cpu_milli: int | None = None
    deserved_memory_bytes: int | None = None
    max_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TopologyCase:
    """Node label keys, the widest first."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NearnessCase:
    """The label keys within one value of which the pods must be, or should be, as levels of a topology."""

    topology: str = ""
    required: str = ""
    preferred: str = ""


@dataclass(frozen=True, slots=True)
class SubGroupCase:
    """A part of a gang: a set of pods with a minimum of its own, or a group of such parts.

    `min_parts` is how many of the parts have to be whole; None is all of them.
    """

    name: str
    min_members: int = 0
    parts: tuple["SubGroupCase", ...] = ()
    min_parts: int | None = None
    topology: NearnessCase = NearnessCase()

    @property
    def fewest(self) -> int:
        """The fewest pods with which this part is whole."""
        if not self.parts:
            return self.min_members
        needed = sorted(part.fewest for part in self.parts)
        return max(self.min_members, sum(needed[: self.min_parts]))

    def below(self) -> Iterator["SubGroupCase"]:
        """Yield every part below this one, each before its own."""
        for part in self.parts:
            yield part
            yield from part.below()


@dataclass(frozen=True, slots=True)
class TaskCase:
    """One pod. Tasks with one `gpu_groups` label on a node share that device; the greater order goes first."""

    state: TaskState
    node: str = ""
    gpu_groups: tuple[str, ...] = ()
    sub_group: str = ""
    order: int = 0


@dataclass(frozen=True, slots=True)
class JobCase:
    """A gang of equal tasks. `age_seconds` before the moment it appears; copies of one entry are a family."""

    name: str
    family: str
    queue: str
    namespace: str
    priority: int
    preemptible: bool
    min_members: int
    gpu_millionths: int
    gpu_memory_bytes: int | None
    cpu_milli: int
    memory_bytes: int
    tasks: tuple[TaskCase, ...]
    age_seconds: int
    root: SubGroupCase | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """How all tasks of one job, or one task, must stand. None is not checked."""

    status: TaskState | None = None
    node: str | None = None
    gpu_millionths: int | None = None
    cpu_milli: int | None = None
    memory_bytes: int | None = None
    gpu_groups: tuple[str, ...] | None = None
    running_at_least: int | None = None
    running_at_most: int | None = None


@dataclass(frozen=True, slots=True)
class ExpectedNode:
    """How many whole devices of a node nobody has, and how many only those have who are leaving."""

    idle_gpus: int | None = None
    releasing_gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """All that must hold. `unknown` are expectations nobody can check; a case that has some cannot pass."""

    jobs: dict[str, Expected] = field(default_factory=dict)
    tasks: dict[str, Expected] = field(default_factory=dict)
    nodes: dict[str, ExpectedNode] = field(default_factory=dict)
    most_binds: int | None = None
    most_evictions: int | None = None
    most_pipelines: int | None = None
    quiet_after_rounds: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be checked."""
        named = (*self.jobs.values(), *self.tasks.values(), *self.nodes.values())
        said = [one for one in named if one not in (Expected(), ExpectedNode())]
        return replace(self, jobs={}, tasks={}, nodes={}) == Expectation() and not said


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next, in this order; then rounds go by, and the expectation must hold, and hold on.

    Jobs leave; nodes are lost, come, or change; queues change; jobs come.
    """

    jobs: tuple[JobCase, ...]
    leaving: tuple[str, ...]
    expectation: Expectation
    rounds_until_match: int
    rounds_after_match: int
    nodes: tuple[NodeCase, ...] = ()
    lost_nodes: tuple[str, ...] = ()
    queues: tuple[QueueCase, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario. The first step is the case itself; `remarks` are fields that were passed over."""

    id: str
    mode: Mode
    action: str
    seconds_between_rounds: float
    nodes: tuple[NodeCase, ...]
    queues: tuple[QueueCase, ...]
    topologies: tuple[TopologyCase, ...]
    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = ()
