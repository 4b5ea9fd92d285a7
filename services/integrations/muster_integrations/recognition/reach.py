"""Where volumes can be: which nodes reach those that lie ready, and which have room for new ones.

Both are told of a claim as terms, one of which must hold of a node. Terms that name one value of one label each are put
together, for local storage has a term for every node; where more than `MOST` would still be told, nothing is, and any
node is possible: who makes or takes the volume then finds out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from muster_cluster.storage import PersistentVolume, PersistentVolumeClaim, StorageCapacity
from muster_cluster.volumes import asked_bytes, is_ready, size_bytes, suits
from muster_contracts.values import LabelRule, NodeTerm, ReadyVolumes

from muster_integrations.recognition.placement import node_terms, selected

MOST: Final = 500
"""Nodes, or values of a label, told of one claim: some 20 kB in the facts of every pod that waits with one."""

_HOST_NAME: Final = "kubernetes.io/hostname"
NOWHERE: Final = NodeTerm(rules=(LabelRule(key=_HOST_NAME, operator="In"),))
"""A term that holds of no node."""
EVERYWHERE: Final = NodeTerm(rules=(LabelRule(key=_HOST_NAME, operator="NotIn"),))
"""A term that holds of every node."""

Terms = tuple[NodeTerm, ...]
Name = TypeVar("Name")
Item = TypeVar("Item")


class ByClass(Generic[Name, Item]):
    """Things by storage class, and by name within it."""

    def __init__(self) -> None:
        self._shelves: dict[str, dict[Name, Item]] = {}

    def put(self, storage_class: str, name: Name, item: Item | None) -> Item | None:
        """Put a thing there, or take it away (None); return what was there before."""
        shelf = self._shelves.setdefault(storage_class, {})
        before = shelf.pop(name, None)
        if item is not None:
            shelf[name] = item
        if not shelf:
            del self._shelves[storage_class]
        return before

    def of(self, storage_class: str) -> Iterable[Item]:
        """Return what is there of a class."""
        return self._shelves.get(storage_class, {}).values()


def reach_of(volume: PersistentVolume) -> Terms:
    """Return which nodes reach a volume; none: all of them."""
    affinity = volume.spec.node_affinity
    return node_terms(affinity.required) if affinity is not None else ()


def ready_for(claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume]) -> tuple[ReadyVolumes, ...]:
    """Return how many of some volumes suit a claim, by the nodes that reach them."""
    fitting = Counter(reach_of(one) or (EVERYWHERE,) for one in volumes if is_ready(one) and suits(one, claim))
    return tuple(sorted(_by_nodes(fitting), key=lambda one: (one.free, repr(one.nodes))))


def _by_nodes(fitting: Counter[Terms]) -> Iterator[ReadyVolumes]:
    """Put together nodes that reach equally many. Only reaches of one value are, for these have no node in common."""
    alike: dict[tuple[int, str], list[str]] = {}
    for reach, free in fitting.items():
        if len(reach) == 1 and (label := _one_label(reach[0])) is not None and len(label.values) == 1:
            alike.setdefault((free, label.key), []).append(label.values[0])
        else:
            yield ReadyVolumes(free=free, nodes=reach)
    for (free, key), values in alike.items():
        yield ReadyVolumes(free=free, nodes=(_one_of(key, values),))


def with_room_for(claim: PersistentVolumeClaim, capacities: Iterable[StorageCapacity]) -> Terms:
    """Return where storage has room for a claim. Raises no error for what is published oddly: there is no room."""
    asked = asked_bytes(claim)
    return put_together(term for one in capacities if (term := room_in(one, asked)) is not None) or (NOWHERE,)


def room_in(published: StorageCapacity | None, asked: int) -> NodeTerm | None:
    """Return where there is so much room, None for nowhere. The largest possible volume counts before all the room."""
    if published is None or published.node_topology is None:
        return None
    largest = published.maximum_volume_size if published.maximum_volume_size is not None else published.capacity
    if largest is None or size_bytes(largest) < asked:
        return None
    return NodeTerm(rules=rules) if (rules := selected(published.node_topology)) else EVERYWHERE


def reach_of_any(ready: Iterable[ReadyVolumes]) -> Terms:
    """Return where there is a volume at all."""
    return put_together(term for one in ready for term in one.nodes) or (NOWHERE,)


def put_together(terms: Iterable[NodeTerm]) -> Terms:
    """Return terms of which one must hold, those about one label as one."""
    values: dict[str, list[str]] = {}
    others: dict[NodeTerm, None] = {}
    for term in terms:
        if (label := _one_label(term)) is not None:
            values.setdefault(label.key, []).extend(label.values)
        else:
            others[term] = None
    merged = (_one_of(key, values[key]) for key in sorted(values))
    return (*merged, *sorted(others, key=repr))


def is_short(terms: Terms) -> bool:
    """Say whether terms are few enough to be told."""
    return sum(len(rule.values) for term in terms for rule in term.rules) + len(terms) <= MOST


def _one_label(term: NodeTerm) -> LabelRule | None:
    """Return the only rule of a term, if all it says is which values a label may have."""
    only = term.rules[0] if len(term.rules) == 1 and not term.names else None
    return only if only is not None and only.operator == "In" and only.values else None


def _one_of(key: str, values: Iterable[str]) -> NodeTerm:
    return NodeTerm(rules=(LabelRule(key=key, values=tuple(sorted(set(values)))),))
