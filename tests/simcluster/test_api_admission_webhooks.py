"""Admission webhooks: configured while the server runs, asked over HTTPS, obeyed as Kubernetes obeys them."""

import asyncio
import base64
import json

import pytest
from simulated_webhooks import WebhookServer, allow, make_certificate, patch

KINDS = {"mutating": "MutatingWebhookConfiguration", "validating": "ValidatingWebhookConfiguration"}
SERVICE = "hook.hooks.svc"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("authority"), SERVICE)


@pytest.fixture
async def hooks(certificate):
    server = WebhookServer(certificate)
    await server.start()
    yield server
    await server.stop()


def rule(*operations, resource="pods", group="", versions=("v1",), **more):
    return {
        "operations": list(operations) or ["CREATE"],
        "apiGroups": [group],
        "apiVersions": list(versions),
        "resources": [resource],
        **more,
    }


class Configurations:
    """Makes configurations that concern one test's namespace, and takes them away again."""

    def __init__(self, api, hooks):
        self._api, self._hooks = api, hooks
        self._made = []

    def webhook(self, path, decide, *rules, **more):
        self._hooks.decisions[path] = decide
        return {
            "name": f"{path}.example.com",
            "clientConfig": {"url": self._hooks.url(path), "caBundle": self._hooks.certificate.bundle},
            "rules": list(rules) or [rule()],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._api.namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }

    async def create(self, kind, name, *webhooks):
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations"
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": KINDS[kind]}
        answer = await self._api.call("POST", path, body | {"metadata": {"name": name}, "webhooks": list(webhooks)})
        if answer.status == 201:
            self._made.append(f"{path}/{name}")
        return answer

    async def mutating(self, path, decide, *rules, name=None, **more):
        made = await self.create("mutating", name or path, self.webhook(path, decide, *rules, **more))
        assert made.status == 201, made.body

    async def validating(self, path, decide, *rules, **more):
        made = await self.create("validating", path, self.webhook(path, decide, *rules, **more))
        assert made.status == 201, made.body

    async def clear(self):
        for path in self._made:
            await self._api.call("DELETE", path)


@pytest.fixture
async def configured(api, hooks):
    configurations = Configurations(api, hooks)
    yield configurations
    await configurations.clear()


def label(name, value):
    return {"op": "add", "path": f"/metadata/labels/{name}", "value": value}


