"""What a pod takes of the node it runs on, as Kubernetes reckons it.

The containers and the sidecars run together; the init containers run one after another, each beside the sidecars
started before it; the pod needs the greater of the two, resource by resource, plus its overhead. Requests of the pod
as a whole (`spec.resources`) stand in the place of that sum. A limit without a request is a request, as the API
server's defaults have it. The rule is that of `k8s.io/component-helpers/resource`.

Left out: resizing in place (a pod that shrinks still holds, until the kubelet has done it, what its status says).
"""

from collections.abc import Mapping

from muster_cluster.objects import Pod, PodSpec, Resources
from muster_cluster.quantities import Quantity, to_amount

Amounts = dict[str, int]
"""By name of the resource: CPUs in thousandths, everything else in whole units (bytes, devices)."""

_OF_THE_WHOLE_POD = ("cpu", "memory")  # Kubernetes takes these (and huge pages) at the level of the pod


def pod_requests(pod: Pod) -> Amounts:
    """Return what a pod takes of its node. Raises ValueError for a quantity that cannot be read."""
    return spec_requests(pod.spec)


def spec_requests(spec: PodSpec) -> Amounts:
    """Return what a pod of this template takes of its node. Raises ValueError."""
    needed = _highest(_at_work(spec), _at_start(spec))
    return _sum(needed | _of_the_whole_pod(spec, needed), to_amounts(spec.overhead))


def to_amounts(quantities: Mapping[str, Quantity]) -> Amounts:
    """Return quantities by name as integers. Raises ValueError."""
    return {name: to_amount(name, quantity) for name, quantity in quantities.items()}


def _of_the_whole_pod(spec: PodSpec, needed: Amounts) -> Amounts:
    """Return what the pod asks for as a whole; its limit counts only when no container says anything."""
    limits = {name: quantity for name, quantity in spec.resources.limits.items() if name not in needed}
    asked = to_amounts({**limits, **spec.resources.requests})
    return {name: asked[name] for name in asked if name in _OF_THE_WHOLE_POD or name.startswith("hugepages-")}


def _at_work(spec: PodSpec) -> Amounts:
    total: Amounts = {}
    sidecars = (container for container in spec.init_containers if container.is_sidecar)
    for container in (*spec.containers, *sidecars):
        total = _sum(total, _requested(container.resources))
    return total


def _at_start(spec: PodSpec) -> Amounts:
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.init_containers:
        moment = _sum(sidecars, _requested(container.resources))
        peak = _highest(peak, moment)
        if container.is_sidecar:
            sidecars = moment
    return peak


def _requested(resources: Resources) -> Amounts:
    return to_amounts({**resources.limits, **resources.requests})


def _sum(left: Amounts, right: Amounts) -> Amounts:
    return {name: left.get(name, 0) + right.get(name, 0) for name in (*left, *right)}


def _highest(left: Amounts, right: Amounts) -> Amounts:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in (*left, *right)}
