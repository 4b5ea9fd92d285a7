"""Names for versions of a pod template: the hash that Deployments and StatefulSets put on their pods."""

import hashlib
import json
from typing import Any

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
POD_TEMPLATE_HASH = "pod-template-hash"


def hash_of(template: Any) -> str:
    """Return ten letters that stand for a template, the same for equal ones."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    return "".join(letters)


def without_hash(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template as its author wrote it: without the label of its hash, and without fields that say nothing."""
    written = template.get("metadata") or {}
    metadata = {key: value for key, value in written.items() if value is not None}
    labels = {key: value for key, value in (written.get("labels") or {}).items() if key != POD_TEMPLATE_HASH}
    return {**template, "metadata": metadata | {"labels": labels}}
