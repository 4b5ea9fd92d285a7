"""The webhook at work: what becomes of objects that people and controllers make, while it is up, down, or changes."""

import asyncio
import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from installation.manifests import KUBERNETES, apply, manifests
from integrations.admission.stage import ELSEWHERE, HOME, SECONDS, OpenJournal, Stage, job, pod
from integrations.kube import project
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import JOBS, NAMESPACES, PODS
from muster_cluster.port import Forbidden, NotFound, PatchType, Resource
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_integrations.admission.configurations import MUTATING, VALIDATING

PYTORCH_JOBS: Resource[Any] = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob", dict)


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


@pytest.mark.parametrize("labels", [{}, {"project": "demo"}])
async def test_a_pod_that_nobody_would_ever_schedule_is_refused(stage: Stage, labels: dict[str, str]) -> None:
    stray = pod("stray", ELSEWHERE, labels)
    stray["spec"]["schedulerName"] = "muster-scheduler"
    async with stage.up():
        with pytest.raises(Forbidden, match="This namespace belongs to no project, so nobody would ever schedule"):
            await stage.cluster.create(PODS, stray)
        usual = await stage.cluster.create(PODS, pod("usual", ELSEWHERE, labels))
    assert usual.spec.scheduler_name == "default-scheduler"


async def test_nonsense_is_refused_with_one_sentence(stage: Stage) -> None:
    async with stage.up():
        with pytest.raises(Forbidden) as refused:
            await stage.cluster.create(PODS, pod("nonsense", annotations={"gpu-fraction": "seven"}))
    assert refused.value.message == (
        "admission webhook \"pods.admission.muster.dev\" denied the request: 'seven' is no portion of a GPU "
        "(the annotation gpu-fraction): write a number between 0 and 1 with at most six decimals, as 0.5."
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
    liar["spec"] |= {"suspend": True}
    liar["spec"]["template"]["metadata"]["labels"] = mine
    await stage.cluster.create(JOBS, liar)
    async with stage.up():
        for name in ("mine", "liar"):
            await stage.cluster.patch(JOBS, HOME, name, {"spec": {"suspend": False}})
        await stage.until_pods("mine-", 1)
        await stage.cluster.create(JOBS, job("last"))
        await stage.until_pods("last-", 1)
        assert await stage.pods_of("liar-") == []


async def test_a_template_whose_pods_would_be_refused_for_their_labels_is_refused_itself(stage: Stage) -> None:
    template = {"metadata": {"labels": {"muster.dev/project": "vision"}}, "spec": pod("x")["spec"]}
    liar = job("liar") | {"spec": {"template": template}}
    replicas = {"Worker": {"replicas": 1, "template": template}}
    training = {"metadata": {"name": "liar", "namespace": HOME}, "spec": {"pytorchReplicaSpecs": replicas}}
    async with stage.up():
        for resource, written in ((JOBS, liar), (PYTORCH_JOBS, training)):
            with pytest.raises(Forbidden, match=r"so the pods of this template will be refused"):
                await stage.cluster.create(resource, written)


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


async def test_without_the_right_to_apply_its_webhooks_it_says_so_and_goes_on_once_it_has_it(
    stage: Stage, tmp_path: Path
) -> None:
    cluster = await KubernetesCluster.connect(as_integrations(tmp_path))
    _, role, binding = manifests(KUBERNETES / "rights" / "integrations.yaml")
    *others, webhooks = role["rules"]
    await apply(stage.cluster, [{**role, "rules": others}, binding])
    with pytest.raises(ExceptionGroup) as refused:
        async with stage.up(cluster):
            pass
    failure: BaseException = refused.value
    while isinstance(failure, ExceptionGroup):
        [failure] = failure.exceptions
    assert isinstance(failure, Unavailable)
    assert str(failure).startswith("The MutatingWebhookConfiguration cannot be applied: mutatingwebhookconfigurations.")
    assert 'User "system:serviceaccount:muster:integrations" cannot patch resource' in str(failure)
    await apply(stage.cluster, [{**role, "rules": [*others, webhooks]}])
    async with stage.up(cluster):
        assert (await stage.cluster.create(PODS, pod("reviewed"))).spec.scheduler_name == "muster-scheduler"
    await cluster.close()


def as_integrations(folder: Path) -> Path:
    """Return a kubeconfig with the token of the account in place of the administrator's nothing."""
    config = yaml.safe_load((folder / "kubeconfig").read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": "system:serviceaccount:muster:integrations"}
    path = folder / "integrations"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


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


async def test_what_a_pod_asks_of_a_gpu_is_settled_once_it_is_made(stage: Stage) -> None:
    async with stage.up():
        await stage.cluster.create(PODS, pod("settled", annotations={"gpu-fraction": "0.5"}))
        await stage.cluster.patch(PODS, HOME, "settled", {"metadata": {"annotations": {"note": "mine"}}})
        for name, value in (("muster.dev/gpu-fraction", "0.25"), ("gpu-fraction", None), ("muster.dev/gpus", "0:1")):
            with pytest.raises(Forbidden, match=f"The annotation {name} is settled once a pod is made"):
                await stage.cluster.patch(PODS, HOME, "settled", {"metadata": {"annotations": {name: value}}})


async def test_a_project_that_was_made_this_moment_is_known(stage: Stage, open_journal: OpenJournal) -> None:
    """The fold is held back, as by a long batch, until the webhook has begun to wait for it."""
    submitter = await open_journal(Writer.SUBMITTER)
    async with stage.up():
        stage.reads_on.clear()
        await submitter.append(project("young"))
        await stage.cluster.create(
            NAMESPACES, {"metadata": {"name": "muster-young", "labels": {"muster.dev/project": "young"}}}
        )
        making = asyncio.create_task(stage.cluster.create(PODS, pod("first", "muster-young", {"project": "young"})))
        await stage.asked_for_the_end.wait()
        stage.reads_on.set()
        assert (await making).spec.scheduler_name == "muster-scheduler"
