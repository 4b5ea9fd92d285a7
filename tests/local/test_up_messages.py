"""What `muster up` says and returns: reasons not to start, the demo project, and the lines to try next."""

import shlex
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from muster_contracts.errors import Unavailable
from muster_local.folder import open_folder
from muster_local.stack import LocalStack, StackSettings
from muster_local.up import create_demo_project, up, welcome

HOST = "127.0.0.1"


def said(settings: StackSettings) -> tuple[int, str]:
    lines: list[str] = []
    return up(settings, lines.append), "\n".join(lines)


def test_a_taken_port_is_told_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        code, words = said(StackSettings(tmp_path / "state", port=taken.getsockname()[1]))
    assert code == 2
    assert "choose another with --port" in words
    assert not (tmp_path / "state").exists()


def test_a_kubeconfig_that_is_not_there_is_told(tmp_path: Path) -> None:
    code, words = said(StackSettings(tmp_path / "state", port=0, kubeconfig=tmp_path / "missing"))
    assert code == 2
    assert f"There is no kubeconfig at {tmp_path / 'missing'}." in words


def test_a_state_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, words = said(StackSettings(tmp_path / "file", port=0))
    assert code == 2
    assert words == (
        f"The data cannot be kept in {tmp_path / 'file'} (Not a directory); name another folder with --state."
    )


@pytest.mark.parametrize(
    "text", [None, "pool-a: 4", "- {name: a, count: many}", "- {name: A}", "- [", "\xff", "- 2026-13-45"]
)
def test_nodes_that_cannot_be_read_are_told_in_a_sentence_before_anything_starts(
    tmp_path: Path, text: str | None
) -> None:
    nodes = tmp_path / "nodes.yaml"
    if text is not None:
        nodes.write_bytes(text.encode("latin-1"))
    code, words = said(StackSettings(tmp_path / "state", port=0, nodes=nodes))
    assert code == 2
    assert words.startswith(f"The file of --nodes does not describe nodes: {nodes}")
    assert len(words.splitlines()) == 1
    assert not (tmp_path / "state").exists()


def test_a_folder_in_use_is_told(tmp_path: Path) -> None:
    with open_folder(tmp_path / "state").lock():
        code, words = said(StackSettings(tmp_path / "state", port=0))
    assert code == 2
    assert "Another `muster up` is using" in words


@asynccontextmanager
async def submitter(answers: list[int], asked: list[object]) -> AsyncIterator[str]:
    """A server that creates projects with these status codes, one after the other."""

    async def create(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response({"message": "As told."}, status=answers.pop(0))

    application = web.Application()
    application.router.add_post("/api/v1/projects", create)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    yield f"http://{HOST}:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("answers", [[202], [409], [503, 503, 202]])
async def test_the_project_demo_is_made_as_soon_as_the_submitter_is_ready(answers: list[int]) -> None:
    asked: list[object] = []
    expected = len(answers)
    async with submitter(answers, asked) as url:
        await create_demo_project(url)
    assert asked == [{"name": "demo"}] * expected


async def test_a_project_that_cannot_be_made_is_told_with_the_answer() -> None:
    async with submitter([500], []) as url:
        with pytest.raises(Unavailable, match=r"The project demo was not created: .*As told"):
            await create_demo_project(url)


def stack(state: Path, **settings: Path) -> LocalStack:
    made = LocalStack(open_folder(state), StackSettings(state, **settings), url="http://127.0.0.1:9")
    made.kubeconfig = made.folder.kubeconfig
    return made


def test_the_welcome_puts_muster_on_the_path_and_says_what_to_try(tmp_path: Path) -> None:
    words = welcome(stack(tmp_path / "state"))
    (export,) = [shlex.split(line) for line in words.splitlines() if line.startswith("  export PATH=")]
    path, url = export[1], export[2]
    assert (Path(path.removeprefix("PATH=").partition(":")[0]) / "muster").is_file()
    assert url == "MUSTER_URL=http://127.0.0.1:9"
    tried = [line.split()[1] for line in words.splitlines() if line.startswith("  muster ")]
    assert tried == ["submit", "wait", "list"]
    assert "kubectl get nodes,pods" in words


def test_the_welcome_does_not_explain_a_cluster_of_ones_own(tmp_path: Path) -> None:
    assert "kubectl" not in welcome(stack(tmp_path / "state", kubeconfig=tmp_path / "mine"))