async def test_a_mutating_webhook_sees_the_defaults_and_changes_the_object(api, hooks, configured, make_pod):
    await configured.mutating("paint", patch({"op": "replace", "path": "/spec/schedulerName", "value": "painter"}))
    created = await api.create("pods", make_pod("a"))
    assert (created.status, created.body["spec"]["schedulerName"]) == (201, "painter")
    [asked] = hooks.requests("paint")
    assert asked["operation"] == "CREATE"
    assert asked["kind"] == asked["requestKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert asked["resource"] == asked["requestResource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert (asked["name"], asked["namespace"], asked["dryRun"]) == ("a", api.namespace, False)
    assert asked["object"]["spec"]["restartPolicy"] == "Always"
    assert "uid" not in asked["object"]["metadata"]
    assert asked["oldObject"] is None
    assert asked["options"]["kind"] == "CreateOptions"
    assert asked["userInfo"]["groups"] == ["system:masters", "system:authenticated"]


async def test_a_validating_webhook_sees_what_will_be_stored(api, hooks, configured, make_pod):
    await configured.mutating("paint", patch({"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}))
    await configured.validating("judge", allow)
    pod = make_pod("", generateName="drawn-")
    del pod["metadata"]["name"]
    created = (await api.create("pods", pod)).body
    [painted], [judged] = hooks.requests("paint"), hooks.requests("judge")
    assert "name" not in painted
    assert painted["object"]["metadata"].get("name") is None
    assert judged["name"] == created["metadata"]["name"]
    metadata = {key: value for key, value in created["metadata"].items() if key != "resourceVersion"}
    assert judged["object"]["metadata"] == metadata


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("object.spec.schedulerName in ['mine', \"too\"]", ["mine", "too"]),
        ("object.spec.schedulerName == 'mine'", ["mine"]),
        ("object.spec.schedulerName != 'mine'", ["default-scheduler", "too"]),
        ("object.spec.nothing == 'mine'", []),
        ("object.kind == 'Pod'", ["default-scheduler", "mine", "too"]),
    ],
)
async def test_a_condition_says_about_whom_a_webhook_is_asked(api, hooks, configured, make_pod, expression, asked):
    await configured.validating("picky", allow, matchConditions=[{"name": "which", "expression": expression}])
    for scheduler in ("default-scheduler", "mine", "too"):
        pod = make_pod(scheduler)
        pod["spec"]["schedulerName"] = scheduler
        assert (await api.create("pods", pod)).status == 201
    assert [request["object"]["spec"]["schedulerName"] for request in hooks.requests("picky")] == asked


async def test_a_refusal_is_told_with_its_webhook_code_and_reason(api, configured, make_pod):
    refusal = {"allowed": False, "status": {"message": "no pods today", "code": 403, "reason": "Forbidden"}}
    await configured.validating("judge", lambda _request: refusal)
    refused = await api.create("pods", make_pod("a"))
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"] == 'admission webhook "judge.example.com" denied the request: no pods today'
    assert (await api.get("pods", "a")).status == 404


async def test_a_refusal_without_a_word_is_a_bad_request(api, configured, make_pod):
    await configured.validating("judge", lambda _request: {"allowed": False})
    refused = await api.create("pods", make_pod("a"))
    assert refused.status == 400
    assert refused.body["message"] == 'admission webhook "judge.example.com" denied the request without explanation'


async def test_an_update_shows_both_states_and_passes_only_what_it_may_write(api, hooks, configured, make_pod):
    await api.create("pods", make_pod("a", labels={"stage": "new"}))
    await configured.mutating("paint", patch(label("painted", "yes")), rule("UPDATE"))
    patched = await api.patch("pods", "a", {"metadata": {"labels": {"stage": "old"}}})
    assert patched.body["metadata"]["labels"] == {"stage": "old", "painted": "yes"}
    [asked] = hooks.requests("paint")
    assert asked["oldObject"]["metadata"]["labels"] == {"stage": "new"}
    assert asked["object"]["metadata"]["labels"] == {"stage": "old"}
    status = await api.patch("pods", "a", {"status": {"phase": "Running"}}, "merge", "status")
    assert status.status == 200
    assert len(hooks.requests("paint")) == 1, "a rule for pods is none for pods/status"


async def test_a_deletion_is_reviewed_with_the_state_that_would_go(api, hooks, configured, make_config_map):
    await api.create("configmaps", make_config_map("a", {"k": "v"}))
    refusal = {"allowed": False, "status": {"message": "it is needed"}}
    await configured.validating("keep", lambda _request: refusal, rule("DELETE", resource="configmaps"))
    assert (await api.delete("configmaps", "a")).status == 400
    [asked] = hooks.requests("keep")
    assert asked["object"] is None
    assert asked["oldObject"]["data"] == {"k": "v"}
    assert (await api.get("configmaps", "a")).status == 200


async def test_mutating_webhooks_come_in_order_of_their_configurations_names(api, hooks, configured, make_pod):
    await configured.mutating("second", patch(label("order", "second")), name="b")
    first = patch({"op": "add", "path": "/metadata/labels", "value": {"order": "first"}})
    await configured.mutating("first", first, name="a")
    created = await api.create("pods", make_pod("a"))
    assert created.body["metadata"]["labels"] == {"order": "second"}
    assert [path for path, _ in hooks.asked] == ["first", "second"]


async def test_a_webhook_that_wants_to_is_asked_again_once_others_changed_the_object(api, hooks, configured, make_pod):
    await configured.mutating("watcher", allow, name="a", reinvocationPolicy="IfNeeded")
    await configured.mutating("stranger", allow, name="b")
    labels = patch({"op": "add", "path": "/metadata/labels", "value": {"painted": "yes"}})
    await configured.mutating("painter", labels, name="c")
    await api.create("pods", make_pod("a"))
    assert [path for path, _ in hooks.asked] == ["watcher", "stranger", "painter", "watcher"]
    assert hooks.asked[-1][1]["object"]["metadata"]["labels"] == {"painted": "yes"}


async def test_selectors_and_rules_decide_who_is_asked(api, hooks, configured, make_pod, make_config_map):
    chosen = {"matchExpressions": [{"key": "choose", "operator": "In", "values": ["me"]}]}
    await configured.validating("labelled", allow, objectSelector=chosen)
    await configured.validating("elsewhere", allow, namespaceSelector={"matchLabels": {"no": "such"}})
    await configured.validating("cluster", allow, rule("CREATE", resource="*", scope="Cluster"))
    await configured.validating("parts", allow, rule("*", resource="pods/*"))
    await api.create("pods", make_pod("a"))
    await api.create("pods", make_pod("b", labels={"choose": "me"}))
    await api.create("configmaps", make_config_map("c"))
    await api.patch("pods", "a", {"status": {"phase": "Running"}}, "merge", "status")
    assert [request["name"] for request in hooks.requests("labelled")] == ["b"]
    assert hooks.requests("elsewhere") == hooks.requests("cluster") == []
    parts = [(request["name"], request.get("subResource", "")) for request in hooks.requests("parts")]
    assert parts == [("a", ""), ("b", ""), ("a", "status")]


async def test_bindings_evictions_and_scales_are_reviewed_as_what_they_are(api, hooks, configured, make_pod):
    await api.create("pods", make_pod("a"))
    template = {"metadata": {"labels": {"app": "d"}}, "spec": make_pod("x")["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "d"}}, "template": template}
    await api.create("deployments.apps", {"metadata": {"name": "d"}, "spec": spec})
    more = patch({"op": "replace", "path": "/spec/replicas", "value": 1})
    await configured.mutating("scale", more, rule("UPDATE", resource="deployments/scale", group="apps"))
    await configured.validating("parts", allow, rule("*", resource="pods/binding"), rule("*", resource="pods/eviction"))
    scaled = await api.patch("deployments.apps", "d", {"spec": {"replicas": 5}}, "merge", "scale")
    assert scaled.body["spec"]["replicas"] == 1
    [asked] = hooks.requests("scale")
    assert asked["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (asked["object"]["spec"], asked["oldObject"]["spec"]) == ({"replicas": 5}, {"replicas": 0})
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "pool-a-0"}}
    assert (await api.call("POST", api.path("pods", "a", "binding"), binding)).status == 201
    eviction = {"metadata": {"name": "a"}}
    assert (await api.call("POST", api.path("pods", "a", "eviction"), eviction)).status == 201
    kinds = [(request["kind"]["kind"], request["operation"]) for request in hooks.requests("parts")]
    assert kinds == [("Binding", "CREATE"), ("Eviction", "CREATE")]


async def test_a_dry_run_is_reviewed_as_such(api, hooks, configured, make_pod):
    await configured.validating("judge", allow)
    await api.create("pods", make_pod("a"), dryRun="All")
    assert [request["dryRun"] for request in hooks.requests("judge")] == [True]
    assert (await api.get("pods", "a")).status == 404


async def test_a_webhook_that_cannot_be_asked_fails_the_write_unless_it_may(api, hooks, configured, make_pod):
    nobody = {"url": "https://127.0.0.1:1/", "caBundle": hooks.certificate.bundle}
    await configured.validating("away", allow, clientConfig=nobody, failurePolicy="Ignore")
    assert (await api.create("pods", make_pod("a"))).status == 201
    await configured.validating("gone", allow, clientConfig=nobody)
    failed = await api.create("pods", make_pod("b"))
    assert (failed.status, failed.body["reason"]) == (500, "InternalError")
    told = 'Internal error occurred: failed calling webhook "gone.example.com": failed to call webhook: Post '
    assert failed.body["message"].startswith(told)


async def test_a_webhook_that_takes_too_long_has_failed(api, hooks, configured, make_pod):
    never = asyncio.Event()

    async def think(_request):
        await never.wait()

    await configured.validating("slow", think, timeoutSeconds=1)
    failed = await api.create("pods", make_pod("a"))
    assert failed.status == 500
    assert failed.body["message"].endswith("context deadline exceeded")
    never.set()


async def test_a_certificate_of_another_authority_is_not_trusted(api, hooks, configured, make_pod, tmp_path):
    stranger = {"url": hooks.url("judge"), "caBundle": make_certificate(tmp_path, "stranger").bundle}
    await configured.validating("judge", allow, clientConfig=stranger)
    failed = await api.create("pods", make_pod("a"))
    assert failed.status == 500
    assert "certificate" in failed.body["message"].lower()
    assert hooks.asked == []


async def test_a_service_is_reached_through_its_endpoints_under_its_own_name(api, hooks, configured, make_pod):
    await api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "hooks"}})
    service = {"metadata": {"name": "hook"}, "spec": {"ports": [{"name": "https", "port": 443}]}}
    subset = {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "https", "port": hooks.port}]}
    target = {"service": {"namespace": "hooks", "name": "hook", "path": "/judge"}}
    await configured.validating("judge", allow, clientConfig=target | {"caBundle": hooks.certificate.bundle})
    assert "service" in (await api.create("pods", make_pod("a"))).body["message"]
    await api.call("POST", "/api/v1/namespaces/hooks/services", service)
    assert "no endpoints" in (await api.create("pods", make_pod("a"))).body["message"]
    endpoints = {"metadata": {"name": "hook"}, "subsets": [subset]}
    await api.call("POST", "/api/v1/namespaces/hooks/endpoints", endpoints)
    assert (await api.create("pods", make_pod("a"))).status == 201
    assert len(hooks.requests("judge")) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"uid": "another", "allowed": True}, "expected response.uid"),
        ({"allowed": "yes"}, "response.allowed"),
        ({"allowed": True, "patch": "W10=", "patchType": "Merge"}, "patchType"),
        ({"allowed": True, "patch": "!", "patchType": "JSONPatch"}, "cannot be applied"),
        (patch({"op": "remove", "path": "/spec/nothing"})({}), "cannot be applied"),
        (patch({"op": "replace", "path": "/spec/containers", "value": 1})({}), "spec.containers must be a list"),
        (patch({"op": "replace", "path": "/metadata/namespace", "value": "default"})({}), "may not be changed"),
    ],
)
async def test_an_answer_that_makes_no_sense_fails_the_write(api, configured, make_pod, answer, why):
    await configured.mutating("odd", lambda _request: answer)
    failed = await api.create("pods", make_pod("a"))
    assert failed.status == 500
    assert why in failed.body["message"]


