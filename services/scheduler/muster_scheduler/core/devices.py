"""Which devices of a node a pod holds, and how that is written on the pod: `0,1` or `2:500000`.

The annotation `muster.dev/gpus` is written with the binding and read by containers through the downward API; a share
without a portion is the whole device. Anybody may write it on a pod of their own: it is believed only as far as our
own binding could have written it.
"""

from collections.abc import Iterable
from functools import lru_cache

from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES
from muster_contracts.values import WHOLE_GPU, DeviceShare, GpuRequest, PodFacts


@lru_cache(maxsize=10_000)
def share_of(index: int, portion_millionths: int) -> DeviceShare:
    """Return a share of a device, the same object for the same share: there are few, and millions of uses."""
    return DeviceShare(index=index, portion_millionths=portion_millionths)


def format_devices(devices: Iterable[DeviceShare]) -> str:
    """Write device shares as the annotation has them."""
    return ",".join(
        str(share.index) if share.portion_millionths == WHOLE_GPU else f"{share.index}:{share.portion_millionths}"
        for share in devices
    )


def parse_devices(text: str) -> tuple[DeviceShare, ...]:
    """Read the annotation back; what is not ours (another scheduler's, a user's hand) gives no devices."""
    try:
        return tuple(_parse_share(part) for part in text.split(",") if part)
    except ValueError:
        return ()


def devices_held(facts: PodFacts) -> tuple[DeviceShare, ...]:
    """Return the devices that a pod says it was given; none where we cannot have given it just these."""
    shares = parse_devices(facts.gpus) if facts.scheduler_name in COMPATIBLE_SCHEDULER_NAMES else ()
    asked = facts.gpu
    as_many = len({share.index for share in shares}) == len(shares) == asked.devices
    return shares if as_many and all(_is_asked_for(share, asked) for share in shares) else ()


def _is_asked_for(share: DeviceShare, asked: GpuRequest) -> bool:
    """Say whether a share is what a pod asks of one device; memory may be any part of it."""
    if asked.memory_bytes is not None:
        return share.index >= 0 and 0 < share.portion_millionths <= WHOLE_GPU
    return share.index >= 0 and share.portion_millionths == asked.portion_millionths


def _parse_share(part: str) -> DeviceShare:
    index, _, portion = part.partition(":")
    return DeviceShare(index=int(index), portion_millionths=int(portion) if portion else WHOLE_GPU)
