"""Kubeflow's training jobs: PyTorchJob, TFJob, XGBoostJob, JAXJob, PaddleJob and both kinds of MPIJob.

They differ in the names of their replicas and in nothing else that matters here: each has one gang, as large as
`minAvailable`, an elastic policy, or the sum of its replicas says. The MPIJob of the training operator (`v1`) owns all
its pods; that of the MPI operator (`v2beta1`) owns its launcher through a Job, labels it by `job-role` alone, and may
make it only after the workers are ready: a gang that waited for such a launcher would wait for ever.

Pitfall: conditions stay True when they are over (`Created` always), so the first that holds in a fixed order counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from muster_cluster.objects import Pod
from muster_contracts.values import Outcome, OwnerFacts, SubGroup, Supports

from muster_integrations.recognition.controls import by_switch
from muster_integrations.recognition.fields import (
    Raw,
    field,
    holding,
    how_many,
    mapping,
    moment,
    number,
    pod_spec,
    sentence,
    text,
    texts,
)
from muster_integrations.recognition.jobs import JOB
from muster_integrations.recognition.kinds import Claim, Grouping, Kind, KindName, Members, Sight, System, Watch
from muster_integrations.recognition.pods import as_many_as_live

GANG: Final = "gang"
GROUP: Final = "kubeflow.org"
LABELS: Final = "training.kubeflow.org/"
_FIRST_ROLES: Final = ("launcher", "master", "chief", "ps", "worker")
_CONDITIONS: Final = ("Succeeded", "Failed", "Suspended", "Restarting", "Running", "Created")
_MIN_AVAILABLE: Final = ("runPolicy", "schedulingPolicy", "minAvailable")
_OUTCOMES: Final = {"Succeeded": Outcome.SUCCEEDED, "Failed": Outcome.FAILED}
_HEALTH: Final = {"Restarting": False, "Running": True}
_OPERATORS_OWN: Final = ("kubeflow.org/", "trainer.kubeflow.org/", "jobset.sigs.k8s.io/")
_COLLECTOR: Final = "metrics-logger-and-collector"  # Katib's, beside the container that trains


def owner(sight: Sight) -> OwnerFacts:
    """Return what a job says of itself."""
    holds: Raw = next(holding(sight.status, *_CONDITIONS), {})
    state = text(holds, "type")
    outcome = _OUTCOMES.get(state, Outcome.NONE)
    ended = outcome is not Outcome.NONE
    return OwnerFacts(
        suspended=is_suspended(field(sight.spec, "runPolicy", "suspend"), state),
        deleting=sight.deleting,
        outcome=outcome,
        reason=sentence(holds) if outcome is Outcome.FAILED or state == "Restarting" else "",
        finished_at=_end(sight.status, holds) if ended else None,
        ready=_HEALTH.get(state),
    )


def _end(status: object, holds: Raw) -> datetime | None:
    return moment(status, "completionTime") or moment(holds, "lastTransitionTime")


def is_suspended(written: object, state: str) -> bool:
    """Say whether an object is told to have no pods: by its switch, else by the condition that holds."""
    return written if isinstance(written, bool) else state == "Suspended"


def members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the replicas of every type. Of a gang that is smaller than all of them the leader comes first."""
    found = _replicas(sight)
    if not found:
        return None
    left = _gang_size(sight, found)
    sized = []
    for one in found:
        sized.append(replace(one, minimum=min(one.minimum, left)))
        left -= sized[-1].minimum
    return tuple(sized)


def groups(sight: Sight) -> Sequence[Grouping]:
    """Return the one gang, with a part for each type of replica; of a job that cannot be read, as many as are there."""
    found = members(sight)
    if found is None:
        return as_many_as_live(sight, GANG)
    size = max(1, sum(one.minimum for one in found))
    return [Grouping(GANG, sight.name, size, sight.pods, _parts(found))]


def role(pod: Pod, _sight: Sight) -> str:
    """Call a pod by its type of replica; the MPI operator's pods, and very old ones, by other labels."""
    labels = pod.metadata.labels
    names = (f"{LABELS}replica-type", f"{LABELS}job-role", "replica-type", "job-role")
    return next((labels[name].lower() for name in names if labels.get(name)), "pod")


def by_label(pod: Pod) -> Claim | None:
    """Know a pod by the name of its job and its operator; one of an operator before 1.4 by the labels of each kind."""
    labels = pod.metadata.labels
    if (name := labels.get(f"{LABELS}job-name", "")) and (found := _OPERATORS.get(labels.get(_OPERATOR, ""))):
        return Claim(found[0], found[1], name, object_name=name)
    old = next((key for key in _OLD_LABELS if labels.get(key)), "")
    return Claim(_OLD_LABELS[old], f"{GROUP}/v1", labels[old], object_name=labels[old]) if old else None


