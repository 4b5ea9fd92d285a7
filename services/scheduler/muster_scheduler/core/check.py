"""Lists what is wrong with a plan. Shares no code with the planner: plain loops over plain facts, slow and obvious.

Runs on every plan in tests, and in production before a plan is written: a plan with a fault is never appended. It looks
only at nodes, groups and queues that the plan touches, so it is cheap beside the plan itself.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from uuid import UUID

from muster_contracts.values import WHOLE_GPU, Placement, PodFacts, PoolQuota

from muster_scheduler.core.gang import Part
from muster_scheduler.core.groups import Bound, GroupView
from muster_scheduler.core.plan import Plan
from muster_scheduler.core.snapshot import Snapshot

KINDS = ("gpu", "cpu", "memory")


def faults(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Return one sentence for each fault."""
    return [
        *_strangers(snapshot, plan),
        *_overcommitted(snapshot, plan),
        *_unsuitable(snapshot, plan),
        *_broken_gangs(snapshot, plan),
        *_wrong_pools(snapshot, plan),
        *_wrong_victims(snapshot, plan),
        *_over_bounds(snapshot, plan),
        *_unexplained(snapshot, plan),
    ]


def _waiting(snapshot: Snapshot) -> dict[UUID, tuple[GroupView, PodFacts]]:
    return {pod.facts.pod_id: (view, pod.facts) for view in snapshot.groups for pod in view.waiting}


def _bound(snapshot: Snapshot) -> dict[UUID, tuple[GroupView, Bound]]:
    return {pod.facts.pod_id: (view, pod) for view in snapshot.views.values() for pod in view.bound}


def _strangers(snapshot: Snapshot, plan: Plan) -> list[str]:
    waiting = _waiting(snapshot)
    moved = {victim.pod_id for victim in plan.victims if victim.rule == "consolidate"}
    places = [*plan.placements, *plan.nominations]
    counts = Counter(place.pod_id for place in places)
    found = [f"Pod {pod_id} is placed {count} times." for pod_id, count in counts.items() if count > 1]
    for place in places:
        known = waiting.get(place.pod_id)
        if place.node not in snapshot.terrain.rows:
            found.append(f"There is no node {place.node}.")
        if place.pod_id not in moved and (known is None or known[0].id != place.pod_group_id):
            found.append(f"Pod {place.pod_id} does not wait in group {place.pod_group_id}.")
    return found