async def test_a_change_the_server_would_refuse_is_refused_from_a_webhook_too(api, configured, make_pod):
    await configured.mutating("odd", patch({"op": "add", "path": "/metadata/labels", "value": {"a b": "c"}}))
    assert (await api.create("pods", make_pod("a"))).status == 422


async def test_warnings_reach_the_person_at_the_client(api, configured, make_pod):
    warned = {"allowed": True, "warnings": ['say "please"']}
    await configured.validating("polite", lambda _request: warned)
    async with api.session.post(api.url + api.path("pods"), json=make_pod("a")) as response:
        assert response.headers["Warning"] == '299 - "say \\"please\\""'


async def test_a_webhook_learns_who_asks(api, hooks, configured, make_pod):
    await configured.validating("judge", allow)
    headers = {"Impersonate-User": "alice", "Impersonate-Group": "data", "Impersonate-Extra-Team": "blue"}
    await _post(api, make_pod("a"), headers)
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "system:serviceaccount:team:bot"}).encode()).decode()
    await _post(api, make_pod("b"), {"Authorization": f"Bearer e30.{claims.rstrip('=')}.x"})
    await _post(api, make_pod("c"), {"Authorization": "Bearer bob"})
    users = [request["userInfo"] for request in hooks.requests("judge")]
    assert users[0] == {
        "username": "alice",
        "groups": ["data", "system:authenticated"],
        "extra": {"team": ["blue"]},
    }
    assert users[1]["username"] == "system:serviceaccount:team:bot"
    assert "system:serviceaccounts:team" in users[1]["groups"]
    assert users[2] == {"username": "bob", "groups": ["system:authenticated"]}


