"""Runs processes and starts again those that end: what an orchestrator does for Muster elsewhere.

Each process has a log file, a way to tell that it is ready, and a pause that doubles while it keeps ending at once.
Everything stops in the reverse order of its start. Children die with this process (on Linux the kernel sees to it), so
that a killed supervisor leaves nothing behind.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO

import structlog
from muster_chassis.backoff import Backoff
from muster_contracts.errors import Unavailable

log = structlog.get_logger()

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
STEADY_SECONDS = 5.0
STOP_SECONDS = 10.0
ENDS_BEFORE_GIVING_UP = 6  # within some seconds: what a killed PostgreSQL left may take one or two to end
CANNOT_BE_RUN = 127  # what a shell answers


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a command with its environment, and how to tell that it is ready."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM


class Supervised:
    """One program, kept running."""

    def __init__(self, program: Program, log_file: Path) -> None:
        self.program = program
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._ends = 0
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        """Begin to keep the program running."""
        self._keeping = asyncio.create_task(self._keep(), name=self.program.name)

    async def ready(self, *, timeout_seconds: float = 60.0) -> None:
        """Wait until the program is ready. Raises Unavailable, with the end of its log, when it takes too long."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while not await self.program.is_ready():
            if self._ends >= ENDS_BEFORE_GIVING_UP or asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{self.program.name} did not become ready; its log ends: {self._last_words()}")
            await asyncio.sleep(0.03)

    def _last_words(self) -> str:
        return " ".join(self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])

    async def stop(self) -> None:
        """End the program and stop keeping it; it is killed when it does not go by itself."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(self.program.stop_signal)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    async def _keep(self) -> None:
        backoff = Backoff(Random(), first_seconds=0.1, limit_seconds=5.0)  # jitter, not a secret
        while not self._stopping:
            began = asyncio.get_running_loop().time()
            code = await self._run_once()
            if self._stopping:
                return
            self._ends += 1
            if asyncio.get_running_loop().time() - began > STEADY_SECONDS:
                self._ends = 0
                backoff.succeeded()
            log.warning("A process ended and is started again.", process=self.program.name, exit_code=code)
            await asyncio.sleep(backoff.next_pause_seconds())

    async def _run_once(self) -> int:
        with self._log_file.open("ab") as output:
            try:
                self._process = await self._spawn(output)
            except OSError as error:
                output.write(f"{self.program.command[0]} cannot be run: {error.strerror}\n".encode())
                return CANNOT_BE_RUN
        return await self._process.wait()

    async def _spawn(self, output: IO[bytes]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**_inherited(), **self.program.environment},
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _inherited() -> dict[str, str]:
    """Return the part of our environment that children get: nothing that is meant for other settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
