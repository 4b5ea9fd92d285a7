"""A pod that nobody owns: its own workload, which runs once and can only be deleted.

Also what is said of the pods of a controller we do not know: its pods are all there is to see of it.
"""

from collections.abc import Sequence

from muster_cluster.objects import PODS, Pod, PodSpec
from muster_contracts.values import Outcome, OwnerFacts, Supports

from muster_integrations.recognition.controls import delete_only
from muster_integrations.recognition.kinds import Kind, Standing

ENDED = frozenset({"Succeeded", "Failed"})


def bare_owner(pod: Pod, _pods: Sequence[Pod]) -> OwnerFacts:
    """Return what a pod says of itself, in the words for owners."""
    ended = [finished for state in pod.status.container_statuses if (finished := state.state.terminated)]
    moments = [state.finished_at for state in ended if state.finished_at]
    outcome = _outcome([pod])
    return OwnerFacts(
        deleting=pod.metadata.deletion_timestamp is not None,
        outcome=outcome,
        reason=pod.status.message if outcome is Outcome.FAILED else "",
        finished_at=max(moments) if moments and outcome is not Outcome.NONE else None,
    )


def unknown_owner(_item: None, pods: Sequence[Pod]) -> OwnerFacts:
    """Return what the pods say together: it has ended when all of them have."""
    return OwnerFacts(outcome=_outcome(pods), desired_pods=len(pods), min_pods=min(1, len(pods)))


def template(pod: Pod) -> PodSpec:
    """Return what the pod asks for."""
    return pod.spec


def _outcome(pods: Sequence[Pod]) -> Outcome:
    phases = {pod.status.phase for pod in pods}
    if not phases or not phases <= ENDED:
        return Outcome.NONE
    return Outcome.FAILED if "Failed" in phases else Outcome.SUCCEEDED


POD = Kind(
    group="",
    name="Pod",
    standing=Standing.STEP,
    resource=PODS,
    supports=Supports(stop=False, activate=False, delete=True),
    owner=bare_owner,
    controls=delete_only("A pod without a controller cannot be suspended; it can only be deleted."),
    template=template,
)


def unknown(group: str, name: str) -> Kind:
    """Return what can be said of a kind that is not in the table."""
    return Kind(group=group, name=name, owner=unknown_owner)
