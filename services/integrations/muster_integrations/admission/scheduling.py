"""Who schedules a pod: Muster, where somebody asks for it, also for people who can set nothing but labels.

A project's namespace asks for all its pods by an annotation (or label) of its own. A pod asks by naming a project that
there is, or by asking for a portion of a GPU, which nobody else could give it. Only what names no scheduler is changed,
unless the namespace insists. Pods of a DaemonSet and pods that have their node already are nobody's to schedule.

The project of a pod is that of its namespace. Where labels name another, or the namespace is no project's, its author
is told so: recognition sees the pods of projects' namespaces alone, and a pod that nobody sees would wait for ever.
"""

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Pod, Raw
from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES, PROJECT_LABELS, SCHEDULER_NAME

from muster_integrations.admission.answers import NOTHING, Answer, Context, add, is_kind, read
from muster_integrations.admission.portions import asks_for_portion

_UNDECIDED = frozenset({"", "default-scheduler"})
_BOUND_TO_NODES = frozenset({"DaemonSet", "Node"})


def choose_scheduler(written: Raw, context: Context) -> Answer:
    """Give a new pod to Muster's scheduler if it, or its namespace, asks for that."""
    if not context.created or not is_kind(written, "", "Pod"):
        return NOTHING
    pod = read(written, Pod)
    if pod is None or _has_its_node(pod):
        return NOTHING
    warnings = _warnings(_named_project(pod.metadata, context), context.project)
    known = pod.spec.scheduler_name in COMPATIBLE_SCHEDULER_NAMES
    if not context.project or known or not _asks(pod, context):
        return Answer(warnings=warnings)
    return Answer((add(SCHEDULER_NAME, "spec", "schedulerName"),), warnings=warnings)


def _asks(pod: Pod, context: Context) -> bool:
    if context.enforced:
        return True
    asked = bool(_named_project(pod.metadata, context)) or asks_for_portion(pod)
    return asked and pod.spec.scheduler_name in _UNDECIDED


def _has_its_node(pod: Pod) -> bool:
    controller = pod.metadata.controller
    return bool(pod.spec.node_name) or (controller is not None and controller.kind in _BOUND_TO_NODES)


def _named_project(metadata: Metadata, context: Context) -> str:
    """Return the project that labels name; empty when they name none there is: many people label pods `project`."""
    named = (metadata.labels.get(label, "") for label in PROJECT_LABELS)
    return next((project for project in named if project in context.projects), "")


def _warnings(named: str, project: str) -> tuple[str, ...]:
    if not named or named == project:
        return ()
    if not project:
        return (
            "This namespace belongs to no project, so Muster does not schedule the pod: make it in the namespace of "
            f"the project {named}.",
        )
    return (
        f"This namespace belongs to the project {project}: the pod counts for it, whatever its labels say of the "
        f"project {named}.",
    )
