"""The HTTPS server that the API server asks, and the loop that keeps it trusted.

One TLS context serves all connections: a new chain that is loaded into it is shown to whoever connects from then on,
and connections that are open go on. The configurations are applied before a new certificate is served, and again every
`APPLY_SECONDS`, so that one which somebody changed or deleted is mended.

Where the cluster does not let us apply them, the loop waits and says so: rights may be mended.
"""

import asyncio
import os
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web
from muster_chassis.clock import Clock
from muster_chassis.health import Health
from muster_cluster.port import Cluster, ClusterError
from muster_contracts.errors import Unavailable

from muster_integrations.admission.certificates import Certificate, Certificates, bundle, next_change, renewed, served
from muster_integrations.admission.configurations import PATH, FailurePolicy, Target, configurations
from muster_integrations.question import NotAReview, read_question
from muster_integrations.recognition.table import written_resources
from muster_integrations.reviewing import Reviewer

log = structlog.get_logger()

LOOP: Final = "admission"
APPLY_SECONDS: Final = 60.0
LARGEST_BYTES: Final = 8 * 1024 * 1024  # two states of the largest object that etcd takes, and some


@dataclass(frozen=True, slots=True)
class Serving:
    """Where to listen, how the API server finds us, and how long a certificate lives."""

    host: str
    port: int
    target: Target
    policy: FailurePolicy
    lifetime: timedelta


class Webhook:
    """The loop `admission`: knows, listens, and is asked, in this order."""

    def __init__(self, reviewer: Reviewer, cluster: Cluster, clock: Clock, health: Health, serving: Serving) -> None:
        self._reviewer = reviewer
        self._cluster = cluster
        self._clock = clock
        self._health = health
        self._serving = serving
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._trusted: Certificates = ()
        self._shown: Certificate | None = None

    async def run(self) -> None:
        """Answer for ever. Raises Unavailable when the port or the API server cannot be had now."""
        self._health.waits(LOOP, "The journal is not read, or the namespaces are not listed, to the end yet.")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reviewer.watch_namespaces())
            await self._reviewer.know_the_ground()
            self._trust(renewed(self._trusted, *self._now()))
            async with self._listening():
                await self._keep_trusted()

    async def _keep_trusted(self) -> None:
        while True:
            await self.renew()
            self._health.runs(LOOP)
            left = (next_change(self._trusted, self._clock.now()) - self._clock.now()).total_seconds()
            await asyncio.sleep(max(0.0, min(APPLY_SECONDS, left)))

    async def renew(self) -> None:
        """Let the API server trust what is to be trusted now, and only then show what everybody trusts."""
        trusted = renewed(self._trusted, *self._now())
        await self._apply(trusted)
        self._trust(trusted)

    def _now(self) -> tuple[Any, ...]:
        return self._serving.target.host, self._clock.now(), self._serving.lifetime

    def _trust(self, trusted: Certificates) -> None:
        """Note which certificates the API server trusts, and show the one that it does for sure."""
        self._trusted = trusted
        certificate = served(trusted, self._clock.now())
        if certificate is not self._shown:
            _load(self._context, certificate)
            self._shown = certificate
            log.info("The webhook shows another certificate.", ends_at=certificate.ends_at.isoformat())

    async def _apply(self, trusted: Certificates) -> None:
        known = written_resources()
        for resource, manifest in configurations(self._serving.target, bundle(trusted), self._serving.policy, known):
            try:
                await self._cluster.apply(resource, manifest)
            except ClusterError as error:
                raise Unavailable(f"The {resource.kind} cannot be applied: {error.message}") from error

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        application = web.Application(client_max_size=LARGEST_BYTES)
        application.router.add_post(PATH, self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await self._bind(runner)
            yield
        finally:
            await runner.cleanup()

    async def _bind(self, runner: web.AppRunner) -> None:
        host, port = self._serving.host, self._serving.port
        try:
            await web.TCPSite(runner, host, port, ssl_context=self._context).start()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise Unavailable(f"The webhook cannot listen at {host}:{port}: {reason}.") from error
        log.info("The webhook listens.", host=host, port=port)

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            answer = await self._reviewer.answer(read_question(await request.read()))
        except NotAReview as error:
            return web.Response(status=400, text=str(error))
        except Unavailable as error:  # whose it is cannot be found out now: not to know is not to refuse
            return web.Response(status=503, text=str(error))
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Let new connections see a certificate. OpenSSL reads files alone; nobody else may read this one, while it is."""
    with tempfile.NamedTemporaryFile() as file:  # made with mode 0600
        file.write(certificate.chain_with_key)
        file.flush()
        context.load_cert_chain(file.name)
