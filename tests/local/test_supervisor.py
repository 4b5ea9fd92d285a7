"""The supervisor with real processes: small Python programs that end, refuse, resist and die."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from muster_contracts.errors import Unavailable
from muster_local import supervisor
from muster_local.folder import open_folder
from muster_local.stack import LocalStack, StackSettings, keep
from muster_local.supervisor import Program, Supervised

SLEEPS = "import time; time.sleep(600)"
ON_TERM = """
import signal, sys, time
def end(*_):
    with open(sys.argv[1], "a") as file:
        file.write(sys.argv[2] + " stopped\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
with open(sys.argv[1], "a") as file:
    file.write(sys.argv[2] + " started\\n")
time.sleep(600)
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 what is waited for happens in other processes
            await asyncio.sleep(0.01)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def program(text: str, *arguments: str, name: str = "program", ready: Callable[[], bool] = lambda: True) -> Program:
    async def is_ready() -> bool:
        return ready()

    return Program(name, [sys.executable, "-c", text, *arguments], is_ready)


@asynccontextmanager
async def kept(running: Program, log_file: Path) -> AsyncIterator[Supervised]:
    supervised = Supervised(running, log_file)
    supervised.start()
    try:
        yield supervised
    finally:
        await supervised.stop()


async def test_a_program_that_ends_is_started_again_until_it_stays(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    text = f"""
import time
open({str(starts)!r}, "a").write("start\\n")
if len(open({str(starts)!r}).readlines()) == 3:
    time.sleep(600)
"""
    running = program(text, ready=lambda: len(lines(starts)) == 3)
    async with kept(running, tmp_path / "log") as supervised:
        await supervised.ready()
        assert supervised.pid is not None


async def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    async with kept(program(SLEEPS), tmp_path / "log") as supervised:
        await until(lambda: supervised.pid is not None)
        first = supervised.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervised.pid not in {None, first})


async def test_who_keeps_ending_is_given_up_with_the_last_words_of_the_log(tmp_path: Path) -> None:
    running = program("raise SystemExit('the disk is full')", ready=lambda: False)
    async with kept(running, tmp_path / "log") as supervised:
        with pytest.raises(Unavailable, match=r"program did not become ready; its log ends: .*the disk is full"):
            await supervised.ready()


async def test_a_command_that_is_not_there_is_given_up_with_its_name(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with kept(Program("ghost", [str(tmp_path / "ghost")], never), tmp_path / "log") as supervised:
        with pytest.raises(Unavailable, match="ghost cannot be run: No such file or directory"):
            await supervised.ready()


async def test_who_does_not_become_ready_in_time_is_given_up(tmp_path: Path) -> None:
    async with kept(program(SLEEPS, ready=lambda: False), tmp_path / "log") as supervised:
        with pytest.raises(Unavailable, match="did not become ready"):
            await supervised.ready(timeout_seconds=0.1)


async def test_who_resists_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.2)
    marker = tmp_path / "marker"
    text = f"""
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({str(marker)!r}, "w").close()
time.sleep(600)
"""
    async with kept(program(text), tmp_path / "log") as supervised:
        await until(marker.exists)
        await supervised.stop()
        assert supervised.pid is None


async def test_all_are_stopped_in_the_reverse_order_of_their_start(tmp_path: Path) -> None:
    events = tmp_path / "events"
    stack = LocalStack(open_folder(tmp_path / "state"), StackSettings(tmp_path / "state"))
    async with AsyncExitStack() as cleanup:
        for number, name in enumerate(("ground", "house", "roof"), 1):
            keep(stack, cleanup, program(ON_TERM, str(events), name, name=name))
            await until(lambda expected=number: len(lines(events)) == expected)
    assert lines(events)[3:] == ["roof stopped", "house stopped", "ground stopped"]


async def test_children_inherit_no_settings_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_URL", "http://elsewhere")
    monkeypatch.setenv("COLOUR", "green")
    seen = tmp_path / "seen"
    text = f"import os; open({str(seen)!r}, 'w').write(' '.join(sorted(os.environ)) + ' end')"
    async with kept(program(text), tmp_path / "log"):
        await until(lambda: "end" in " ".join(lines(seen)))
    names = lines(seen)[0].split()
    assert "COLOUR" in names
    assert "MUSTER_URL" not in names


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ends children with their parent")
async def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    text = f"""
import asyncio, sys
from pathlib import Path
from muster_local.supervisor import Program, Supervised
async def ready(): return True
async def main():
    supervised = Supervised(Program("child", [sys.executable, "-c", {SLEEPS!r}], ready), Path("log"))
    supervised.start()
    while supervised.pid is None:
        await asyncio.sleep(0.01)
    Path({str(pid_file)!r}).write_text(f"{{supervised.pid}}\\n")
    await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", text, cwd=tmp_path)
    await until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    child = int(pid_file.read_text())
    assert is_alive(child)
    parent.kill()
    await parent.wait()
    await until(lambda: not is_alive(child))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
