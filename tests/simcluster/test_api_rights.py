"""Who may do what when the cluster goes by Roles and their bindings, asked through the API server itself."""

import json
from collections.abc import AsyncIterator

import pytest
from simcluster.clock import ManualClock
from simcluster.cluster import Cluster
from simcluster.identity import User
from simcluster.rbac import Deed, allows
from simcluster.settings import Settings
from simcluster.wire import Request

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ALICE = "system:serviceaccount:team:alice"
SUBJECT = {"kind": "ServiceAccount", "namespace": "team", "name": "alice"}
APPLY = {"content-type": "application/apply-patch+yaml"}


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster(Settings(seed=1, rbac=True), ManualClock()) as cluster:
        cluster.client.create("namespaces", {"metadata": {"name": "team"}})
        yield cluster


async def ask(cluster, method, path, body=None, *, user=ALICE, **headers):
    headers = {"authorization": f"Bearer {user}"} if user else {}
    return await asked(cluster, method, path, body, headers)


async def asked(cluster, method, path, body, headers):
    path, _, query = path.partition("?")
    parameters = dict(pair.split("=") for pair in query.split("&") if pair)
    headers = {"content-type": "application/json"} | headers
    response = await cluster.api.handle(Request(method, path, parameters, headers, json.dumps(body or {}).encode()))
    if isinstance(response.body, bytes):
        return response.status, json.loads(response.body) if response.body.startswith(b"{") else response.body
    await response.body.aclose()
    return response.status, None


def grant(cluster, rules, *, namespace=None, subject=SUBJECT, cluster_wide=True):
    """Give a role with some rules to somebody: everywhere, or by a RoleBinding in a namespace."""
    kind = "Role" if namespace and not cluster_wide else "ClusterRole"
    plural = f"{kind.lower()}s.rbac.authorization.k8s.io"
    place = {"namespace": namespace} if kind == "Role" else {}
    cluster.client.create(plural, {"metadata": {"name": "given", **place}, "rules": rules})
    binding = {
        "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "given"},
        "metadata": {"name": "given"} | ({"namespace": namespace} if namespace else {}),
    }
    kind = "rolebindings" if namespace else "clusterrolebindings"
    cluster.client.create(f"{kind}.rbac.authorization.k8s.io", binding)


def rule(verbs, resources, groups=("",), **more):
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)} | more


POD = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
AT_TEAM = "/api/v1/namespaces/team"


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/api/v1/pods", 'pods is forbidden: User "{u}" cannot list resource "pods" in API group "" at the '
         "cluster scope"),
        ("GET", f"{AT_TEAM}/pods?watch=1", 'pods is forbidden: User "{u}" cannot watch resource "pods" in API group "" '
         'in the namespace "team"'),
        ("GET", f"{AT_TEAM}/pods/a", 'pods "a" is forbidden: User "{u}" cannot get resource "pods" in API group "" in '
         'the namespace "team"'),
        ("GET", f"{AT_TEAM}/pods/a/log", 'pods "a" is forbidden: User "{u}" cannot get resource "pods/log" in API '
         'group "" in the namespace "team"'),
        ("POST", f"{AT_TEAM}/pods/a/binding", 'pods "a" is forbidden: User "{u}" cannot create resource "pods/binding" '
         'in API group "" in the namespace "team"'),
        ("PUT", "/apis/batch/v1/namespaces/team/jobs/a", 'jobs.batch "a" is forbidden: User "{u}" cannot update '
         'resource "jobs" in API group "batch" in the namespace "team"'),
        ("DELETE", f"{AT_TEAM}/pods", 'pods is forbidden: User "{u}" cannot deletecollection resource "pods" in API '
         'group "" in the namespace "team"'),
        ("PATCH", AT_TEAM, 'namespaces "team" is forbidden: User "{u}" cannot patch resource "namespaces" in API group '
         '"" in the namespace "team"'),
        ("DELETE", "/api/v1/nodes/n", 'nodes "n" is forbidden: User "{u}" cannot delete resource "nodes" in API group '
         '"" at the cluster scope'),
        ("GET", "/metrics", 'forbidden: User "{u}" cannot get path "/metrics"'),
    ],
)  # fmt: skip
async def test_who_has_no_right_is_told_so_in_kubernetes_words(cluster, method, path, message):
    status, answer = await ask(cluster, method, path)
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == message.format(u=ALICE)


async def test_everybody_may_find_out_what_is_served(cluster):
    for path in ("/version", "/api", "/api/v1", "/apis", "/apis/batch/v1", "/healthz", "/openapi/v2"):
        assert (await ask(cluster, "GET", path))[0] == 200, path


async def test_the_administrator_may_do_everything(cluster):
    assert (await ask(cluster, "POST", f"{AT_TEAM}/pods", POD, user=None))[0] == 201
    assert (await ask(cluster, "GET", "/metrics", user=None))[0] == 404


async def test_a_role_holds_in_its_namespace_and_for_its_verbs(cluster):
    grant(cluster, [rule(["create", "get"], ["pods"])], namespace="team", cluster_wide=False)
    assert (await ask(cluster, "POST", f"{AT_TEAM}/pods", POD))[0] == 201
    assert (await ask(cluster, "GET", f"{AT_TEAM}/pods/a"))[0] == 200
    assert (await ask(cluster, "GET", f"{AT_TEAM}/pods"))[0] == 403
    assert (await ask(cluster, "GET", f"{AT_TEAM}/pods/a/log"))[0] == 403
    assert (await ask(cluster, "POST", "/api/v1/namespaces/default/pods", POD))[0] == 403
    assert (await ask(cluster, "GET", f"{AT_TEAM}/pods/a", user="system:serviceaccount:other:alice"))[0] == 403