def _replicas(sight: Sight) -> Sequence[Members]:
    """Return the replicas of every type, and as their minimum how many can be there from the beginning."""
    spec = mapping(sight.spec)
    types = next((mapping(spec, name) for name in spec if str(name).endswith("ReplicaSpecs")), {})
    found = [_replicas_of(sight, str(name).lower(), written) for name, written in types.items()]
    return sorted(found, key=_rank)


def _replicas_of(sight: Sight, name: str, written: object) -> Members:
    count = how_many(written, "replicas")
    awaited = name == "launcher" and _awaits_launcher(sight)
    annotations = texts(written, "template", "metadata", "annotations")
    return Members(name, count, 0 if awaited else count, pod_spec(written, "template", "spec"), annotations)


def _awaits_launcher(sight: Sight) -> bool:
    """Say whether the launcher is only made once the workers are ready, and is not made yet."""
    waits = text(sight.spec, "launcherCreationPolicy") == "WaitForWorkersReady"
    return waits and all(role(pod, sight) != "launcher" for pod in sight.pods)


def _gang_size(sight: Sight, found: Sequence[Members]) -> int:
    everybody = sum(one.minimum for one in found)
    asked = number(sight.spec, *_MIN_AVAILABLE) or number(sight.spec, "elasticPolicy", "minReplicas")
    return min(asked or everybody, everybody)


def _parts(found: Sequence[Members]) -> tuple[SubGroup, ...]:
    """Return a minimum per type; none where the gang leaves open which of several types may be missing."""
    if len(found) > 2 and any(one.minimum < one.count for one in found):
        return ()
    return tuple(SubGroup(name=one.role, min_members=one.minimum) for one in found if one.minimum)


def _rank(replicas: Members) -> tuple[int, str]:
    ranks = {name: rank for rank, name in enumerate(_FIRST_ROLES)}
    return ranks.get(replicas.role, len(ranks)), replicas.role


def managed_by(manager: str) -> Mapping[str, str]:
    """Return who else looks after an object, if it is not the operator of its kind (Kueue, in another cluster)."""
    return {"managed_by": manager} if manager and not manager.startswith(_OPERATORS_OWN) else {}


def _training(
    name: str, main: str, *, versions: tuple[str, ...] = ("v1",), absorbs: frozenset[KindName] = frozenset()
) -> Kind:
    """Return one kind of job; `main` is the container its operator looks at."""

    def main_containers(pod: Pod) -> frozenset[str]:
        containers = frozenset(container.name for container in pod.spec.containers)
        return containers & {main} or containers - {_COLLECTOR}

    return Kind(
        group=GROUP,
        name=name,
        watch=Watch(f"{name.lower()}s", versions=versions),
        absorbs=absorbs,
        supports=Supports(stop=True, activate=True, delete=True),
        owner=owner,
        members=members,
        groups=groups,
        role=role,
        main_containers=main_containers,
        attributes=lambda sight: managed_by(text(sight.spec, "runPolicy", "managedBy")),
        controls=by_switch("spec", "runPolicy", "suspend"),
    )


PYTORCH_JOB = _training("PyTorchJob", "pytorch")
TF_JOB = _training("TFJob", "tensorflow")
XGBOOST_JOB = _training("XGBoostJob", "xgboost")
JAX_JOB = _training("JAXJob", "jax")
PADDLE_JOB = _training("PaddleJob", "paddle")
MPI_JOB = _training("MPIJob", "mpi", versions=("v2beta1", "v1"), absorbs=frozenset({JOB.key}))

_KINDS: Final = (PYTORCH_JOB, TF_JOB, XGBOOST_JOB, JAX_JOB, PADDLE_JOB, MPI_JOB)
_OPERATOR: Final = f"{LABELS}operator-name"
_OPERATORS: Final = {
    **{f"{kind.name.lower()}-controller": (kind, f"{GROUP}/v1") for kind in _KINDS},
    "mpi-operator": (MPI_JOB, f"{GROUP}/v2beta1"),
}
_OLD_LABELS: Final = {
    "pytorch-job-name": PYTORCH_JOB,
    "tf-job-name": TF_JOB,
    "xgboost-job-name": XGBOOST_JOB,
    "mpi-job-name": MPI_JOB,
}

SYSTEM = System(kinds=_KINDS, by_label=(by_label,))
