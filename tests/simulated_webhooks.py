"""A webhook as people run one: HTTPS on loopback, a certificate of its own authority, answers a test chooses."""

import base64
import json
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

Answer = dict[str, Any]
Decide = Callable[[dict[str, Any]], Answer | Awaitable[Answer]]


@dataclass(frozen=True)
class Certificate:
    """A key and a certificate that vouches for itself."""

    key: Path
    certificate: Path

    @property
    def bundle(self) -> str:
        return base64.b64encode(self.certificate.read_bytes()).decode()


def make_certificate(folder: Path, *names: str) -> Certificate:
    made = Certificate(folder / f"{names[0]}.key", folder / f"{names[0]}.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={names[0]}", "-keyout", str(made.key), "-out", str(made.certificate)]
    command += ["-addext", "subjectAltName=" + ",".join(("IP:127.0.0.1", *(f"DNS:{name}" for name in names)))]
    subprocess.run(command, check=True, capture_output=True)
    return made


@dataclass
class WebhookServer:
    """Answers reviews at any path as the function registered for it decides, and keeps what it was asked."""

    certificate: Certificate
    decisions: dict[str, Decide] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    async def start(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}/{path}"

    def requests(self, path: str) -> list[dict[str, Any]]:
        return [request for asked, request in self.asked if asked == path]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.strip("/")
        review = json.loads(await request.read())["request"]
        self.asked.append((path, review))
        answer = self.decisions[path](review)
        if not isinstance(answer, dict):
            answer = await answer
        return web.json_response(
            {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": {"uid": review["uid"], **answer},
            }
        )


def allow(_request: dict[str, Any]) -> Answer:
    return {"allowed": True}


def patch(*operations: dict[str, Any]) -> Decide:
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda _request: {"allowed": True, "patchType": "JSONPatch", "patch": encoded}