def _overcommitted(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Check placements against what is idle, and with the nominations against what victims leave, too."""
    found = _check_room(snapshot, plan.placements, {}, "now")
    leaving: dict[str, list[Bound]] = defaultdict(list)
    bound = _bound(snapshot)
    for victim in plan.victims:
        if victim.pod_id in bound:
            leaving[bound[victim.pod_id][1].node].append(bound[victim.pod_id][1])
    for _, pod in bound.values() if snapshot.releasing is not None else ():
        if pod.releasing:
            leaving[pod.node].append(pod)
    return found + _check_room(snapshot, [*plan.placements, *plan.nominations], leaving, "later")


def _check_room(
    snapshot: Snapshot, places: Iterable[Placement], leaving: dict[str, list[Bound]], when: str
) -> list[str]:
    facts = {pod_id: pod for pod_id, (_, pod) in _waiting(snapshot).items()}
    facts |= {pod.facts.pod_id: pod.facts for pods in leaving.values() for pod in pods}
    by_node: dict[str, list[Placement]] = defaultdict(list)
    for place in places:
        by_node[place.node].append(place)
    found: list[str] = []
    for name, here in by_node.items():
        row = snapshot.terrain.rows.get(name)
        asked = [facts[place.pod_id] for place in here if place.pod_id in facts]
        gone = leaving.get(name, [])
        if row is None:
            continue
        idle = snapshot.idle
        for what, used, free in (
            (
                "thousandths of CPUs",
                [pod.requests.cpu_milli for pod in asked],
                idle.cpu[row] + sum(p.facts.requests.cpu_milli for p in gone),
            ),
            (
                "bytes of memory",
                [pod.requests.memory_bytes for pod in asked],
                idle.memory[row] + sum(p.facts.requests.memory_bytes for p in gone),
            ),
            ("pods", [1 for _ in asked], idle.pods[row] + len(gone)),
        ):
            if sum(used) > free:
                found.append(f"Node {name} is given {sum(used)} {what} {when} and has {free}.")
        found += _check_extended(snapshot, row, asked, gone)
        found += _check_devices(snapshot, row, here, gone, when)
        found += _check_shares(snapshot, row, here, facts)
    return found


def _check_extended(snapshot: Snapshot, row: int, asked: list[PodFacts], gone: list[Bound]) -> list[str]:
    used: Counter[str] = Counter()
    for pod in asked:
        used.update(pod.requests.extended)
    for bound in gone:
        used.subtract(bound.facts.requests.extended)
    columns = snapshot.idle.extended
    name = snapshot.terrain.nodes[row].name
    return [
        f"Node {name} is given {count} {what} more than it has."
        for what, count in used.items()
        if count > (columns[what][row] if what in columns else 0)
    ]


def _check_devices(snapshot: Snapshot, row: int, here: list[Placement], gone: list[Bound], when: str) -> list[str]:
    free = dict(enumerate(snapshot.idle.devices[row].tolist()))
    for bound in gone:
        for share in bound.devices:
            free[share.index] = free.get(share.index, 0) + share.portion_millionths
    for place in here:
        for share in place.devices:
            free[share.index] = free.get(share.index, 0) - share.portion_millionths
    name = snapshot.terrain.nodes[row].name
    return [f"Device {index} of {name} is given {-left} too much {when}." for index, left in free.items() if left < 0]


def _check_shares(snapshot: Snapshot, row: int, here: list[Placement], facts: dict[UUID, PodFacts]) -> list[str]:
    node = snapshot.terrain.nodes[row]
    found: list[str] = []
    for place in here:
        pod = facts.get(place.pod_id)
        if pod is None:
            continue
        if len({share.index for share in place.devices}) != pod.gpu.devices:
            found.append(f"Pod {pod.pod_id} asks for {pod.gpu.devices} devices and gets {len(place.devices)}.")
        for share in place.devices:
            given = share.portion_millionths * node.gpu_memory_bytes
            if pod.gpu.memory_bytes and given < pod.gpu.memory_bytes * WHOLE_GPU:
                found.append(f"Pod {pod.pod_id} gets less of device {share.index} than it asks for.")
            if not pod.gpu.memory_bytes and share.portion_millionths != pod.gpu.portion_millionths:
                found.append(f"Pod {pod.pod_id} asks for {pod.gpu.portion_millionths} and gets another portion.")
    return found


def _unsuitable(snapshot: Snapshot, plan: Plan) -> list[str]:
    waiting = _waiting(snapshot)
    found: list[str] = []
    for place in [*plan.placements, *plan.nominations]:
        row = snapshot.terrain.rows.get(place.node)
        if row is None or place.pod_id not in waiting:
            continue
        node, pod = snapshot.terrain.nodes[row], waiting[place.pod_id][1]
        if not node.ready or node.unschedulable:
            found.append(f"Node {node.name} takes no pods.")
        for key, value in pod.node_selector.items():
            if node.labels.get(key) != value:
                found.append(f"Pod {pod.pod_id} wants a node labelled {key}={value}, which {node.name} is not.")
        for taint in node.taints:
            if taint.effect != "PreferNoSchedule" and not any(
                t.key in ("", taint.key)
                and t.effect in ("", taint.effect)
                and (t.operator == "Exists" or (t.key == taint.key and t.value == taint.value))
                for t in pod.tolerations
            ):
                found.append(f"Pod {pod.pod_id} does not tolerate the taint {taint.key} of {node.name}.")
    return found


def _broken_gangs(snapshot: Snapshot, plan: Plan) -> list[str]:
    found: list[str] = []
    waiting = _waiting(snapshot)
    for places in (plan.placements, plan.nominations):
        groups: dict[UUID, list[PodFacts]] = defaultdict(list)
        for place in places:
            if place.pod_id in waiting:
                groups[place.pod_group_id].append(waiting[place.pod_id][1])
        for group_id, pods in groups.items():
            view = snapshot.views[group_id]
            held = Counter(dict(view.held))
            held.update(pod.sub_group if view.tree.parts else "" for pod in pods)
            if places is plan.nominations:
                held.update(_seated_now(snapshot, plan, group_id))
            if sum(held.values()) < view.min_members or not _is_whole(view.tree, held):
                found.append(f"Group {group_id} is started in part: {dict(held)} of {view.min_members}.")
    return found


def _seated_now(snapshot: Snapshot, plan: Plan, group_id: UUID) -> list[str]:
    view, waiting = snapshot.views[group_id], _waiting(snapshot)
    mine = [place for place in plan.placements if place.pod_group_id == group_id]
    return [waiting[place.pod_id][1].sub_group if view.tree.parts else "" for place in mine]


def _is_whole(part: Part, held: Counter[str]) -> bool:
    if not part.parts:
        return held[part.name] >= part.minimum
    whole = [below for below in part.parts if _is_whole(below, held)]
    return len(whole) >= (len(part.parts) if part.minimum_parts is None else part.minimum_parts)


def _wrong_pools(snapshot: Snapshot, plan: Plan) -> list[str]:
    pools: dict[UUID, set[str]] = defaultdict(set)
    for place in [*plan.placements, *plan.nominations]:
        if (row := snapshot.terrain.rows.get(place.node)) is not None:
            pools[place.pod_group_id].add(snapshot.terrain.pool_names[row])
    found: list[str] = []
    for group_id, used in pools.items():
        view = snapshot.views.get(group_id)
        if view is None:
            continue
        stays = [snapshot.terrain.rows.get(pod.node) for pod in view.staying]
        there = used | {snapshot.terrain.pool_names[row] for row in stays if row is not None}
        if len(there) > 1:
            found.append(f"Group {group_id} is in the node pools {sorted(there)} at once.")
        if not stays and not used <= set(view.node_pools):
            found.append(f"Group {group_id} may not use the node pools {sorted(used - set(view.node_pools))}.")
    return found


def _wrong_victims(snapshot: Snapshot, plan: Plan) -> list[str]:
    found: list[str] = []
    bound = _bound(snapshot)
    nominated = {place.pod_id for place in plan.nominations}
    groups = {place.pod_group_id for place in plan.nominations}
    helped = {view.workload_id: view for view in snapshot.groups if view.id in groups}
    for pod_id, count in Counter(victim.pod_id for victim in plan.victims).items():
        if count > 1:
            found.append(f"Pod {pod_id} is evicted {count} times.")
    for victim in plan.victims:
        if victim.pod_id not in bound:
            found.append(f"Pod {victim.pod_id} is evicted and is nowhere.")
            continue
        view, pod = bound[victim.pod_id]
        friend = helped.get(victim.beneficiary_id) if victim.beneficiary_id else None
        if pod.releasing or not pod.ours:
            found.append(f"Pod {victim.pod_id} is not ours to evict.")
        if victim.rule == "stale-gang":
            if not view.is_short:
                found.append(f"Group {view.id} is evicted as stale and is whole.")
            continue
        if not view.preemptible:
            found.append(f"Pod {victim.pod_id} is evicted and is not preemptible.")
        if friend is None:
            found.append(f"Pod {victim.pod_id} is evicted for nobody.")
        elif victim.rule == "preempt" and (friend.queue != view.queue or friend.priority <= view.priority):
            found.append(f"Pod {victim.pod_id} is preempted for a group that is no more important.")
        elif victim.rule == "reclaim" and (friend.queue == view.queue or not _borrows(snapshot, view, pod)):
            found.append(f"Pod {victim.pod_id} is reclaimed and is not borrowed.")
        if victim.rule == "consolidate" and victim.pod_id not in nominated:
            found.append(f"Pod {victim.pod_id} is moved nowhere.")
    return found


def _borrows(snapshot: Snapshot, view: GroupView, pod: Bound) -> bool:
    """Say whether any queue above the pod held more than its quota of anything before the plan."""
    pool = snapshot.terrain.pool_names[snapshot.terrain.rows[pod.node]]
    held = _held(snapshot, pool, {})
    for key in _above(snapshot, view.queue):
        quota = _quota(snapshot, key, pool)
        if quota is not None and any(
            most is not None and amount > most
            for amount, most in zip(held[key], (quota.gpu_millionths, quota.cpu_milli, quota.memory_bytes), strict=True)
        ):
            return True
    return False


def _over_bounds(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Check hard limits, and quotas of what cannot be preempted, for queues that the plan gives something."""
    found: list[str] = []
    waiting = _waiting(snapshot)
    smallest = min((node.gpu_memory_bytes for node in snapshot.terrain.nodes if node.gpu_memory_bytes), default=0)
    more: dict[str, dict[tuple[str, bool], list[int]]] = defaultdict(dict)
    for place in plan.placements:
        row = snapshot.terrain.rows.get(place.node)
        if row is None or place.pod_id not in waiting:
            continue
        view, pod = waiting[place.pod_id]
        amounts = more[snapshot.terrain.pool_names[row]].setdefault((view.queue, not view.preemptible), [0, 0, 0])
        portion = pod.gpu.portion_millionths
        if pod.gpu.memory_bytes:
            portion = min(WHOLE_GPU, -(-pod.gpu.memory_bytes * WHOLE_GPU // smallest)) if smallest else WHOLE_GPU
        for index, amount in enumerate((pod.gpu.devices * portion, pod.requests.cpu_milli, pod.requests.memory_bytes)):
            amounts[index] += amount
    for pool, gifts in more.items():
        everything, firm = _held(snapshot, pool, gifts), _held(snapshot, pool, gifts, firm_only=True)
        for key in dict.fromkeys(above for queue, _ in gifts for above in _above(snapshot, queue)):
            quota = _quota(snapshot, key, pool)
            if quota is None:
                continue
            limits = (quota.gpu_limit_millionths, quota.cpu_limit_milli, quota.memory_limit_bytes)
            deserved = (quota.gpu_millionths, quota.cpu_milli, quota.memory_bytes)
            given = _given(snapshot, key, gifts, firm_only=False)
            firmly = _given(snapshot, key, gifts, firm_only=True)
            for index, kind in enumerate(KINDS):
                limit, quotum = limits[index], deserved[index]
                if limit is not None and given[index] and everything[key][index] > limit:
                    found.append(f"{key} is given more {kind} than its limit of {limit} in {pool}.")
                if quotum is not None and firmly[index] and firm[key][index] > quotum:
                    found.append(f"{key} is given more non-preemptible {kind} than its quota of {quotum} in {pool}.")
    return found


def _given(snapshot: Snapshot, key: str, gifts: dict[tuple[str, bool], list[int]], *, firm_only: bool) -> list[int]:
    total = [0, 0, 0]
    for (queue, firm), amounts in gifts.items():
        if key in _above(snapshot, queue) and (firm or not firm_only):
            total = [a + b for a, b in zip(total, amounts, strict=True)]
    return total


def _held(
    snapshot: Snapshot, pool: str, gifts: dict[tuple[str, bool], list[int]], *, firm_only: bool = False
) -> dict[str, list[int]]:
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    entries = [
        (queue, firm if firm_only else held)
        for (where, queue), (held, firm) in snapshot.holding.items()
        if where == pool
    ]
    entries += [(queue, tuple(amounts)) for (queue, firm), amounts in gifts.items() if firm or not firm_only]  # type: ignore[misc]
    for queue, amounts in entries:
        for key in _above(snapshot, queue):
            total[key] = [a + b for a, b in zip(total[key], amounts, strict=True)]
    return total


def _above(snapshot: Snapshot, key: str) -> list[str]:
    parents = {queue.key: queue.parent for queue in snapshot.queues}
    chain = [key]
    while parents.get(chain[-1]) in parents:
        chain.append(parents[chain[-1]])
    return chain


def _quota(snapshot: Snapshot, key: str, pool: str) -> PoolQuota | None:
    queue = next((queue for queue in snapshot.queues if queue.key == key), None)
    if queue is None or not queue.quotas:
        return None
    return next((quota for quota in queue.quotas if quota.node_pool == pool), None)


def _unexplained(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Every group with a pod left waiting has a reason, whose numbers are sound."""
    placed = {place.pod_id for place in plan.placements}
    explained = {blocked.pod_group_id for blocked in plan.blocked}
    found = [
        f"Group {view.id} waits without a reason."
        for view in snapshot.groups
        if view.id not in explained and any(pod.facts.pod_id not in placed for pod in view.waiting)
    ]
    for blocked in plan.blocked:
        numbers = blocked.numbers
        if any(number < 0 for number in numbers.values()):
            found.append(f"The reason of {blocked.pod_group_id} has a negative number: {numbers}.")
        if "best" in numbers and numbers["needed"] <= numbers["best"]:
            found.append(f"{blocked.pod_group_id} is said to need {numbers['needed']} of {numbers['best']}.")
        if "bound" in numbers and numbers["needed"] + numbers["held"] <= numbers["bound"]:
            found.append(f"{blocked.pod_group_id} is said to pass {numbers['bound']} and does not.")
    return found
