"""Folds that are written down and read back."""

import gc
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from muster_contracts.written import NotReadable, WrittenFold


@dataclass
class Counted:
    """A fold of no more than a number."""

    events: int = 0


@pytest.mark.parametrize("on", [True, False])
def test_reading_leaves_the_garbage_collector_as_it_was(on: bool) -> None:
    (gc.enable if on else gc.disable)()  # off as while another thread reads
    try:
        assert WrittenFold(Counted).read(b'{"events": 3}') == Counted(3)
        assert gc.isenabled() == on
        with pytest.raises(NotReadable):
            WrittenFold(Counted).read(b"[]")
        assert gc.isenabled() == on
    finally:
        gc.enable()


@dataclass
class Ordered:
    """A fold that works something out from its fields."""

    order: list[UUID] = field(default_factory=list)
    names: dict[UUID, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.first = self.names[self.order[0]]


def test_fields_that_do_not_go_together_are_no_fold() -> None:
    with pytest.raises(NotReadable, match="KeyError"):
        WrittenFold(Ordered).read(f'{{"order": ["{uuid4()}"]}}'.encode())
