"""Who schedules a pod: Muster, where somebody asks for it, also for people who can set nothing but labels.

A project's namespace asks for all its pods by an annotation (or label) of its own. A pod asks by naming a project that
there is, or by asking for a portion of a GPU, which nobody else could give it. Only what names no scheduler is changed,
unless the namespace insists. Pods of a DaemonSet and pods that have their node already are nobody's to schedule.

The project of a pod is that of its namespace. What would wait for ever is refused: a pod for Muster's scheduler where
no project is, because recognition sees the pods of projects' namespaces alone, and one whose resource claims nobody
would allocate. What merely runs otherwise than its labels say is warned about.
"""

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Pod, Raw
from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES, PROJECT_LABELS, SCHEDULER_NAME

from muster_integrations.admission.answers import NOTHING, Answer, Context, add, is_kind, part, read
from muster_integrations.admission.portions import asks_for_portion

_UNDECIDED = frozenset({"", "default-scheduler"})
_BOUND_TO_NODES = frozenset({"DaemonSet", "Node"})
_CLAIMS = (
    "Muster allocates no resource claims, so the pod would never start: ask for nvidia.com/gpu or a portion of one "
    "instead of spec.resourceClaims, or name another scheduler."
)


def choose_scheduler(written: Raw, context: Context) -> Answer:
    """Give a new pod to Muster's scheduler if it, or its namespace, asks for that; refuse what would wait for ever."""
    if not context.created or not is_kind(written, "", "Pod"):
        return NOTHING
    pod = read(written, Pod)
    if pod is None or _has_its_node(pod):
        return NOTHING
    named, ours = _named_project(pod.metadata, context), pod.spec.scheduler_name in COMPATIBLE_SCHEDULER_NAMES
    if not context.project:
        return _outside_of_projects(pod.spec.scheduler_name if ours else "", named)
    chosen = not ours and _asks(pod, context)
    if (chosen or ours) and part(written, "spec").get("resourceClaims"):
        return Answer(refusal=_CLAIMS)
    patches = (add(SCHEDULER_NAME, "spec", "schedulerName"),) if chosen else ()
    return Answer(patches, warnings=_warnings(named, context.project))


def _outside_of_projects(scheduler: str, named: str) -> Answer:
    """Answer for a namespace that belongs to no project: refuse a pod for our scheduler, warn of a project's label."""
    of_it = f"the project {named}" if named else "a project"
    if scheduler:
        return Answer(
            refusal="This namespace belongs to no project, so nobody would ever schedule the pod: make it in the "
            f"namespace of {of_it}, or name another scheduler than {scheduler}."
        )
    if not named:
        return NOTHING
    return Answer(
        warnings=(
            "This namespace belongs to no project, so Muster does not schedule the pod: make it in the namespace of "
            f"{of_it}.",
        )
    )


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
    return (
        f"This namespace belongs to the project {project}: the pod counts for it, whatever its labels say of the "
        f"project {named}.",
    )
