"""One system as the table of systems lists it."""

from dataclasses import dataclass

from simcluster.controllers import OperatorFactory
from simcluster.operators.kinds import CustomKind


@dataclass(frozen=True)
class System:
    """The custom kinds a system brings and the operators that look after them."""

    kinds: tuple[CustomKind, ...]
    operators: tuple[OperatorFactory, ...]
