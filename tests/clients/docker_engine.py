"""A stand-in for a Docker engine and its registry, for clients that build and push an image before they start a Job.

It takes what a Docker client sends, remembers the digest of what was pushed, and runs nothing: the simulated cluster
never pulls an image either. It answers as much of the Engine API as building and pushing need; everything else is a
404, which the client raises.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

IMAGE = hashlib.sha256(b"an image").hexdigest()


class DockerEngine(ThreadingHTTPServer):
    """The engine, and what it has been given: the names of what was built, the digests of what was pushed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.tags: list[str] = []
        self.pushed: dict[str, str] = {}

    @property
    def address(self) -> str:
        """What `DOCKER_HOST` is set to."""
        return f"tcp://127.0.0.1:{self.server_port}"

    def answer(self, path: list[str], query: dict[str, list[str]]) -> Any:
        """Return the body that answers a request, or None; the path comes without the API's version."""
        match path:
            case ["version"]:
                return {"ApiVersion": "1.44"}
            case ["build"]:
                return self._build(query["t"][0])
            case ["images", image, "json"] if image == IMAGE:
                return {"Id": f"sha256:{IMAGE}", "RepoTags": self.tags}
            case ["images", *name, "push"]:
                return self._push(f"{'/'.join(name)}:{query['tag'][0]}")
            case ["distribution", *name, "json"]:
                return {"Descriptor": {"digest": self.pushed["/".join(name)]}, "Platforms": []}
        return None

    def _build(self, name: str) -> Any:
        self.tags.append(name if ":" in name else f"{name}:latest")
        return {"stream": f"Successfully built {IMAGE}\n"}

    def _push(self, name: str) -> Any:
        self.pushed[name] = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
        return {"status": f"{name}: digest: {self.pushed[name]}"}


class _Request(BaseHTTPRequestHandler):
    server: DockerEngine

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = [part for part in unquote(url.path).split("/") if part]
        versioned = path[0].startswith("v1.")
        body = self.server.answer(path[1:] if versioned else path, parse_qs(url.query))
        self._send(404 if body is None else 200, body or {"message": f"not known here: {self.path}"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: a test that fails shows what the client said."""

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def docker_engine() -> Iterator[DockerEngine]:
    """Run an engine on a free port of loopback for as long as the block lasts."""
    with DockerEngine() as engine:
        thread = threading.Thread(target=engine.serve_forever)
        thread.start()
        try:
            yield engine
        finally:
            engine.shutdown()
            thread.join()
