"""Lists in pages, selectors and watches: what a client that follows the cluster relies on."""

import asyncio

import aiohttp
import pytest


def names(body):
    return [item["metadata"]["name"] for item in body["items"]]


def seen(events):
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


async def test_a_list_is_in_order_and_tells_its_version(api, make_config_map):
    for name in ("b", "c", "a"):
        last = await api.create("configmaps", make_config_map(name))
    listed = (await api.find("configmaps")).body
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert names(listed) == ["a", "b", "c"]
    assert int(listed["metadata"]["resourceVersion"]) >= int(last.version)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("team=red", ["a", "b"]),
        ("team==red,tier=1", ["a"]),
        ("team!=red", ["c", "d"]),
        ("team in (red, blue)", ["a", "b", "c"]),
        ("team notin (red,blue)", ["d"]),
        ("tier", ["a", "b"]),
        ("!team", ["d"]),
        ("team in (red),tier notin (1)", ["b"]),
    ],
)
async def test_label_selectors_choose_as_in_kubernetes(api, make_config_map, selector, expected):
    labels = {"a": {"team": "red", "tier": "1"}, "b": {"team": "red", "tier": "2"}, "c": {"team": "blue"}, "d": {}}
    for name, own in labels.items():
        await api.create("configmaps", make_config_map(name, labels=own))
    assert names((await api.find("configmaps", labelSelector=selector)).body) == expected


async def test_an_unreadable_selector_is_a_bad_request(api):
    assert (await api.find("configmaps", labelSelector="a in b")).status == 400
    assert (await api.find("configmaps", fieldSelector="a")).status == 400


async def test_field_selectors_look_at_fields(api, make_pod):
    for name in ("a", "b"):
        await api.create("pods", make_pod(name))
    assert names((await api.find("pods", fieldSelector="metadata.name=a")).body) == ["a"]
    assert names((await api.find("pods", fieldSelector="metadata.name!=a,spec.nodeName=")).body) == ["b"]
    assert names((await api.find("pods", fieldSelector="status.phase=Running")).body) == []


async def test_pages_add_up_to_the_whole_list(api, make_config_map):
    for number in range(7):
        await api.create("configmaps", make_config_map(f"m{number}"))
    found, token, versions = [], "", set()
    while True:
        page = (await api.find("configmaps", limit="3", **({"continue": token} if token else {}))).body
        found += names(page)
        versions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert found == [f"m{number}" for number in range(7)]
    assert len(versions) == 1


async def test_a_watch_from_a_list_shows_what_changed_between_its_pages(api, make_config_map):
    for name in ("a", "c", "e"):
        await api.create("configmaps", make_config_map(name))
    first = (await api.find("configmaps", limit="1")).body
    await api.create("configmaps", make_config_map("b"))
    await api.delete("configmaps", "a")
    second = (await api.find("configmaps", **{"continue": first["metadata"]["continue"]})).body
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    events = await api.watch("configmaps", 2, watch="1", resourceVersion=first["metadata"]["resourceVersion"])
    assert seen(events) == [("ADDED", "b"), ("DELETED", "a")]


@pytest.mark.parametrize("spelling", ["true", "True", "1"])
async def test_a_watch_without_a_version_begins_with_what_is_there(api, make_config_map, spelling):
    await api.create("configmaps", make_config_map("a"))
    events = await api.watch("configmaps", 1, watch=spelling)
    assert seen(events) == [("ADDED", "a")]


async def test_a_watch_shows_each_change_once_and_in_order(api, make_config_map):
    version = (await api.find("configmaps")).version
    watching = asyncio.create_task(api.watch("configmaps", 4, watch="true", resourceVersion=version))
    await api.create("configmaps", make_config_map("a", {"x": "1"}))
    await api.patch("configmaps", "a", {"data": {"x": "2"}})
    await api.patch("configmaps", "a", {"data": {"x": "2"}})
    await api.patch("configmaps", "a", {"data": {"x": "3"}})
    await api.delete("configmaps", "a")
    events = await watching
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert [event["object"]["data"]["x"] for event in events] == ["1", "2", "3", "3"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))


async def test_an_object_comes_into_sight_of_a_selector_and_leaves_it(api, make_config_map):
    version = (await api.find("configmaps")).version
    query = {"watch": "true", "resourceVersion": version, "labelSelector": "team=red"}
    watching = asyncio.create_task(api.watch("configmaps", 3, **query))
    await api.create("configmaps", make_config_map("a"))
    await api.patch("configmaps", "a", {"metadata": {"labels": {"team": "red"}}})
    await api.patch("configmaps", "a", {"data": {"x": "1"}})
    await api.patch("configmaps", "a", {"metadata": {"labels": {"team": "blue"}}})
    assert seen(await watching) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_ends_when_its_time_is_over_and_leaves_a_bookmark(api, make_config_map):
    made = await api.create("configmaps", make_config_map("a"))
    query = {"watch": "true", "resourceVersion": made.version, "timeoutSeconds": "1", "allowWatchBookmarks": "true"}
    events = await api.watch("configmaps", 1000, **query)
    assert [event["type"] for event in events] == ["BOOKMARK"]
    bookmark = events[0]["object"]
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("ConfigMap", "v1")
    assert int(bookmark["metadata"]["resourceVersion"]) >= int(made.version)
    await api.create("configmaps", make_config_map("b"))
    resumed = await api.watch("configmaps", 1, watch="true", resourceVersion=bookmark["metadata"]["resourceVersion"])
    assert seen(resumed) == [("ADDED", "b")]


