"""Kinds that a CustomResourceDefinition adds while the server runs."""

import asyncio


def definition(plural, **version):
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural.capitalize(), "shortNames": [plural[:2]]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    **version,
                },
                {"name": "v1beta1", "served": True, "storage": False},
            ],
        },
    }


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def test_a_definition_is_established_and_its_kind_served_at_once(api):
    made = await api.call("POST", DEFINITIONS, definition("robots"))
    conditions = {each["type"]: each["status"] for each in made.body["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    listed = (await api.call("GET", "/apis/example.com/v1")).body["resources"]
    assert [each["name"] for each in listed if each["name"].startswith("robots")] == ["robots"]
    created = await api.create("robots.example.com", {"metadata": {"name": "a"}, "spec": {"arms": 2}})
    assert (created.body["kind"], created.body["apiVersion"]) == ("Robots", "example.com/v1")


async def test_an_object_is_served_under_each_version(api):
    await api.call("POST", DEFINITIONS, definition("wheels"))
    await api.create("wheels.example.com", {"metadata": {"name": "a"}})
    path = f"/apis/example.com/v1beta1/namespaces/{api.namespace}/wheels"
    old = (await api.call("GET", f"{path}/a")).body
    assert old["apiVersion"] == "example.com/v1beta1"
    listed = (await api.call("GET", path)).body
    assert (listed["apiVersion"], listed["items"][0]["apiVersion"]) == ("example.com/v1beta1",) * 2
    made = await api.call(
        "POST", path, {"apiVersion": "example.com/v1beta1", "kind": "Wheels", "metadata": {"name": "b"}}
    )
    assert made.status == 201
    assert (await api.get("wheels.example.com", "b")).body["apiVersion"] == "example.com/v1"


async def test_without_a_status_subresource_the_status_is_a_field_like_others(api):
    await api.call("POST", DEFINITIONS, definition("plain"))
    await api.create("plain.example.com", {"metadata": {"name": "a"}, "status": {"phase": "New"}})
    patched = (await api.patch("plain.example.com", "a", {"status": {"phase": "Old"}})).body
    assert (patched["status"], patched["metadata"]["generation"]) == ({"phase": "Old"}, 2)
    assert (await api.call("GET", api.path("plain.example.com", "a", "status"))).status == 404


async def test_status_and_scale_are_served_where_the_definition_says_so(api):
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.sel"}
    await api.call("POST", DEFINITIONS, definition("fleets", subresources={"status": {}, "scale": scale}))
    body = {"metadata": {"name": "a"}, "spec": {"size": 2}, "status": {"size": 9}}
    assert "status" not in (await api.create("fleets.example.com", body)).body
    status = {"status": {"size": 1, "sel": "app=a"}}
    patched = (await api.patch("fleets.example.com", "a", status, "merge", "status")).body
    assert (patched["status"]["size"], patched["metadata"]["generation"]) == (1, 1)
    path = api.path("fleets.example.com", "a", "scale")
    found = (await api.call("PATCH", path, {"spec": {"replicas": 5}}, "application/merge-patch+json")).body
    assert (found["spec"], found["status"]) == ({"replicas": 5}, {"replicas": 1, "selector": "app=a"})
    after = (await api.get("fleets.example.com", "a")).body
    assert (after["spec"]["size"], after["metadata"]["generation"]) == (5, 2)


async def test_a_custom_kind_is_applied_but_takes_no_strategic_patch(api):
    await api.call("POST", DEFINITIONS, definition("crews"))
    config = {
        "apiVersion": "example.com/v1",
        "kind": "Crews",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "x"}], "size": 1},
    }
    assert (await api.apply("crews.example.com", config)).status == 201
    config["spec"] = {"containers": [{"name": "y"}]}
    applied = (await api.apply("crews.example.com", config)).body
    assert applied["spec"] == {"containers": [{"name": "y"}]}  # a list without keys is one field
    config["spec"] = {"containers": {"x": {"y": 1}}}
    await api.apply("crews.example.com", config)
    config["spec"] = {"containers": 0}
    assert (await api.apply("crews.example.com", config)).body["spec"] == {"containers": 0}
    assert (await api.patch("crews.example.com", "a", {}, "strategic-merge")).status == 415


async def test_printer_columns_make_the_table(api):
    columns = [
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    await api.call("POST", DEFINITIONS, definition("boats", additionalPrinterColumns=columns))
    status = {"phase": "Afloat", "conditions": [{"type": "Ready", "status": "True"}]}
    await api.create("boats.example.com", {"metadata": {"name": "a"}, "spec": {"size": 3}, "status": status})
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = (await api.call("GET", api.path("boats.example.com"), accept=accept)).body
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Phase", "Ready", "Size", "Age"]
    assert table["rows"][0]["cells"][:4] == ["a", "Afloat", "True", 3]


async def test_a_definition_takes_its_objects_along(api):
    await api.call("POST", DEFINITIONS, definition("mayflies"))
    made = await api.create("mayflies.example.com", {"metadata": {"name": "a", "finalizers": ["e.com/hold"]}})
    query = {"watch": "true", "resourceVersion": made.version}
    watching = asyncio.create_task(api.watch("mayflies.example.com", 1, **query))
    await asyncio.sleep(0.2)  # the watch must stand before its kind is gone
    await api.call("DELETE", f"{DEFINITIONS}/mayflies.example.com")
    assert [event["type"] for event in await watching] == ["DELETED"]
    assert (await api.get("mayflies.example.com", "a")).status == 404
    assert (await api.call("GET", "/apis/example.com/v1/mayflies")).status == 404


async def test_a_definition_that_contradicts_itself_is_refused(api):
    misnamed = definition("crooks") | {"metadata": {"name": "crook.example.com"}}
    assert (await api.call("POST", DEFINITIONS, misnamed)).status == 422
    unstored = definition("crooks")
    unstored["spec"]["versions"][0]["storage"] = False
    assert (await api.call("POST", DEFINITIONS, unstored)).status == 422
