"""Rules about other pods: near some, apart from others, spread over domains, no host port or ready volume twice.

Only pods with labels, rules or ports matter here, and only for needs that ask; everybody else costs nothing, unless
some rule speaks of pods without a label: a selector may select everybody, or all but some. Anti-
affinity binds both sides: a pod that wants to be apart keeps others away too. Pods that leave during a plan still count
until the next one; for spreading, those that have begun to end do not, as in Kubernetes. Who has others told to go must
be permitted without them as well (`will_permit`).
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal
from uuid import UUID

import numpy as np
from muster_contracts.values import LabelRule, PlacementRules, PodFacts, PodTerm, SpreadRule

from muster_scheduler.core.groups import Waiting
from muster_scheduler.core.need import Need
from muster_scheduler.core.ready_volumes import Choices, are_enough, choices_of
from muster_scheduler.core.snapshot import Snapshot
from muster_scheduler.core.terrain import Integers, Mask, labels_match

NOWHERE = 10**6
"""The excess of a node that is in no domain: more than any skew."""

Demand = (
    tuple[Literal["near", "apart", "kept away"], PodTerm]
    | tuple[Literal["spread"], SpreadRule]
    | tuple[Literal["ports"], tuple[str, ...]]
    | tuple[Literal["volumes"], tuple[str, ...]]
)
"""A rule about other pods, of the pod itself or, where it is kept away, of somebody who is there."""


@dataclass(slots=True)
class _Matches:
    """Which of the pods obey some rules: their rows by number, as far as they have been looked at."""

    seen: int = 0
    found: dict[int, int] = field(default_factory=dict)

    def rows(self, absent: set[int]) -> list[int]:
        """Return the row of each but those who are absent, who are few."""
        present = self.found.copy()
        for number in absent:
            present.pop(number, None)
        return list(present.values())

    def forget(self, mark: int) -> None:
        """Forget pods from a number on."""
        self.seen = min(self.seen, mark)
        while self.found and next(reversed(self.found)) >= mark:
            self.found.popitem()


class Neighbours:
    """The pods that rules may speak of, by the row of their node; each is looked at once for every rule."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._terrain = snapshot.terrain
        self._pods: list[tuple[int, PodFacts]] = []
        self._numbers: dict[UUID, int] = {}
        self._leaving: set[UUID] = set()
        self._absent: set[int] = set()  # who is there and does not count, by number
        self._keepers: dict[tuple[str, PodTerm], _Matches] = {}  # who keeps whom away, by namespace and term
        self._matches: dict[tuple[tuple[str, ...], tuple[LabelRule, ...], bool], _Matches] = {}
        waiting = [pod.need for view in snapshot.groups for pod in view.waiting]
        bound = (pod.need for view in snapshot.views.values() for pod in view.bound)
        self._means_anybody = any(_means_anybody(need.rules) for need in chain(waiting, bound) if need.rules)
        self.matter = self._means_anybody or any(need.touchy or need.labels for need in waiting)
        if self.matter:
            for view in snapshot.views.values():
                self._leaving |= {pod.facts.pod_id for pod in view.bound if pod.releasing}
                for pod in view.bound:
                    if (row := self._terrain.rows.get(pod.node)) is not None:
                        self.arrive(row, pod.facts)

    def arrive(self, row: int, facts: PodFacts) -> None:
        """Note a pod that may matter to others."""
        if self.matter and (self._means_anybody or facts.labels or facts.rules):
            for term in facts.rules.apart if facts.rules else ():
                keepers = self._keepers.setdefault((facts.namespace, term), _Matches())
                keepers.found[len(self._pods)] = row
            self._numbers[facts.pod_id] = len(self._pods)
            self._pods.append((row, facts))

    def mark(self) -> int:
        """Return a point to which `restore` can go back."""
        return len(self._pods)

    def restore(self, mark: int) -> None:
        """Forget everybody who arrived since the mark."""
        for _, facts in self._pods[mark:]:
            del self._numbers[facts.pod_id]
        del self._pods[mark:]
        for matches in (*self._matches.values(), *self._keepers.values()):
            matches.forget(mark)

    def allows(self, pod: Waiting) -> Mask | None:
        """Return the nodes that the rules allow; None if there is nothing to ask."""
        may_be_kept_away = self._keepers and (pod.need.labels or self._means_anybody)
        if not self.matter or not (pod.need.touchy or may_be_kept_away):
            return None
        allowed = np.ones(len(self._terrain), dtype=np.bool_)
        for _, holds in self.demands(pod):
            allowed &= holds
        return allowed

    def demands(self, pod: Waiting) -> Iterator[tuple[Demand, Mask]]:
        """Yield each rule that a pod has to obey, with the nodes on which it does."""
        need, rules = pod.need, pod.need.rules
        if rules is not None:
            for term in rules.near:
                yield ("near", term), self._near(need, term)
            for term in rules.apart:
                yield ("apart", term), ~self._domains_of(term.topology_key, self._matching(need.namespace, term))
            for spread in rules.spread:
                if spread.required:
                    yield ("spread", spread), self._excess(need, spread) <= 0
            if rules.host_ports:
                yield ("ports", rules.host_ports), self._with_free_ports(rules.host_ports)
            if rules.claims_choosing:
                yield ("volumes", tuple(one.claim for one in rules.claims_choosing)), self._with_volumes(need)
        for (namespace, term), keepers in self._keepers.items():
            if _is_meant(need, pod.facts.namespace, namespace, term):
                yield ("kept away", term), ~self._domains_of(term.topology_key, keepers.rows(self._absent))

    def permits(self, pod: Waiting, row: int) -> bool:
        """Say whether the rules allow one node."""
        allowed = self.allows(pod)
        return allowed is None or bool(allowed[row])

    def will_permit(self, pods: Sequence[tuple[Waiting, int]], going: Iterable[UUID]) -> bool:
        """Say whether pods will be permitted where they have arrived, one after the other, when others have gone.

        Those whom a pod has to be near may be among them, and those who keep domains even. What is known of who obeys
        which rule serves for this, too: making room asks again and again.
        """
        if not any(pod.need.rules and (pod.need.rules.near or pod.need.rules.spread) for pod, _ in pods):
            return True
        then = copy(self)
        then._absent = self._numbers_of((*going, *self._leaving, *(pod.facts.pod_id for pod, _ in pods)))
        for pod, row in pods:
            if not then.permits(pod, row):
                return False
            then._absent -= self._numbers_of((pod.facts.pod_id,))
        return True

    def _numbers_of(self, pods: Iterable[UUID]) -> set[int]:
        return {self._numbers[pod_id] for pod_id in pods if pod_id in self._numbers}

    def _present(self) -> Sequence[tuple[int, PodFacts]]:
        if not self._absent:
            return self._pods
        return [pod for number, pod in enumerate(self._pods) if number not in self._absent]

    def dislikes(self, need: Need) -> Integers | None:
        """Return by how much a pod on each node would pass what spreading merely prefers; None if it prefers nothing.

        That is better than to pack, and worse than not to be placed.
        """
        wishes = [spread for spread in need.rules.spread if not spread.required] if need.rules else []
        if not wishes:
            return None
        total = np.zeros(len(self._terrain), dtype=np.int64)
        for wish in wishes:
            total += np.maximum(0, self._excess(need, wish))
        return total

    def _near(self, need: Need, term: PodTerm) -> Mask:
        rows = self._matching(need.namespace, term)
        if not rows and _is_meant(need, need.namespace, need.namespace, term):
            return self._terrain.domains((term.topology_key,)) >= 0  # the first of those who want to be near themselves
        return self._domains_of(term.topology_key, rows)

    def _matching(self, namespace: str, term: PodTerm) -> list[int]:
        return self._obeying(term.namespaces or (namespace,), term.rules)

    def _obeying(
        self, namespaces: tuple[str, ...], rules: tuple[LabelRule, ...], *, but_ending: bool = False
    ) -> list[int]:
        """Return the rows of pods that obey rules, one for each."""
        matches = self._matches.setdefault((namespaces, rules, but_ending), _Matches())
        for number in range(matches.seen, len(self._pods)):
            row, pod = self._pods[number]
            if but_ending and pod.terminating:
                continue
            if pod.namespace in namespaces and labels_match(pod.labels, rules):
                matches.found[number] = row
        matches.seen = len(self._pods)
        return matches.rows(self._absent)

    def _domains_of(self, key: str, rows: Sequence[int]) -> Mask:
        """Return the nodes that share a domain with one of these."""
        domains = self._terrain.domains((key,))
        taken = np.unique(domains[np.array(rows, dtype=np.int64)])
        mask: Mask = np.isin(domains, taken[taken >= 0])
        return mask

    def _excess(self, need: Need, rule: SpreadRule) -> Integers:
        """Return by how much a pod on each node would pass the skew that a rule allows; 0 or less where it would not.

        As in Kubernetes, only nodes count that are in a domain of every required rule of the pod.
        """
        domains = self._terrain.domains((rule.topology_key,))
        countable = (domains >= 0) & self._terrain.countable(
            need, by_affinity=rule.honours_affinity, by_taints=rule.honours_taints
        )
        for other in need.rules.spread if need.rules and rule.required else ():
            if other.required:
                countable &= self._terrain.domains((other.topology_key,)) >= 0
        rows = np.array(self._obeying((need.namespace,), rule.rules, but_ending=True), dtype=np.int64)
        counts = np.bincount(domains[rows[countable[rows]]], minlength=int(domains.max(initial=-1)) + 1)
        known = np.unique(domains[countable])
        least = counts[known].min() if known.size >= max(1, rule.min_domains) else 0
        excess = counts + int(_obeys(need, rule.rules)) - least - rule.max_skew
        return np.where(domains >= 0, excess[np.maximum(domains, 0)] if excess.size else 0, NOWHERE)

    def _with_volumes(self, need: Need) -> Mask:
        """Return the nodes that have a volume for every claim of a pod beside the claims of those who are sent there.

        Whether a node has one at all is said by the pod's rules about nodes.
        """
        wanted = choices_of(need.namespace, need.rules)
        taken: dict[int, Choices] = {}
        for row, pod in self._present():
            if others := choices_of(pod.namespace, pod.rules):
                taken[row] = {**taken.get(row, {}), **others}
        enough = np.ones(len(self._terrain), dtype=np.bool_)
        for row in taken if len(wanted) == 1 else range(len(self._terrain)):
            enough[row] = are_enough(self._terrain.nodes[row], {**taken.get(row, {}), **wanted})
        return enough

    def _with_free_ports(self, ports: tuple[str, ...]) -> Mask:
        free = np.ones(len(self._terrain), dtype=np.bool_)
        for row, pod in self._present():
            if pod.rules is not None and set(ports) & set(pod.rules.host_ports):
                free[row] = False
        return free


def _means_anybody(rules: PlacementRules) -> bool:
    """Say whether a rule speaks of pods that have none of the labels it asks for."""
    selectors = [term.rules for term in (*rules.near, *rules.apart)] + [spread.rules for spread in rules.spread]
    return any(labels_match({}, selector) for selector in selectors)


def _is_meant(need: Need, own_namespace: str, namespace: str, term: PodTerm) -> bool:
    """Say whether a term of somebody in a namespace means a pod. A need alone may not know its own namespace."""
    return own_namespace in (term.namespaces or (namespace,)) and _obeys(need, term.rules)


def _obeys(need: Need, rules: tuple[LabelRule, ...]) -> bool:
    return labels_match(dict(need.labels), rules)
