"""Which devices of a node a pod holds, and how that is written on the pod: `0,1` or `2:500000`.

The annotation `muster.dev/gpus` is written with the binding and read by containers through the downward API; a share
without a portion is the whole device.
"""

from collections.abc import Iterable
from functools import lru_cache

from muster_contracts.values import WHOLE_GPU, DeviceShare


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


def _parse_share(part: str) -> DeviceShare:
    index, _, portion = part.partition(":")
    return DeviceShare(index=int(index), portion_millionths=int(portion) if portion else WHOLE_GPU)