async def test_a_cluster_role_that_is_bound_in_a_namespace_holds_there_alone(cluster):
    grant(cluster, [rule(["list"], ["pods"])], namespace="team")
    assert (await ask(cluster, "GET", f"{AT_TEAM}/pods"))[0] == 200
    assert (await ask(cluster, "GET", "/api/v1/pods"))[0] == 403


async def test_a_right_ends_with_its_binding(cluster):
    grant(cluster, [rule(["list"], ["pods"])])
    assert (await ask(cluster, "GET", "/api/v1/pods"))[0] == 200
    cluster.client.delete("clusterrolebindings.rbac.authorization.k8s.io", None, "given")
    assert (await ask(cluster, "GET", "/api/v1/pods"))[0] == 403


async def test_an_apply_that_creates_needs_the_right_to_create_by_that_name(cluster):
    one = rule(["patch", "create"], ["configmaps"], resourceNames=["mine"])
    grant(cluster, [one, rule(["patch"], ["configmaps"])])
    headers = {"authorization": f"Bearer {ALICE}"} | APPLY
    codes = {}
    for name in ("mine", "theirs"):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        codes[name], _ = await asked(cluster, "PATCH", f"{AT_TEAM}/configmaps/{name}?fieldManager=m", body, headers)
    assert codes == {"mine": 201, "theirs": 403}


async def test_nobody_speaks_for_another_without_the_right_to(cluster):
    grant(cluster, [rule(["impersonate"], ["users"], resourceNames=["bob"])])
    headers = {"authorization": f"Bearer {ALICE}"}
    for name, groups, said in (
        ("root", "", 'users "root" is forbidden'),
        ("bob", "system:masters", 'groups "system:masters" is forbidden'),
        ("bob", "", 'pods is forbidden: User "bob" cannot list'),
    ):
        speaking = {"impersonate-user": name} | ({"impersonate-group": groups} if groups else {})
        status, answer = await asked(cluster, "GET", "/api/v1/pods", None, headers | speaking)
        assert status == 403
        assert answer["message"].startswith(said)
    assert (await asked(cluster, "GET", "/api/v1/pods", None, {"impersonate-user": "bob"}))[0] == 403


async def test_people_can_ask_what_they_may(cluster):
    grant(cluster, [rule(["list"], ["pods"])], namespace="team")
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for namespace, allowed in (("team", True), ("default", False)):
        spec = {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": namespace}}
        _, answer = await ask(cluster, "POST", path, {"spec": spec})
        assert answer["status"] == {"allowed": allowed}
    _, answer = await ask(
        cluster, "POST", path, {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/version"}}}
    )
    assert answer["status"] == {"allowed": True}
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    _, answer = await ask(cluster, "POST", path, {"spec": {"namespace": "team"}})
    assert rule(["list"], ["pods"]) in answer["status"]["resourceRules"]


@pytest.mark.parametrize(
    ("given", "deed", "allowed"),
    [
        (rule(["*"], ["*"], ["*"]), Deed("get", "batch", "jobs/status"), True),
        (rule(["get"], ["*/status"], ["batch"]), Deed("get", "batch", "jobs/status"), True),
        (rule(["get"], ["*/status"], ["batch"]), Deed("get", "batch", "jobs"), False),
        (rule(["get"], ["jobs/*"], ["batch"]), Deed("get", "batch", "jobs/status"), False),
        (rule(["get"], ["jobs"], ["apps"]), Deed("get", "batch", "jobs"), False),
        (rule(["get"], ["jobs"], ["batch"], resourceNames=["a"]), Deed("get", "batch", "jobs", name="a"), True),
        (rule(["get"], ["jobs"], ["batch"], resourceNames=["a"]), Deed("get", "batch", "jobs", name="b"), False),
        (rule(["list"], ["jobs"], ["batch"], resourceNames=["a"]), Deed("list", "batch", "jobs"), False),
        ({"verbs": ["get"], "nonResourceURLs": ["/logs/*"]}, Deed("get", path="/logs/a"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["/logs"]}, Deed("get", path="/logs/a"), False),
        (rule(["*"], ["*"], ["*"]), Deed("get", path="/logs"), False),
        ({"verbs": ["get"]}, Deed("get", "", "pods"), False),
    ],
)
@pytest.mark.parametrize(
    "subject", [{"kind": "User", "name": "bob"}, {"kind": "Group", "name": "people"}, {"kind": "Group", "name": "x"}]
)
def test_rules_are_read_as_kubernetes_reads_them(given, deed, allowed, subject):
    objects = {
        "clusterroles": [{"metadata": {"name": "r"}, "rules": [given]}],
        "clusterrolebindings": [{"subjects": [subject], "roleRef": {"kind": "ClusterRole", "name": "r"}}, {}],
    }
    user = User("bob", groups=("people",))
    assert allows(user, deed, lambda plural, _namespace: objects[plural]) is (allowed and subject["name"] != "x")
