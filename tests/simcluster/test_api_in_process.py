"""A whole cluster without sockets, as worlds under a test's clock use it; and the rules that need no cluster at all."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simcluster.apply import from_fields, to_fields
from simcluster.clock import ManualClock
from simcluster.cluster import Cluster
from simcluster.durations import human_duration
from simcluster.patches import json_patch, merge_patch
from simcluster.settings import Settings
from simcluster.wire import Request

POD = {
    "metadata": {"name": "a", "annotations": {"sim.run-seconds": "3600"}},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "train:1"}]},
}
PODS = "/api/v1/namespaces/default/pods"


async def test_an_hour_of_a_cluster_passes_in_no_time():
    clock = ManualClock()
    async with Cluster(Settings(seed=1), clock) as cluster:
        created = await cluster.api.handle(Request("POST", PODS, body=json.dumps(POD).encode()))
        assert created.status == 201
        phases = []
        for seconds in (10, 3500, 100):
            await clock.advance(seconds)
            phases.append(cluster.client.get("pods", "default", "a")["status"]["phase"])
        assert phases == ["Running", "Running", "Succeeded"]


async def test_a_watch_is_a_stream_of_bytes():
    async with Cluster(Settings(seed=1), ManualClock()) as cluster:
        response = await cluster.api.handle(Request("GET", PODS, {"watch": "1"}))
        assert await anext(response.body) == b""
        cluster.client.create("pods", POD)
        frame = await asyncio.wait_for(anext(response.body), 10)
        assert json.loads(frame.splitlines()[0])["type"] == "ADDED"
        await response.body.aclose()


async def test_one_seed_gives_the_same_world_again():
    async def play(seed):
        async with Cluster(Settings(seed=seed), ManualClock()) as cluster:
            body = {"metadata": {"generateName": "c-"}}
            return [cluster.client.create("configmaps", body)["metadata"] for _ in range(5)]

    assert await play(7) == await play(7)
    assert await play(7) != await play(8)


async def test_what_the_client_is_given_stays_its_own():
    async with Cluster(Settings(), ManualClock()) as cluster:
        body = {"metadata": {"name": "c", "namespace": "default"}, "data": {"x": "1"}}
        cluster.client.create("configmaps", body)
        body["data"]["x"] = "2"
        assert cluster.client.get("configmaps", "default", "c")["data"] == {"x": "1"}


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [  # the examples of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_do_as_their_standard_says(document, patch, expected):
    assert merge_patch(document, patch) == expected


def test_a_json_patch_inserts_into_lists_and_at_their_end():
    operations = [
        {"op": "add", "path": "/items/1", "value": "x"},
        {"op": "add", "path": "/items/-", "value": "y"},
        {"op": "replace", "path": "/items/0", "value": "z"},
    ]
    assert json_patch({"items": ["a", "b"]}, operations) == {"items": ["z", "x", "b", "y"]}


elements = st.one_of(
    st.from_regex(r"f:[a-z]{1,3}", fullmatch=True),
    st.sampled_from(['k:{"name":"a"}', 'k:{"name":"b"}', 'v:"x"']),
)
paths = st.lists(elements, min_size=1, max_size=4).map(tuple)


@given(st.sets(paths, max_size=12))
def test_owned_fields_are_read_as_they_were_written(found):
    leaves = {path for path in found if not any(other != path and other[: len(path)] == path for other in found)}
    assert from_fields(to_fields(leaves)) == leaves


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (49 * 3600, "2d1h"),
        (30 * 86400, "30d"),
        (800 * 86400, "2y70d"),
    ],
)
def test_spans_of_time_are_written_as_kubectl_writes_them(seconds, text):
    assert human_duration(seconds) == text
