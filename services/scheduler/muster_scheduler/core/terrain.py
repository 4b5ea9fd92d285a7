"""What does not change while pods come and go: the nodes, their pools, labels, taints and domains, as arrays.

Rows are nodes sorted by name, so that the first of equals is the same whatever the order of arrival. A terrain is made
anew only when a node or a pool changes; the masks of selectors and tolerations are worked out once per terrain and
kept, for a loop over 10,000 nodes in every plan would cost more than the plan.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from muster_contracts.events import NodeObserved, NodePoolChanged
from muster_contracts.values import WHOLE_GPU, LabelRule, NodeTerm, Taint, Toleration
from numpy.typing import NDArray

from muster_scheduler.core.need import Need

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

DEFAULT_POOL = "default"
NOWHERE = np.iinfo(np.int64).max
"""More than any device has: the portion of a memory request on a node that does not say how much memory it has."""
MOST_DEVICE_BYTES = NOWHERE // WHOLE_GPU
"""Of more, millionths are no 64-bit integer; no device has as much."""


class Terrain:
    """The nodes of one moment, by row. Treat the arrays as constants."""

    def __init__(self, nodes: Iterable[NodeObserved], pools: Mapping[str, NodePoolChanged]) -> None:
        self.nodes = tuple(sorted(nodes, key=lambda node: node.name))
        self.pools = dict(pools)
        self.rows = {node.name: row for row, node in enumerate(self.nodes)}
        self.pool_names = tuple(pool_of(node, pools) for node in self.nodes)
        self.ready = self._mask(lambda node: node.ready)
        self.open = self._mask(lambda node: node.ready and not node.unschedulable)
        self.devices = self._column(lambda node: node.gpu_devices)
        self.device_bytes = self._column(lambda node: node.gpu_memory_bytes)
        self.width = int(self.devices.max(initial=0))
        self._in_pool: dict[str, Mask] = {}
        self._admitted: dict[tuple[object, ...], Mask] = {}
        self._domains: dict[tuple[str, ...], Integers] = {}
        self._capacity: dict[str, tuple[int, int, int]] = {}

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.nodes)

    def in_pool(self, pool: str) -> Mask:
        """Return which nodes belong to a pool."""
        if pool not in self._in_pool:
            self._in_pool[pool] = np.array([name == pool for name in self.pool_names], dtype=np.bool_)
        return self._in_pool[pool]

    def spreads(self, pool: str, need: Need) -> bool:
        """Say whether the pool spreads such pods instead of packing them."""
        rules = self.pools.get(pool)
        if rules is None:
            return False
        return (rules.gpu_placement if need.devices else rules.cpu_placement) == "spread"

    def capacity(self, pool: str) -> tuple[int, int, int]:
        """Return what the ready nodes of a pool have for workloads: millionths of GPUs, milli-processors, bytes."""
        if pool not in self._capacity:
            rows = np.flatnonzero(self.in_pool(pool) & self.ready)
            nodes = [self.nodes[row] for row in rows.tolist()]
            self._capacity[pool] = (
                sum(node.gpu_devices * WHOLE_GPU - node.others.gpu_millionths for node in nodes),
                sum(node.allocatable.cpu_milli - node.others.cpu_milli for node in nodes),
                sum(node.allocatable.memory_bytes - node.others.memory_bytes for node in nodes),
            )
        return self._capacity[pool]

    def least_device_bytes(self) -> int:
        """Return the memory of the smallest device there is, 0 if none says."""
        known = self.device_bytes[self.device_bytes > 0]
        return int(known.min()) if known.size else 0

    def portions(self, need: Need) -> Integers:
        """Return what a pod takes of one device on each node, in millionths."""
        if not need.device_bytes:
            return np.full(len(self), need.portion, dtype=np.int64)
        known, asked = np.maximum(self.device_bytes, 1), min(need.device_bytes, MOST_DEVICE_BYTES)
        return np.where(self.device_bytes > 0, -(-asked * WHOLE_GPU // known), NOWHERE)

    def admits(self, need: Need) -> Mask:
        """Return which nodes take such a pod if they are empty: readiness, selector, taints, node and volume terms."""
        key = (need.selector, need.tolerations, need.rules, need.shunned)
        if key not in self._admitted:
            mask = self.open & self._selected(need) & self._tolerated(need.tolerations, {"NoSchedule", "NoExecute"})
            for terms in self._terms(need):
                mask = mask & self._any(terms)
            if need.shunned:
                mask = mask & self._mask(lambda node: node.name not in need.shunned)
            self._admitted[key] = mask
        return self._admitted[key]

    def countable(self, need: Need, *, by_affinity: bool, by_taints: bool) -> Mask:
        """Return which nodes count when such a pod is spread, whether or not they take pods now."""
        mask = np.ones(len(self), dtype=np.bool_)
        if by_affinity:
            mask &= self._selected(need)
            if need.rules is not None and need.rules.nodes:
                mask &= self._any(need.rules.nodes)
        if by_taints:
            mask &= self._tolerated(need.tolerations, {"NoSchedule", "NoExecute"})
        return mask

    def reluctance(self, need: Need) -> Integers | None:
        """Return how little a pod likes each node, 0 to 1000: soft taints, preferred terms; None if all are alike."""
        preferred = need.rules.preferred_nodes if need.rules else ()
        soft = [taint for node in self.nodes for taint in node.taints if taint.effect == "PreferNoSchedule"]
        if not preferred and not soft:
            return None
        liked = np.zeros(len(self), dtype=np.int64)
        for preference in preferred:
            liked += preference.weight * self._any((preference.term,))
        total = sum(preference.weight for preference in preferred) + 1
        tainted = ~self._tolerated(need.tolerations, {"PreferNoSchedule"})
        return (total - 1 - liked) * 500 // total + 500 * tainted

    def domains(self, levels: tuple[str, ...]) -> Integers:
        """Return the domain of each node at the last of these levels, numbered by their labels; -1 without a label."""
        if levels not in self._domains:
            values = [tuple(node.labels.get(level) for level in levels) for node in self.nodes]
            known = sorted({value for value in values if None not in value}, key=str)
            number = {value: index for index, value in enumerate(known)}
            self._domains[levels] = np.array([number.get(value, -1) for value in values], dtype=np.int64)
        return self._domains[levels]

    def _mask(self, question: Callable[[NodeObserved], bool]) -> Mask:
        return np.array([question(node) for node in self.nodes], dtype=np.bool_)

    def _column(self, question: Callable[[NodeObserved], int]) -> Integers:
        return np.array([question(node) for node in self.nodes], dtype=np.int64)

    def _selected(self, need: Need) -> Mask:
        if not need.selector:
            return np.ones(len(self), dtype=np.bool_)
        wanted = need.selector
        return self._mask(lambda node: all(node.labels.get(key) == value for key, value in wanted))

    def _tolerated(self, tolerations: tuple[Toleration, ...], effects: set[str]) -> Mask:
        return self._mask(
            lambda node: all(taint.effect not in effects or tolerates(taint, tolerations) for taint in node.taints)
        )

    def _terms(self, need: Need) -> list[tuple[NodeTerm, ...]]:
        if need.rules is None:
            return []
        return [terms for terms in (need.rules.nodes, *need.rules.volumes) if terms]

    def _any(self, terms: tuple[NodeTerm, ...]) -> Mask:
        return self._mask(lambda node: meets(node, terms))


def pool_of(node: NodeObserved, pools: Mapping[str, NodePoolChanged]) -> str:
    """Return the pool of a node: the first by name whose label it has; `default` takes who has none."""
    for name in sorted(pools):
        pool = pools[name]
        if pool.label_key and node.labels.get(pool.label_key) == pool.label_value:
            return name
    return DEFAULT_POOL


def tolerates(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    """Say whether any of these tolerations is one of a taint."""
    return any(
        (not toleration.effect or toleration.effect == taint.effect)
        and (toleration.key in {"", taint.key})
        and (toleration.operator == "Exists" or (toleration.key == taint.key and toleration.value == taint.value))
        for toleration in tolerations
    )


def meets(node: NodeObserved, terms: tuple[NodeTerm, ...]) -> bool:
    """Say whether a node meets one of these terms: those of an affinity, or of a volume that it is to reach."""
    return any(_matches(node, term) for term in terms)


def _matches(node: NodeObserved, term: NodeTerm) -> bool:
    named = not term.names or node.name in term.names
    return named and bool(term.rules or term.names) and labels_match(node.labels, term.rules)


def labels_match(labels: Mapping[str, str], rules: tuple[LabelRule, ...]) -> bool:
    """Say whether labels obey every rule, as Kubernetes' selectors do: `NotIn` holds for a label that is not there."""
    return all(_obeys(labels.get(rule.key), rule) for rule in rules)


def _obeys(value: str | None, rule: LabelRule) -> bool:
    match rule.operator:
        case "In":
            return value in rule.values
        case "NotIn":
            return value not in rule.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    if value is None or not value.lstrip("-").isdigit() or not rule.values[0].lstrip("-").isdigit():
        return False
    return int(value) > int(rule.values[0]) if rule.operator == "Gt" else int(value) < int(rule.values[0])
