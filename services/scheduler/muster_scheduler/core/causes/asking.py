"""How it is told what pods that start together ask for: how many they are, where they have to be, and how much that is.

Whatever keeps them waiting, it is told of all of them. What one node lacks for one of them comes after that.
"""

from muster_scheduler.core.accounts import Triple
from muster_scheduler.core.causes.inquiry import Inquiry, Together
from muster_scheduler.core.draft import Item
from muster_scheduler.core.groups import Waiting
from muster_scheduler.core.reasons import amount_of, counted, gpus, whole_of


def needs(inquiry: Inquiry, one: str) -> str:
    """Write what an item needs, where one pod of it needs `one`."""
    if len(inquiry.item.pods) == 1:
        return f"needs {one}"
    each = "Each needs" if len(inquiry.needs) == 1 else "Some need"
    return f"needs room for {at_once(inquiry, inquiry.togethers()[0])}. {each} {one}"


def members(inquiry: Inquiry) -> dict[str, int]:
    """Return how many pods `needs` tells of; nothing for one."""
    pods = len(inquiry.item.pods)
    return {"members": pods} if pods > 1 else {}


def at_once(inquiry: Inquiry, wanted: Together, where: str = "") -> str:
    """Write how many pods must be together, in what, and what they ask for."""
    within = f" within one value of the node label {wanted.levels[-1]}{where}" if wanted.levels else ""
    return f"{counted(len(wanted.pods), 'pod', 'pods')} at once{within}: {_asked(inquiry, wanted.pods)}"


def total(inquiry: Inquiry, pods: tuple[Waiting, ...]) -> Triple:
    """Return what pods ask for in all."""
    return inquiry.draft.amounts(Item(inquiry.item.view, pods, is_core=True))


def _asked(inquiry: Inquiry, pods: tuple[Waiting, ...]) -> str:
    need, asked = pods[0].need, total(inquiry, pods)
    if len({pod.need for pod in pods}) > 1:
        return f"{', '.join(amount_of(r, amount) for r, amount in enumerate(asked) if amount)} in all"
    if not need.devices or need.device_bytes or need.extended:
        return f"{whole_of(need)} for each"
    return f"{gpus(asked[0])} in pieces of {gpus(need.devices * need.portion)}"
