"""Draws the picture of a state: only nodes and groups that changed since the last snapshot are worked out again.

A steady cluster of 100,000 pods costs a snapshot two copies of its arrays and nothing more. Rows are made from scratch
out of the pods on the node, never adjusted, so that nothing drifts.
"""

from collections import Counter
from dataclasses import replace
from uuid import UUID

from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES
from muster_contracts.phases import PriorityClass
from muster_contracts.values import DeviceShare, PodFacts, PodPhase

from muster_scheduler.core.accounts import NOTHING, Triple
from muster_scheduler.core.amounts import (
    Amounts,
    Use,
    devices_of_strangers,
    empty_node,
    name_devices,
    total_of,
    withhold_devices,
)
from muster_scheduler.core.gang import tree_of
from muster_scheduler.core.groups import Awaited, Bound, GroupView, Waiting
from muster_scheduler.core.need import Need, need_of
from muster_scheduler.core.picture import Picture
from muster_scheduler.core.pods import Group, Pod
from muster_scheduler.core.state import Changes, State
from muster_scheduler.core.terrain import DEFAULT_POOL, Terrain

PRIORITIES = {
    PriorityClass.TRAIN: 50,
    PriorityClass.INTERACTIVE_PREEMPTIBLE: 75,
    PriorityClass.BUILD: 100,
    PriorityClass.INFERENCE: 125,
}
"""KAI-Scheduler's numbers; an unknown class counts as training."""
FIRST_FIRM_PRIORITY = 100
"""From here on a group is not preemptible unless it says so."""


def refresh(state: State) -> Picture:
    """Bring the picture of a state up to date."""
    changes, picture = state.changes, state.picture
    everything = picture is None or changes.queues
    if picture is None or changes.land:
        picture = state.picture = _on_new_land(state, picture)
    if everything:
        picture.queues = state.organisation.queues()
    for name in state.nodes if changes.land else changes.nodes:
        if (row := picture.terrain.rows.get(name)) is not None:
            _draw_node(state, picture, row)
    for group_id in dict.fromkeys((*state.groups, *changes.groups) if everything else changes.groups):
        _draw_group(state, picture, group_id)
    _forget_pods(state, picture)
    state.changes = Changes(land=False, queues=False)
    return picture


def _forget_pods(state: State, picture: Picture) -> None:
    """Drop what is known of pods that are gone, now and then."""
    if len(picture.facts) > 2 * len(state.pods) + 1000:
        picture.facts = {pod_id: known for pod_id, known in picture.facts.items() if pod_id in state.pods}
        picture.devices = {pod_id: known for pod_id, known in picture.devices.items() if pod_id in state.pods}


def _on_new_land(state: State, before: Picture | None) -> Picture:
    """Return a picture of the nodes and pools as they are now. Views of groups that are on no node are kept."""
    terrain = Terrain(state.nodes.values(), {n: p for n, p in state.node_pools.items() if not p.removed})
    size = (len(terrain), terrain.width)
    picture = Picture(terrain, Amounts.none(*size), Amounts.none(*size))
    if before is not None:
        state.changes.groups |= {group_id: None for group_id, view in before.views.items() if view.bound}
        picture.views = {group_id: view for group_id, view in before.views.items() if not view.bound}
        picture.waiting, picture.queues = before.waiting, before.queues
        picture.needs, picture.facts = before.needs, before.facts
    return picture


def _draw_node(state: State, picture: Picture, row: int) -> None:
    node = picture.terrain.nodes[row]
    empty_node(picture.idle, picture.terrain, row)
    picture.releasing.clear(row)
    ids = sorted(pod_id for pod_id in state.tenants.get(node.name, ()) if _is_on(state, pod_id, node.name))
    uses = name_devices(node, [_use(state, picture, pod_id) for pod_id in ids])
    for pod_id, use in zip(ids, uses, strict=True):
        picture.idle.change(row, use, -1)
        if state.pods[pod_id].is_releasing:
            picture.releasing.change(row, use, 1)
        _note_devices(state, picture, pod_id, use[1])
    withhold_devices(picture.idle, row, devices_of_strangers(node))


