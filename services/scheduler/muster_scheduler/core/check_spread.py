"""The checker's rule about spreading: no domain gets more pods above the emptiest than its rules allow.

Pods are placed one after the other, each by its own rules; what others bring into a domain afterwards is not its fault.
Therefore only those count, beside the pods that were there, that have the same rule; and the emptiest domain is counted
at the end, when it is as full as it becomes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from muster_contracts.events import NodeObserved
from muster_contracts.values import PodFacts, SpreadRule

from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.check_places import holds, label_suits, tolerates

Seated = tuple[PodFacts, NodeObserved]


def uneven(facts: Facts) -> Iterator[str]:
    """List pods that are placed where their rules about spreading forbid it."""
    spreading = [(one.pod, one.node, rule) for one in facts.arrivals for rule in _required(one.pod)]
    if not spreading:
        return
    coming = [(one.pod, one.node) for one in facts.arrivals]
    there = [(bound.facts, facts.node(bound.node)) for _, bound in facts.bound.values() if bound.node in facts.rows]
    everybody = _Everybody(facts, [(pod, node) for pod, node in there if not pod.terminating], coming)
    for pod, node, rule in spreading:
        if everybody.excess(pod, node, rule) > 0:
            yield f"Pod {pod.pod_id} makes domains of {rule.topology_key} differ by more than {rule.max_skew}."


class _Everybody:
    """Who was there and who comes. Pods that are alike share the counting."""

    def __init__(self, facts: Facts, there: list[Seated], coming: list[Seated]) -> None:
        self._nodes = facts.snapshot.terrain.nodes
        self._there, self._coming = there, coming
        self._counted: dict[tuple[object, ...], tuple[Counter[str], int]] = {}

    def excess(self, pod: PodFacts, node: NodeObserved, rule: SpreadRule) -> int:
        """Return by how much a rule is passed in the domain of a node, 0 or less if it is not."""
        if rule.topology_key not in node.labels:
            return 1
        alike = (pod.namespace, rule, pod.rules, tuple(sorted(pod.node_selector.items())), pod.tolerations)
        if alike not in self._counted:
            self._counted[alike] = self._count(pod, rule)
        mine, emptiest = self._counted[alike]
        return mine[node.labels[rule.topology_key]] - emptiest - rule.max_skew

    def _count(self, pod: PodFacts, rule: SpreadRule) -> tuple[Counter[str], int]:
        """Count by domain what its own kind made of it, and the emptiest domain as it is at the end."""
        counting = [node for node in self._nodes if _counts(node, pod, rule)]
        names, domains = {node.name for node in counting}, {node.labels[rule.topology_key] for node in counting}
        of_its_kind = [(other, node) for other, node in self._coming if _choice(other) == _choice(pod)]
        mine = _by_domain([*self._there, *of_its_kind], pod, rule, names)
        everybody = _by_domain([*self._there, *self._coming], pod, rule, names)
        enough = len(domains) >= rule.min_domains
        return mine, min((everybody[domain] for domain in domains), default=0) if enough else 0


def _choice(pod: PodFacts) -> tuple[object, ...]:
    """Return what makes pods obey the same rules in the same domains."""
    return pod.namespace, _required(pod), pod.rules and pod.rules.nodes, pod.node_selector, pod.tolerations


def _required(pod: PodFacts) -> list[SpreadRule]:
    return [rule for rule in pod.rules.spread if rule.required] if pod.rules else []


def _counts(node: NodeObserved, pod: PodFacts, rule: SpreadRule) -> bool:
    """Say whether a node counts: by its labels, and by selector and taints as far as the rule honours them."""
    if any(one.topology_key not in node.labels for one in _required(pod)):
        return False
    if rule.honours_affinity:
        wanted = pod.rules.nodes if pod.rules else ()
        selected = all(node.labels.get(label) == value for label, value in pod.node_selector.items())
        if not selected or (wanted and not any(holds(term, node) for term in wanted)):
            return False
    return not rule.honours_taints or all(
        taint.effect == "PreferNoSchedule" or tolerates(pod, taint) for taint in node.taints
    )


def _by_domain(seated: Iterable[Seated], pod: PodFacts, rule: SpreadRule, counting: set[str]) -> Counter[str]:
    """Count the pods that a rule of this pod speaks of."""
    return Counter(
        node.labels[rule.topology_key]
        for other, node in seated
        if node.name in counting
        and other.namespace == pod.namespace
        and all(label_suits(one, other.labels.get(one.key)) for one in rule.rules)
    )
