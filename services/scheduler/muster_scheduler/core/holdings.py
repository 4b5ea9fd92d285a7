"""Who holds what: every queue in every node pool with its due and its share, and every node with who is on its GPUs.

The numbers are those the next plan starts from: the same accounts, the same fair shares, the same free devices.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from muster_contracts.questions import (
    Amounts,
    Holdings,
    NodeHoldings,
    NodeHolds,
    PodHolds,
    PoolHolds,
    QueueHolds,
    WhatNodesHold,
)
from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.accounts import NOTHING, Account, Accounts, Triple
from muster_scheduler.core.amounts import total_of
from muster_scheduler.core.draft import Draft, Limits
from muster_scheduler.core.drawing import pool_of_bound
from muster_scheduler.core.fitting import amounts_of, bounds_of
from muster_scheduler.core.need import Need
from muster_scheduler.core.snapshot import Snapshot
from muster_scheduler.core.terrain import DEFAULT_POOL

Pending = dict[str, tuple[Triple, int]]
"""By project: what its waiting pods ask for, and how many they are."""


@dataclass(frozen=True)
class Lost:
    """What pods hold of nodes that are gone, and of nodes that are not ready, by pool."""

    gone: defaultdict[str, list[Need]] = field(default_factory=lambda: defaultdict(list))
    unready: defaultdict[str, list[Need]] = field(default_factory=lambda: defaultdict(list))


def holdings(snapshot: Snapshot, limits: Limits) -> Holdings:
    """Return every pool that has nodes or was described."""
    draft = Draft(snapshot, limits)
    names = sorted({DEFAULT_POOL, *snapshot.terrain.pools, *snapshot.terrain.pool_names})
    lost = _lost(snapshot)
    return Holdings(position=snapshot.position, node_pools=tuple(_pool(draft, name, lost) for name in names))


def _lost(snapshot: Snapshot) -> Lost:
    """Return the needs of pods on nodes that are in no capacity: a node that goes takes its pods along only later."""
    terrain, lost = snapshot.terrain, Lost()
    for pod in (pod for view in snapshot.views.values() for pod in view.staying):
        row = terrain.rows.get(pod.node)
        if row is None:
            lost.gone[pool_of_bound(terrain, pod)].append(pod.need)
        elif not terrain.ready[row]:
            lost.unready[pool_of_bound(terrain, pod)].append(pod.need)
    return lost


def _pool(draft: Draft, name: str, lost: Lost) -> PoolHolds:
    terrain, accounts = draft.terrain, draft.accounts(name)
    here = terrain.in_pool(name)
    held = [sum(account.allocated[r] for account in accounts.roots) for r in range(3)]
    return PoolHolds(
        node_pool=name,
        nodes=int(here.sum()),
        ready_nodes=int((here & terrain.ready).sum()),
        capacity=amounts_of(terrain.capacity(name)),
        allocated=amounts_of(held),
        allocated_on_gone_nodes=amounts_of(total_of(lost.gone[name], draft.device_bytes)),
        allocated_on_unready_nodes=amounts_of(total_of(lost.unready[name], draft.device_bytes)),
        queues=tuple(_queues(accounts, _pending(draft, name))),
    )


def _pending(draft: Draft, pool: str) -> Pending:
    pending: Pending = {}
    for view in draft.snapshot.groups:
        if draft.pools_of(view)[0] != pool:
            continue
        before, pods = pending.get(view.queue, (NOTHING, 0))
        wanted = total_of((pod.need for pod in view.waiting), draft.device_bytes)
        total = (before[0] + wanted[0], before[1] + wanted[1], before[2] + wanted[2])
        pending[view.queue] = total, pods + len(view.waiting)
    return pending


def _queues(accounts: Accounts, pending: Pending) -> Iterator[QueueHolds]:
    """Yield queues, each before those below it, siblings by name."""
    stack = sorted(accounts.roots, key=_by_name, reverse=True)
    while stack:
        account = stack.pop()
        yield _queue(account, pending)
        stack += sorted(account.children, key=_by_name, reverse=True)


def _by_name(account: Account) -> str:
    return account.queue.key


def _queue(account: Account, pending: Pending) -> QueueHolds:
    kind, _, name = account.queue.key.partition("/")
    wanted, pods = _pending_below(account, pending)
    over = [
        max(0, held - due) if due is not None else 0
        for held, due in zip(account.allocated, account.deserved, strict=True)
    ]
    return QueueHolds(
        kind="project" if kind == "project" else "department",
        name=name,
        parent=account.queue.parent.partition("/")[2],
        quota=bounds_of(account.deserved),
        limit=bounds_of(account.limit),
        over_quota_weight=account.weights[0] // WHOLE_GPU,
        priority=account.priority,
        fair_share=amounts_of(account.fair),
        allocated=amounts_of(account.allocated),
        over_quota=amounts_of(over),
        not_preemptible=amounts_of(account.firm),
        pending=amounts_of(wanted),
        pending_pods=pods,
    )


def _pending_below(account: Account, pending: Pending) -> tuple[Triple, int]:
    (gpu, cpu, memory), pods = pending.get(account.queue.key, (NOTHING, 0))
    for child in account.children:
        below, more = _pending_below(child, pending)
        gpu, cpu, memory, pods = gpu + below[0], cpu + below[1], memory + below[2], pods + more
    return (gpu, cpu, memory), pods


# ---------------------------------------------------------------- nodes


def node_holdings(snapshot: Snapshot, asked: WhatNodesHold) -> NodeHoldings:
    """Return some nodes, by name."""
    names = [node.name for node in snapshot.terrain.nodes]  # sorted already
    chosen = list(islice((name for name in names if name > asked.after), asked.limit))
    pods: dict[str, list[PodHolds]] = {name: [] for name in chosen}
    for view in snapshot.views.values():
        for pod in view.bound:
            if pod.node in pods:
                pods[pod.node].append(
                    PodHolds(
                        workload_id=view.workload_id,
                        workload=view.name,
                        project=view.queue.partition("/")[2],
                        pod=pod.facts.name,
                        devices=pod.devices,
                        leaving=pod.releasing,
                    )
                )
    more = bool(chosen) and chosen[-1] != names[-1]
    return NodeHoldings(
        position=snapshot.position,
        nodes=tuple(_node(snapshot, name, pods[name]) for name in chosen),
        next=chosen[-1] if more else "",
    )


def _node(snapshot: Snapshot, name: str, pods: list[PodHolds]) -> NodeHolds:
    terrain, idle = snapshot.terrain, snapshot.idle
    row = terrain.rows[name]
    node = terrain.nodes[row]
    free = idle.devices[row, : node.gpu_devices].tolist()
    return NodeHolds(
        name=name,
        node_pool=terrain.pool_names[row],
        ready=node.ready,
        unschedulable=node.unschedulable,
        capacity=Amounts(
            gpu_millionths=node.gpu_devices * WHOLE_GPU,
            cpu_milli=node.allocatable.cpu_milli,
            memory_bytes=node.allocatable.memory_bytes,
        ),
        free=Amounts(gpu_millionths=sum(free), cpu_milli=int(idle.cpu[row]), memory_bytes=int(idle.memory[row])),
        free_gpus=tuple(free),
        pods=tuple(sorted(pods, key=lambda pod: (pod.devices[0].index if pod.devices else -1, pod.pod))),
    )
