"""The three forms of patch and server-side apply, as kubectl and controllers use them."""

import pytest


def deployment(name="d", replicas=1, **container):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "schedulerName": "nobody",
                    "containers": [{"name": "main", "image": "web:1", **container}],
                },
            },
        },
    }


def pod_spec(answer):
    return answer.body["spec"]["template"]["spec"]


async def test_a_merge_patch_merges_maps_replaces_lists_and_takes_away_what_is_null(api, make_config_map):
    await api.create("configmaps", make_config_map("a", {"x": "1", "y": "2"}, finalizers=["e.com/a", "e.com/b"]))
    patch = {"data": {"x": None, "z": "3"}, "metadata": {"finalizers": ["e.com/c"]}}
    patched = (await api.patch("configmaps", "a", patch)).body
    assert patched["data"] == {"y": "2", "z": "3"}
    assert patched["metadata"]["finalizers"] == ["e.com/c"]


async def test_a_json_patch_does_its_operations_in_order_or_none(api, make_config_map):
    await api.create("configmaps", make_config_map("a", {"x": "1", "a/b": "2"}))
    operations = [
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "replace", "path": "/data/x", "value": "9"},
        {"op": "add", "path": "/metadata/labels", "value": {"l": "v"}},
        {"op": "copy", "from": "/data/x", "path": "/data/y"},
        {"op": "move", "from": "/data/a~1b", "path": "/data/z"},
        {"op": "remove", "path": "/data/x"},
    ]
    patched = (await api.patch("configmaps", "a", operations, "json")).body
    assert patched["data"] == {"y": "9", "z": "2"}
    assert patched["metadata"]["labels"] == {"l": "v"}
    failing = [{"op": "remove", "path": "/data/y"}, {"op": "test", "path": "/data/z", "value": "other"}]
    refused = await api.patch("configmaps", "a", failing, "json")
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    assert (await api.get("configmaps", "a")).body["data"] == {"y": "9", "z": "2"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/data/none"},
        {"op": "replace", "path": "/data/none", "value": "1"},
        {"op": "add", "path": "/none/deep", "value": "1"},
        {"op": "jump", "path": "/data"},
        {"path": "/data"},
    ],
)
async def test_a_json_patch_that_does_not_fit_is_refused(api, make_config_map, operation):
    await api.create("configmaps", make_config_map("a", {"x": "1"}))
    assert (await api.patch("configmaps", "a", [operation], "json")).status == 422


async def test_a_patch_with_an_old_version_is_a_conflict(api, make_config_map):
    made = await api.create("configmaps", make_config_map("a"))
    patch = {"metadata": {"resourceVersion": made.version}, "data": {"x": "1"}}
    assert (await api.patch("configmaps", "a", patch)).status == 200
    assert (await api.patch("configmaps", "a", patch | {"data": {"x": "2"}})).status == 409


async def test_a_strategic_patch_knows_containers_by_name(api):
    await api.create("deployments.apps", deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    container = {
        "name": "main",
        "image": "web:2",
        "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}],
    }
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}, container]}}}}
    patched = pod_spec(await api.patch("deployments.apps", "d", patch, "strategic-merge"))
    assert [(each["name"], each["image"]) for each in patched["containers"]] == [("main", "web:2"), ("side", "s:1")]
    assert patched["containers"][0]["env"] == [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]


async def test_a_strategic_patch_obeys_its_directives(api):
    created = deployment(ports=[{"containerPort": 80}, {"containerPort": 81}])
    created["metadata"]["finalizers"] = ["e.com/a", "e.com/b"]
    await api.create("deployments.apps", created)
    patch = {
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["e.com/a"], "finalizers": ["e.com/c"]},
        "spec": {
            "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
            "template": {
                "spec": {
                    "$setElementOrder/containers": [{"name": "first"}, {"name": "main"}],
                    "containers": [{"name": "first", "image": "f:1"}],
                    "tolerations": [{"$patch": "replace"}, {"key": "k", "operator": "Exists"}],
                }
            },
        },
    }
    patched = await api.patch("deployments.apps", "d", patch, "strategic-merge")
    assert patched.body["metadata"]["finalizers"] == ["e.com/b", "e.com/c"]
    assert patched.body["spec"]["strategy"] == {"type": "Recreate"}
    assert [each["name"] for each in pod_spec(patched)["containers"]] == ["first", "main"]
    assert pod_spec(patched)["tolerations"] == [{"key": "k", "operator": "Exists"}]


