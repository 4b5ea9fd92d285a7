"""Operators: what brings custom resources to life in a real cluster, played with the same pods, owners and statuses.

One file per system (a folder for Ray); each ends in a `SYSTEM`, the kinds it brings and what looks after them, and has
a line in `SYSTEMS` here. `operator.Operator` is what they share. How a container fares is written on its pod, as
everywhere here (`sim.run-seconds`, `sim.exit-code`, …), so a template steers success and failure.
"""

from collections.abc import Iterable, Sequence

from simcluster.client import Client
from simcluster.controllers import OperatorFactory
from simcluster.operators import (
    airflow,
    argo,
    jobset,
    katib,
    kserve,
    kubevirt,
    mpi,
    notebook,
    pipelines,
    ray,
    seldon,
    spark,
    trainer,
    training,
)
from simcluster.operators.kinds import install
from simcluster.operators.system import System

SYSTEMS: dict[str, System] = {
    "airflow": airflow.SYSTEM,
    "argo": argo.SYSTEM,
    "jobset": jobset.SYSTEM,
    "katib": katib.SYSTEM,
    "kserve": kserve.SYSTEM,
    "kubevirt": kubevirt.SYSTEM,
    "mpi": mpi.SYSTEM,
    "mpi-v1": training.MPI_SYSTEM,
    "notebook": notebook.SYSTEM,
    "pipelines": pipelines.SYSTEM,
    "ray": ray.SYSTEM,
    "seldon": seldon.SYSTEM,
    "spark": spark.SYSTEM,
    "trainer": trainer.SYSTEM,
    "training": training.SYSTEM,
}
_OLDER = ("mpi-v1",)  # only on demand: another system serves the same kind in the way people use today
USUAL = tuple(name for name in SYSTEMS if name not in _OLDER)


def conflict_among(names: Iterable[str]) -> str:
    """Return the kind that two of the systems would both serve, or nothing."""
    kinds = [kind.key for name in names for kind in SYSTEMS[name].kinds]
    return next((kind for kind in kinds if kinds.count(kind) > 1), "")


def install_kinds(client: Client, names: Iterable[str]) -> None:
    """Serve the custom kinds of some systems, and put there what their installation would."""
    for system in (SYSTEMS[name] for name in names):
        install(client, system.kinds)
        for kind, obj in system.objects:
            if client.get(kind.key, None, obj["metadata"]["name"]) is None:
                client.create(kind.key, obj)


def operators_of(names: Iterable[str]) -> Sequence[OperatorFactory]:
    """Return what builds the operators of some systems."""
    return [build for name in names for build in SYSTEMS[name].operators]
