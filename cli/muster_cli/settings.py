"""What the command line takes from its environment: where Muster is, and who is asking."""

import getpass
import os
from dataclasses import dataclass
from pathlib import Path

from muster_cli.failure import Exit, Failure

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class CommandLineSettings:
    """`url` of the one HTTP origin; `project` for commands that name none; `user` as the history will show it."""

    url: str
    project: str
    user: str

    @classmethod
    def read(cls) -> "CommandLineSettings":
        """Read `MUSTER_URL`, `MUSTER_PROJECT` and `MUSTER_USER`, each with its default. Raises Failure."""
        url = (os.environ.get("MUSTER_URL") or DEFAULT_URL).rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise Failure(Exit.INVALID, f"MUSTER_URL is {url!r}, which is no URL.", f"Write it like {DEFAULT_URL}.")
        return cls(
            url=url,
            project=os.environ.get("MUSTER_PROJECT", ""),
            user=os.environ.get("MUSTER_USER") or _login_name(),
        )


def state_folder() -> Path:
    """Return where `muster up` keeps its state unless told otherwise: `.muster` here."""
    return Path(os.environ.get("MUSTER_STATE") or ".muster")


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return f"uid-{os.getuid()}"