def _note_devices(state: State, picture: Picture, pod_id: UUID, devices: tuple[DeviceShare, ...]) -> None:
    """Note which devices a pod holds; its group, which shows them, is drawn anew when they are others than before."""
    if picture.devices.get(pod_id) == devices:
        return
    picture.devices[pod_id] = devices
    group_id = state.pods[pod_id].facts.pod_group_id
    if group_id is not None:
        state.changes.groups[group_id] = None


def _is_on(state: State, pod_id: UUID, node: str) -> bool:
    """Say whether a live pod is on a node, or promised to it."""
    pod, promise = state.pods.get(pod_id), state.promises.get(pod_id)
    if pod is not None and (not pod.live or pod.assignment is not None):
        return pod.live and pod.assignment is not None and pod.assignment.node == node
    return pod is not None and promise is not None and promise.placement.node == node


def _use(state: State, picture: Picture, pod_id: UUID) -> Use:
    pod, promise = state.pods[pod_id], state.promises.get(pod_id)
    if pod.assignment is not None:
        return _need(picture, pod.facts), pod.assignment.devices
    return _need(picture, pod.facts), promise.placement.devices if promise else ()


def _need(picture: Picture, facts: PodFacts) -> Need:
    """Return the need of a pod, the same object for the same need."""
    known = picture.facts.get(facts.pod_id)
    if known is None or known[0] is not facts:
        need = need_of(facts)
        known = picture.facts[facts.pod_id] = (facts, picture.needs.setdefault(need, need))
    return known[1]


def _wanted(state: State, picture: Picture, pod: Pod) -> Need:
    """Return what a pod needs that is to be placed: not where it turned out to be in vain."""
    need = _need(picture, pod.facts)
    shunned = state.refusals.shunned.get(pod.facts.pod_id)
    return replace(need, shunned=tuple(sorted(shunned))) if shunned else need


def _draw_group(state: State, picture: Picture, group_id: UUID) -> None:
    before = picture.views.pop(group_id, None)
    if before is not None:
        _count(picture, before, -1)
    picture.waiting.pop(group_id, None)
    picture.short.pop(group_id, None)
    group = state.groups.get(group_id)
    view = _view(state, picture, group) if group is not None else None
    if view is None:
        return
    picture.views[group_id] = view
    _count(picture, view, 1)
    if view.waiting or view.is_held_back or group_id in state.nominations:
        picture.waiting[group_id] = None
    if view.is_short:
        picture.short[group_id] = None


def _count(picture: Picture, view: GroupView, sign: int) -> None:
    """Add what a group holds to its queue, or take it out."""
    for pod in view.staying:
        pool = pool_of_bound(picture.terrain, pod)
        amounts = total_of((pod.need,), picture.terrain.least_device_bytes())
        held, firm = picture.holding.get((pool, view.queue), (NOTHING, NOTHING))
        held = _added(held, amounts, sign)
        picture.holding[pool, view.queue] = held, firm if view.preemptible else _added(firm, amounts, sign)


def _added(first: Triple, second: Triple, sign: int) -> Triple:
    return first[0] + sign * second[0], first[1] + sign * second[1], first[2] + sign * second[2]


def pool_of_bound(terrain: Terrain, pod: Bound) -> str:
    """Return the pool of the node a pod is on; a node nobody knows any more counts as default."""
    row = terrain.rows.get(pod.node)
    return DEFAULT_POOL if row is None else terrain.pool_names[row]


