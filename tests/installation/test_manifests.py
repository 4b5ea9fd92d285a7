"""What `deploy/kubernetes` says: accepted by an API server, in agreement with the services, and no right too many."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from installation.manifests import KUBERNETES, apply, manifests, of_kind
from integrations.test_integrations_end_to_end import process
from muster_chassis.settings import ServiceSettings
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NAMESPACES, NODES, PODS
from muster_cluster.port import Resource
from muster_contracts.names import RESERVATIONS_NAMESPACE
from muster_contracts.subjects import Writer
from muster_integrations.recognition import storage
from muster_integrations.recognition.table import TABLE
from muster_integrations.settings import IntegrationsSettings
from muster_integrations.watching import DEFINITIONS
from muster_scheduler.settings import SchedulerSettings
from muster_status.settings import StatusSettings
from muster_submitter.settings import SubmitterSettings
from simcluster.identity import service_account
from simcluster.rbac import Deed, allows

DOCKER = KUBERNETES.parent / "docker"
RIGHTS = (KUBERNETES / "rights",)
SETTINGS: dict[str, type[ServiceSettings]] = {
    "submitter": SubmitterSettings,
    "scheduler": SchedulerSettings,
    "status": StatusSettings,
    "integrations": IntegrationsSettings,
}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    path = tmp_path / "kubeconfig"
    with process("simcluster", "--kubeconfig", str(path), "--seed", "1") as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("http://")
        connected = await KubernetesCluster.connect(path)
        yield connected
        await connected.close()


async def test_an_api_server_takes_every_object_and_makes_the_pods(cluster: KubernetesCluster) -> None:
    objects = [*manifests(), *manifests(KUBERNETES / "servers")]
    await apply(cluster, objects)
    await apply(cluster, objects)
    page = await cluster.list_page(PODS, namespace="muster")
    wanted = {each["metadata"]["name"] for each in objects if "template" in each.get("spec", {})}
    assert {pod.metadata.labels["app.kubernetes.io/name"] for pod in page.items} == wanted


def containers() -> list[tuple[str, Any]]:
    """Every container there is, with the account it runs under."""
    found: list[tuple[str, Any]] = []
    for kind in ("Deployment", "StatefulSet", "Job"):
        for each in of_kind(kind):
            spec = each["spec"]["template"]["spec"]
            every = (*spec["containers"], *spec.get("initContainers", ()))
            found += [(spec.get("serviceAccountName", ""), container) for container in every]
    return found


def test_each_service_runs_under_its_account_and_is_told_what_it_knows() -> None:
    services = {account: container for account, container in containers() if account}
    assert set(services) == {writer.value for writer in Writer} == set(SETTINGS)
    for name, container in services.items():
        assert container["image"] == f"muster/{name}"
        values = {each["name"]: each.get("value", "muster://secret") for each in container["env"]}
        SETTINGS[name].from_environment(name, values)
        known = {f"MUSTER_{field}".upper() for field in SETTINGS[name].model_fields}
        assert set(values) <= known, name


def test_no_container_may_become_more_than_it_is() -> None:
    """As the namespace's label `pod-security.kubernetes.io/enforce: restricted` demands."""
    for each in (*of_kind("Deployment"), *of_kind("StatefulSet"), *of_kind("Job")):
        context = each["spec"]["template"]["spec"]["securityContext"]
        assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    for _, container in containers():
        context = container["securityContext"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_every_secret_that_is_used_is_named_on_the_page_that_makes_it() -> None:
    page = (KUBERNETES.parents[1] / "docs" / "install-kubernetes.md").read_text(encoding="utf-8")
    made = set(re.findall(r"--from-literal=([a-z-]+)=", page))
    used = {
        each["valueFrom"]["secretKeyRef"]["key"]
        for _, container in containers()
        for each in container.get("env", ())
        if "valueFrom" in each
    }
    assert used == made


def test_the_edge_is_the_one_of_docker_compose() -> None:
    [configuration] = [each for each in of_kind("ConfigMap") if each["metadata"]["name"] == "edge"]
    assert configuration["data"]["Caddyfile"] == (DOCKER / "Caddyfile").read_text(encoding="utf-8")


# ---------------------------------------------------------------- rights


def may(name: str, *deed: str, namespace: str = "anywhere") -> bool:
    """Say whether a service may do something: a verb, a group, a resource, perhaps to an object of a name."""
    verb, group, resource, *named = deed
    found = {
        "clusterroles": of_kind("ClusterRole", *RIGHTS),
        "clusterrolebindings": of_kind("ClusterRoleBinding", *RIGHTS),
        "roles": of_kind("Role", *RIGHTS),
        "rolebindings": of_kind("RoleBinding", *RIGHTS),
    }

    def lookup(plural: str, where: str | None) -> list[Any]:
        return [each for each in found[plural] if where in (None, each["metadata"].get("namespace"))]

    return allows(service_account("muster", name), Deed(verb, group, resource, namespace, "".join(named)), lookup)


@pytest.mark.parametrize(("group", "kind"), [name for name, known in TABLE.items() if known.watch is not None])
def test_integrations_may_see_every_kind_it_knows_and_the_submitter_what_it_stops(group: str, kind: str) -> None:
    known = TABLE[group, kind]
    assert known.watch is not None
    plural, supports = known.watch.plural, known.supports
    assert all(may("integrations", verb, group, plural) for verb in ("get", "list", "watch"))
    assert not any(may("integrations", verb, group, plural) for verb in ("create", "patch", "update", "delete"))
    assert may("submitter", "delete", group, plural) is supports.delete
    assert may("submitter", "patch", group, plural) is (supports.delete and kind != "Pod")


@pytest.mark.parametrize("resource", [*storage.KINDS, NODES, NAMESPACES, DEFINITIONS], ids=lambda each: each.plural)
def test_integrations_may_list_and_watch_whatever_else_it_watches(resource: Resource[Any]) -> None:
    assert all(may("integrations", verb, resource.group, resource.plural) for verb in ("list", "watch"))
    assert not may("integrations", "get", resource.group, resource.plural)


@pytest.mark.parametrize("name", list(SETTINGS))
@pytest.mark.parametrize(
    "deed",
    [
        ("get", "", "secrets"),
        ("create", "", "pods"),
        ("create", "", "pods/exec"),
        ("update", "", "nodes"),
        ("delete", "", "namespaces"),
        ("delete", "", "persistentvolumeclaims"),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
        ("impersonate", "", "users"),
        ("patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "of-others"),
        ("delete", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "muster"),
    ],
    ids=" ".join,
)
def test_nobody_may_do_what_it_has_no_business_with(name: str, deed: tuple[str, ...]) -> None:
    assert not may(name, *deed)


@pytest.mark.parametrize(
    ("deed", "who"),
    [
        (("create", "", "pods/binding"), {"scheduler"}),
        (("create", "", "pods/eviction"), {"scheduler"}),
        (("get", "", "pods/log"), {"status"}),
        (("create", "batch", "jobs"), {"submitter"}),
        (("create", "", "namespaces"), {"submitter"}),
        (("list", "", "nodes"), {"integrations"}),
        (("delete", "", "pods"), {"submitter"}),
    ],
    ids=str,
)
def test_each_deed_is_one_service_s(deed: tuple[str, ...], who: set[str]) -> None:
    assert {name for name in SETTINGS if may(name, *deed)} == who


def test_pods_that_hold_gpus_are_made_in_their_namespace_alone() -> None:
    assert may("scheduler", "create", "", "pods", namespace=RESERVATIONS_NAMESPACE)
    assert {each["metadata"]["name"] for each in of_kind("Namespace")} == {"muster", RESERVATIONS_NAMESPACE}


def test_who_waits_for_neighbours_is_not_started_anew_for_it() -> None:
    """A service answers nothing before NATS lets it in; a liveness probe alone would end it every minute."""
    for account, container in containers():
        if account:
            assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
            seconds = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
            assert seconds >= 3600, container["name"]