async def _post(api, pod, headers):
    async with api.session.post(api.url + api.path("pods"), json=pod, headers=headers) as response:
        assert response.status == 201, await response.text()


async def test_an_equivalent_version_is_shown_as_the_webhook_knows_it(api, hooks, configured):
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "robots.hooks.example.com"},
        "spec": {
            "group": "hooks.example.com",
            "scope": "Namespaced",
            "names": {"plural": "robots", "kind": "Robot"},
            "versions": [
                {"name": "v1", "served": True, "storage": True},
                {"name": "v1beta1", "served": True, "storage": False},
            ],
        },
    }
    await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    old = rule("CREATE", resource="robots", group="hooks.example.com", versions=("v1beta1",))
    await configured.mutating("lenient", patch({"op": "add", "path": "/spec", "value": {"arms": 2}}), old)
    await configured.mutating("strict", allow, old, matchPolicy="Exact")
    created = await api.create("robots.hooks.example.com", {"metadata": {"name": "a"}})
    assert (created.body["apiVersion"], created.body["spec"]) == ("hooks.example.com/v1", {"arms": 2})
    [asked] = hooks.requests("lenient")
    assert (asked["kind"]["version"], asked["requestKind"]["version"]) == ("v1beta1", "v1")
    assert asked["object"]["apiVersion"] == "hooks.example.com/v1beta1"
    assert hooks.requests("strict") == []


