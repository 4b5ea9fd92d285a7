"""Counting the volumes that lie ready on a node for claims that are to take one there.

Claims of one storage class take from the same volumes. Of those within reach of a node, whatever is large enough for a
large claim is large enough for a small one: so there is one for each if the claim that the fewest suit finds one, the
next two, and so on.

Pitfall. Selectors and access modes may choose otherwise than by size, and volumes that many nodes reach are counted on
each of them. Who takes the volume finds that out, and the pod goes elsewhere.
"""

from collections.abc import Mapping

from muster_contracts.events import NodeObserved
from muster_contracts.values import ClaimChoice, PlacementRules

from muster_scheduler.core.terrain import meets

Choices = Mapping[tuple[str, str], ClaimChoice]
"""By namespace and name of the claim: pods may share one."""


def choices_of(namespace: str, rules: PlacementRules | None) -> Choices:
    """Return the claims of a pod that are to take a volume."""
    return {(namespace, one.claim): one for one in rules.claims_choosing} if rules is not None else {}


def are_enough(node: NodeObserved, choices: Choices) -> bool:
    """Say whether a node reaches a volume for each of some claims. One of which it is not told where does not count."""
    found: dict[str, list[int]] = {}
    for choice in choices.values():
        if choice.ready:
            here = sum(one.free for one in choice.ready if meets(node, one.nodes))
            found.setdefault(choice.storage_class, []).append(here)
    return all(free >= wanted for counts in found.values() for wanted, free in enumerate(sorted(counts), start=1))
