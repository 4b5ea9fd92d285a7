"""The folder of the local stack, `.muster/`: what is kept between two `muster up`, and by whom it is in use.

```
.muster/
  version        the layout of this folder; another one is refused, never guessed at
  lock           held while a stack runs
  secrets.json   passwords of NATS and PostgreSQL, readable by the owner alone
  kubeconfig     of the simulated cluster
  submitter-kubeconfig       the same, for whoever alone may write Muster's own labels
  nats/ postgres/ cluster/   the data of the servers
  logs/          one file per process
```

A start may be killed between any two steps, so `version` comes first, and a file comes into being whole (`_write`).
"""

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.subjects import Writer

LAYOUT = "1"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passwords of one local stack."""

    administrator: str
    postgres: str
    services: dict[Writer, str]


@dataclass(frozen=True, slots=True)
class Folder:
    """One state folder. `open_folder` makes it ready."""

    path: Path

    @property
    def kubeconfig(self) -> Path:
        """Where the simulated cluster writes how it is reached."""
        return self.path / "kubeconfig"

    def write_kubeconfig_of(self, user: str, server: str) -> Path:
        """Write how the submitter reaches the simulated cluster, which believes a token that is a name."""
        file = self.path / "submitter-kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "simcluster", "cluster": {"server": server}}],
            "users": [{"name": "submitter", "user": {"token": user}}],
            "contexts": [{"name": "submitter", "context": {"cluster": "simcluster", "user": "submitter"}}],
            "current-context": "submitter",
        }
        _write(file, json.dumps(config, indent=2))
        return file

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.path / "logs"

    def lock(self) -> IO[str]:
        """Take the folder for this process. Raises Refused when another stack runs on it."""
        with _refusing_what_cannot_be_used(self.path):
            handle = (self.path / "lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise Refused(
                RefusalCode.CONFLICT,
                f"Another `muster up` is using {self.path}; stop it first, or name another folder.",
            ) from None
        return handle

    def secrets(self) -> Secrets:
        """Return the passwords, made on first use. Raises Refused when they cannot be read any more."""
        file = self.path / "secrets.json"
        with _refusing_what_cannot_be_used(self.path):
            if not file.exists():
                made = {name: secrets.token_urlsafe(24) for name in ("administrator", "postgres", *Writer)}
                _write(file, json.dumps(made, indent=2))
            return _read_secrets(file)


def open_folder(path: Path) -> Folder:
    """Make the folder, or check that it is one of ours. Raises Refused when it is not, or cannot be used."""
    with _refusing_what_cannot_be_used(path):
        path.mkdir(parents=True, exist_ok=True)
        version = path / "version"
        if {entry.name for entry in path.iterdir()} <= {_unfinished(version).name}:
            _write(version, LAYOUT)
        _refuse_another_layout(path, version.read_text(encoding="utf-8").strip() if version.exists() else "unknown")
        (path / "logs").mkdir(exist_ok=True)
    return Folder(path.resolve())


def _refuse_another_layout(path: Path, present: str) -> None:
    if present != LAYOUT:
        raise Refused(
            RefusalCode.CONFLICT,
            f"{path} was made by another version of Muster (layout {present}, this one has {LAYOUT}); "
            "move it away or name another folder with --state.",
        )


def _read_secrets(file: Path) -> Secrets:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return Secrets(known["administrator"], known["postgres"], {writer: known[writer] for writer in Writer})
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(
            RefusalCode.CONFLICT,
            f"{file} does not hold the passwords of the data beside it any more; "
            f"restore it, move {file.parent} away, or name another folder with --state.",
        ) from error


def _write(file: Path, text: str) -> None:
    """Write a file for its owner alone. Whoever is killed meanwhile leaves the file whole or none."""
    unfinished = _unfinished(file)
    unfinished.unlink(missing_ok=True)  # of a start that was killed
    unfinished.touch(mode=0o600)
    with unfinished.open("w", encoding="utf-8") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    unfinished.replace(file)


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.name}.unfinished")


@contextmanager
def _refusing_what_cannot_be_used(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # FileExistsError: mkdir found something that is no folder
        reason = os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror
        raise Refused(
            RefusalCode.INVALID,
            f"The data cannot be kept in {path} ({reason}); name another folder with --state.",
        ) from error
