"""Kubernetes' amounts in the contracts' integers, and sums of them."""

from collections.abc import Iterable, Mapping

from muster_cluster.objects import PodSpec
from muster_cluster.requests import Amounts, spec_requests
from muster_contracts import names
from muster_contracts.values import WHOLE_GPU, Resources

NOTHING = Resources()
MOST_OF_ANYTHING = 2**50
"""More than any node has, in any unit, and so little that thousands of pods together are still a 64-bit integer."""
_OWN_FIELDS = frozenset({"cpu", "memory", "pods", names.GPU_RESOURCE})
_OTHER_MAKERS_GPUS = frozenset({"amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"})


def to_resources(amounts: Mapping[str, int]) -> Resources:
    """Return amounts by name as one value; what has no field of its own is `extended`, in Kubernetes' count."""
    return _bounded(
        cpu_milli=amounts.get("cpu", 0),
        memory_bytes=amounts.get("memory", 0),
        gpu_millionths=amounts.get(names.GPU_RESOURCE, 0) * WHOLE_GPU,
        extended={name: amounts[name] for name in sorted(amounts.keys() - _OWN_FIELDS)},
    )


def _bounded(
    cpu_milli: int, memory_bytes: int, gpu_millionths: int, extended: Mapping[str, int], gpu_memory_bytes: int = 0
) -> Resources:
    """Return amounts that all who reckon with them can hold: Kubernetes takes any number, which then fits nowhere."""
    return Resources(
        cpu_milli=min(cpu_milli, MOST_OF_ANYTHING),
        memory_bytes=min(memory_bytes, MOST_OF_ANYTHING),
        gpu_millionths=min(gpu_millionths, MOST_OF_ANYTHING),
        gpu_memory_bytes=min(gpu_memory_bytes, MOST_OF_ANYTHING),
        extended={name: min(amount, MOST_OF_ANYTHING) for name, amount in extended.items()},
    )


def devices_in(amounts: Mapping[str, int]) -> int:
    """Return how many GPUs are among amounts by name, bounded as those are."""
    return min(amounts.get(names.GPU_RESOURCE, 0), MOST_OF_ANYTHING // WHOLE_GPU)


def amounts_of(spec: PodSpec) -> Amounts:
    """Return what a pod of this template takes; nothing when a quantity cannot be read, as before admission.

    A portion of a GPU among the limits, which Kubernetes would round up, is no amount of whole ones: it is left out.
    """
    try:
        amounts = spec_requests(spec)
    except ValueError:
        return {}
    if portion_limit(spec):
        amounts.pop(names.GPU_RESOURCE, None)
    return amounts


def portion_limit(spec: PodSpec) -> str:
    """Return the portion of a GPU that is written among the limits of a container, for admission; empty if none."""
    written = (str(container.resources.limits.get(names.GPU_RESOURCE, "")) for container in spec.containers)
    return next((limit for limit in written if limit.startswith(("0.", "."))), "")


def portion_variable(spec: PodSpec) -> str:
    """Return the portion of a GPU that is written in the environment of a container, for admission; empty if none."""
    variables = (variable for container in spec.containers for variable in container.env)
    return next((one.value for one in variables if one.name == names.GPU_FRACTION_VARIABLE), "")


def counting_gpus(resources: Resources, gpu_names: frozenset[str]) -> Resources:
    """Count as GPUs those of other makers, and those of these names. They stay `extended`, for so they are placed."""
    gpus = sum(resources.extended.get(name, 0) for name in _OTHER_MAKERS_GPUS | gpu_names)
    if not gpus:
        return resources
    counted = min(resources.gpu_millionths + gpus * WHOLE_GPU, MOST_OF_ANYTHING)
    return resources.model_copy(update={"gpu_millionths": counted})


def times(resources: Resources, count: int) -> Resources:
    """Return so many times as much."""
    return _bounded(
        cpu_milli=resources.cpu_milli * count,
        memory_bytes=resources.memory_bytes * count,
        gpu_millionths=resources.gpu_millionths * count,
        gpu_memory_bytes=resources.gpu_memory_bytes * count,
        extended={name: amount * count for name, amount in resources.extended.items()},
    )


def total(parts: Iterable[Resources]) -> Resources:
    """Return the sum."""
    cpu_milli = memory_bytes = gpu_millionths = gpu_memory_bytes = 0
    extended: dict[str, int] = {}
    for part in parts:
        cpu_milli += part.cpu_milli
        memory_bytes += part.memory_bytes
        gpu_millionths += part.gpu_millionths
        gpu_memory_bytes += part.gpu_memory_bytes
        for name, amount in part.extended.items():
            extended[name] = extended.get(name, 0) + amount
    return _bounded(cpu_milli, memory_bytes, gpu_millionths, extended, gpu_memory_bytes)
