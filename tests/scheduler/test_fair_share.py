"""The arithmetic of fair share: worked examples, the corners of the rule, and what holds for every division."""

import random
from collections.abc import Sequence

import pytest
from muster_contracts.values import WHOLE_GPU
from muster_scheduler.core.fair_share import Claim, QueueClaims, Resource, divide, divide_surplus, fair_shares

PLENTY = 1000


def gpus(amount: float) -> int:
    return round(amount * WHOLE_GPU)


def queue(  # as a test writes it down, in whole GPUs
    name: str,
    *,
    deserved: float = 0,
    weight: int = 1,
    request: float = PLENTY,
    limit: float | None = None,
    priority: int = 0,
    age: int = 0,
    parent: str = "",
    usage: float = 0,
) -> QueueClaims:
    claim = Claim(
        gpus(deserved), None if limit is None else gpus(limit), weight, gpus(request), usage_millionths=gpus(usage)
    )
    return QueueClaims(name, parent, priority, age, {Resource.GPU: claim})


def shares(total: float, *queues: QueueClaims, usage_weight: float = 0) -> dict[str, float]:
    divided = fair_shares(queues, {Resource.GPU: gpus(total)}, usage_weight_millionths=gpus(usage_weight))
    return {name: share[Resource.GPU] / WHOLE_GPU for name, share in divided.items()}


def test_without_weights_of_their_own_the_surplus_follows_the_quotas() -> None:
    divided = shares(8, queue("a", deserved=3, weight=3), queue("b", deserved=1, weight=1))
    assert divided == {"a": 3 + 3, "b": 1 + 1}  # four to spare, three quarters and one quarter of them


def test_weights_decide_about_the_surplus_whatever_the_quotas_are() -> None:
    divided = shares(8, queue("a", deserved=3, weight=1), queue("b", deserved=1, weight=3))
    assert divided == {"a": 3 + 1, "b": 1 + 3}


def test_a_project_without_quota_gets_its_weight_of_the_surplus() -> None:
    a, b, c = (
        queue("a", deserved=6, weight=3),
        queue("b", deserved=4, weight=2),
        queue("c", weight=1),
    )
    divided = shares(30, a, b, c)
    assert divided["a"] == 6 + 10
    assert divided["c"] == 3
    assert sum(divided.values()) == 30


def test_what_one_does_not_need_is_offered_again() -> None:
    assert shares(12, queue("a", request=2), queue("b"), queue("c")) == {"a": 2, "b": 5, "c": 5}


def test_offers_are_whole_devices_and_the_largest_fraction_gets_the_last_one() -> None:
    divided = shares(7, queue("a", weight=1), queue("b", weight=4))  # offers of 1.4 and 5.6
    assert divided == {"a": 1, "b": 6}


def test_among_equal_fractions_the_older_queue_then_the_smaller_name_gets_the_last_one() -> None:
    assert shares(3, queue("a", age=2), queue("b", age=1)) == {"a": 1, "b": 2}
    assert shares(3, queue("b"), queue("a")) == {"a": 2, "b": 1}


def test_a_request_for_a_part_of_a_device_is_met_exactly() -> None:
    assert shares(4, queue("a", request=0.5), queue("b", request=9)) == {"a": 0.5, "b": 3.5}


def test_an_offer_that_is_just_enough_is_given_to_the_last_fraction() -> None:
    assert shares(3, queue("a", request=1.5), queue("b", request=1.5)) == {"a": 1.5, "b": 1.5}


def test_weight_0_gets_what_it_deserves_and_nothing_else() -> None:
    assert shares(10, queue("a", deserved=2, weight=0), queue("b", deserved=2)) == {"a": 2, "b": 8}


def test_nobody_gets_more_than_its_limit() -> None:
    assert shares(10, queue("a", deserved=5, limit=3), queue("b")) == {"a": 3, "b": 7}