async def test_a_webhook_may_read_and_write_the_cluster_while_it_is_asked(api, hooks, configured, make_pod):
    async def look(request):
        await api.create("configmaps", {"metadata": {"name": f"seen-{request['name']}"}})
        return {"allowed": (await api.get("configmaps", f"seen-{request['name']}")).status == 200}

    await configured.validating("reader", look)
    assert (await api.create("pods", make_pod("a"))).status == 201


async def test_what_controllers_make_is_reviewed_in_their_name(api, hooks, configured, make_pod):
    paint = patch({"op": "replace", "path": "/spec/schedulerName", "value": "painter"})
    await configured.mutating("paint", paint)
    await configured.validating("judge", allow)
    template = {"spec": make_pod("x")["spec"] | {"restartPolicy": "Never"}}
    job = {"metadata": {"name": "j"}, "spec": {"parallelism": 3, "completions": 3, "template": template}}
    await api.create("jobs.batch", job)
    made = {event["object"]["metadata"]["name"] for event in await api.watch("pods", 3, watch="true")}
    pods = (await api.find("pods")).body["items"]
    assert len(made) == len(pods) == 3
    assert {pod["spec"]["schedulerName"] for pod in pods} == {"painter"}
    users = {request["userInfo"]["username"] for request in hooks.requests("judge")}
    assert users == {"system:serviceaccount:kube-system:job-controller"}
    assert {request["name"] for request in hooks.requests("judge")} == made
    refused = await api.find("events", fieldSelector="reason=FailedCreate")
    assert refused.body["items"] == [], "each pod is a write of its own"


