"""Which objects stand under a key, such as all in one namespace, or all that one object owns: UIDs in order of arrival.

A key that nobody stands under any more is forgotten, for keys (owners, names) come and go for ever.
"""

from collections.abc import Collection
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Index(Generic[Key]):
    """UIDs by key; each once."""

    def __init__(self) -> None:
        self._uids: dict[Key, dict[str, None]] = {}

    def add(self, key: Key, uid: str) -> bool:
        """Put an object under a key; return whether it is the first there."""
        uids = self._uids.setdefault(key, {})
        uids[uid] = None
        return len(uids) == 1

    def discard(self, key: Key, uid: str) -> bool:
        """Take an object from a key; return whether it was the last there."""
        uids = self._uids.get(key)
        if uids is None or uid not in uids:
            return False
        del uids[uid]
        if not uids:
            del self._uids[key]
        return not uids

    def under(self, key: Key) -> Collection[str]:
        """Return who stands under a key."""
        return self._uids.get(key, ())

    def pop(self, key: Key) -> Collection[str]:
        """Return who stands under a key, and forget it."""
        return self._uids.pop(key, ())
