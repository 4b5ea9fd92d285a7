"""What follows from a wish to change the organisation: departments, node pools, and the settings of projects.

A change says how the thing shall be, whole; asking for what is already so is harmless. Whoever names the `version` he
read is refused when somebody else changed it since, so that two people do not undo each other's quotas unseen.

The department and the node pool `default` need no event to exist: whoever names none is in them.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from muster_contracts.commands import DepartmentSettings, NodePoolSettings, ProjectSettings
from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.events import DepartmentChanged, NodePoolChanged, ProjectChanged
from muster_contracts.subjects import derived_id
from muster_contracts.values import Caller, PoolQuota

from muster_submitter.core.decisions import Already, Append, Decision, check_node_pools, invalid
from muster_submitter.core.state import DEFAULT, Department, NodePool, Project, State

Known = Project | Department | NodePool
Entry = TypeVar("Entry", Project, Department, NodePool)


def decide_project_settings(
    state: State, name: str, asked: ProjectSettings, version: int | None, caller: Caller
) -> Decision:
    """Change what may change of a project. Raises Refused."""
    present = _present(state.projects, "project", name)
    _check_department(state, "department", asked.department)
    check_node_pools(state, "node_pool", [*asked.node_pools, *(quota.node_pool for quota in asked.quotas)])
    wanted = present.event.model_copy(
        update={
            "department": asked.department,
            "quotas": _quotas(asked),
            "node_pools": asked.node_pools,
            "airflow_unit": asked.airflow_unit,
            "preempt_minimum_seconds": asked.preempt_minimum_seconds,
            "reclaim_minimum_seconds": asked.reclaim_minimum_seconds,
            "changed_by": caller,
        }
    )
    return _change(f"project {name!r}", present, wanted, version)


def decide_department(
    state: State, name: str, asked: DepartmentSettings, version: int | None, caller: Caller
) -> Decision:
    """Create a department, or change it. Raises Refused, also when it would be above itself."""
    if asked.parent:
        _check_department(state, "parent", asked.parent)
    if name in _above(state, asked.parent):
        raise invalid("parent", f"would put department {name!r} above itself")
    check_node_pools(state, "node_pool", [quota.node_pool for quota in asked.quotas])
    present = state.departments.get(name)
    wanted = DepartmentChanged(
        department_id=derived_id("department", name),
        name=name,
        parent=asked.parent,
        quotas=_quotas(asked),
        changed_by=caller,
        preempt_minimum_seconds=asked.preempt_minimum_seconds,
        reclaim_minimum_seconds=asked.reclaim_minimum_seconds,
    )
    return _change(f"department {name!r}", present, wanted, version)


def decide_node_pool(state: State, name: str, asked: NodePoolSettings, version: int | None, caller: Caller) -> Decision:
    """Create a node pool, or change it. Raises Refused: a label makes a pool, and makes one pool only."""
    if name == DEFAULT and asked.label_key:
        raise invalid("label_key", "must be empty: the pool default takes the nodes that belong to no other")
    if name != DEFAULT and not asked.label_key:
        raise invalid("label_key", "is required: it says which nodes belong to the pool")
    label = (asked.label_key, asked.label_value)
    for other in _node_pools(state):
        if other.name != name and (other.label_key, other.label_value) == label:
            raise _conflict(f"Node pool {other.name!r} has the label {label[0]}={label[1]} already.")
    present = state.node_pools.get(name)
    wanted = NodePoolChanged(
        node_pool_id=derived_id("node-pool", name), name=name, changed_by=caller, **asked.model_dump()
    )
    return _change(f"node pool {name!r}", present, wanted, version)


def decide_project_removal(state: State, name: str, caller: Caller) -> Decision:
    """Remove a project in which no workload is, not even one that has ended. Raises Refused.

    Its namespace stays, with whatever else is in it. Two decisions at once about a project and about a workload in it
    do not exclude each other: a workload that was accepted in the same moment stays without a project.
    """
    present = _present(state.projects, "project", name)
    _refuse_if_used(f"Project {name!r}", "has", [f"workload {each!r}" for each in state.living_in(name)])
    return Append(present.event.model_copy(update={"removed": True, "changed_by": caller}), expected=present.version)


def decide_department_removal(state: State, name: str, caller: Caller) -> Decision:
    """Remove a department in which nothing is. Raises Refused."""
    present = _present(state.departments, "department", name)
    inside = [f"project {project.name!r}" for project in _projects(state) if project.department == name]
    inside += [f"department {below.name!r}" for below in _departments(state) if below.parent == name]
    _refuse_if_used(f"Department {name!r}", "has", inside)
    return Append(present.event.model_copy(update={"removed": True, "changed_by": caller}), expected=present.version)


def decide_node_pool_removal(state: State, name: str, caller: Caller) -> Decision:
    """Remove a node pool that nobody has a quota of, or names; its nodes belong to another, or to `default`."""
    present = _present(state.node_pools, "node pool", name)
    users = [f"project {project.name!r}" for project in _projects(state) if name in _pools_of(project)]
    users += [f"department {each.name!r}" for each in _departments(state) if name in _pools_of(each)]
    _refuse_if_used(f"Node pool {name!r}", "is named by", users)
    return Append(present.event.model_copy(update={"removed": True, "changed_by": caller}), expected=present.version)


def _change(
    what: str, present: Known | None, wanted: ProjectChanged | DepartmentChanged | NodePoolChanged, version: int | None
) -> Decision:
    standing = present.version if present else 0
    if present is not None and present.event.model_copy(update={"changed_by": wanted.changed_by}) == wanted:
        return Already(standing)
    if version is not None and version != standing:
        raise _conflict(
            f"Somebody else changed {what} at position {standing}, after the {version} you have read; look again."
        )
    return Append(wanted, expected=standing)


def _present(known: Mapping[str, Entry], what: str, name: str) -> Entry:
    entry = known.get(name)
    if entry is None or entry.event.removed:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no {what} {name!r}.")
    return entry


def _projects(state: State) -> list[ProjectChanged]:
    return [entry.event for entry in state.projects.values() if not entry.event.removed]


def _departments(state: State) -> list[DepartmentChanged]:
    return [entry.event for entry in state.departments.values() if not entry.event.removed]


def _node_pools(state: State) -> list[NodePoolChanged]:
    return [entry.event for entry in state.node_pools.values() if not entry.event.removed]


def _above(state: State, department: str) -> Iterator[str]:
    """Yield a department and those above it."""
    seen: set[str] = set()
    while department and department not in seen:
        seen.add(department)
        yield department
        known = state.departments.get(department)
        department = known.event.parent if known else ""


def _pools_of(event: ProjectChanged | DepartmentChanged) -> set[str]:
    named = set(event.node_pools) if isinstance(event, ProjectChanged) else set()
    return named | {quota.node_pool for quota in event.quotas}


def _check_department(state: State, field: str, name: str) -> None:
    known = {DEFAULT} | {department.name for department in _departments(state)}
    if name not in known:
        raise invalid(field, f"names {name!r}, which is not a department; there is {', '.join(sorted(known)[:5])}")


def _quotas(asked: ProjectSettings | DepartmentSettings) -> tuple[PoolQuota, ...]:
    return tuple(PoolQuota(**quota.model_dump()) for quota in asked.quotas)


def _refuse_if_used(what: str, how: str, users: list[str]) -> None:
    if users:
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        raise _conflict(f"{what} {how} {', '.join(users[:3])}{more}, so it cannot be removed.")


def _conflict(sentence: str) -> Refused:
    return Refused(RefusalCode.CONFLICT, sentence)