async def test_what_operators_make_is_reviewed_too(api, hooks, configured, make_pod):
    await configured.mutating("paint", patch({"op": "replace", "path": "/spec/schedulerName", "value": "painter"}))
    template = {"spec": {"containers": make_pod("x")["spec"]["containers"]}}
    workers = {"groupName": "w", "replicas": 2, "template": template}
    spec = {"headGroupSpec": {"template": template}, "workerGroupSpecs": [workers]}
    await api.create("rayclusters.ray.io", {"metadata": {"name": "c"}, "spec": spec})
    made = [event["object"] for event in await api.watch("pods", 3, watch="true")]
    assert {pod["spec"]["schedulerName"] for pod in made} == {"painter"}
    users = {request["userInfo"]["username"] for request in hooks.requests("paint")}
    assert users == {"system:serviceaccount:kube-system:ray-cluster-operator"}


async def test_a_whole_life_goes_well_when_every_step_of_everybody_is_reviewed(api, hooks, configured, make_pod):
    everything = rule("*", resource="*/*", group="*", versions=("*",))
    await configured.mutating("first", allow, everything)
    await configured.validating("last", allow, everything)
    spec = make_pod("x")["spec"] | {"restartPolicy": "Never", "schedulerName": "default-scheduler"}
    template = {"metadata": {"annotations": {"sim.run-seconds": "0.2"}}, "spec": spec}
    job = {"metadata": {"name": "j"}, "spec": {"completions": 3, "parallelism": 2, "template": template}}
    await api.create("jobs.batch", job)
    done = {"watch": "true", "fieldSelector": "status.succeeded=3"}
    [event] = await api.watch("jobs.batch", 1, **done)
    conditions = {each["type"]: each["status"] for each in event["object"]["status"]["conditions"]}
    assert conditions["Complete"] == "True"
    reasons = [each["reason"] for each in (await api.find("events")).body["items"]]
    assert reasons.count("SuccessfulCreate") == 3
    assert reasons.count("Completed") == 1
    asked = {(request["resource"]["resource"], request.get("subResource", "")) for _, request in hooks.asked}
    assert asked >= {("jobs", ""), ("pods", ""), ("pods", "binding")}
    assert len((await api.find("pods")).body["items"]) == 3


async def test_executors_keep_their_numbers_when_each_is_reviewed(api, hooks, configured, make_pod):
    await configured.validating("judge", allow)
    spec = make_pod("x")["spec"] | {"schedulerName": "default-scheduler", "restartPolicy": "Never"}
    labels = {"spark-role": "driver", "spark-app-selector": "spark-1"}
    metadata = {"name": "driver", "labels": labels, "annotations": {"sim.run-seconds": "60"}}
    await api.create("pods", {"metadata": metadata, "spec": spec})
    seen = await api.watch("pods", 8, watch="true", labelSelector="spark-role=executor")
    made = [event["object"]["metadata"]["labels"]["spark-exec-id"] for event in seen if event["type"] == "ADDED"]
    assert sorted(made) == ["1", "2"]


async def test_a_task_that_went_well_is_not_made_twice_when_the_pods_after_it_are_reviewed(
    api, hooks, configured, make_config_map
):
    await configured.validating("judge", allow)
    course = {"annotations": {"sim.run-seconds": "0.1"}}
    tasks = [{"task_id": "a", **course}, {"task_id": "b", "after": ["a"], **course}]
    run = json.dumps({"dag_id": "d", "run_id": "r", "tasks": tasks})
    await api.create(
        "configmaps", make_config_map("run", {"dag-run.yaml": run}, labels={"sim.airflow/dag-run": "true"})
    )
    seen = await api.watch("pods", 12, watch="true")
    made = [event["object"]["metadata"]["labels"]["task_id"] for event in seen if event["type"] == "ADDED"]
    assert made == ["a", "b"]


