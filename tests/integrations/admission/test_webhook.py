"""The webhook between a simulated cluster, which asks it over HTTPS, and a journal on a real NATS server.

The certificates are made by a clock that the test sets. It begins hours ago, so that what is made at any of its moments
is good by the clock of the API server, too.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from integrations.kube import project
from integrations.test_integrations_end_to_end import process
from muster_chassis.following import follow_into
from muster_chassis.health import Condition, Health
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import JOBS, NAMESPACES, PODS
from muster_cluster.port import Cluster, Forbidden, NotFound, PatchType, Resource
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_integrations.admission.configurations import MUTATING, VALIDATING, Target
from muster_integrations.entrypoints.webhook import LOOP, Serving, Webhook
from muster_integrations.handlers import Recorder
from muster_integrations.reviewing import Reviewer
from muster_journal.jetstream import JetStreamJournal
from servers import free_port

SECONDS = 60.0
LIFE = timedelta(hours=60)
HOME, ELSEWHERE = "muster-demo", "kubeflow-alice"
PYTORCH_JOBS: Resource[Any] = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob", dict)
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
    port: int
    clock: SetClock
    health: Health = field(default_factory=lambda: Health("integrations"))
    webhook: Webhook | None = None

    @contextlib.asynccontextmanager
    async def up(self, cluster: Cluster | None = None) -> AsyncIterator[Webhook]:
        reached = cluster or self.cluster
        target = Target(url=f"https://127.0.0.1:{self.port}")
        serving = Serving("127.0.0.1", self.port, target, "Fail", LIFE)
        reviewer = Reviewer(self.recorder, reached, Random(1), "the-submitter")
        webhook = Webhook(reviewer, reached, self.clock, self.health, serving)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(webhook.run())
            await self.until(lambda: self.health.of(LOOP).condition is Condition.RUNNING)
            yield webhook
            running.cancel()
        self.health.waits(LOOP, "It is down.")

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


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    path = tmp_path / "kubeconfig"
    with process("simcluster", "--kubeconfig", str(path), "--seed", "1") as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("http://")
        connected = await KubernetesCluster.connect(path)
        yield connected
        await connected.close()


@pytest.fixture
async def stage(cluster: KubernetesCluster, open_journal: OpenJournal) -> AsyncIterator[Stage]:
    await (await open_journal(Writer.SUBMITTER)).append(project())
    await cluster.create(NAMESPACES, {"metadata": {"name": HOME, "labels": {"muster.dev/project": "demo"}}})
    await cluster.create(NAMESPACES, {"metadata": {"name": ELSEWHERE}})
    journal = await open_journal(Writer.INTEGRATIONS)
    recorder = Recorder(journal, random=Random(1), owner_wait_seconds=0, append_concurrency=1)
    health = Health("integrations")
    following = asyncio.create_task(follow_into(journal, recorder.follow, recorder.progress, health, "fold"))
    yield Stage(cluster, recorder, free_port(), SetClock(datetime.now(UTC) - timedelta(hours=40)))
    following.cancel()


def pod(name: str, namespace: str = HOME, labels: Any = None, **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "train:1"}]
    described = {"name": name, "namespace": namespace, "labels": {"project": "demo"} if labels is None else labels}
    return {"metadata": described | metadata, "spec": {"restartPolicy": "Never", "containers": containers}}


def job(name: str, **metadata: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"project": "demo"}}, "spec": pod(name)["spec"]}
    return {"metadata": {"name": name, "namespace": HOME, **metadata}, "spec": {"template": template}}


async def test_pods_of_a_kubeflow_job_that_sets_labels_alone_get_the_scheduler(stage: Stage) -> None:
    template = {"metadata": {"labels": {"project": "demo"}}, "spec": pod("x")["spec"]}
    template["spec"]["containers"][0]["name"] = "pytorch"
    replicas = {"Worker": {"replicas": 2, "restartPolicy": "Never", "template": template}}
    training = {"metadata": {"name": "train", "namespace": HOME}, "spec": {"pytorchReplicaSpecs": replicas}}
    async with stage.up():
        await stage.cluster.create(PYTORCH_JOBS, training)
        made = await stage.until_pods("train-worker", 2)
    assert {each.spec.scheduler_name for each in made} == {"muster-scheduler"}


async def test_half_a_gpu_in_the_limits_becomes_an_annotation(stage: Stage) -> None:
    written = pod("half", labels={})
    written["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "0.5"}}
    async with stage.up():
        made = await stage.cluster.create(PODS, written)
        worker = job("halves")
        worker["spec"]["template"]["spec"] = written["spec"]
        await stage.cluster.create(JOBS, worker)
        [member] = await stage.until_pods("halves", 1)
    for each in (made, member):
        assert each.metadata.annotations == {"muster.dev/gpu-fraction": "0.5"}
        assert each.spec.containers[0].resources.limits == {}
        assert each.spec.scheduler_name == "muster-scheduler"


@pytest.mark.parametrize("where", ["annotations", "labels"])
@pytest.mark.parametrize("name", ["muster.dev/enforce-scheduler", "runai/enforce-scheduler-name"])
async def test_a_namespace_that_asks_gets_muster_s_scheduler_for_all_its_pods(
    stage: Stage, name: str, where: str
) -> None:
    async with stage.up():
        before = await stage.cluster.create(PODS, pod("before", labels={}))
        await stage.cluster.patch(NAMESPACES, "", HOME, {"metadata": {where: {name: "true"}}})
        async with asyncio.timeout(SECONDS):  # the watch tells of it in its own time
            for number in range(10_000):
                made = await stage.cluster.create(PODS, pod(f"after-{number}", labels={}))
                if made.spec.scheduler_name == "muster-scheduler":
                    break
    assert (before.spec.scheduler_name, made.spec.scheduler_name) == ("default-scheduler", "muster-scheduler")


async def test_nonsense_is_refused_with_one_sentence(stage: Stage) -> None:
    async with stage.up():
        with pytest.raises(Forbidden) as refused:
            await stage.cluster.create(PODS, pod("nonsense", annotations={"gpu-fraction": "seven"}))
    assert refused.value.message == (
        "admission webhook \"pods.admission.muster.dev\" denied the request: 'seven' is no portion of a GPU "
        "(the annotation gpu-fraction): it must lie between 0 and 1, as 0.5 does."
    )


async def test_muster_s_own_labels_are_refused_but_where_the_controller_carries_them(stage: Stage) -> None:
    mine = {"muster.dev/workload-id": "7f0c"}
    async with stage.up():
        with pytest.raises(
            Forbidden, match=r"muster\.dev/workload-id is written by Muster alone, and not by simcluster"
        ):
            await stage.cluster.create(JOBS, job("mine", labels=mine))
        await stage.cluster.create(PODS, pod("innocent", labels={}))
        for label in ({"muster.dev/project": "vision"}, mine):
            with pytest.raises(Forbidden, match=f"{next(iter(label))} is written by Muster alone"):
                await stage.cluster.patch(PODS, HOME, "innocent", {"metadata": {"labels": label}})
        with pytest.raises(Forbidden, match=r"muster\.dev/project is written by Muster alone"):
            await stage.cluster.patch(NAMESPACES, "", HOME, {"metadata": {"labels": {"muster.dev/project": None}}})
    with_labels = job("mine", labels=mine)
    with_labels["spec"]["template"]["metadata"]["labels"] = mine
    await stage.cluster.create(JOBS, with_labels | {"spec": {**with_labels["spec"], "suspend": True}})
    liar = job("liar")
    liar["spec"]["template"]["metadata"]["labels"] = mine
    async with stage.up():
        await stage.cluster.patch(JOBS, HOME, "mine", {"spec": {"suspend": False}})
        await stage.until_pods("mine-", 1)
        await stage.cluster.create(JOBS, liar)
        await stage.cluster.create(JOBS, job("last"))
        await stage.until_pods("last-", 1)
        assert await stage.pods_of("liar-") == []


async def test_certificates_are_changed_while_requests_come(stage: Stage) -> None:
    made: list[str] = []

    async def keep_making() -> None:
        for number in range(100_000):
            created = await stage.cluster.create(PODS, pod(f"p-{number}"))
            made.append(created.spec.scheduler_name)

    async def see_more() -> None:
        wanted = len(made) + 5
        await stage.until(lambda: len(made) >= wanted or making.done())
        assert not making.done(), making.exception()

    async with stage.up() as webhook:
        making = asyncio.create_task(keep_making())
        await see_more()
        first = await stage.shown()
        now, bundles = stage.clock.moment + timedelta(hours=40), [await bundle(stage.cluster)]
        for later in (timedelta(0), timedelta(minutes=6), timedelta(hours=20)):
            stage.clock.moment = now + later
            await webhook.renew()
            bundles.append(await bundle(stage.cluster))
            await see_more()
            assert (await stage.shown() == first) is (later == timedelta(0))
        making.cancel()
        await asyncio.wait([making])
    assert making.cancelled()
    assert set(made) == {"muster-scheduler"}
    assert [len(each) for each in bundles] == [1, 2, 2, 1]
    assert bundles[3] == bundles[1] - bundles[0]


async def bundle(cluster: KubernetesCluster) -> set[bytes]:
    """The authorities that the API server trusts, of all webhooks the same."""
    found = [await cluster.get(resource, "", "muster") for resource in (MUTATING, VALIDATING)]
    [text] = {webhook["clientConfig"]["caBundle"] for each in found for webhook in each["webhooks"]}
    return {each.tbs_certificate_bytes for each in x509.load_pem_x509_certificates(base64.b64decode(text))}


async def test_while_it_is_down_only_new_pods_of_projects_wait_for_it(stage: Stage) -> None:
    async with stage.up():
        pass
    with pytest.raises(Unavailable, match=r'failed calling webhook "pods.admission.muster.dev"'):
        await stage.cluster.create(PODS, pod("at-home"))
    elsewhere = await stage.cluster.create(PODS, pod("elsewhere", ELSEWHERE))
    assert elsewhere.spec.scheduler_name == "default-scheduler"
    mine = {"muster.dev/workload-id": "7f0c"}
    await stage.cluster.create(PODS, pod("of-a-workload", labels=mine))
    await stage.cluster.create(JOBS, job("patient"))
    assert await stage.pods_of("patient") == []
    async with stage.up():
        [member] = await stage.until_pods("patient", 1)
        assert member.spec.scheduler_name == "muster-scheduler"


async def test_a_configuration_that_somebody_spoils_is_mended(stage: Stage) -> None:
    async with stage.up() as webhook:
        right = await bundle(stage.cluster)
        spoiled = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
        await stage.cluster.patch(MUTATING, "", "muster", spoiled, patch_type=PatchType.JSON)
        await stage.cluster.delete(VALIDATING, "", "muster")
        with pytest.raises(NotFound):
            await stage.cluster.get(VALIDATING, "", "muster")
        await webhook.renew()
        assert await bundle(stage.cluster) == right


async def test_what_is_no_review_is_a_bad_request(stage: Stage) -> None:
    bodies = (b"", b"{", b"[]", b"{}", b'{"request": 7}', b'{"request": {"uid": "1"}}', b"\xff")
    async with stage.up(), aiohttp.ClientSession() as session:
        for body in bodies:
            async with session.post(f"https://127.0.0.1:{stage.port}/review", data=body, ssl=False) as answer:
                assert (answer.status, await answer.text()) == (400, "This is no AdmissionReview.")
