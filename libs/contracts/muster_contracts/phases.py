"""The nine phases of a workload, and the words that describe what kind of workload it is.

The table that says how a workload gets from one phase to another is `muster_status.core.phase_table`; here are only
the names, because they cross every boundary.
"""

from enum import StrEnum


class Phase(StrEnum):
    """Where a workload stands (docs/lifecycle.md). After Deleting comes no phase, only `WorkloadGone`."""

    CREATING = "Creating"
    PENDING = "Pending"
    INITIALIZING = "Initializing"
    RUNNING = "Running"
    DEGRADED = "Degraded"
    DELETING = "Deleting"
    STOPPED = "Stopped"
    FAILED = "Failed"
    COMPLETED = "Completed"


TERMINAL_PHASES = frozenset({Phase.COMPLETED, Phase.FAILED})
"""Phases in which nothing more happens unless somebody deletes the workload."""


class WorkloadClass(StrEnum):
    """What Muster can do for a workload; each class includes the features of the one before.

    Kubernetes: it is scheduled fairly. Third-party: its parts are recognised and scheduled together. Native: it was
    submitted through Muster, which makes its objects.
    """

    KUBERNETES = "kubernetes"
    THIRD_PARTY = "third-party"
    NATIVE = "native"


class WorkloadKind(StrEnum):
    """What somebody may submit through Muster."""

    TRAINING = "training"
    WORKSPACE = "workspace"


class PriorityClass(StrEnum):
    """The priority of a workload inside its project, as Run:ai names it; build and inference are not preemptible."""

    TRAIN = "train"
    INTERACTIVE_PREEMPTIBLE = "interactive-preemptible"
    BUILD = "build"
    INFERENCE = "inference"
