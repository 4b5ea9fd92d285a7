"""One system as the table of systems lists it."""

from dataclasses import dataclass

from simcluster.controllers import OperatorFactory
from simcluster.operators.kinds import CustomKind
from simcluster.resources import Object


@dataclass(frozen=True)
class System:
    """The custom kinds a system brings, the operators that look after them and what its installation puts there."""

    kinds: tuple[CustomKind, ...]
    operators: tuple[OperatorFactory, ...]
    objects: tuple[tuple[CustomKind, Object], ...] = ()
