"""A Python environment for each foreign client, made when a test first asks for it.

The clients contradict one another and our own lock, so none of them is a dependency of ours: each has a file in
`requirements/`, pinned to the last package, and an environment of its own in the user's cache, which later runs and
other checkouts find again. Only a machine's first run needs the package index; where there is neither, the tests of
that client are skipped, and say so. To move to other versions, change `requirements/<client>.in` and write the pins
again, with the command at the head of `requirements/<client>.txt`.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parent / "requirements"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muster" / "test-clients"
UNREACHABLE = ("client error (Connect)", "operation timed out")
"""What uv says when there is no way to the package index, as against an index that lacks what we ask for."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a client printed and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Environment:
    """A client, installed; it runs with a home of its own and with no variables but those it is given."""

    folder: Path

    @property
    def path(self) -> str:
        """Where its commands are looked for: its own come first."""
        return os.pathsep.join((str(self.folder / "bin"), os.environ["PATH"]))

    def run(self, *command: str | Path, home: Path, timeout_seconds: float = 300, **variables: str) -> Ran:
        """Run one of its commands to the end."""
        ran = subprocess.run(
            [str(self.folder / "bin" / command[0]), *map(str, command[1:])],
            cwd=home,
            env={"PATH": self.path, "HOME": str(home), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)


def environment(client: str) -> Environment:
    """Return the environment of a client, installed if it is not yet; skip the test when that cannot be."""
    pins = REQUIREMENTS / f"{client}.txt"
    folder = CACHE / f"{client}-{_digest(pins)}"
    with _alone(folder.with_suffix(".lock")):
        finished = folder / "finished"  # written last: what an interrupted run left is made again
        if not finished.exists():
            _make(client, folder, pins)
            finished.touch()
    return Environment(folder)


def _digest(pins: Path) -> str:
    return hashlib.sha256(pins.read_bytes() + sys.version.encode() + sys.base_prefix.encode()).hexdigest()[:12]


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep other test runs out of an environment while it is made."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _make(client: str, folder: Path, pins: Path) -> None:
    _uv("venv", "--clear", "--python", sys.executable, str(folder))
    installed = _uv("pip", "install", "--python", str(folder), "--compile-bytecode", "--requirements", str(pins))
    if any(sign in installed.stderr for sign in UNREACHABLE):
        pytest.skip(f"{client} is not installed here, and the package index cannot be reached")
    assert installed.returncode == 0, f"{client} cannot be installed:\n{installed.stderr}"


def _uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None, "uv is part of the environment that `make` prepares"
    settings: Mapping[str, str] = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    return subprocess.run([uv, *arguments], env=settings, capture_output=True, text=True, check=False)
