"""Who schedules a pod: Muster, where somebody asks for it, also for people who can set nothing but labels.

A project's namespace asks for all its pods by an annotation (or label) of its own. A pod asks by naming a project that
there is, or by asking for a portion of a GPU, which nobody else could give it. Only what names no scheduler is changed,
unless the namespace insists. Pods of a DaemonSet and pods that have their node already are nobody's to schedule.
"""

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Pod, Raw
from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES, SCHEDULER_NAME

from muster_integrations.admission.answers import NOTHING, Answer, Context, add, is_kind, read
from muster_integrations.admission.portions import asks_for_portion
from muster_integrations.admission.projects import named_project, project_of

_UNDECIDED = frozenset({"", "default-scheduler"})
_BOUND_TO_NODES = frozenset({"DaemonSet", "Node"})


def choose_scheduler(written: Raw, context: Context) -> Answer:
    """Give a new pod to Muster's scheduler if it, or its namespace, asks for that."""
    if not context.created or not is_kind(written, "", "Pod"):
        return NOTHING
    pod = read(written, Pod)
    if pod is None or not project_of(pod.metadata, context) or _has_its_node(pod):
        return NOTHING
    warnings = _warnings(pod.metadata, context)
    if pod.spec.scheduler_name in COMPATIBLE_SCHEDULER_NAMES or not _asks(pod, context):
        return Answer(warnings=warnings)
    return Answer((add(SCHEDULER_NAME, "spec", "schedulerName"),), warnings=warnings)


def _asks(pod: Pod, context: Context) -> bool:
    if context.enforced:
        return True
    asked = bool(named_project(pod.metadata, context)) or asks_for_portion(pod)
    return asked and pod.spec.scheduler_name in _UNDECIDED


def _has_its_node(pod: Pod) -> bool:
    controller = pod.metadata.controller
    return bool(pod.spec.node_name) or (controller is not None and controller.kind in _BOUND_TO_NODES)


def _warnings(metadata: Metadata, context: Context) -> tuple[str, ...]:
    named = named_project(metadata, context)
    if not named or named == context.project or not context.project:
        return ()
    return (
        f"This namespace belongs to the project {context.project}: the pod counts for it, "
        f"whatever its labels say of the project {named}.",
    )
