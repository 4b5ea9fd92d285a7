"""TLS as a kubeconfig asks for it: the server is judged by the file's authority, we by the file's certificate."""

import base64
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cluster.history_server import serving
from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts.errors import Unavailable

if shutil.which("openssl") is None:
    pytest.skip("openssl is not installed, so there is nobody to make certificates", allow_module_level=True)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself, for this machine's loopback, and return it with its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True)
    return certificate, key


@asynccontextmanager
async def secure_server(folder: Path) -> AsyncGenerator[str, None]:
    """Serve a version to whoever shows the certificate `client`."""

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"gitVersion": "v1.37.0"})

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "client.pem"))
    context.load_cert_chain(*certificate(folder, "server"))
    context.verify_mode = ssl.CERT_REQUIRED
    application = web.Application()
    application.router.add_get("/version", version)
    async with serving(application, context) as url:
        yield url


def kubeconfig(folder: Path, url: str, authority: str, client: str) -> Path:
    """Write a kubeconfig with the certificates inside, and return its path."""
    path = folder / "kubeconfig"
    path.write_text(
        f"""
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
clusters: [{{name: here, cluster: {{server: "{url}", certificate-authority-data: {encoded(folder / authority)}}}}}]
users: [{{name: me, user: {{
    client-certificate-data: {encoded(folder / f"{client}.pem")}, client-key-data: {encoded(folder / f"{client}.key")}
}}}}]
"""
    )
    return path


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


async def test_both_sides_are_known_by_the_certificates_of_the_kubeconfig(tmp_path: Path) -> None:
    certificate(tmp_path, "client")
    async with secure_server(tmp_path) as url:
        cluster = await KubernetesCluster.connect(kubeconfig(tmp_path, url, "server.pem", "client"))
        assert await cluster.version() == "v1.37.0"
        await cluster.close()


@pytest.mark.parametrize(("authority", "client"), [("client.pem", "client"), ("server.pem", "stranger")])
async def test_a_stranger_on_either_side_is_not_spoken_to(tmp_path: Path, authority: str, client: str) -> None:
    for name in ("client", "stranger"):
        certificate(tmp_path, name)
    async with secure_server(tmp_path) as url:
        cluster = await KubernetesCluster.connect(kubeconfig(tmp_path, url, authority, client))
        with pytest.raises(Unavailable):
            await cluster.version()
        await cluster.close()
