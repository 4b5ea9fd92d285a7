"""The forms of what is sent and taken, by their media types: JSON throughout, and a refusal of what cannot be read."""

import json

import pytest


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/cbor", "application/xml", "application/octet-stream"]
)
async def test_a_body_in_an_unknown_form_is_refused(api, make_config_map, media_type):
    body = json.dumps(make_config_map("a"))
    created = await api.call("POST", api.path("configmaps"), body, media_type)
    assert (created.status, created.body["reason"]) == (415, "UnsupportedMediaType")
    await api.create("configmaps", make_config_map("b"))
    deleted = await api.call("DELETE", api.path("configmaps", "b"), "{}", media_type)
    assert deleted.status == 415
    assert [each["metadata"]["name"] for each in (await api.find("configmaps")).body["items"]] == ["b"]


async def test_a_body_may_be_yaml(api):
    body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    assert (await api.call("POST", api.path("configmaps"), body, "application/yaml")).status == 201


@pytest.mark.parametrize("accept", ["text/html", "application/cbor", "application/vnd.kubernetes.protobuf"])
async def test_who_takes_no_form_that_is_served_is_told_which_are(api, make_config_map, accept):
    await api.create("configmaps", make_config_map("a"))
    watch = {"watch": "true", "timeoutSeconds": "1"}
    for path, query in (
        (api.path("configmaps", "a"), {}),
        (api.path("configmaps"), {}),
        (api.path("configmaps"), watch),
    ):
        refused = await api.call("GET", path, accept=accept, **query)
        assert (refused.status, refused.body["reason"]) == (406, "NotAcceptable")
        assert "application/json" in refused.body["message"]


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/*", "application/vnd.kubernetes.protobuf,application/json;q=0.9", "text/html, */*"],
)
async def test_who_takes_json_at_last_gets_it(api, make_config_map, accept):
    await api.create("configmaps", make_config_map("a"))
    assert (await api.call("GET", api.path("configmaps", "a"), accept=accept)).status == 200
