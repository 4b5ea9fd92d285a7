"""apps/v1 Deployment, StatefulSet and ReplicaSet: pods that are kept alive, as many as `replicas` says.

They serve and never complete. Zero replicas is how they are stopped. A ReplicaSet is a step on the way to whatever
owns it, and a workload of its own when nobody does. A DaemonSet belongs to the nodes, not to anybody's workloads.
"""

from dataclasses import replace
from typing import Any, Final

from muster_cluster.metadata import Metadata
from muster_cluster.objects import DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, Deployment, Pod, ReplicaSet, StatefulSet
from muster_cluster.port import Resource
from muster_contracts.phases import PriorityClass, WorkloadClass
from muster_contracts.values import OwnerFacts, Supports

from muster_integrations.recognition.controls import by_replicas
from muster_integrations.recognition.kinds import Kind, KindName, Members, Sight, Standing, System, Watch

_HASH: Final = "pod-template-hash"
Replicated = Deployment | ReplicaSet | StatefulSet


def owner(sight: Sight) -> OwnerFacts:
    """Return what it says of itself."""
    item: Replicated | None = sight.item
    if item is None:
        return OwnerFacts(serving=True)
    deleting = item.metadata.deletion_timestamp is not None
    return OwnerFacts(suspended=item.spec.replicas == 0, deleting=deleting, serving=True)


def members(sight: Sight) -> tuple[Members, ...] | None:
    """Return its replicas."""
    item: Replicated | None = sight.item
    if item is None:
        return None
    replicas, template = item.spec.replicas, item.spec.template
    return (Members("replica", replicas, replicas, template.spec, template.metadata.annotations),)


def role(_pod: Pod, _sight: Sight) -> str:
    """Call a pod a replica."""
    return "replica"


def _held_by_deployment(name: str, below: Metadata) -> str:
    """Return the name of the Deployment that made a ReplicaSet: what is before the hash that pods show; else none."""
    end = f"-{below.labels.get(_HASH, '')}"
    return name.removesuffix(end) if len(end) > 1 and name.endswith(end) else ""


def _replicas(item: Replicated) -> int:
    return item.spec.replicas


def _replicated(
    resource: Resource[Any],
    *,
    standing: Standing = Standing.WORKLOAD,
    absorbs: frozenset[KindName] = frozenset(),
    priority: PriorityClass = PriorityClass.TRAIN,
) -> Kind:
    return Kind(
        group="apps",
        name=resource.kind,
        standing=standing,
        workload_class=WorkloadClass.KUBERNETES,
        generic=True,
        watch=Watch(resource.plural, resource.model),
        absorbs=absorbs,
        priority=priority,
        supports=Supports(stop=True, activate=True, delete=True),
        owner=owner,
        members=members,
        role=role,
        controls=by_replicas(_replicas),
    )


REPLICA_SET = replace(_replicated(REPLICA_SETS, standing=Standing.STEP), held_as=_held_by_deployment)
DEPLOYMENT = replace(
    _replicated(DEPLOYMENTS, absorbs=frozenset({REPLICA_SET.key}), priority=PriorityClass.INFERENCE),
    holds=lambda deployment: [(REPLICA_SET.key, deployment.metadata.name)],
)
STATEFUL_SET = _replicated(STATEFUL_SETS)
DAEMON_SET = Kind(group="apps", name="DaemonSet", standing=Standing.APART)

SYSTEM = System(kinds=(DEPLOYMENT, STATEFUL_SET, REPLICA_SET, DAEMON_SET))
