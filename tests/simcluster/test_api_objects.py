"""Create, read, replace and delete over HTTP: identity, conflicts, generations, finalizers, refusals."""

import random
import re

import pytest
from simcluster.client import Client
from simcluster.clock import ManualClock
from simcluster.registry import Registry
from simcluster.store import Store


async def test_a_created_object_has_an_identity_and_a_version(api, make_config_map):
    made = await api.create("configmaps", make_config_map("a", {"x": "1"}))
    assert made.status == 201
    metadata = made.body["metadata"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", metadata["uid"])
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["namespace"] == api.namespace
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert (await api.get("configmaps", "a")).body == made.body


async def test_a_taken_name_is_refused_and_a_missing_one_not_found(api, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    again = await api.create("configmaps", make_config_map("a"))
    assert (again.status, again.body["reason"]) == (409, "AlreadyExists")
    missing = await api.get("configmaps", "b")
    assert (missing.status, missing.body["reason"]) == (404, "NotFound")
    assert missing.body["message"] == 'configmaps "b" not found'
    assert missing.body["details"] == {"name": "b", "kind": "configmaps"}


async def test_a_generated_name_starts_as_asked_and_is_new_each_time(api):
    body = {"metadata": {"generateName": "run-"}}
    names = [(await api.create("configmaps", body)).body["metadata"]["name"] for _ in range(20)]
    assert len(set(names)) == 20
    assert all(re.fullmatch(r"run-[a-z0-9]{5}", name) for name in names)


async def test_thousands_of_generated_names_do_not_collide():
    client = Client(Registry(Store(), ManualClock(), random.Random(1)))
    client.create("namespaces", {"metadata": {"name": "default"}})
    for _ in range(20_000):
        client.create("configmaps", {"metadata": {"generateName": "run-"}})
    assert len(client.list("configmaps")) == 20_000


async def test_a_replace_from_an_old_version_is_a_conflict(api, make_config_map):
    first = (await api.create("configmaps", make_config_map("a", {"x": "1"}))).body
    second = await api.replace("configmaps", first | {"data": {"x": "2"}})
    assert second.status == 200
    late = await api.replace("configmaps", first | {"data": {"x": "3"}})
    assert (late.status, late.body["reason"]) == (409, "Conflict")
    assert (await api.get("configmaps", "a")).body["data"] == {"x": "2"}


async def test_a_write_that_changes_nothing_keeps_the_version(api, make_config_map):
    made = await api.create("configmaps", make_config_map("a", {"x": "1"}))
    assert (await api.patch("configmaps", "a", {"data": {"x": "1"}})).version == made.version
    assert (await api.patch("configmaps", "a", {"data": {"x": "2"}})).version != made.version


async def test_the_generation_counts_changes_of_the_desired_state_alone(api):
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "i"}]}},
        },
    }

    async def generation(body):
        return (await api.patch("jobs.batch", "j", body)).body["metadata"]["generation"]

    assert (await api.create("jobs.batch", job)).body["metadata"]["generation"] == 1
    assert await generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert await generation({"spec": {"parallelism": 2}}) == 2
    assert await generation({"spec": {"parallelism": 2}}) == 2
    assert await generation({"status": {"active": 7}}) == 2
    assert (await api.get("jobs.batch", "j")).body.get("status", {}).get("active") != 7


async def test_a_dry_run_answers_and_stores_nothing(api, make_config_map):
    made = await api.create("configmaps", make_config_map("a"), dryRun="All")
    assert made.status == 201
    assert (await api.get("configmaps", "a")).status == 404
    await api.create("configmaps", make_config_map("a", {"x": "1"}))
    patched = await api.call(
        "PATCH",
        api.path("configmaps", "a"),
        {"data": {"x": "2"}},
        "application/merge-patch+json",
        dryRun="All",
    )
    assert patched.body["data"] == {"x": "2"}
    await api.delete("configmaps", "a", dryRun="All")
    assert (await api.get("configmaps", "a")).body["data"] == {"x": "1"}


