"""What every service does around its own work: run its loops, serve its HTTP, stop cleanly.

A service is a value: named loops, an HTTP application, a health picture, and what has to be closed at the end. `run`
gives it a process; a simulation runs the same loops in a world of its own. The three kinds of error meet here: a loop
that raises `Unavailable` starts again with back-off; one that raises anything else stops alone and says why, for an
event that cannot be applied today cannot be applied by trying again.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI
from muster_contracts.errors import Refused, Unavailable

from muster_chassis.backoff import Backoff
from muster_chassis.health import Health
from muster_chassis.logs import set_up_logs
from muster_chassis.settings import BadSettings, ServiceSettings

log = structlog.get_logger()
Settings = TypeVar("Settings", bound=ServiceSettings)
Loop = Callable[[], Awaitable[None]]

WELL_AFTER_SECONDS = 10.0  # as long as the longest pause: a try that took this long is rare enough by itself


@dataclass(frozen=True)
class Service:
    """A built service. `loops` run for ever, each under its name; `closers` are called in order at the end."""

    health: Health
    loops: Mapping[str, Loop]
    api: FastAPI
    closers: Sequence[Callable[[], Awaitable[None]]] = ()
    random: Random = field(default_factory=Random)


async def supervise(name: str, loop: Loop, health: Health, random: Random) -> None:
    """Run one loop: again after the world's errors, never again after any other.

    One that ran for `WELL_AFTER_SECONDS` was well: its next interruption is met with the first, short pause again.
    """
    clock = asyncio.get_running_loop().time
    backoff = Backoff(random)
    health.of(name)
    while True:
        started = clock()
        try:
            health.runs(name)
            await loop()
            return
        except* Unavailable as group:
            reason = str(_first(group))
            health.waits(name, reason)
            log.warning("A loop waits for the world.", loop=name, reason=reason)
        except* Exception as group:  # the loop stops here for good; its health says why, and /healthz turns red
            cause = _first(group)
            health.stopped(name, f"{type(cause).__name__}: {cause}")
            log.exception("A loop has stopped.", loop=name, exc_info=cause)
        if health.of(name).condition == "stopped":
            return
        if clock() - started >= WELL_AFTER_SECONDS:
            backoff.succeeded()
        await asyncio.sleep(backoff.next_pause_seconds())


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def run_loops(service: Service) -> None:
    """Run all loops of a service until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for name, loop in service.loops.items():
            tasks.create_task(supervise(name, loop, service.health, service.random), name=name)


class _Server(uvicorn.Server):
    """uvicorn, leaving the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing: `run` listens for the signals."""
        yield


def open_port(host: str, port: int) -> socket.socket:
    """Bind the port of the service, before anything else starts. Raises BadSettings when it is taken."""
    try:
        return socket.create_server((host, port), reuse_port=False, backlog=2048)
    except OSError as error:
        raise BadSettings(f"The port {host}:{port} cannot be opened: {os.strerror(error.errno or 0)}.") from error


async def run(service: Service, listening: socket.socket) -> None:
    """Serve and loop until SIGTERM or SIGINT, then finish requests under way, stop the loops and close the ports."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = uvicorn.Config(service.api, log_config=None, access_log=False, timeout_graceful_shutdown=5, lifespan="off")
    server = _Server(config)
    loops = asyncio.create_task(run_loops(service))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    log.info("The service listens.", address=listening.getsockname())
    await asyncio.wait({loops, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    for task in (loops, stopping):
        task.cancel()
    await asyncio.gather(loops, stopping, return_exceptions=True)
    for close in service.closers:
        await close()
    log.info("The service has stopped.")


def start(
    name: str,
    settings_class: type[Settings],
    build: Callable[[Settings], Awaitable[Service]],
    environment: Mapping[str, str],
) -> int:
    """Be the whole process of one service; the exit code is 2 when it cannot start as it was told."""
    try:
        settings = settings_class.from_environment(name, environment)
        with open_port(settings.listen_host, settings.listen_port) as listening:
            set_up_logs(name, log_format=settings.log_format, level=settings.log_level)
            gc.set_threshold(50_000, 50, 100)  # folds keep many small objects; fewer collections halve an event's cost
            uvloop.run(_build_and_run(settings, build, listening))
    except (BadSettings, Refused) as error:
        print(error, file=sys.stderr)  # noqa: T201  # for whoever started it
        return 2
    return 0


async def _build_and_run(
    settings: Settings, build: Callable[[Settings], Awaitable[Service]], listening: socket.socket
) -> None:
    """Build the service, as often as it takes until its neighbours answer, and run it."""
    backoff = Backoff(Random())  # jitter, not a secret
    while True:
        try:
            service = await build(settings)
            break
        except Unavailable as error:
            log.warning("The service waits for its neighbours.", reason=str(error))
            await asyncio.sleep(backoff.next_pause_seconds())
    gc.freeze()
    await run(service, listening)
