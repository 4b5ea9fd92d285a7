"""A service in a pod of the cluster: known by its service account, whose token is renewed under it."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes.aio.config import incluster_config
from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts.errors import Unavailable
from simulated_webhooks import make_certificate


@dataclass
class Api:
    """An API server over HTTPS that knows one token, and the folder where a pod finds that."""

    folder: Path
    token: str = "first"
    asked_with: list[str] = field(default_factory=list)

    def renew(self, token: str) -> None:
        self.token = token
        (self.folder / "token").write_text(token, encoding="utf-8")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked_with.append(request.headers["Authorization"].partition(" ")[2])
        if self.asked_with[-1] != self.token:
            return web.json_response({"kind": "Status", "message": "Unauthorized"}, status=401)
        return web.json_response({"gitVersion": "v1.33.1"})


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    certificate = make_certificate(tmp_path, "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    api = Api(tmp_path)
    api.renew("first")
    runner = web.ServerRunner(web.Server(api.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(runner.addresses[0][1]))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate.certificate))
    yield api
    await runner.cleanup()


async def test_it_signs_in_with_the_token_of_its_account_and_goes_on_with_the_next(api: Api) -> None:
    cluster = await KubernetesCluster.connect()
    assert await cluster.version() == "v1.33.1"
    api.renew("second")
    assert await cluster.version() == "v1.33.1"
    assert api.asked_with == ["first", "first", "second"]
    await cluster.close()


async def test_while_its_token_is_not_known_it_has_to_wait(api: Api) -> None:
    cluster = await KubernetesCluster.connect()
    api.token = "not in the file yet"
    with pytest.raises(Unavailable, match="Unauthorized"):
        await cluster.version()
    api.renew("second")
    assert await cluster.version() == "v1.33.1"
    await cluster.close()
