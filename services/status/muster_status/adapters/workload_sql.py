"""Makes the one statement that is put together while running: which workloads, in which order.

Names of columns come from a table of ours, and every value is an argument, so nothing a caller writes becomes SQL.
"""

from datetime import datetime
from typing import assert_never

from muster_status.core.query import Condition, Kind, Operator, WorkloadQuery

Argument = str | int | datetime


def select_workloads(columns: str, query: WorkloadQuery) -> tuple[str, list[Argument]]:
    """Return the statement and its arguments; sorted, unless it only counts."""
    arguments: list[Argument] = []
    where = [f"deleted_at IS {'NOT ' if query.deleted else ''}NULL"]
    if query.search:
        arguments.append(_containing(query.search))
        where.append(f"name ILIKE ${len(arguments)}")
    for condition in query.conditions:
        arguments.append(_argument(condition))
        where.append(_comparison(condition, f"${len(arguments)}"))
    statement = f"SELECT {columns} FROM workload WHERE {' AND '.join(where)}"  # see above
    return (statement if columns.startswith("count") else f"{statement} {_order(query)}"), arguments


def _order(query: WorkloadQuery) -> str:
    """Sort with the id as the last word, so that pages neither repeat nor skip; in the direction an index has."""
    column, direction = query.sort.column, "DESC" if query.descending else "ASC"
    nulls = " NULLS LAST" if column in {"completed_at", "deleted_at", "workload_kind"} else ""
    ties = "ASC" if query.sort.kind is Kind.INSTANT and query.descending else direction
    return f"ORDER BY {column} {direction}{nulls}, id {ties}"


def _comparison(condition: Condition, argument: str) -> str:
    column = condition.field.column
    if column == "nodes":
        column = "array_to_string(nodes, ',')"
    match condition.operator:
        case Operator.EQUAL:
            return f"{column} = {argument}"
        case Operator.UNEQUAL:
            return f"{column} IS DISTINCT FROM {argument}"
        case Operator.AT_MOST:
            return f"{column} <= {argument}"
        case Operator.AT_LEAST:
            return f"{column} >= {argument}"
        case Operator.CONTAINS | Operator.BEGINS | Operator.ENDS:
            return f"{column} ILIKE {argument}"
        case Operator.LACKS:
            return f"coalesce({column}, '') NOT ILIKE {argument}"
    assert_never(condition.operator)


def _argument(condition: Condition) -> Argument:
    value = condition.value
    if not isinstance(value, str):
        return value
    match condition.operator:
        case Operator.CONTAINS | Operator.LACKS:
            return _containing(value)
        case Operator.BEGINS:
            return f"{_escaped(value)}%"
        case Operator.ENDS:
            return f"%{_escaped(value)}"
        case _:
            return value


def _containing(text: str) -> str:
    return f"%{_escaped(text)}%"


def _escaped(text: str) -> str:
    """Take away the special meaning of signs in LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
