"""Rules about other pods: near some, apart from others, spread over domains, no host port twice.

Only pods with labels, rules or ports matter here, and only for needs that ask; everybody else costs nothing. Anti-
affinity binds both sides: a pod that wants to be apart keeps others away too. Pods that leave during a plan still count
until the next one, which errs on the safe side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from muster_contracts.values import LabelRule, PodFacts, PodTerm, SpreadRule

from muster_scheduler.core.need import Need
from muster_scheduler.core.snapshot import Snapshot
from muster_scheduler.core.terrain import Mask, labels_match


@dataclass(slots=True)
class _Matches:
    """Which of the pods obey some rules: their numbers and rows, as far as they have been looked at."""

    seen: int = 0
    found: list[tuple[int, int]] = field(default_factory=list)

    @property
    def rows(self) -> list[int]:
        """The row of each."""
        return [row for _, row in self.found]

    def forget(self, mark: int) -> None:
        """Forget pods from a number on."""
        self.seen = min(self.seen, mark)
        while self.found and self.found[-1][0] >= mark:
            self.found.pop()


class Neighbours:
    """The pods that rules may speak of, by the row of their node; each is looked at once for every rule."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._terrain = snapshot.terrain
        self._pods: list[tuple[int, PodFacts]] = []
        self._keepers: dict[tuple[str, PodTerm], _Matches] = {}  # who keeps whom away, by namespace and term
        self._matches: dict[tuple[tuple[str, ...], tuple[LabelRule, ...]], _Matches] = {}
        self.matter = any(pod.need.rules or pod.need.labels for view in snapshot.groups for pod in view.waiting)
        if self.matter:
            for view in snapshot.views.values():
                for pod in view.bound:
                    if (row := self._terrain.rows.get(pod.node)) is not None:
                        self.arrive(row, pod.facts)

    def arrive(self, row: int, facts: PodFacts) -> None:
        """Note a pod that may matter to others."""
        if self.matter and (facts.labels or facts.rules):
            for term in facts.rules.apart if facts.rules else ():
                keepers = self._keepers.setdefault((facts.namespace, term), _Matches())
                keepers.found.append((len(self._pods), row))
            self._pods.append((row, facts))

    def mark(self) -> int:
        """Return a point to which `restore` can go back."""
        return len(self._pods)

    def restore(self, mark: int) -> None:
        """Forget everybody who arrived since the mark."""
        del self._pods[mark:]
        for matches in (*self._matches.values(), *self._keepers.values()):
            matches.forget(mark)

    def allows(self, need: Need) -> Mask | None:
        """Return the nodes that the rules allow; None if there is nothing to ask."""
        if not self.matter or not (need.touchy or (need.labels and self._keepers)):
            return None
        allowed = np.ones(len(self._terrain), dtype=np.bool_)
        if need.rules is not None:
            for term in need.rules.near:
                allowed &= self._near(need, term)
            for term in need.rules.apart:
                allowed &= ~self._domains_of(term.topology_key, self._matching(need.namespace, term))
            for spread in need.rules.spread:
                if spread.required:
                    allowed &= self._spread(need, spread)
            self._keep_ports_free(need.rules.host_ports, allowed)
        for (namespace, term), keepers in self._keepers.items():
            if _is_meant(need, namespace, term):
                allowed &= ~self._domains_of(term.topology_key, keepers.rows)
        return allowed

    def _near(self, need: Need, term: PodTerm) -> Mask:
        rows = self._matching(need.namespace, term)
        if not rows and _is_meant(need, need.namespace, term):
            return self._terrain.domains((term.topology_key,)) >= 0  # the first of those who want to be near themselves
        return self._domains_of(term.topology_key, rows)

    def _matching(self, namespace: str, term: PodTerm) -> list[int]:
        return self._obeying(term.namespaces or (namespace,), term.rules)

    def _obeying(self, namespaces: tuple[str, ...], rules: tuple[LabelRule, ...]) -> list[int]:
        """Return the rows of pods that obey rules, one for each."""
        matches = self._matches.setdefault((namespaces, rules), _Matches())
        for number in range(matches.seen, len(self._pods)):
            row, pod = self._pods[number]
            if pod.namespace in namespaces and labels_match(pod.labels, rules):
                matches.found.append((number, row))
        matches.seen = len(self._pods)
        return matches.rows

    def _domains_of(self, key: str, rows: Sequence[int]) -> Mask:
        """Return the nodes that share a domain with one of these."""
        domains = self._terrain.domains((key,))
        taken = np.unique(domains[np.array(rows, dtype=np.int64)])
        mask: Mask = np.isin(domains, taken[taken >= 0])
        return mask

    def _spread(self, need: Need, rule: SpreadRule) -> Mask:
        domains = self._terrain.domains((rule.topology_key,))
        counts = np.zeros(int(domains.max(initial=-1)) + 1, dtype=np.int64)
        taken = domains[np.array(self._obeying((need.namespace,), rule.rules), dtype=np.int64)]
        np.add.at(counts, taken[taken >= 0], 1)
        eligible = np.unique(domains[self._terrain.admits(need) & (domains >= 0)])
        if eligible.size == 0:
            return np.zeros(len(domains), dtype=np.bool_)
        counts_itself = int(_obeys(need, rule.rules))
        fine = counts + counts_itself - counts[eligible].min() <= rule.max_skew
        mask: Mask = (domains >= 0) & fine[np.maximum(domains, 0)]
        return mask

    def _keep_ports_free(self, ports: tuple[str, ...], allowed: Mask) -> None:
        for row, pod in self._pods:
            if pod.rules is not None and set(ports) & set(pod.rules.host_ports):
                allowed[row] = False


def _is_meant(need: Need, namespace: str, term: PodTerm) -> bool:
    return need.namespace in (term.namespaces or (namespace,)) and _obeys(need, term.rules)


def _obeys(need: Need, rules: tuple[LabelRule, ...]) -> bool:
    return labels_match(dict(need.labels), rules)
