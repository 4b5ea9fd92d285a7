"""What may be asked of a list of workloads: fields, operators, order, page. One sentence for everything wrong.

`filter_by` is a field, an operator and a value: `phase==Running`, `name=@bert`, `allocated_gpus>=2`,
`created_at>=2026-01-01T00:00:00Z`. Operators: == != <= >= =@ (contains) !@ (does not) =^ (begins with) =$ (ends with).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum

from muster_contracts.errors import Complaint, RefusalCode, Refused
from muster_contracts.phases import Phase


class Kind(Enum):
    """What the values of a field are."""

    TEXT = "text"
    NUMBER = "a whole number"
    MILLIONTHS = "a number"
    INSTANT = "a moment like 2026-01-31T12:00:00Z"


class Operator(StrEnum):
    """How a field is compared with a value."""

    EQUAL = "=="
    UNEQUAL = "!="
    AT_MOST = "<="
    AT_LEAST = ">="
    CONTAINS = "=@"
    LACKS = "!@"
    BEGINS = "=^"
    ENDS = "=$"


TEXT_ONLY = frozenset({Operator.CONTAINS, Operator.LACKS, Operator.BEGINS, Operator.ENDS})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a workload that can be filtered and sorted by, and the column it stands in."""

    column: str
    kind: Kind = Kind.TEXT


FIELDS: dict[str, Field] = {
    "id": Field("id::text"),
    "name": Field("name"),
    "project": Field("project"),
    "namespace": Field("namespace"),
    "kind": Field("kind"),
    "class": Field("workload_class"),
    "workload_kind": Field("workload_kind"),
    "phase": Field("phase"),
    "phase_reason": Field("phase_reason"),
    "phase_since": Field("phase_since", Kind.INSTANT),
    "message": Field("message"),
    "submitted_by": Field("submitted_by"),
    "source": Field("source"),
    "created_at": Field("created_at", Kind.INSTANT),
    "completed_at": Field("completed_at", Kind.INSTANT),
    "deleted_at": Field("deleted_at", Kind.INSTANT),
    "running_pods": Field("running_pods", Kind.NUMBER),
    "desired_pods": Field("desired_pods", Kind.NUMBER),
    "requested_gpus": Field("requested_gpu_millionths", Kind.MILLIONTHS),
    "allocated_gpus": Field("allocated_gpu_millionths", Kind.MILLIONTHS),
    "requested_cpu_milli": Field("requested_cpu_milli", Kind.NUMBER),
    "allocated_cpu_milli": Field("allocated_cpu_milli", Kind.NUMBER),
    "requested_memory_bytes": Field("requested_memory_bytes", Kind.NUMBER),
    "requested_gpu_memory_bytes": Field("requested_gpu_memory_bytes", Kind.NUMBER),
    "allocated_memory_bytes": Field("allocated_memory_bytes", Kind.NUMBER),
    "priority_class": Field("priority_class"),
    "nodes": Field("nodes"),
}

_FILTER = re.compile(r"\s*([a-z_]+)\s*(==|!=|<=|>=|=@|!@|=\^|=\$)(.*)", re.DOTALL)
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter, read and checked."""

    field: Field
    operator: Operator
    value: str | int | datetime


@dataclass(frozen=True, slots=True)
class WorkloadQuery:
    """Which workloads, in which order, from where on."""

    conditions: Sequence[Condition] = ()
    search: str = ""
    deleted: bool = False
    sort: Field = FIELDS["created_at"]
    descending: bool = True
    limit: int = 50
    offset: int = 0


def read_filters(texts: Sequence[str]) -> list[Condition]:
    """Read filters as they stand in a URL. Raises Refused (422) with one complaint for each that is wrong."""
    found: list[Condition] = []
    problems: list[Complaint] = []
    for text in texts:
        try:
            found.append(_read(text))
        except ValueError as error:
            problems.append(Complaint(field="filter_by", details=str(error)))
    if problems:
        sentence = f"The filter is not valid: {'; '.join(problem.details for problem in problems)}."
        raise Refused(RefusalCode.INVALID, sentence, problems)
    return found


def equal_to(field: str, value: str) -> Condition:
    """Return the condition that a field has a value. Raises Refused when it cannot."""
    if field == "phase" and value not in set(Phase):
        details = f"must be one of {', '.join(Phase)}"
        raise Refused(RefusalCode.INVALID, f"The phase {details}.", [Complaint(field=field, details=details)])
    return Condition(FIELDS[field], Operator.EQUAL, value)


def read_sort(name: str, order: str) -> tuple[Field, bool]:
    """Return by which field to sort and whether downwards. Raises Refused."""
    if name not in FIELDS:
        _refuse("sort_by", f"must be one of {', '.join(FIELDS)}")
    if order not in {"asc", "desc"}:
        _refuse("sort_order", "must be asc or desc")
    return FIELDS[name], order == "desc"


def _refuse(field: str, details: str) -> None:
    raise Refused(RefusalCode.INVALID, f"{field} {details}.", [Complaint(field=field, details=details)])


def _read(text: str) -> Condition:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a field, an operator (== != <= >= =@ !@ =^ =$) and a value")
    name, sign, value = match.groups()
    if name not in FIELDS:
        raise ValueError(f"there is no field {name!r} to filter by; there are {', '.join(FIELDS)}")
    field, operator = FIELDS[name], Operator(sign)
    if operator in TEXT_ONLY and field.kind is not Kind.TEXT:
        raise ValueError(f"{operator} compares text, and {name} is {field.kind.value}")
    if "\x00" in value:
        raise ValueError("a value cannot hold a NUL character")
    return Condition(field, operator, _value(name, field.kind, value.strip()))


def _value(name: str, kind: Kind, text: str) -> str | int | datetime:
    try:
        return _parse(kind, text)
    except (ValueError, InvalidOperation, OverflowError):
        raise ValueError(f"{name} is compared with {kind.value}, and {text!r} is none") from None


def _parse(kind: Kind, text: str) -> str | int | datetime:
    match kind:
        case Kind.TEXT:
            return text
        case Kind.NUMBER:
            number = int(text)
        case Kind.MILLIONTHS:
            number = int(Decimal(text) * 1_000_000)
        case Kind.INSTANT:
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if abs(number) > _LARGEST:
        raise ValueError(text)
    return number