def test_deserved_amounts_that_exceed_the_total_are_not_scaled_down() -> None:
    assert shares(10, queue("a", deserved=8), queue("b", deserved=8)) == {"a": 8, "b": 8}


def test_unlimited_deserved_is_the_total() -> None:
    asking = QueueClaims("a", claims={Resource.GPU: Claim(deserved=None, request=gpus(99))})
    assert divide(Resource.GPU, gpus(10), [asking]).shares == {"a": gpus(10)}


def test_a_higher_priority_is_served_first_and_leaves_the_rest() -> None:
    a, b = queue("a", priority=2, request=5), queue("b", priority=1)
    assert shares(8, a, b) == {"a": 5, "b": 3}


def test_the_leftover_of_a_tier_stays_in_it() -> None:
    divided = shares(5, queue("a", priority=2, age=1), queue("b", priority=2, age=2), queue("c", priority=1))
    assert divided == {"a": 3, "b": 2, "c": 0}


def test_processors_are_divided_to_the_thousandth() -> None:
    claims = [QueueClaims(name, claims={Resource.CPU: Claim(weight=1, request=9000)}) for name in "abc"]
    assert divide(Resource.CPU, 10_000, claims).shares == {"a": 3334, "b": 3333, "c": 3333}


def test_children_divide_the_share_of_their_parent() -> None:
    divided = shares(
        16,
        queue("research", weight=3, request=0),
        queue("product", weight=1, request=0),
        queue("vision", parent="research", deserved=2),
        queue("language", parent="research"),
        queue("search", parent="product"),
    )
    assert (divided["research"], divided["product"]) == (12, 4)
    assert (divided["vision"], divided["language"], divided["search"]) == (7, 5, 4)


def test_a_parent_asks_for_no_more_than_its_children_may_use() -> None:
    divided = shares(
        16,
        queue("small", request=0),
        queue("large", request=0),
        queue("limited", parent="small", limit=2),
        queue("free", parent="large"),
    )
    assert divided == {"small": 2, "limited": 2, "large": 14, "free": 14}


def test_who_used_more_of_late_gets_less() -> None:
    divided = shares(10, queue("a", usage=0.5), queue("b", usage=0), usage_weight=1)
    assert divided == {"a": 3, "b": 7}  # weights 0.5 + (0.5 - 0.5) and 0.5 + (0.5 - 0), of 1.5


def test_surplus_is_added_to_what_was_granted() -> None:
    division = divide_surplus(Resource.GPU, gpus(2), [queue("a", request=4.5)], {"a": gpus(3)})
    assert (division.shares, division.remaining) == ({"a": gpus(4.5)}, gpus(0.5))


def random_queues(chance: random.Random) -> Sequence[QueueClaims]:
    return [
        queue(
            f"q{number}",
            deserved=chance.choice([0, 1, 2.5, 4]),
            weight=chance.randrange(4),
            request=chance.choice([0, 0.5, 3, 20]),
            limit=chance.choice([None, 2, 6]),
            priority=chance.randrange(2),
            age=chance.randrange(3),
        )
        for number in range(chance.randrange(1, 7))
    ]


@pytest.mark.parametrize("seed", range(300))
def test_every_division_adds_up_and_the_order_of_the_queues_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    queues, total = random_queues(chance), gpus(chance.choice([1, 4, 7.5, 30]))
    division = divide(Resource.GPU, total, queues)
    assert division == divide(Resource.GPU, total, queues[::-1])
    deserved = sum(min(one.claims[Resource.GPU].deserved or 0, one.claims[Resource.GPU].cap) for one in queues)
    assert sum(division.shares.values()) + division.remaining == max(total, deserved)
    for one in queues:
        claim, share = one.claims[Resource.GPU], division.shares[one.name]
        assert share >= min(claim.deserved or 0, claim.cap)
        assert share < claim.cap + WHOLE_GPU
        if share + WHOLE_GPU <= claim.cap and claim.weight:
            assert division.remaining == 0, "somebody wants what nobody got"