async def test_initial_events_end_with_their_bookmark(api, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    events = await api.watch(
        "configmaps",
        2,
        watch="true",
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
    )
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_nothing_can_be_read_from_the_future(api, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    for path in (api.path("configmaps"), api.path("configmaps", "a")):
        refused = await api.call("GET", path, resourceVersion="999999999")
        assert (refused.status, refused.body["reason"]) == (504, "Timeout")
        assert refused.body["details"]["retryAfterSeconds"] == 1


async def test_a_watch_from_the_future_says_nothing_until_that_has_come(api, make_config_map):
    made = await api.create("configmaps", make_config_map("a"))
    future = int(made.body["metadata"]["resourceVersion"]) + 2
    query = {"watch": "true", "resourceVersion": str(future), "allowWatchBookmarks": "true"}
    assert await api.watch("configmaps", 1, timeoutSeconds="1", **query) == []
    watching = asyncio.create_task(api.watch("configmaps", 1, timeoutSeconds="20", **query))
    while not watching.done():
        await api.create("configmaps", {"metadata": {"generateName": "later-"}})
    (event,) = await watching
    assert int(event["object"]["metadata"]["resourceVersion"]) > future


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
    ],
)
async def test_a_watch_refuses_options_that_contradict_each_other(api, query):
    refused = await api.find("configmaps", watch="true", timeoutSeconds="1", **query)
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    cause = refused.body["details"]["causes"][0]
    assert (cause["field"], cause["reason"]) == ("resourceVersionMatch", "FieldValueForbidden")


async def test_a_version_is_a_number(api, make_config_map):
    await api.create("configmaps", make_config_map("a"))
    for path in (api.path("configmaps"), api.path("configmaps", "a")):
        for version in ("-1", "abc", "1.5"):
            assert (await api.call("GET", path, resourceVersion=version)).status == 400


async def test_a_forgotten_version_is_gone_for_watches_and_for_pages(new_server, speaker, make_config_map):
    async with speaker(new_server("--history", "5")) as api:
        await api.create("configmaps", make_config_map("a"))
        await api.create("configmaps", make_config_map("b"))
        first = (await api.find("configmaps", limit="1")).body["metadata"]
        for number in range(6):
            await api.patch("configmaps", "a", {"data": {"x": str(number)}})
        events = await api.watch("configmaps", 2, watch="true", resourceVersion=first["resourceVersion"])
        assert [(event["type"], event["object"]["code"]) for event in events] == [("ERROR", 410)]
        assert events[0]["object"]["reason"] == "Expired"
        page = await api.find("configmaps", **{"continue": first["continue"]})
        assert (page.status, page.body["reason"]) == (410, "Expired")
        exact = await api.find("configmaps", resourceVersion="1", resourceVersionMatch="Exact")
        assert exact.status == 410


async def test_what_is_not_far_back_is_remembered(new_server, speaker, make_config_map):
    async with speaker(new_server("--history", "5")) as api:
        made = await api.create("configmaps", make_config_map("a"))
        for number in range(5):
            await api.patch("configmaps", "a", {"data": {"x": str(number)}})
        events = await api.watch("configmaps", 5, watch="true", resourceVersion=made.version)
        assert [event["object"]["data"]["x"] for event in events] == ["0", "1", "2", "3", "4"]


async def test_a_watch_over_all_namespaces_sees_them_all(api, make_config_map):
    version = (await api.find("configmaps")).version
    await api.create("configmaps", make_config_map("a"))
    await api.call("POST", "/api/v1/namespaces/default/configmaps", make_config_map(f"b-{api.namespace}"))
    url = f"{api.url}/api/v1/configmaps"
    found = []
    async with asyncio.timeout(20):
        async with api.session.get(url, params={"watch": "1", "resourceVersion": version}) as response:
            async for line in response.content:
                found.append(line)
                if len(found) == 2:
                    break
    assert api.namespace.encode() in found[0]
    assert b'"namespace":"default"' in found[1]


async def test_a_watch_over_a_websocket_sends_each_event_as_a_message(api, make_config_map):
    version = (await api.find("configmaps")).version
    url = f"{api.url}{api.path('configmaps')}"
    query = {"watch": "true", "resourceVersion": version}
    async with asyncio.timeout(20), api.session.ws_connect(url, params=query) as socket:
        for name in ("a", "b"):
            await api.create("configmaps", make_config_map(name))
        events = [await socket.receive_json() for _ in range(2)]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]


async def test_a_watch_over_a_websocket_is_closed_when_its_time_is_over(api):
    url = f"{api.url}{api.path('configmaps')}"
    query = {"watch": "true", "timeoutSeconds": "1", "resourceVersion": "0"}
    async with asyncio.timeout(20), api.session.ws_connect(url, params=query) as socket:
        assert [message async for message in socket] == []
        assert socket.close_code == 1000


async def test_what_cannot_be_watched_is_refused_before_a_websocket_is_opened(api):
    url = f"{api.url}{api.path('configmaps')}"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.session.ws_connect(url, params={"watch": "true", "resourceVersion": "nonsense"})
    assert refused.value.status == 400