@pytest.mark.parametrize(
    ("method", "form", "query", "field"),
    [
        ("PATCH", "merge-patch+json", {"dryRun": "Some"}, "dryRun"),
        ("PATCH", "merge-patch+json", {"force": "true"}, "force"),
        ("PATCH", "apply-patch+yaml", {}, "fieldManager"),
        ("DELETE", "json", {"propagationPolicy": "Sideways"}, "propagationPolicy"),
        ("DELETE", "json", {"propagationPolicy": "Orphan", "orphanDependents": "true"}, "propagationPolicy"),
    ],
    ids=str,
)
async def test_an_option_that_makes_no_sense_is_refused(api, make_config_map, method, form, query, field):
    """Codes and fields as Kubernetes 1.20 was seen to answer."""
    await api.create("configmaps", make_config_map("a"))
    refused = await api.call(method, api.path("configmaps", "a"), {}, f"application/{form}", **query)
    assert refused.status == 422
    assert [cause["field"] for cause in refused.body["details"]["causes"]] == [field]
    assert (await api.get("configmaps", "a")).status == 200


@pytest.mark.parametrize(("match", "version"), [("Sometimes", "1"), ("Exact", "0"), ("NotOlderThan", "")])
async def test_a_match_of_versions_needs_a_version_it_fits(api, match, version):
    refused = await api.find("configmaps", resourceVersionMatch=match, resourceVersion=version)
    assert (refused.status, refused.body["details"]["kind"]) == (422, "ListOptions")


