"""Nodes in the journal's words: what of them matters for placing pods, and nothing that flickers.

The pods on a node that belong to no workload are a part of what is said of it, as one sum.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from muster_cluster.objects import Node, Pod
from muster_cluster.quantities import to_units
from muster_cluster.requests import to_amounts
from muster_contracts import names
from muster_contracts.events import NodeObserved
from muster_contracts.values import Taint

from muster_integrations.recognition.agenda import Agenda
from muster_integrations.recognition.amounts import to_resources, total
from muster_integrations.recognition.index import Index
from muster_integrations.recognition.inventory import Inventory
from muster_integrations.recognition.kinds import Known
from muster_integrations.recognition.pod_facts import has_ended, requests_of, to_uuid
from muster_integrations.recognition.pods import POD

NOISY_LABELS: Final = ("feature.node.kubernetes.io/",)
"""Prefixes of labels left out: a feature discovery writes hundreds, and rewrites them."""

GPU_PRODUCT: Final = "nvidia.com/gpu.product"
GPU_MEMORY: Final = "nvidia.com/gpu.memory"  # of one device, in mebibytes


class Nodes:
    """The nodes that are there, and which pods on each are *apart*, in no workload."""

    def __init__(self, inventory: Inventory, agenda: Agenda) -> None:
        self._inventory = inventory
        self._agenda = agenda
        self._nodes: dict[str, Node] = {}
        self._apart: Index[str] = Index()

    def take(self, old: Node | None, new: Node | None) -> None:
        """Take one step of a node."""
        if new is not None:
            self._nodes[new.metadata.name] = new
        elif old is not None:
            self._nodes.pop(old.metadata.name, None)
        for node in (old, new):
            if node is not None:
                self._agenda.compare_node(node.metadata.name)

    @property
    def names(self) -> Iterator[str]:
        """Every node that is there."""
        return iter(self._nodes)

    def count(self, known: Known, *, apart: bool) -> None:
        """Count a pod among the others on its node, or no longer."""
        node = known.item.spec.node_name if known.kind is POD else ""
        if not node or (not apart and known.metadata.uid not in self._apart.under(node)):
            return
        change = self._apart.add if apart else self._apart.discard
        change(node, known.metadata.uid)
        self._agenda.compare_node(node)

    def seen(self, name: str) -> NodeObserved | None:
        """Return what is seen of a node; None when it is not there."""
        node = self._nodes.get(name)
        if node is None:
            return None
        found = map(self._inventory.by_uid, self._apart.under(name))
        return observed(node, (known.item for known in found if known is not None))


def observed(node: Node, others: Iterable[Pod]) -> NodeObserved:
    """Return a node with the sum of the pods on it that belong to no workload.

    What a reservation pod holds is not theirs: its GPU is given to the sharers, who are counted.
    """
    allocatable = to_amounts(node.status.allocatable or node.status.capacity)
    labels = node.metadata.labels
    held = [pod for pod in others if not has_ended(pod)]
    return NodeObserved(
        node_id=to_uuid(node.metadata.uid),
        name=node.metadata.name,
        ready=any(c.type == "Ready" and c.status == "True" for c in node.status.conditions),
        unschedulable=node.spec.unschedulable,
        allocatable=to_resources(allocatable),
        max_pods=allocatable.get("pods", 110),
        gpu_devices=allocatable.get(names.GPU_RESOURCE, 0),
        gpu_product=labels.get(GPU_PRODUCT, ""),
        gpu_memory_bytes=_mebibytes(labels.get(GPU_MEMORY, "")),
        labels={name: value for name, value in sorted(labels.items()) if not name.startswith(NOISY_LABELS)},
        taints=tuple(Taint(key=t.key, value=t.value, effect=t.effect) for t in node.spec.taints),
        others=total(requests_of(pod) for pod in held if not _is_reservation(pod)),
        other_pods=len(held),
    )


def _is_reservation(pod: Pod) -> bool:
    """Say whether the scheduler made a pod to keep a shared GPU from others; nobody else has a place in there."""
    return pod.metadata.namespace == names.RESERVATIONS_NAMESPACE and names.GPU_INDEX in pod.metadata.labels


def _mebibytes(text: str) -> int:
    return to_units(f"{text}Mi") if text.isascii() and text.isdigit() else 0
