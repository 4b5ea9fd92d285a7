"""The figures that compare schedulers, on examples worked out by hand."""

from muster_contracts.values import WHOLE_GPU
from muster_scheduler.core.scenarios.measures import evicted_per_granted, fragmentation, jain_index


def test_what_was_computed_before_an_eviction_is_lost() -> None:
    spans = [(2 * WHOLE_GPU, 30, False), (WHOLE_GPU, 20, True)]
    assert evicted_per_granted(spans) == 20 / 80
    assert evicted_per_granted([]) == 0


def test_free_devices_that_are_too_few_on_their_node_are_fragments() -> None:
    assert fragmentation([3, 1, 4], wanted=4) == 4 / 8
    assert fragmentation([3, 1, 4], wanted=1) == 0
    assert fragmentation([0, 0], wanted=2) == 0


def test_shares_are_even_when_all_have_alike() -> None:
    assert jain_index([4, 4, 4]) == 1
    assert jain_index([6, 0, 0]) == 1 / 3
    assert jain_index([]) == 1
