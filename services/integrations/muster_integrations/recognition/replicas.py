"""apps/v1 Deployment, StatefulSet and ReplicaSet: pods that are kept alive, as many as `replicas` says.

They serve and never complete. Zero replicas is how they are stopped. A ReplicaSet is a step on the way to whatever
owns it, and a workload of its own when nobody does.
"""

from collections.abc import Sequence
from typing import Any

from muster_cluster.objects import (
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Deployment,
    Pod,
    PodSpec,
    ReplicaSet,
    StatefulSet,
)
from muster_cluster.port import Resource
from muster_contracts.values import OwnerFacts, Supports

from muster_integrations.recognition.controls import by_replicas
from muster_integrations.recognition.kinds import Kind, KindName, Standing

Replicated = Deployment | ReplicaSet | StatefulSet


def owner(item: Replicated, _pods: Sequence[Pod]) -> OwnerFacts:
    """Return what it says of itself."""
    replicas = item.spec.replicas
    return OwnerFacts(
        suspended=replicas == 0,
        deleting=item.metadata.deletion_timestamp is not None,
        desired_pods=replicas,
        min_pods=replicas,
        serving=True,
    )


def template(item: Replicated) -> PodSpec:
    """Return what each pod asks for."""
    return item.spec.template.spec


def role(_pod: Pod) -> str:
    """Call a pod a replica."""
    return "replica"


def _replicated(
    resource: Resource[Any], standing: Standing = Standing.WORKLOAD, absorbs: frozenset[KindName] = frozenset()
) -> Kind:
    return Kind(
        group="apps",
        name=resource.kind,
        standing=standing,
        resource=resource,
        absorbs=absorbs,
        supports=Supports(stop=True, activate=True, delete=True),
        owner=owner,
        controls=by_replicas,
        template=template,
        role=role,
    )


REPLICA_SET = _replicated(REPLICA_SETS, standing=Standing.STEP)
DEPLOYMENT = _replicated(DEPLOYMENTS, absorbs=frozenset({REPLICA_SET.key}))
STATEFUL_SET = _replicated(STATEFUL_SETS)