async def test_a_limit_below_nothing_limits_nothing(api, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    assert len((await api.find("configmaps", limit="-1", fieldSelector="metadata.name=a")).body["items"]) == 1


async def test_an_object_goes_when_its_last_finalizer_is_taken_away(api, make_config_map):
    await api.create("configmaps", make_config_map("a", finalizers=["example.com/hold", "example.com/too"]))
    going = await api.delete("configmaps", "a")
    assert going.status == 200
    assert "deletionTimestamp" in going.body["metadata"]
    refused = await api.patch("configmaps", "a", {"metadata": {"finalizers": ["example.com/new"]}})
    assert refused.status == 422
    held = await api.patch("configmaps", "a", {"metadata": {"finalizers": ["example.com/too"]}})
    assert "deletionTimestamp" in held.body["metadata"]
    await api.patch("configmaps", "a", {"metadata": {"finalizers": None}})
    assert (await api.get("configmaps", "a")).status == 404


async def test_a_deletion_minds_its_preconditions(api, make_config_map):
    made = (await api.create("configmaps", make_config_map("a"))).body
    wrong = await api.delete("configmaps", "a", {"preconditions": {"uid": "other"}})
    assert (wrong.status, wrong.body["reason"]) == (409, "Conflict")
    stale = await api.delete("configmaps", "a", {"preconditions": {"resourceVersion": "1"}})
    assert stale.status == 409
    right = await api.delete("configmaps", "a", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert (right.status, right.body["status"]) == (200, "Success")


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_a_propagation_policy_leaves_its_finalizer_to_the_collector(api, make_config_map, policy, finalizer):
    await api.create("configmaps", make_config_map("a", finalizers=["example.com/hold"]))
    going = await api.delete("configmaps", "a", propagationPolicy=policy)
    assert finalizer in going.body["metadata"]["finalizers"]


async def test_deleting_a_collection_spares_what_the_selector_does_not_choose(api, make_config_map):
    for name, team in (("a", "red"), ("b", "red"), ("c", "blue")):
        await api.create("configmaps", make_config_map(name, labels={"team": team}))
    gone = await api.call("DELETE", api.path("configmaps"), labelSelector="team=red")
    assert [item["metadata"]["name"] for item in gone.body["items"]] == ["a", "b"]
    assert [item["metadata"]["name"] for item in (await api.find("configmaps")).body["items"]] == ["c"]


async def test_nothing_is_created_in_a_namespace_that_is_missing_or_ends(api, make_config_map):
    missing = await api.call("POST", "/api/v1/namespaces/nowhere/configmaps", make_config_map("a"))
    assert (missing.status, missing.body["message"]) == (404, 'namespaces "nowhere" not found')
    await api.create("configmaps", make_config_map("held", finalizers=["example.com/hold"]))
    ending = await api.call("DELETE", f"/api/v1/namespaces/{api.namespace}")
    assert ending.body["status"]["phase"] == "Terminating"
    refused = await api.create("configmaps", make_config_map("b"))
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")


async def test_a_bound_pod_ends_gracefully_and_an_unbound_one_at_once(make_pod):
    registry = Registry(Store(), ManualClock(), random.Random(1))  # without a kubelet, which would end it
    client = Client(registry)
    client.create("namespaces", {"metadata": {"name": "default"}})
    client.create("pods", make_pod("unbound"))
    client.delete("pods", "default", "unbound")
    assert client.get("pods", "default", "unbound") is None
    client.create("pods", make_pod("bound"))
    client.bind("default", "bound", "some-node")
    graces = []
    for asked in (None, 5, 50):
        client.delete("pods", "default", "bound", grace_seconds=asked)
        graces.append(client.get("pods", "default", "bound")["metadata"]["deletionGracePeriodSeconds"])
    assert graces == [30, 5, 5]
    client.delete("pods", "default", "bound", grace_seconds=0)
    assert client.get("pods", "default", "bound") is None


def _with(pod, **container):
    pod["spec"]["containers"][0] |= container
    return pod


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda pod: pod["metadata"].update(name="Not_A_Name"), "metadata.name"),
        (lambda pod: pod["metadata"].update(labels={"a b": "c"}), "metadata.labels"),
        (lambda pod: pod["metadata"].update(labels={"a": "-"}), "metadata.labels"),
        (lambda pod: pod["spec"].update(containers=[]), "spec.containers"),
        (lambda pod: pod["spec"].update(restartPolicy="Sometimes"), "spec.restartPolicy"),
        (lambda pod: _with(pod, image=""), "spec.containers[0].image"),
        (lambda pod: _with(pod, volumeMounts=[{"name": "v", "mountPath": "/v"}]), "volumeMounts[0].name"),
        (lambda pod: _with(pod, resources={"limits": {"nvidia.com/gpu": "-1"}}), "limits[nvidia.com/gpu]"),
        (lambda pod: _with(pod, resources={"limits": {"nvidia.com/gpu": "0.5"}}), "must be an integer"),
        (lambda pod: _with(pod, resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}), "requests"),
        (lambda pod: _with(pod, resources={"requests": {"nvidia.com/gpu": "1"}}), "Limit must be set"),
    ],
)
async def test_an_invalid_pod_is_refused_with_the_field_at_fault(api, make_pod, spoil, field):
    pod = make_pod("a")
    spoil(pod)
    refused = await api.create("pods", pod)
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    assert field in refused.body["message"]


async def test_a_body_that_is_no_object_of_its_kind_is_a_bad_request(api, make_pod):
    for body in ("[1", "[]", '{"metadata": 3}', '{"kind": "Secret"}', '{"metadata": {"name": "a"}, "spec": 5}'):
        refused = await api.create("pods", body)
        assert refused.status == 400, body
        assert refused.body["reason"] == "BadRequest"


@pytest.mark.parametrize(
    ("part", "value", "complaint"),
    [
        ("metadata", {"labels": {"number": 1}}, "Pod.metadata.labels.number must be a string, it is 1"),
        ("metadata", {"ownerReferences": {}}, "Pod.metadata.ownerReferences must be a list, it is an object"),
        ("spec", {"containers": {"name": "main"}}, "Pod.spec.containers must be a list, it is an object"),
        ("spec", {"containers": [None]}, "Pod.spec.containers[0] must be an object, it is null"),
        ("spec", {"tolerations": [{"tolerationSeconds": "5"}]}, "tolerationSeconds must be an integer, it is '5'"),
        ("spec", {"terminationGracePeriodSeconds": True}, "must be an integer, it is True"),
    ],
)
async def test_a_field_of_another_type_is_a_bad_request(api, make_pod, part, value, complaint):
    pod = make_pod("a")
    pod[part] |= value
    refused = await api.create("pods", pod)
    assert (refused.status, refused.body["reason"]) == (400, "BadRequest")
    assert complaint in refused.body["message"]
    await api.create("pods", make_pod("b"))
    assert (await api.patch("pods", "b", {part: value})).status == 400


