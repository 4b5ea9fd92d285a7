"""What a rule is told and what it may say.

A rule sees the object as plain JSON, because its patches are paths into that. What it says is for people: a refusal is
one sentence that names what is wrong and what to do instead, a warning one that `kubectl` prints.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from muster_cluster.objects import Raw, read_object

Patch = dict[str, Any]
"""One operation of a JSON patch."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Context:
    """What is known beside the object. `old` is its state before; None while it is being created.

    `project` is that of the namespace, empty if it is nobody's; `enforced`: the namespace wants all its pods scheduled
    by Muster. `owner_labels` are those of the object's controller, if it was looked for.
    """

    user: str
    submitter: str
    old: Raw | None = None
    project: str = ""
    projects: AbstractSet[str] = frozenset()
    enforced: bool = False
    owner_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def created(self) -> bool:
        """Whether the object is new."""
        return self.old is None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be changed, why it is refused (empty: it is not), what its author should know."""

    patches: tuple[Patch, ...] = ()
    refusal: str = ""
    warnings: tuple[str, ...] = ()


NOTHING: Final = Answer()

Rule = Callable[[Raw, Context], Answer]


def is_kind(written: Raw, group: str, *kinds: str) -> bool:
    """Say whether an object is of one of these kinds, in whatever version."""
    return written.get("kind") in kinds and group_of(written) == group


def group_of(written: Raw) -> str:
    """Return the group of an object's kind: empty for the core's."""
    return str(written.get("apiVersion", "")).rpartition("/")[0]


def read(written: Raw, model: type[Item]) -> Item | None:
    """Return an object as a struct; None when it has not its shape, which the API server says better than we."""
    try:
        return read_object(written, model)
    except ValueError:
        return None


def part(written: Raw, *path: str) -> Raw:
    """Return the mapping at a path; an empty one when there is none, for custom resources may hold anything."""
    for name in path:
        found = written.get(name)
        written = found if isinstance(found, dict) else {}
    return written


def add(value: object, *path: str | int) -> Patch:
    """Return the operation that puts a value at a path, whether or not there is one."""
    return {"op": "add", "path": _pointer(path), "value": value}


def remove(*path: str | int) -> Patch:
    """Return the operation that takes away what is at a path."""
    return {"op": "remove", "path": _pointer(path)}


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
