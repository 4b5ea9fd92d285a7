"""The webhook between a simulated cluster, which asks it over HTTPS, and a journal on a real NATS server.

The certificates are made by a clock that the test sets. It begins hours ago, so that what is made at any of its moments
is good by the clock of the API server, too.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from cryptography import x509
from muster_chassis.health import Condition, Health
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import PODS
from muster_cluster.port import Cluster
from muster_integrations.admission.configurations import Target
from muster_integrations.entrypoints.webhook import LOOP, Serving, Webhook
from muster_integrations.handlers import Recorder
from muster_integrations.reviewing import Reviewer
from muster_journal.jetstream import JetStreamJournal
from muster_journal.port import Batch

SECONDS = 60.0
LIFE = timedelta(hours=60)
HOME, ELSEWHERE = "muster-demo", "kubeflow-alice"
OpenJournal = Callable[..., Awaitable[JetStreamJournal]]


class SetClock:
    """Tells the time it was set to."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@dataclass
class Stage:
    """A cluster with two namespaces, of which one is the project's, and the webhook, which can be put up and down."""

    cluster: KubernetesCluster
    recorder: Recorder
    journal: JetStreamJournal
    port: int
    clock: SetClock
    reads_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked_for_the_end: asyncio.Event = field(default_factory=asyncio.Event)
    health: Health = field(default_factory=lambda: Health("integrations"))
    webhook: Webhook | None = None

    @contextlib.asynccontextmanager
    async def up(self, cluster: Cluster | None = None) -> AsyncIterator[Webhook]:
        reached = cluster or self.cluster
        target = Target(url=f"https://127.0.0.1:{self.port}")
        serving = Serving("127.0.0.1", self.port, target, "Fail", LIFE)
        reviewer = Reviewer(self.recorder, self, reached, Random(1), "the-submitter")
        webhook = Webhook(reviewer, reached, self.clock, self.health, serving)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(webhook.run())
            await self.until(lambda: self.health.of(LOOP).condition is Condition.RUNNING)
            yield webhook
            running.cancel()
        self.health.waits(LOOP, "It is down.")

    async def follow(self, batch: Batch) -> None:
        """Fold on, unless the test holds it back."""
        await self.reads_on.wait()
        await self.recorder.follow(batch)

    async def end(self) -> int:
        """The journal's end, as the reviewer asks for it."""
        self.asked_for_the_end.set()
        return await self.journal.end()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110  (health and lists of a test have no event)
                await asyncio.sleep(0.01)

    async def pods_of(self, prefix: str, namespace: str = HOME) -> list[Any]:
        found = await self.cluster.list_page(PODS, namespace=namespace)
        return [pod for pod in found.items if pod.metadata.name.startswith(prefix)]

    async def until_pods(self, prefix: str, count: int, namespace: str = HOME) -> list[Any]:
        async with asyncio.timeout(SECONDS):
            while len(found := await self.pods_of(prefix, namespace)) < count:  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.05)
        return found

    async def shown(self) -> x509.Certificate:
        """The certificate that whoever connects now is shown."""
        place = ("127.0.0.1", self.port)
        text = await asyncio.to_thread(ssl.get_server_certificate, place, timeout=SECONDS)
        return x509.load_pem_x509_certificate(text.encode())


def pod(name: str, namespace: str = HOME, labels: Any = None, **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "train:1"}]
    described = {"name": name, "namespace": namespace, "labels": {"project": "demo"} if labels is None else labels}
    return {"metadata": described | metadata, "spec": {"restartPolicy": "Never", "containers": containers}}


def job(name: str, **metadata: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"project": "demo"}}, "spec": pod(name)["spec"]}
    return {"metadata": {"name": name, "namespace": HOME, **metadata}, "spec": {"template": template}}
