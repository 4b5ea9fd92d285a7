"""`muster up` that cannot start says so in one sentence, and leaves nothing half done."""

import socket
from pathlib import Path

from servers import free_port
from system.conftest import MUSTER, run


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