async def test_a_controller_that_is_refused_tells_it_on_the_owner(api, configured, make_pod):
    await configured.validating("judge", lambda _request: {"allowed": False, "status": {"message": "not here"}})
    template = {"spec": make_pod("x")["spec"] | {"restartPolicy": "Never"}}
    await api.create("jobs.batch", {"metadata": {"name": "j"}, "spec": {"template": template}})
    [event] = await api.watch("events", 1, watch="true", fieldSelector="reason=FailedCreate")
    assert 'webhook "judge.example.com" denied the request: not here' in event["object"]["message"]


def meddling(api, times):
    """Return a decision that lets others change the object while it is thought about, so many times."""
    turns = iter(range(times))

    async def decide(request):
        turn = next(turns, None) if request["userInfo"]["username"] != "meddler" else None
        if turn is not None:
            headers = {"Impersonate-User": "meddler", "Content-Type": "application/merge-patch+json"}
            path, change = api.path("configmaps", "a"), {"data": {"turn": str(turn)}}
            async with api.session.patch(api.url + path, json=change, headers=headers) as response:
                assert response.status == 200
        return {"allowed": True}

    return decide


def by_others(requests):
    return [request for request in requests if request["userInfo"]["username"] != "meddler"]


async def test_a_change_that_comes_between_is_reviewed_anew(api, hooks, configured, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    await configured.validating("judge", meddling(api, 1), rule("UPDATE", resource="configmaps"))
    patched = await api.patch("configmaps", "a", {"data": {"mine": "yes"}})
    assert patched.body["data"] == {"turn": "0", "mine": "yes"}
    shown = [request["object"]["data"] for request in by_others(hooks.requests("judge"))]
    assert shown == [{"mine": "yes"}, {"turn": "0", "mine": "yes"}]


async def test_an_object_that_never_holds_still_is_a_conflict(api, configured, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    await configured.validating("judge", meddling(api, 100), rule("UPDATE", resource="configmaps"))
    assert (await api.patch("configmaps", "a", {"data": {"mine": "yes"}})).status == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "short"}, "webhooks[0].name"),
        ({"sideEffects": "Some"}, "webhooks[0].sideEffects"),
        ({"admissionReviewVersions": ["v1beta1"]}, "webhooks[0].admissionReviewVersions"),
        ({"timeoutSeconds": 31}, "webhooks[0].timeoutSeconds"),
        ({"clientConfig": {}}, "webhooks[0].clientConfig"),
        ({"clientConfig": {"url": "http://127.0.0.1/"}}, "webhooks[0].clientConfig.url"),
        *(
            ({"matchConditions": [{"name": "x", "expression": expression}]}, "webhooks[0].matchConditions")
            for expression in (
                "true",
                "object.spec.x > 1",
                "object.spec.x == 1",
                "object.spec.x in 'a'",
                "object.spec.x in [1]",
                "object.spec.x == 'a' && true",
                "oldObject.spec.x == 'a'",
                "",
            )
        ),
        ({"rules": [rule("READ")]}, "webhooks[0].rules[0].operations"),
    ],
)
async def test_a_configuration_that_could_not_be_obeyed_is_refused(configured, change, field):
    refused = await configured.create("validating", "bad", configured.webhook("bad", allow) | change)
    assert refused.status == 422
    assert refused.body["details"]["causes"][0]["field"] == field


async def test_configurations_outlive_a_restart(new_server, speaker, hooks, make_pod):
    server = new_server()
    async with speaker(server) as api:
        await Configurations(api, hooks).validating("judge", allow)
    server.end()
    server.start()
    async with speaker(server) as later:
        await later.call("POST", f"/api/v1/namespaces/{api.namespace}/pods", make_pod("a"))
    assert len(hooks.requests("judge")) == 1
