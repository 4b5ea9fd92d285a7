"""The file behind a store.

SQLite runs without fsync, so a killed process loses nothing that was written, a machine that loses power may.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from simcluster.revisions import DELETED, Change, Stored


class DataFileError(Exception):
    """The file cannot be used: no such place, no database, or another process has it."""


class Disk:
    """The file behind a store: the current revision of each object, and the counter."""

    _SCHEMA = """
        CREATE TABLE IF NOT EXISTS objects (
            kind TEXT, namespace TEXT, name TEXT, version INTEGER, body BLOB,
            PRIMARY KEY (kind, namespace, name)
        );
        CREATE TABLE IF NOT EXISTS counter (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER);
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=1)
            # One process alone: two clusters over one file would each believe in its own objects.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.executescript(self._SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise DataFileError(f"{path}: {error}") from error

    def load(self) -> Iterator[Stored]:
        """Return every object as it was last written."""
        for kind, version, body in self._connection.execute("SELECT kind, version, body FROM objects"):
            yield Stored(kind, orjson.loads(body), version)

    def load_version(self) -> int:
        """Return the counter as it was last written."""
        row = self._connection.execute("SELECT version FROM counter").fetchone()
        return int(row[0]) if row else 0

    def write(self, changes: list[Change], version: int) -> None:
        """Write the outcome of some changes and the counter, all or nothing."""
        last = {(change.stored.kind, *change.stored.key): change for change in changes}
        kept = [_row(change.stored) for change in last.values() if change.type != DELETED]
        gone = [key for key, change in last.items() if change.type == DELETED]
        cursor = self._connection.cursor()
        cursor.execute("BEGIN")
        cursor.executemany("REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", kept)
        cursor.executemany("DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", gone)
        cursor.execute("REPLACE INTO counter VALUES (1, ?)", (version,))
        cursor.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _row(stored: Stored) -> tuple[Any, ...]:
    return stored.kind, stored.namespace, stored.name, stored.version, stored.encoded
