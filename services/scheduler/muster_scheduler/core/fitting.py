"""What the planner would do for somebody who asks: would this fit now, and why does that workload wait?

Both are answered by planning, on the snapshot of the moment: what is asked for joins as one more group, the youngest of
all, and what the plan says of it is the answer. Nobody estimates, so the answer is as good as the next plan: a question
never takes what an older workload of a better claim is about to get. Nothing here looks at the fold, which goes on
while a thread plans; whatever is needed of it is in the snapshot or filled in by `addressed`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES
from muster_contracts.questions import (
    Amounts,
    Bounds,
    Fit,
    GroupWaits,
    Holder,
    NotAnswered,
    PlaceFound,
    Waits,
    WhyDoesItWait,
    WouldGo,
    WouldItFit,
)
from muster_contracts.subjects import derived_id
from muster_contracts.values import GpuRequest, PodFacts, Resources

from muster_scheduler.core.accounts import Account
from muster_scheduler.core.draft import Draft, Limits
from muster_scheduler.core.drawing import FIRST_FIRM_PRIORITY, PRIORITIES
from muster_scheduler.core.gang import Part
from muster_scheduler.core.groups import Bound, GroupView, Waiting
from muster_scheduler.core.need import need_of
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.reasons import HELD_BACK, Blocked
from muster_scheduler.core.snapshot import Snapshot
from muster_scheduler.core.state import State
from muster_scheduler.core.terrain import DEFAULT_POOL

ASKER = derived_id("question", "would it fit")
"""The id of the workload and the pod group that do not exist."""

LONGEST_LIST = 5
"""Holders that are named."""


def addressed(state: State, asked: WouldItFit) -> WouldItFit | NotAnswered:
    """Return a question with the node pools in which it is to be answered, if there is such a project."""
    project = state.organisation.projects.get(asked.project)
    if project is None or project.removed:
        return NotAnswered(code="NotFound", sentence=f"There is no project {asked.project!r}.")
    pools = asked.node_pools or project.node_pools or (DEFAULT_POOL,)
    return asked.model_copy(update={"node_pools": pools})


def would_it_fit(snapshot: Snapshot, limits: Limits, asked: WouldItFit) -> Fit:
    """Plan with what is asked for, and say what becomes of it."""
    view = _view(asked, snapshot.now or datetime.min.replace(tzinfo=UTC))
    groups = tuple(sorted((*snapshot.groups, view), key=lambda group: group.order))
    with_it = replace(snapshot, groups=groups, views={**snapshot.views, view.id: view})
    return _fit(with_it, plan(with_it, limits))


def why_does_it_wait(snapshot: Snapshot, limits: Limits, asked: WhyDoesItWait) -> Waits:
    """Plan as the next plan will, and say what it says of the groups of a workload; who has a place may wait, too."""
    mine = [view for view in snapshot.views.values() if view.workload_id == asked.workload_id]
    groups = [_awaits_volumes(view) for view in mine if any(_awaited_claims(view.bound))]
    known = (*snapshot.groups, *(snapshot.views[group_id] for group_id in snapshot.aside))
    waiting = [view for view in known if view.workload_id == asked.workload_id and not view.is_held_back]
    if waiting:
        made, draft = plan(snapshot, limits), Draft(snapshot, limits)
        groups += [_waits(draft, made, view) for view in waiting]
    told = {group.pod_group_id for group in groups if group.code in HELD_BACK}
    groups += [_held_back(view) for view in mine if (view.gates or view.rests) and view.id not in told]
    return Waits(position=snapshot.position, groups=tuple(groups))


def _view(asked: WouldItFit, now: datetime) -> GroupView:
    priority = PRIORITIES[asked.priority_class]
    pods = tuple(Waiting(facts, need_of(facts)) for facts in _pods(asked, now))
    return GroupView(
        id=ASKER,
        workload_id=ASKER,
        name="It",  # sentences begin with the name
        queue=f"project/{asked.project}",
        priority=priority,
        preemptible=priority < FIRST_FIRM_PRIORITY,
        node_pools=asked.node_pools,
        min_members=asked.pods,
        tree=Part(minimum=asked.pods),
        created_at=now,
        started_at=None,
        shrunk_at=None,
        waiting=pods,
        bound=(),
        finished={},
    )


def _pods(asked: WouldItFit, now: datetime) -> Iterable[PodFacts]:
    gpu = GpuRequest(
        devices=asked.gpu_devices, portion_millionths=asked.gpu_portion_millionths, memory_bytes=asked.gpu_memory_bytes
    )
    requests = Resources(
        cpu_milli=asked.cpu_milli,
        memory_bytes=asked.memory_bytes,
        gpu_millionths=asked.gpu_devices * asked.gpu_portion_millionths,
    )
    for number in range(asked.pods):
        yield PodFacts(
            pod_id=derived_id("question", str(number)),
            name=f"question-{number}",
            namespace="",
            pod_group_id=ASKER,
            scheduler_name=next(iter(COMPATIBLE_SCHEDULER_NAMES)),
            created_at=now,
            requests=requests,
            gpu=gpu,
        )


def _fit(snapshot: Snapshot, made: Plan) -> Fit:
    placed = [place.node for place in made.placements if place.pod_group_id == ASKER]
    promised = [place.node for place in made.nominations if place.pod_group_id == ASKER]
    nodes = placed or promised
    reason = next((blocked for blocked in made.blocked if blocked.pod_group_id == ASKER), None)
    found = Fit(position=snapshot.position, fits="now" if placed else "after-evictions" if promised else "no")
    if nodes:
        pool = snapshot.terrain.pool_names[snapshot.terrain.rows[nodes[0]]]
        places = tuple(PlaceFound(node=node, pods=count) for node, count in sorted(Counter(nodes).items()))
        found = found.model_copy(update={"node_pool": pool, "places": places, "victims": _victims(snapshot, made)})
    if reason is None or placed:
        return found
    said = {"code": reason.code, "reason": reason.reason, "remedy": reason.remedy, "numbers": reason.numbers}
    return found.model_copy(update=said)


def _victims(snapshot: Snapshot, made: Plan) -> tuple[WouldGo, ...]:
    names = {view.workload_id: view.name for view in snapshot.views.values()}
    counts = Counter((one.workload_id, one.rule) for one in made.victims if one.beneficiary_id == ASKER)
    return tuple(
        WouldGo(workload_id=workload_id, name=names.get(workload_id, ""), pods=count, rule=rule)
        for (workload_id, rule), count in counts.items()
    )


def _awaited_claims(pods: Iterable[Bound]) -> list[tuple[str, str]]:
    """Return the claims that promised pods wait for, each with the node of its pod."""
    promised = [(pod.node, pod.facts.rules) for pod in pods if not pod.facts.node]
    return [
        (claim, node) for node, rules in promised if rules for claim in (*rules.claims_waiting, *rules.claims_unbound)
    ]


def _awaits_volumes(view: GroupView) -> GroupWaits:
    claims = _awaited_claims(view.bound)
    (claim, node), more = claims[0], len(claims) - 1
    others = f" and {more} more" if more else ""
    return GroupWaits(
        pod_group_id=view.id,
        name=view.name,
        pods=sum(1 for pod in view.bound if not pod.facts.node),
        node_pools=view.node_pools,
        code="VolumesAwaited",
        reason=f"{view.name} has its place on {node}; it waits for the volume of the claim {claim}{others}.",
        remedy="Whoever makes its volumes has to make them; the events of the claim say what is in the way.",
        numbers={"claims": len(claims)},
    )


def _held_back(view: GroupView) -> GroupWaits:
    blocked = Blocked.for_gates(view) if view.gates else Blocked.for_rests(view)
    return GroupWaits(
        pod_group_id=view.id,
        name=view.name,
        pods=blocked.numbers["pods"],
        node_pools=view.node_pools,
        code=blocked.code,
        reason=blocked.reason,
        remedy=blocked.remedy,
        numbers=blocked.numbers,
    )


def _waits(draft: Draft, made: Plan, view: GroupView) -> GroupWaits:
    pools = draft.pools_of(view)
    waits = GroupWaits(
        pod_group_id=view.id,
        name=view.name,
        pods=len(view.waiting),
        node_pools=pools,
        code="ItsTurn",
        reason=f"{view.name} has its place in the next plan.",
        remedy="Nothing has to be done.",
    )
    blocked = next((one for one in made.blocked if one.pod_group_id == view.id), None)
    if blocked is None:
        return waits
    return waits.model_copy(
        update={
            "code": blocked.code,
            "reason": blocked.reason,
            "remedy": blocked.remedy,
            "numbers": blocked.numbers,
            "queue_position": blocked.numbers.get("queue_position"),
            "holders": _holders(draft, view, pools[0]),
        }
    )


def _holders(draft: Draft, view: GroupView, pool: str) -> tuple[Holder, ...]:
    """Name the projects that hold most of what a group needs: GPUs if it needs any, else processors."""
    resource = 0 if any(pod.need.devices for pod in view.waiting) else 1
    leaves = [account for account in draft.accounts(pool).by_key.values() if account.allocated[resource]]
    leaves = [account for account in leaves if not account.children]
    leaves.sort(key=lambda account: (-account.allocated[resource], account.queue.age, account.queue.key))
    return tuple(_holder(account) for account in leaves[:LONGEST_LIST])


def _holder(account: Account) -> Holder:
    return Holder(
        project=account.queue.name,
        allocated=amounts_of(account.allocated),
        quota=bounds_of(account.deserved),
        fair_share=amounts_of(account.fair),
    )


def amounts_of(triple: Iterable[int]) -> Amounts:
    """Write a triple as people are told it."""
    gpu, cpu, memory = triple
    return Amounts(gpu_millionths=gpu, cpu_milli=cpu, memory_bytes=memory)


def bounds_of(triple: Iterable[int | None]) -> Bounds:
    """Write bounds as people are told them."""
    gpu, cpu, memory = triple
    return Bounds(gpu_millionths=gpu, cpu_milli=cpu, memory_bytes=memory)
