"""`muster up` that cannot start says so in one sentence, and leaves nothing half done."""

import socket
from pathlib import Path

import pytest
from muster_local.folder import open_folder
from servers import free_port
from system.conftest import MUSTER, Running, run

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def up(*arguments: str) -> tuple[int, str]:
    ran = await run([str(MUSTER), "up", *arguments], timeout_seconds=60)
    return ran.code, ran.err.strip()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = await up("--state", str(tmp_path / "s"), "--port", str(port))
    assert code == 2
    assert said == f"Port {port} of 127.0.0.1 cannot be opened (Address already in use); choose another with --port."
    assert not (tmp_path / "s").exists()


async def test_the_folder_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("99", encoding="utf-8")
    code, said = await up("--state", str(tmp_path), "--port", str(free_port()))
    assert code == 2
    assert "another version of Muster (layout 99" in said
    assert not (tmp_path / "nats").exists()


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "kubeconfig"
    code, said = await up("--state", str(tmp_path / "s"), "--port", str(free_port()), "--kubeconfig", str(missing))
    assert code == 2
    assert said == f"There is no kubeconfig at {missing}."


KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "%s"}}]
users: [{name: somebody, user: {}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: somebody}}]
current-context: nowhere
"""


@pytest.mark.parametrize("content", ["garbage", "[1, 2", "{}", "\x00", KUBECONFIG % "nonsense"])
async def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(content, encoding="utf-8")
    code, said = await up("--state", str(tmp_path / "s"), "--port", str(free_port()), "--kubeconfig", str(kubeconfig))
    assert code == 2
    assert "\n" not in said
    assert said.startswith(f"The kubeconfig {kubeconfig} cannot be used: ") or "nonsense" in said
    assert not (tmp_path / "s").exists()


async def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG % f"http://127.0.0.1:{free_port()}", encoding="utf-8")
    code, said = await up("--state", str(tmp_path / "s"), "--port", str(free_port()), "--kubeconfig", str(kubeconfig))
    assert code == 1
    assert "\n" not in said
    assert said.startswith(f"The cluster of {kubeconfig} does not answer: ")
    assert not (tmp_path / "s").exists()


async def test_data_of_another_postgresql_are_left_alone(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "s")
    version = folder.path / "postgres" / "data" / "PG_VERSION"
    version.parent.mkdir(parents=True)
    version.write_text("9\n", encoding="utf-8")
    code, said = await up("--state", str(folder.path), "--port", str(free_port()))
    assert code == 1
    assert f"The data in {version.parent} are of PostgreSQL 9, but this is PostgreSQL " in said
    assert "move the folder away and start again." in said.splitlines()[-1]
    assert list(version.parent.iterdir()) == [version]


async def test_a_folder_in_use_is_left_to_whoever_uses_it(shared: Running) -> None:
    code, said = await up("--state", str(shared.stack.folder.path), "--port", str(free_port()))
    assert code == 2
    assert said == f"Another `muster up` is using {shared.stack.folder.path}; stop it first, or name another folder."
    assert (await shared.muster("status", "-o", "json")).data["well"]
