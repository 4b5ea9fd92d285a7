"""Folds that are written down and read back."""

import gc
from dataclasses import dataclass

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
