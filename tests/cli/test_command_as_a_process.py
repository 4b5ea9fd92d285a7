"""`muster` as a process of its own: what it imports, its completion, its signals and pipes, its documented codes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import muster_cli.failure
import pytest
from cli.stage import Muster, show, workload
from muster_cli.failure import Exit

MUSTER = Path(sys.executable).parent / "muster"
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "cli.md"
HEAVY = {"httpx", "rich", "yaml", "aiohttp", "uvloop", "structlog", "asyncio", "muster_local"}


def environment(url: str = "http://127.0.0.1:1") -> dict[str, str]:
    return {**os.environ, "MUSTER_URL": url, "PATH": f"{MUSTER.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY | {"pydantic"}),
        (["--version"], HEAVY | {"pydantic"}),
        (["submit", "training", "--help"], HEAVY),  # Typer reads the options of a single command with pydantic
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str], heavy: set[str]) -> None:
    """It is what keeps `muster --help` under 300 ms."""
    code = f"""
import json, sys
sys.argv = ["muster", *{arguments!r}]
from muster_cli.main import main
try:
    main()
finally:
    sys.stderr.write(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout
    assert heavy.isdisjoint(json.loads(ran.stderr))


def test_every_verb_explains_itself() -> None:
    verbs = re.findall(r"^  ([a-z]+) {2,}\S", run("--help").stdout.partition("Commands:")[2], re.MULTILINE)
    assert {"up", "submit", "list", "wait", "audit", "completion"} <= set(verbs)
    for verb in verbs:
        assert run(verb, "--help").stdout.startswith(f"Usage: muster {verb} ")


def run(*arguments: str, url: str = "http://127.0.0.1:1") -> subprocess.CompletedProcess[str]:
    command = [str(MUSTER), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(url), check=False)


COMPLETE = """
source <(muster completion bash)
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_muster_completion muster
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed on this machine")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("muster des", "describe"),
        ("muster submit tr", "training"),
        ("muster list -o ''", "table json yaml"),
        ("muster wait hello --for Ru", "Running"),
        ("muster describe he", "hello"),
        ("muster stop he", "hello"),
        ("muster list --project d", "demo"),
        ("muster list --project x", ""),
    ],
)
def test_bash_completes_commands_options_and_names(muster: Muster, words: str, offered: str) -> None:
    show(muster)
    muster.answers["GET", "/api/v1/workloads"] = {"workloads": [workload()], "next": None}
    muster.answers["GET", "/api/v1/projects"] = {"projects": [{"name": "demo"}, {"name": "two"}]}
    script = COMPLETE.format(words=words)
    ran = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment(muster.url), check=True
    )
    assert (ran.stdout.strip(), ran.stderr) == (offered, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed on this machine")
def test_completion_is_silent_where_muster_does_not_run() -> None:
    script = COMPLETE.format(words="muster describe he")
    ran = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment(), check=True
    )
    assert (ran.stdout.strip(), ran.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell: str) -> None:
    ran = run("completion", shell)
    assert ran.returncode == 0
    assert f"complete_{shell}" in ran.stdout


def test_who_has_read_enough_ends_the_command_in_peace(muster: Muster) -> None:
    muster.answers["GET", "/api/v1/workloads"] = {"workloads": [workload()] * 500, "next": None}
    for form in ("table", "json", "yaml"):
        reading, writing = os.pipe()
        os.close(reading)
        command = [str(MUSTER), "list", "-o", form]
        ran = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, env=environment(muster.url), timeout=60, check=False
        )
        os.close(writing)
        assert (ran.returncode, ran.stderr) == (0, b"")


def test_ctrl_c_ends_a_wait_without_a_word(muster: Muster) -> None:
    show(muster, workload(phase="Pending"))
    command = [str(MUSTER), "wait", "hello", "--for", "Running"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(muster.url),
        preexec_fn=as_in_a_terminal,  # noqa: PLW1509  # no thread runs here
    ) as waiting:
        history = f"/api/v1/workloads/{workload()['id']}/history"
        try:
            while not muster.asked_at("GET", history):
                with pytest.raises(subprocess.TimeoutExpired):
                    waiting.wait(0.05)
            waiting.send_signal(signal.SIGINT)
            assert waiting.communicate(timeout=30) == (b"", b"")
        finally:
            waiting.kill()
    assert waiting.returncode == 130


def as_in_a_terminal() -> None:
    """Let Ctrl-C be heard: a runner in the background ignores it, and whatever it starts inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def documented(text: str) -> set[int]:
    return {int(code) for code in re.findall(r"^\| `?(\d+)`? \|", text, re.MULTILINE)}


def test_the_exit_codes_are_those_that_are_documented() -> None:
    assert documented(muster_cli.failure.__doc__ or "") == {int(code) for code in Exit}
    assert documented(DOCUMENTATION.read_text(encoding="utf-8")) == {int(code) for code in Exit} | {130}
    listed = re.findall(r"(\d) [a-z ]+[,.]", run("--help").stdout.partition("Exit codes:")[2])
    assert listed == [str(int(code)) for code in Exit]


def test_every_verb_is_documented() -> None:
    page = DOCUMENTATION.read_text(encoding="utf-8")
    verbs = re.findall(r"^  ([a-z]+) {2,}\S", run("--help").stdout.partition("Commands:")[2], re.MULTILINE)
    assert [verb for verb in verbs if f"muster {verb}" not in page] == []
