"""How many pods of a group must run together: minima of a whole group, of its parts, and of parts of parts.

A part either holds pods (a leaf, with `minimum`) or has parts of its own, of which `minimum_parts` must be whole. A
group whose pods name no part is one leaf. Choosing is by the order of the pods and the parts, so it is repeatable.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from muster_contracts.values import SubGroup, TopologyConstraint

P = TypeVar("P")
"""A pod, as whoever asks sees it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a gang, as a tree."""

    name: str = ""
    minimum: int = 0
    parts: tuple["Part", ...] = ()
    minimum_parts: int | None = None
    topology: TopologyConstraint | None = None

    @property
    def parts_needed(self) -> int:
        """How many of its parts must be whole."""
        return len(self.parts) if self.minimum_parts is None else min(self.minimum_parts, len(self.parts))

    def leaves(self) -> list["Part"]:
        """Return the parts that hold pods."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.parts else [self]

    def is_whole(self, held: Mapping[str, int]) -> bool:
        """Say whether enough pods have a place, counted by leaf."""
        if not self.parts:
            return held.get(self.name, 0) >= self.minimum
        return sum(part.is_whole(held) for part in self.parts) >= self.parts_needed


def tree_of(
    sub_groups: Sequence[SubGroup], minimum: int, minimum_parts: int | None, topology: TopologyConstraint | None
) -> Part:
    """Build the tree of a group from the flat list of its parts."""
    below: dict[str, list[SubGroup]] = {}
    for sub_group in sub_groups:
        below.setdefault(sub_group.parent, []).append(sub_group)
    return Part("", minimum, tuple(_part(one, below) for one in below.get("", ())), minimum_parts, topology)


def _part(sub_group: SubGroup, below: Mapping[str, list[SubGroup]]) -> Part:
    parts = tuple(_part(one, below) for one in below.get(sub_group.name, ()) if one.name != sub_group.name)
    return Part(sub_group.name, sub_group.min_members, parts, sub_group.min_sub_groups, sub_group.topology)


def pick_core(tree: Part, held: Mapping[str, int], waiting: Mapping[str, Sequence[P]]) -> list[P] | None:
    """Choose the pods that make a part whole; none needed gives [], too few there gives None."""
    if not tree.parts:
        missing = max(0, tree.minimum - held.get(tree.name, 0))
        pods = waiting.get(tree.name, ())
        return list(pods[:missing]) if len(pods) >= missing else None
    wanted = tree.parts_needed - sum(part.is_whole(held) for part in tree.parts)
    picks = [pick_core(part, held, waiting) for part in tree.parts if not part.is_whole(held)]
    able = [pick for pick in picks if pick is not None]
    return [pod for pick in able[: max(0, wanted)] for pod in pick] if len(able) >= wanted else None


def split_surplus(
    tree: Part, minimum: int, pods: Iterable[P], leaf_of: Callable[[P], str], standing: Mapping[str, int]
) -> tuple[list[P], list[P]]:
    """Split the pods of a running gang into those that can go alone, in the order given, and its core.

    `standing` are pods that stay in any case, by leaf. A gang that is not whole goes all at once.
    """
    spare: list[P] = []
    core = list(pods)
    held = dict(standing)
    for pod in core:
        held[leaf_of(pod)] = held.get(leaf_of(pod), 0) + 1
    for pod in list(core):
        held[leaf_of(pod)] -= 1
        if sum(held.values()) >= max(1, minimum) and tree.is_whole(held):
            spare.append(pod)
            core.remove(pod)
        else:
            held[leaf_of(pod)] += 1
    return spare, core
