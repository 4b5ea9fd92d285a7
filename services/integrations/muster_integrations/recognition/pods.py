"""A pod that nobody owns: its own workload, which runs once and can only be deleted.

Also what is said of the pods of a controller we do not know: its pods are all there is to see of it.
"""

from collections.abc import Sequence

from muster_cluster.objects import PODS, Pod
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import Outcome, OwnerFacts, Supports

from muster_integrations.recognition.controls import delete_only
from muster_integrations.recognition.kinds import Grouping, Kind, Members, Sight, Standing, System, Watch, together

ENDED = frozenset({"Succeeded", "Failed"})
_STATIC = "kubernetes.io/config.mirror"


def bare_owner(sight: Sight) -> OwnerFacts:
    """Return what a pod says of itself, in the words for owners."""
    pod: Pod | None = sight.item
    if pod is None:
        return OwnerFacts(outcome=outcome_of(sight.pods))
    ended = [finished for state in pod.status.container_statuses if (finished := state.state.terminated)]
    moments = [state.finished_at for state in ended if state.finished_at]
    outcome = outcome_of([pod])
    return OwnerFacts(
        deleting=pod.metadata.deletion_timestamp is not None,
        outcome=outcome,
        reason=pod.status.message if outcome is Outcome.FAILED else "",
        finished_at=max(moments) if moments and outcome is not Outcome.NONE else None,
    )


def bare_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the one pod there is."""
    pod: Pod | None = sight.item
    return (Members("pod", 1, 1, pod.spec, pod.metadata.annotations),) if pod is not None else None


def unknown_owner(sight: Sight) -> OwnerFacts:
    """Return what the pods say together: it has ended when all of them have. The object only says that it goes."""
    return OwnerFacts(deleting=sight.deleting, outcome=outcome_of(sight.pods))


def outcome_of(pods: Sequence[Pod]) -> Outcome:
    """Return how pods ended together: not before the last has, and well only if all have."""
    phases = {pod.status.phase for pod in pods}
    if not phases or not phases <= ENDED:
        return Outcome.NONE
    return Outcome.FAILED if "Failed" in phases else Outcome.SUCCEEDED


def fate_of(pod: Pod, container: str) -> Outcome:
    """Return how a pod ended, by the container that counts: others may hold it for longer, or fail after it."""
    states = (status.state for status in pod.status.container_statuses if status.name == container)
    ended = next((state.terminated for state in states if state.terminated), None)
    if ended is None:
        return outcome_of([pod])
    return Outcome.FAILED if ended.exit_code else Outcome.SUCCEEDED


def living(pods: Sequence[Pod]) -> int:
    """Count the pods that have not ended."""
    return sum(1 for pod in pods if pod.status.phase not in ENDED)


def as_many_as_live(sight: Sight, key: str) -> Sequence[Grouping]:
    """Put the pods of an object that cannot be read into one group that needs all that live."""
    return [Grouping(key, sight.name, max(1, living(sight.pods)), sight.pods)]


def is_static(pod: Pod) -> str:
    """Say of the mirror of a static pod that it is the node's."""
    return "It is a static pod of its node." if _STATIC in pod.metadata.annotations else ""


POD = Kind(
    group="",
    name="Pod",
    standing=Standing.STEP,
    workload_class=WorkloadClass.KUBERNETES,
    watch=Watch(PODS.plural, PODS.model),
    absorbs=frozenset({("apps", "StatefulSet")}),  # the workers that the leader of a LeaderWorkerSet's copy owns
    supports=Supports(stop=False, activate=False, delete=True),
    owner=bare_owner,
    members=bare_members,
    controls=delete_only("A pod without a controller cannot be suspended; it can only be deleted."),
)

NODE = Kind(group="", name="Node", standing=Standing.APART)  # owns the mirrors of its static pods

SYSTEM = System(kinds=(POD, NODE), apart=(is_static,))


def unknown(group: str, name: str) -> Kind:
    """Return what can be said of a kind that is not in the table."""
    return Kind(
        group=group,
        name=name,
        workload_class=WorkloadClass.KUBERNETES,
        owner=unknown_owner,
        groups=together,
    )
