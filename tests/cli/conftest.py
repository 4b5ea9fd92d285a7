"""A real HTTP server that answers as a test tells it, and a person who types `muster` at it."""

import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from cli.stage import Muster, Type, Typed, handler_of
from muster_cli.client import Client
from muster_cli.main import main
from muster_cli.settings import CommandLineSettings


@pytest.fixture
def muster() -> Iterator[Muster]:
    """A server without any answer yet."""
    served = Muster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(served))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def client(muster: Muster) -> Iterator[Client]:
    """A client of that server."""
    with Client(CommandLineSettings(muster.url, project="", user="ada")) as made:
        yield made


@pytest.fixture
def types(muster: Muster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Type:
    """Types a command in this process, which ends as the command would."""
    monkeypatch.setenv("MUSTER_URL", muster.url)
    monkeypatch.setenv("MUSTER_USER", "ada")
    monkeypatch.delenv("MUSTER_PROJECT", raising=False)
    monkeypatch.setattr("muster_cli.client.FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("muster_cli.verbs.wait.PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("muster_cli.verbs.logs.PAUSE_SECONDS", 0.001)

    def run(*arguments: str) -> Typed:
        monkeypatch.setattr(sys, "argv", ["muster", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Typed(int(ended.value.code or 0), out, err)

    return run
