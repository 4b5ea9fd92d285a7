"""The checker's rule about volumes that lie ready: no node is sent more claims than it reaches volumes for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from muster_contracts.events import NodeObserved
from muster_contracts.values import ClaimChoice

from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.check_places import holds

Claims = dict[tuple[str, str], ClaimChoice]


def too_few_volumes(facts: Facts) -> Iterator[str]:
    """List the nodes that get a pod with a claim for which no volume is left beside the claims of others."""
    choosing = (one.node.name for one in facts.arrivals if one.pod.rules and one.pod.rules.claims_choosing)
    if not (asked := dict.fromkeys(choosing)):
        return  # looking at all pods that are bound takes longer than a plan with nothing to do
    coming = [(one.pod, one.node.name) for one in facts.arrivals]
    there = [(bound.facts, bound.node) for _, bound in facts.bound.values()]
    claims: dict[str, Claims] = defaultdict(dict)
    for pod, node in (*there, *coming):
        for choice in pod.rules.claims_choosing if pod.rules else ():
            claims[node][pod.namespace, choice.claim] = choice
    for name in asked:
        if name in facts.rows and _is_short(facts.snapshot.terrain.nodes[facts.rows[name]], claims[name].values()):
            yield f"Node {name} reaches too few volumes for the claims of the pods that are sent there."


def _is_short(node: NodeObserved, claims: Iterable[ClaimChoice]) -> bool:
    """Take a volume for each claim, the choosiest first; what suits it suits whoever comes after it."""
    taken: dict[str, int] = defaultdict(int)
    for claim, free in sorted(((one, _free(node, one)) for one in claims if one.ready), key=lambda pair: pair[1]):
        taken[claim.storage_class] += 1
        if taken[claim.storage_class] > free:
            return True
    return False


def _free(node: NodeObserved, claim: ClaimChoice) -> int:
    return sum(ready.free for ready in claim.ready if any(holds(term, node) for term in ready.nodes))
