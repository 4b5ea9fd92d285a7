"""`muster up`: start the stack, make the project `demo`, say what to try, and wait for Ctrl-C."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import aiohttp
import structlog
import uvloop
from muster_contracts.errors import Refused, Unavailable

from muster_local.stack import (
    LOOPBACK,
    SERVICES,
    LocalStack,
    Report,
    StackSettings,
    health_of,
    local_stack,
    stopped_loops,
)

DEMO_PROJECT = "demo"


def up(settings: StackSettings, report: Report) -> int:
    """Run the stack until it is interrupted. Returns the exit code: 0, 2 when it cannot start as told, 1 otherwise."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        uvloop.run(_up(settings, report))
    except Refused as refused:
        report(refused.message)
        return 2
    except Unavailable as unavailable:
        report(str(unavailable))
        return 1
    return 0


async def _up(settings: StackSettings, report: Report) -> None:
    running = asyncio.create_task(_run(settings, report))

    def interrupt() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not break the stopping
            asyncio.get_running_loop().add_signal_handler(number, lambda: None)
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _run(settings: StackSettings, report: Report) -> None:
    async with local_stack(settings, report) as stack:
        stopped = await stopped_for_good(stack)
        if stopped:
            report("\n".join(["", "Muster is up, but not well:", *(f"  {sentence}" for sentence in stopped)]))
        else:
            await create_demo_project(stack.url)
        report(welcome(stack))
        await asyncio.Event().wait()


async def stopped_for_good(stack: LocalStack) -> list[str]:
    """Return a sentence for each loop that stopped while it started, for example at an event nobody can read."""
    urls = [f"http://{LOOPBACK}:{stack.ports[name]}/healthz" for name in SERVICES]
    found = await asyncio.gather(*(health_of(url) for url in urls))
    return [sentence for health in found if health is not None for sentence in stopped_loops(health)]


async def create_demo_project(url: str) -> None:
    """Create the project `demo` unless it exists."""
    async with aiohttp.ClientSession() as session:
        for _ in range(100):
            async with session.post(f"{url}/api/v1/projects", json={"name": DEMO_PROJECT}) as answer:
                if answer.status in {202, 409}:
                    return
                if answer.status != 503:
                    raise Unavailable(f"The project {DEMO_PROJECT} was not created: {await answer.text()}")
            await asyncio.sleep(0.1)
    raise Unavailable("The submitter did not become ready.")


def welcome(stack: LocalStack) -> str:
    """Return what to tell somebody whose stack is up: where it is, and what to try."""
    scripts = Path(sys.executable).parent
    lines = [
        "",
        f"Muster is up: {stack.url}   (logs in {stack.folder.logs}; Ctrl-C stops everything)",
        "",
        "In another terminal:",
        f'  export PATH="{scripts}:$PATH" MUSTER_URL="{stack.url}"',
        "  muster submit training hello --project demo --gpu 1 -- python train.py",
        "  muster wait hello --for Completed && muster history hello",
        "  muster list",
    ]
    if stack.settings.kubeconfig is None:
        lines.append(f"  KUBECONFIG={stack.kubeconfig} kubectl get nodes,pods -A -o wide")
    return "\n".join(lines)
