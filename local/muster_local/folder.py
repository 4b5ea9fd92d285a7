"""The folder of the local stack, `.muster/`: what is kept between two `muster up`, and by whom it is in use.

```
.muster/
  version        the layout of this folder; another one is refused, never guessed at
  lock           held while a stack runs
  secrets.json   passwords of NATS and PostgreSQL, readable by the owner alone
  kubeconfig     of the simulated cluster
  nats/ postgres/ cluster/   the data of the servers
  logs/          one file per process
```
"""

import fcntl
import json
import secrets
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

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.path / "logs"

    def lock(self) -> IO[str]:
        """Take the folder for this process. Raises Refused when another stack runs on it."""
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
        """Return the passwords, made on first use."""
        file = self.path / "secrets.json"
        if not file.exists():
            made = {name: secrets.token_urlsafe(24) for name in ("administrator", "postgres", *Writer)}
            file.touch(mode=0o600)
            file.write_text(json.dumps(made, indent=2), encoding="utf-8")
        known = json.loads(file.read_text(encoding="utf-8"))
        return Secrets(known["administrator"], known["postgres"], {writer: known[writer] for writer in Writer})


def open_folder(path: Path) -> Folder:
    """Make the folder, or check that it is one of ours. Raises Refused when it is another version's."""
    version = path / "version"
    if not path.exists() or not any(path.iterdir()):
        (path / "logs").mkdir(parents=True, exist_ok=True)
        version.write_text(LAYOUT, encoding="utf-8")
    present = version.read_text(encoding="utf-8").strip() if version.exists() else "unknown"
    if present != LAYOUT:
        raise Refused(
            RefusalCode.CONFLICT,
            f"{path} was made by another version of Muster (layout {present}, this one has {LAYOUT}); "
            "move it away or name another folder with --state.",
        )
    return Folder(path.resolve())