def _view(state: State, picture: Picture, group: Group) -> GroupView | None:
    pods = [state.pods[pod_id] for pod_id in state.members.get(group.id, ())]
    awaited = _awaited(state, picture, group.id)
    if not pods and not awaited:
        return None
    pods.sort(key=lambda pod: (-pod.facts.order_priority, pod.facts.name, pod.facts.pod_id))
    workload = state.workloads[group.workload_id]
    priority = _priority(group)
    named = {part.name for part in group.sub_groups} & {pod.facts.sub_group for pod in pods}
    tree = tree_of(group.sub_groups if named else (), group.min_members, group.min_sub_groups, group.topology)
    return GroupView(
        id=group.id,
        workload_id=group.workload_id,
        name=workload.name or group.name,
        queue=f"project/{workload.project}",
        priority=priority,
        preemptible=priority < FIRST_FIRM_PRIORITY if group.preemptible is None else group.preemptible,
        node_pools=_pools(state, group, workload.project),
        min_members=group.min_members,
        tree=tree,
        created_at=group.oldest_at or min(pod.facts.created_at for pod in pods),
        started_at=group.started_at,
        shrunk_at=group.shrunk_at,
        waiting=tuple(Waiting(pod.facts, _wanted(state, picture, pod)) for pod in pods if _wants_place(state, pod)),
        bound=tuple(bound for bound in (_bound(state, picture, pod) for pod in pods) if bound is not None),
        finished=Counter(pod.facts.sub_group if tree.parts else "" for pod in pods if _has_done_its_part(pod)),
        gates=tuple(pod.facts.scheduling_gates for pod in pods if pod.facts.scheduling_gates),
        rests=tuple(end for pod in pods if (end := state.refusals.rest_of(pod.facts.pod_id, state.now)) is not None),
        awaited=awaited,
    )


def _awaited(state: State, picture: Picture, group_id: UUID) -> tuple[Awaited, ...]:
    nomination = state.nominations.get(group_id)
    moved = nomination.moved if nomination is not None else ()
    return tuple(Awaited(Waiting(one.facts, _need(picture, one.facts)), one.until) for one in moved)


def _has_done_its_part(pod: Pod) -> bool:
    return pod.facts.phase is PodPhase.SUCCEEDED and not pod.facts.terminating


def _priority(group: Group) -> int:
    if group.priority is not None:
        return group.priority
    known = {name.value: number for name, number in PRIORITIES.items()}
    return known.get(group.priority_class, PRIORITIES[PriorityClass.TRAIN])


def _pools(state: State, group: Group, project: str) -> tuple[str, ...]:
    known = state.organisation.projects.get(project)
    return group.node_pools or (known.node_pools if known else ()) or (DEFAULT_POOL,)


def _bound(state: State, picture: Picture, pod: Pod) -> Bound | None:
    facts = pod.facts
    promise = state.promises.get(facts.pod_id)
    place = pod.assignment.node if pod.assignment else promise.placement.node if promise else ""
    if not place or not pod.live:
        return None
    return Bound(
        facts=facts,
        need=_need(picture, facts),
        node=place,
        devices=picture.devices.get(facts.pod_id, ()),
        releasing=pod.is_releasing,
        ours=_may_be_told_to_go(state, pod),
    )


def _may_be_told_to_go(state: State, pod: Pod) -> bool:
    """Say whether a pod is one of ours and was not refused to us a moment ago, by a disruption budget for example."""
    ours = pod.facts.scheduler_name in COMPATIBLE_SCHEDULER_NAMES
    return ours and pod.assignment is not None and pod.facts.pod_id not in state.refusals.spared


def _wants_place(state: State, pod: Pod) -> bool:
    """Say whether a pod is to be placed; one that was refused to us has changed and must be seen anew first."""
    facts = pod.facts
    return (
        pod.assignment is None
        and facts.pod_id not in state.promises
        and not state.refusals.forbid(facts.pod_id, facts.resource_version, state.now)
        and facts.phase is PodPhase.PENDING
        and not facts.terminating
        and not facts.scheduling_gates
        and facts.scheduler_name in COMPATIBLE_SCHEDULER_NAMES
    )
