"""What one pod asks of a node, hashable: pods that ask for the same are one class, and a class is worked out once.

GPUs are asked for in one of two ways: so many devices and the same portion of each (`portion`, in millionths; the whole
is `WHOLE_GPU`), or so many bytes on each device (`device_bytes`), whose portion then depends on the node.
"""

from dataclasses import dataclass, field

from muster_contracts.values import WHOLE_GPU, PlacementRules, PodFacts, Toleration

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Need:
    """The class of a pod, as far as its node is concerned. `shunned` are nodes where its volumes could not be made."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    devices: int = 0
    portion: int = WHOLE_GPU
    device_bytes: int = 0
    extended: tuple[tuple[str, int], ...] = ()
    selector: Labels = ()
    tolerations: tuple[Toleration, ...] = ()
    rules: PlacementRules | None = None
    labels: Labels = ()
    namespace: str = ""
    shunned: tuple[str, ...] = ()
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        """Work out the hash once: needs are keys in the innermost loops."""
        parts = (self.cpu_milli, self.memory_bytes, self.devices, self.portion, self.device_bytes, self.extended)
        value = hash((parts, self.selector, self.tolerations, self.rules, self.labels, self.namespace, self.shunned))
        object.__setattr__(self, "_hash", value)

    def __hash__(self) -> int:
        """Return the hash worked out at birth."""
        return self._hash

    @property
    def whole(self) -> bool:
        """Whether it takes its devices whole."""
        return self.device_bytes == 0 and self.portion == WHOLE_GPU

    @property
    def touchy(self) -> bool:
        """Whether it looks at the pods that are already on a node."""
        rules = self.rules
        if rules is None:
            return False
        return bool(rules.near or rules.apart or rules.spread or rules.host_ports or rules.claims_choosing)


def need_of(pod: PodFacts) -> Need:
    """Return what a pod asks for. Labels and namespace count only for pods that may meet rules about pods."""
    social = bool(pod.labels) or pod.rules is not None
    return Need(
        cpu_milli=pod.requests.cpu_milli,
        memory_bytes=pod.requests.memory_bytes,
        devices=pod.gpu.devices,
        portion=pod.gpu.portion_millionths,
        device_bytes=pod.gpu.memory_bytes or 0,
        extended=tuple(sorted(pod.requests.extended.items())),
        selector=tuple(sorted(pod.node_selector.items())),
        tolerations=tuple(sorted(pod.tolerations, key=lambda one: (one.key, one.operator, one.value, one.effect))),
        rules=pod.rules,
        labels=tuple(sorted(pod.labels.items())) if social else (),
        namespace=pod.namespace if social else "",
    )
