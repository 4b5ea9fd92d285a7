"""Cases of fair share: read from a file of their own structure, divided by the planner's arithmetic, compared.

Amounts in the file are GPUs, thousandths of processors and bytes. A case names its `call`: the whole rule, the surplus
alone, or the whole rule for every resource.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from muster_scheduler.core.fair_share import (
    UNITS,
    Claim,
    Division,
    QueueClaims,
    Resource,
    divide,
    divide_surplus,
    fair_shares,
)
from muster_scheduler.core.scenarios.cases import NOTHING_EXPECTED
from muster_scheduler.core.scenarios.document import Part, Place

MILLION = 1_000_000
ONE_RESOURCE = ("setResourceShare", "divideOverQuotaResource")
SEVERAL_RESOURCES = "SetResourcesShare"
Amounts = Mapping[str, Mapping[Resource, int]]


@dataclass(frozen=True, slots=True)
class ShareCase:
    """A division and what must come of it: shares by queue and resource, and what remains where that is said."""

    id: str
    call: str
    total: Mapping[Resource, int]
    queues: tuple[QueueClaims, ...]
    granted: Amounts
    usage_weight_millionths: int
    expected: Amounts
    expected_remaining: int | None
    remarks: tuple[str, ...] = ()


def read_share_cases(document: Part) -> list[ShareCase]:
    """Return the cases of a file. Raises Unreadable with file, case and field."""
    document.skip("meta")
    one = [_case(part, several=False) for part in document.parts("cases")]
    return one + [_case(part, several=True) for part in document.parts("multi_resource_cases")]


def share_differences(case: ShareCase) -> list[str]:
    """Divide, and return one sentence for each share that is not as expected."""
    if case.expected_remaining is None and not any(case.expected.values()):
        return [NOTHING_EXPECTED]
    if case.call == SEVERAL_RESOURCES:
        got: Amounts = fair_shares(case.queues, case.total, usage_weight_millionths=case.usage_weight_millionths)
        return list(_differing(case.expected, got))
    ((resource, total),) = case.total.items()
    division = _divide(case, resource, total)
    found = list(_differing(case.expected, {name: {resource: share} for name, share in division.shares.items()}))
    if case.expected_remaining not in {None, division.remaining}:
        wanted, remaining = _shown(resource, case.expected_remaining or 0), _shown(resource, division.remaining)
        found.append(f"{wanted} {resource} should remain, and {remaining} remain.")
    return found


def _divide(case: ShareCase, resource: Resource, total: int) -> Division:
    if case.call == "setResourceShare":
        return divide(resource, total, case.queues, usage_weight_millionths=case.usage_weight_millionths)
    granted = {queue.name: case.granted[queue.name].get(resource, 0) for queue in case.queues}
    return divide_surplus(resource, total, case.queues, granted, usage_weight_millionths=case.usage_weight_millionths)


def _differing(expected: Amounts, got: Amounts) -> Iterator[str]:
    for name, amounts in expected.items():
        for resource, wanted in amounts.items():
            share = got[name].get(resource, 0)
            if share != wanted:
                shown = f"{_shown(resource, wanted)} {resource}, and gets {_shown(resource, share)}"
                yield f"Queue {name} should get {shown}."


def _shown(resource: Resource, amount: int) -> str:
    return f"{amount / UNITS[resource]:g}"


# ---------------------------------------------------------------- reading


def _case(part: Part, *, several: bool) -> ShareCase:
    part.place = Place(part.place.file, part.name("id"))
    part.skip("source", "description", "tags")
    call = part.one_of("call", [SEVERAL_RESOURCES] if several else ONE_RESOURCE)
    resource = None if several else Resource(part.one_of("resource", [one.value for one in Resource]))
    queues = part.parts("queues")
    claims = tuple(_queue(queue, age) for age, queue in enumerate(queues))
    expected = _by_queue(part.part("expected_fair_share"), {queue.name for queue in claims}, resource)
    remaining = part.has("expected_remaining") and resource
    case = ShareCase(
        id=part.place.case,
        call=call,
        total=_total(part, resource),
        queues=claims,
        granted={queue.text("id"): _granted(queue) for queue in queues},
        usage_weight_millionths=part.amount("k_value", 0, unit=MILLION),
        expected=expected,
        expected_remaining=part.amount("expected_remaining", unit=UNITS[remaining]) if remaining else None,
    )
    return replace(case, remarks=tuple(f"{path} is not known and was passed over." for path in part.take_unread()))


def _total(part: Part, resource: Resource | None) -> dict[Resource, int]:
    if resource is None:
        return _amounts(part.part("total"))
    return {resource: part.amount("total", unit=UNITS[resource])}


def _amounts(part: Part) -> dict[Resource, int]:
    for name in part.content:
        if name not in set(Resource):
            part.refuse(name, f"It should be one of {', '.join(Resource)}.")
    return {one: part.amount(one, unit=UNITS[one]) for one in Resource if part.has(one)}


def _by_queue(part: Part, queues: set[str], resource: Resource | None) -> dict[str, dict[Resource, int]]:
    for name in part.content:
        if name not in queues:
            part.refuse(name, "There is no such queue.")
    if resource is None:
        return {name: _amounts(amounts) for name, amounts in part.objects().items()}
    return {name: {resource: part.amount(name, unit=UNITS[resource])} for name in part.content}


def _queue(part: Part, age: int) -> QueueClaims:
    part.skip("name")
    return QueueClaims(
        name=part.name("id"),
        priority=part.whole("priority", 0),
        age=part.whole("age", age),
        claims={one: _claim(part.part(one), UNITS[one]) for one in Resource if part.has(one)},
    )


def _claim(part: Part, unit: int) -> Claim:
    part.skip("allocated")  # what is used already has no say in the rule
    return Claim(
        deserved=part.limit("deserved", unit=unit, default=0),
        limit=part.limit("max_allowed", unit=unit),
        weight=part.amount("over_quota_weight", 0, unit=MILLION),
        request=part.amount("request", 0, unit=unit),
        usage_millionths=part.amount("usage", 0, unit=MILLION),
    )


def _granted(queue: Part) -> dict[Resource, int]:
    return {one: queue.part(one).amount("fair_share_initial", 0, unit=UNITS[one]) for one in Resource if queue.has(one)}
