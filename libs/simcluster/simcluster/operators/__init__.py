"""Operators: what brings custom resources to life in a real cluster, played with the same pods, owners and statuses.

One file per system; each ends in a `SYSTEM`, the kinds it brings and what looks after them, and has a line in
`SYSTEMS` here. `operator.Operator` is what they share. How a container fares is written on its pod, as everywhere
here (`sim.run-seconds`, `sim.exit-code`, …), so a template steers success and failure.
"""

from collections.abc import Iterable, Sequence

from simcluster.client import Client
from simcluster.controllers import OperatorFactory
from simcluster.operators import training
from simcluster.operators.kinds import install
from simcluster.operators.system import System

SYSTEMS: dict[str, System] = {
    "training": training.SYSTEM,
}


def install_kinds(client: Client, names: Iterable[str]) -> None:
    """Serve the custom kinds of some systems."""
    for name in names:
        install(client, SYSTEMS[name].kinds)


def operators_of(names: Iterable[str]) -> Sequence[OperatorFactory]:
    """Return what builds the operators of some systems."""
    return [build for name in names for build in SYSTEMS[name].operators]
