"""`muster up` as a person starts it: Ctrl-C stops everything, a crash leaves nothing behind, the next start goes on."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import free_port
from system.conftest import MUSTER, Ran, run, running_stack, write_garbage

SERVICES = ("muster_submitter", "muster_scheduler", "muster_status", "muster_integrations")
PARTS = (*SERVICES, "nats-server", "postgres", "simcluster")


@dataclass
class Up:
    """A `muster up`, and its user at the command line."""

    process: asyncio.subprocess.Process
    url: str
    said: list[str]

    async def muster(self, *arguments: str) -> Ran:
        ran = await run([str(MUSTER), *arguments], MUSTER_URL=self.url)
        assert ran.code == 0, f"muster {' '.join(arguments)}: {ran}"
        return ran

    async def until_said(self, words: str) -> None:
        """Read what it says until these words come."""
        assert self.process.stderr is not None
        async with asyncio.timeout(90):
            while not any(words in line for line in self.said):
                line = await self.process.stderr.readline()
                assert line, f"it ended without saying {words!r}: {self.said}"
                self.said.append(line.decode())

    async def end(self, number: signal.Signals) -> int:
        """Send a signal; return how it ended."""
        self.process.send_signal(number)
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def up(state: Path) -> AsyncIterator[Up]:
    """Run `muster up` on a folder; whatever the block leaves of it is killed."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(str(MUSTER), "up", "--state", str(state), "--port", str(port)),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield Up(process, f"http://127.0.0.1:{port}", [])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_ctrl_c_stops_everything_and_the_next_start_goes_on_with_the_same_data(tmp_path: Path) -> None:
    async with up(tmp_path / "state") as first:
        await first.until_said("Muster is up")
        await first.muster("submit", "training", "done", "-p", "demo", "--", "true")
        await first.muster("submit", "workspace", "open", "-p", "demo", "--gpu", "1", "--", "sleep", "3600")
        await first.muster("wait", "done", "--for", "Completed", "--timeout", "60s")
        await first.muster("wait", "open", "--for", "Running", "--timeout", "60s")
        histories = [await history(first, name) for name in ("done", "open")]
        (pod,) = await pods(first, "open")
        processes = await descendants(first.process.pid)
        assert all(any(part in command for command in processes.values()) for part in PARTS), processes
        assert await first.end(signal.SIGINT) == 0
        await first.until_said("Stopping")
        await until_gone(processes, tmp_path)
    async with up(tmp_path / "state") as second:
        await second.until_said("Muster is up")
        assert [await history(second, name) for name in ("done", "open")] == histories
        assert await pods(second, "open") == [pod]
        await second.muster("stop", "open")
        await second.muster("wait", "open", "--for", "Stopped", "--timeout", "60s")
        await second.muster("submit", "training", "later", "-p", "demo", "--", "true")
        await second.muster("wait", "later", "--for", "Completed", "--timeout", "60s")
        await second.muster("audit", "verify")
        assert await second.end(signal.SIGTERM) == 0


async def test_a_killed_muster_up_leaves_no_process_and_the_next_start_goes_on(tmp_path: Path) -> None:
    async with up(tmp_path / "state") as first:
        await first.until_said("Muster is up")
        await first.muster("submit", "workspace", "open", "-p", "demo", "--gpu", "1", "--", "sleep", "3600")
        processes = await descendants(first.process.pid)
        assert all(any(part in command for command in processes.values()) for part in PARTS), processes
        await first.end(signal.SIGKILL)
        await until_gone(processes, tmp_path)
    async with up(tmp_path / "state") as second:
        await second.until_said("Muster is up")
        await second.muster("wait", "open", "--for", "Running", "--timeout", "60s")
        await second.muster("audit", "verify")
        await second.muster("status")
        assert await second.end(signal.SIGINT) == 0


async def test_ctrl_c_while_it_starts_stops_what_was_started(tmp_path: Path) -> None:
    async with up(tmp_path / "state") as early:
        await early.until_said("Starting submitter")
        processes = await descendants(early.process.pid)
        assert processes
        assert await early.end(signal.SIGINT) == 0
        await until_gone(processes, tmp_path)


async def test_a_start_on_an_event_nobody_can_read_comes_up_and_says_so(tmp_path: Path) -> None:
    async with running_stack(tmp_path / "state") as running:
        position = await write_garbage(running.stack)
    async with up(tmp_path / "state") as second:
        await second.until_said("Muster is up, but not well:")
        await second.until_said(f"submitter, fold: Damaged: The event at position {position} cannot be read")
        await second.until_said("Muster is up: ")
        shown = await run([str(MUSTER), "status"], MUSTER_URL=second.url)
        assert shown.code == 1
        assert f"position {position}" in shown.out
        assert await second.end(signal.SIGINT) == 0


async def history(stack: Up, name: str) -> list[dict[str, Any]]:
    return list((await stack.muster("history", name, "-o", "json")).data["records"])


async def pods(stack: Up, name: str) -> list[tuple[str, str]]:
    described = (await stack.muster("describe", name, "-o", "json")).data
    return [(pod["name"], pod["node"]) for pod in described["pods"]]


async def processes() -> list[tuple[int, int, str]]:
    """Return every process of this machine that is no zombie: its id, its parent's, its command."""
    listed = (await run(["ps", "-A", "-ww", "-o", "pid=,ppid=,state=,args="])).out.splitlines()
    rows = [line.split(None, 3) for line in listed]
    return [(int(row[0]), int(row[1]), row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")]


async def descendants(pid: int) -> dict[int, str]:
    """Return the processes below one, by their ids."""
    found: dict[int, str] = {}
    every = await processes()
    parents = {pid}
    while parents:
        children = {child: command for child, parent, command in every if parent in parents and child not in found}
        found |= children
        parents = set(children)
    return found


async def until_gone(known: dict[int, str], state: Path) -> None:
    """Wait until these processes have ended, and everything else that was started with this folder."""
    left: list[str] = ["not looked yet"]
    try:
        async with asyncio.timeout(30):
            while left:
                left = [command for pid, _, command in await processes() if pid in known or str(state) in command]
    except TimeoutError:
        raise AssertionError(f"still there: {left}") from None