async def test_an_unknown_form_of_patch_is_an_unsupported_media_type(api, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    refused = await api.call("PATCH", api.path("configmaps", "a"), {}, "application/json")
    assert refused.status == 415


async def test_applying_creates_what_is_missing_and_remembers_who_owns_what(api):
    made = await api.apply("deployments.apps", deployment())
    assert made.status == 201
    (entry,) = made.body["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("test", "Apply", "apps/v1")
    fields = entry["fieldsV1"]["f:spec"]
    assert fields["f:replicas"] == {}
    containers = fields["f:template"]["f:spec"]["f:containers"]
    assert containers == {'k:{"name":"main"}': {".": {}, "f:name": {}, "f:image": {}}}
    assert "f:revisionHistoryLimit" not in fields  # a default has no owner


async def test_applying_the_same_again_changes_nothing(api, make_pod):
    pod = make_pod("a")
    pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    made = await api.apply("pods", pod)
    again = await api.apply("pods", pod)
    assert (again.status, again.version) == (200, made.version)


async def test_what_is_no_longer_applied_is_taken_away_and_defaults_return(api):
    await api.apply("deployments.apps", deployment(replicas=3, env=[{"name": "A", "value": "1"}]))
    less = deployment()
    del less["spec"]["replicas"]
    applied = await api.apply("deployments.apps", less)
    assert applied.body["spec"]["replicas"] == 1
    assert "env" not in pod_spec(applied)["containers"][0]


async def test_what_another_manager_owns_too_stays(api, make_config_map):
    await api.apply("configmaps", make_config_map("a", {"x": "1", "y": "2"}), "one")
    await api.apply("configmaps", make_config_map("a", {"x": "1"}), "two")
    left = await api.apply("configmaps", make_config_map("a", {"z": "3"}), "one")
    assert left.body["data"] == {"x": "1", "z": "3"}


async def test_another_value_for_an_owned_field_is_a_conflict_unless_forced(api):
    await api.apply("deployments.apps", deployment(replicas=1), "one")
    other = deployment(replicas=5)
    refused = await api.apply("deployments.apps", other, "two")
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    (cause,) = refused.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".spec.replicas")
    assert 'conflict with "one"' in cause["message"]
    forced = await api.apply("deployments.apps", other, "two", force="true")
    assert forced.body["spec"]["replicas"] == 5
    owners = {
        entry["manager"]: "f:replicas" in entry["fieldsV1"]["f:spec"]
        for entry in forced.body["metadata"]["managedFields"]
        if entry["operation"] == "Apply"
    }
    assert owners == {"one": False, "two": True}


async def test_a_plain_write_takes_the_fields_it_changes_from_their_owner(api):
    await api.apply("deployments.apps", deployment(replicas=1), "one")
    await api.patch("deployments.apps", "d", {"spec": {"replicas": 4}})
    refused = await api.apply("deployments.apps", deployment(replicas=1), "one")
    assert refused.status == 409
    without = deployment()
    del without["spec"]["replicas"]
    kept = await api.apply("deployments.apps", without, "one")
    assert kept.body["spec"]["replicas"] == 4


async def test_two_managers_share_a_list_of_containers_by_name(api):
    await api.apply("deployments.apps", deployment(), "one")
    second = deployment()
    second["spec"]["template"]["spec"]["containers"] = [{"name": "side", "image": "s:1"}]
    both = await api.apply("deployments.apps", second, "two")
    assert [each["name"] for each in pod_spec(both)["containers"]] == ["main", "side"]
    second["spec"]["template"]["spec"].pop("containers")
    alone = await api.apply("deployments.apps", second, "two")
    assert [each["name"] for each in pod_spec(alone)["containers"]] == ["main"]


async def test_an_apply_needs_a_manager_and_may_be_written_in_yaml(api):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    media_type = "application/apply-patch+yaml"
    nobody = await api.call("PATCH", api.path("configmaps", "a"), text, media_type)
    assert (nobody.status, nobody.body["details"]["causes"][0]["field"]) == (422, "fieldManager")
    applied = await api.call("PATCH", api.path("configmaps", "a"), text, media_type, fieldManager="x")
    assert (applied.status, applied.body["data"]) == (201, {"x": "1"})


async def test_the_status_is_applied_by_its_subresource(api, make_pod):
    await api.create("pods", make_pod("a"))
    config = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "status": {"conditions": [{"type": "example.com/Seen", "status": "True"}]},
    }
    path, media_type = api.path("pods", "a", "status"), "application/apply-patch+yaml"
    applied = await api.call("PATCH", path, config, media_type, fieldManager="watcher")
    assert config["status"]["conditions"][0] in applied.body["status"]["conditions"]
    assert applied.body["status"]["phase"] == "Pending"
    config["status"] = {"conditions": []}
    emptied = await api.call("PATCH", path, config, media_type, fieldManager="watcher")
    assert "example.com/Seen" not in str(emptied.body["status"])
