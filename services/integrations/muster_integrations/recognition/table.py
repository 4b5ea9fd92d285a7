"""The table of systems: one line each. Its order is the order of their rules, and the rank of their kinds.

Kinds of custom resources come before those that anybody builds upon; Airflow's labels after theirs, for the innermost
workload wins; MLflow, which only looks into Jobs, at the end.
"""

from collections.abc import Mapping
from typing import Any, Final

from muster_cluster.port import Resource

from muster_integrations.recognition import (
    airflow,
    argo,
    jobs,
    katib,
    knative,
    kserve,
    kubevirt,
    leaderworkerset,
    mlflow,
    notebooks,
    pods,
    ray,
    replicas,
    seldon,
    spark,
    trainer,
    training,
)
from muster_integrations.recognition.kinds import Kind, KindName, System

SYSTEMS: Final[tuple[System, ...]] = (
    ray.SYSTEM,
    seldon.SYSTEM,
    kserve.SYSTEM,
    spark.SYSTEM,
    kubevirt.SYSTEM,
    training.SYSTEM,
    trainer.SYSTEM,
    notebooks.SYSTEM,
    argo.SYSTEM,
    katib.SYSTEM,
    leaderworkerset.SYSTEM,
    knative.SYSTEM,
    airflow.SYSTEM,
    jobs.SYSTEM,
    replicas.SYSTEM,
    pods.SYSTEM,
    mlflow.SYSTEM,
)

KINDS: Final = tuple(kind for system in SYSTEMS for kind in system.kinds)
TABLE: Final[Mapping[KindName, Kind]] = {kind.key: kind for kind in KINDS}
RANKS: Final[Mapping[KindName, int]] = {kind.key: rank for rank, kind in enumerate(KINDS)}
MAKERS: Final[Mapping[str, str]] = {kind.name: kind.made_by for kind in KINDS if kind.made_by}
BEFORE_WALK: Final = tuple(rule for system in SYSTEMS for rule in system.before_walk)
BY_LABEL: Final = tuple(rule for system in SYSTEMS for rule in system.by_label)
PARENTS: Final = tuple(rule for system in SYSTEMS for rule in system.parents)
APART: Final = tuple(rule for system in SYSTEMS for rule in system.apart)
VARIANTS: Final = tuple(rule for system in SYSTEMS for rule in system.variants)
ATTRIBUTES: Final = tuple(rule for system in SYSTEMS for rule in system.attributes)


def kind_of(group: str, name: str) -> Kind:
    """Return what is known of a kind; for one that is not in the table, what can be said of any."""
    return TABLE.get((group, name)) or pods.unknown(group, name)


def written_resources() -> tuple[Resource[Any], ...]:
    """Return how the kinds of the table are read when no API server says it, in the first version we know."""
    return tuple(
        Resource(
            kind.group, kind.watch.versions[0], kind.watch.plural, kind.name, kind.watch.model, kind.watch.namespaced
        )
        for kind in KINDS
        if kind.watch is not None
    )