async def test_a_null_is_the_same_as_nothing(api, make_pod):
    pod = make_pod("a", labels=None, finalizers=None)
    pod["spec"] |= {"nodeName": None, "tolerations": None}
    made = (await api.create("pods", pod)).body
    assert "labels" not in made["metadata"]
    assert "nodeName" not in made["spec"]


async def test_the_spec_of_a_pod_is_frozen_except_for_images_and_new_tolerations(api, make_pod):
    await api.create("pods", make_pod("a"))

    async def status_of(spec):
        return (await api.patch("pods", "a", {"spec": spec}, "strategic-merge")).status

    assert await status_of({"containers": [{"name": "main", "image": "train:2"}]}) == 200
    assert await status_of({"nodeName": "pool-a-0"}) == 422
    assert await status_of({"containers": [{"name": "main", "command": ["x"]}]}) == 422
    assert await status_of({"terminationGracePeriodSeconds": 5}) == 422
    kept = (await api.get("pods", "a")).body["spec"]["tolerations"]
    assert await status_of({"tolerations": [*kept, {"key": "k", "operator": "Exists"}]}) == 200
    assert await status_of({"tolerations": kept[:1]}) == 422


async def test_the_template_of_a_job_is_frozen_once_it_may_run(api):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "i"}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}}
    await api.create("jobs.batch", job | {"spec": {"template": template, "suspend": True}})
    selector = {"spec": {"template": {"spec": {"nodeSelector": {"node-pool": "a"}}}}}
    assert (await api.patch("jobs.batch", "j", selector)).status == 200
    image = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "other"}]}}}}
    assert (await api.patch("jobs.batch", "j", image, "strategic-merge")).status == 422
    completions = await api.patch("jobs.batch", "j", {"spec": {"completions": 3}})
    assert (completions.status, "field is immutable" in completions.body["message"]) == (422, True)


async def test_a_priority_class_gives_a_pod_its_priority(api, make_pod):
    name = f"high-{api.namespace}"
    priority_class = {"metadata": {"name": name}, "value": 700}
    await api.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", priority_class)
    pod = make_pod("a")
    pod["spec"]["priorityClassName"] = name
    assert (await api.create("pods", pod)).body["spec"]["priority"] == 700
    pod["metadata"]["name"], pod["spec"]["priorityClassName"] = "b", "unheard-of"
    refused = await api.create("pods", pod)
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")


async def test_a_large_body_is_taken_and_a_huge_one_refused(api, make_config_map):
    assert (await api.create("configmaps", make_config_map("large", {"x": "a" * 2_000_000}))).status == 201
    refused = await api.create("configmaps", make_config_map("huge", {"x": "a" * 4_000_000}))
    assert (refused.status, refused.body["reason"]) == (413, "RequestEntityTooLarge")


async def test_paths_and_verbs_that_do_not_exist_are_told_apart(api):
    assert (await api.call("GET", "/api/v1/unicorns")).status == 404
    assert (await api.call("GET", "/apis/no.group/v1")).status == 404
    assert (await api.call("PUT", api.path("pods"), {})).status == 405
    assert (await api.call("GET", api.path("pods", "a", "scale"))).status == 404
    assert (await api.call("POST", "/api/v1/pods", {})).status == 405


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
async def test_the_server_says_that_it_is_well(api, path):
    answer = await api.call("GET", path)
    assert (answer.status, answer.body) == (200, "ok")
