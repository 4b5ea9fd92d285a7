"""Reading what somebody else wrote: fields of custom resources, which may be missing, or of any type.

Everything gives a default instead of an error: an object of a version we do not know must not stop anybody. A path is
the names of nested fields; what is on the way and no mapping ends it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from muster_cluster.objects import PodSpec, read_moment, read_pod_spec

Raw = Mapping[str, Any]


def field(raw: Any, *path: str) -> Any:
    """Return what stands there, None when nothing does."""
    for name in path:
        if not isinstance(raw, Mapping):
            return None
        raw = raw.get(name)
    return raw


def text(raw: Any, *path: str) -> str:
    """Return a text, empty when there is none."""
    value = field(raw, *path)
    return value if isinstance(value, str) else ""


def number(raw: Any, *path: str) -> int | None:
    """Return a count, None when there is none: Kubernetes counts in 32 bits, what is more than that is a mistake."""
    value = field(raw, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def how_many(raw: Any, *path: str) -> int:
    """Return a count that is one unless it is written, as Kubernetes has it for replicas."""
    written = number(raw, *path)
    return 1 if written is None else written


def flag(raw: Any, *path: str) -> bool:
    """Return whether true stands there."""
    return field(raw, *path) is True


def mapping(raw: Any, *path: str) -> Raw:
    """Return a mapping, empty when there is none."""
    value = field(raw, *path)
    return value if isinstance(value, Mapping) else {}


def texts(raw: Any, *path: str) -> Mapping[str, str]:
    """Return the texts of a mapping, such as labels or annotations."""
    return {name: value for name, value in mapping(raw, *path).items() if isinstance(value, str)}


def entries(raw: Any, *path: str) -> Sequence[Raw]:
    """Return the mappings of a list, none when there is no list."""
    value = field(raw, *path)
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, Sequence) else []


def moment(raw: Any, *path: str) -> datetime | None:
    """Return a point in time, None when there is none."""
    return read_moment(text(raw, *path))


def pod_spec(raw: Any, *path: str) -> PodSpec | None:
    """Return the `spec` of a pod template, None when it cannot be read as one."""
    return read_pod_spec(field(raw, *path))


def conditions(status: Any) -> Mapping[str, Raw]:
    """Return the conditions of a status by their type; of two alike the last."""
    return {text(condition, "type"): condition for condition in entries(status, "conditions")}


def holding(status: Any, *types: str) -> Iterator[Raw]:
    """Yield the conditions of these types that are true, in the order of the types."""
    found = conditions(status)
    for wanted in types:
        if text(found.get(wanted), "status") == "True":
            yield found[wanted]


def sentence(condition: Any) -> str:
    """Return what a condition says, as a sentence: its message, else its reason."""
    return as_sentence(text(condition, "message"), text(condition, "reason"))


def as_sentence(message: str, reason: str) -> str:
    """Return a message, else a reason, with a full stop; empty when there is neither."""
    said = message.strip() or reason
    return said if not said or said.endswith((".", "!", "?")) else f"{said}."
