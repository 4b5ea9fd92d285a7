"""What a cluster still knows after its process has ended, gently or not."""

import asyncio
import signal
import subprocess
import sys

import pytest


async def test_a_restarted_process_has_the_same_objects_and_goes_on_counting(new_server, speaker, make_config_map):
    server = new_server()
    async with speaker(server) as api:
        kept = (await api.create("configmaps", make_config_map("kept", {"x": "1"}))).body
        await api.create("configmaps", make_config_map("gone"))
        await api.delete("configmaps", "gone")
        before = (await api.find("configmaps")).body
        assert server.end() == 0
        server.start()
        api.url = server.url
        after = (await api.find("configmaps")).body
        assert after["items"] == before["items"] == [untyped(kept)]
        assert int(after["metadata"]["resourceVersion"]) >= int(before["metadata"]["resourceVersion"])
        changed = await api.patch("configmaps", "kept", {"data": {"x": "2"}})
        assert int(changed.version) > int(before["metadata"]["resourceVersion"])


async def test_a_watch_from_before_a_restart_goes_on_or_is_told_that_it_cannot(new_server, speaker, make_config_map):
    server = new_server()
    async with speaker(server) as api:
        early = await api.create("configmaps", make_config_map("a"))
        await api.create("configmaps", make_config_map("b"))
        server.end()
        server.start()
        api.url = server.url
        refused = await api.watch("configmaps", 1, watch="true", resourceVersion=early.version)
        assert [(event["type"], event["object"]["code"]) for event in refused] == [("ERROR", 410)]
        current = (await api.find("configmaps")).version
        watching = asyncio.create_task(api.watch("configmaps", 1, watch="true", resourceVersion=current))
        await api.create("configmaps", make_config_map("c"))
        assert [event["object"]["metadata"]["name"] for event in await watching] == ["c"]


async def test_a_killed_process_keeps_all_it_has_acknowledged(new_server, speaker, make_config_map):
    server = new_server()
    async with speaker(server) as api:
        acknowledged, enough = [], asyncio.Event()

        async def create(name):
            answer = await api.create("configmaps", make_config_map(name))
            acknowledged.append(answer.body)
            if len(acknowledged) == 100:
                enough.set()

        writing = [asyncio.create_task(create(f"m{number}")) for number in range(300)]
        await enough.wait()
        server.end(signal.SIGKILL)
        await asyncio.gather(*writing, return_exceptions=True)
        server.start()
        api.url = server.url
        found = (await api.find("configmaps")).body
        by_name = {item["metadata"]["name"]: item for item in found["items"]}
        assert all(by_name[body["metadata"]["name"]] == untyped(body) for body in acknowledged)
        latest = max(int(body["metadata"]["resourceVersion"]) for body in acknowledged)
        assert int(found["metadata"]["resourceVersion"]) >= latest


def run_simcluster(*arguments):
    command = [sys.executable, "-m", "simcluster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


async def test_two_processes_do_not_share_a_data_folder(new_server, tmp_path):
    new_server()
    second = await asyncio.to_thread(run_simcluster, "--data", str(tmp_path / "0" / "data"))
    assert second.returncode == 2
    assert "locked" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--listen", "nonsense"], "HOST:PORT"), (["--nodes", "no-such-file"], "no-such-file"), (["--history", "0"], "1")],
)
async def test_a_cluster_that_cannot_be_started_says_why(arguments, complaint):
    done = await asyncio.to_thread(run_simcluster, *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


async def test_custom_kinds_are_served_again_after_a_restart(new_server, speaker):
    definition = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {}}}],
        },
    }
    server = new_server()
    async with speaker(server) as api:
        made = await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        assert made.status == 201
        assert (await api.create("things.example.com", {"metadata": {"name": "a"}})).status == 201
        server.end()
        server.start()
        api.url = server.url
        assert (await api.get("things.example.com", "a")).status == 200


async def test_watches_end_when_the_server_does(new_server, speaker, make_config_map):
    server = new_server()
    async with speaker(server) as api:
        await api.create("configmaps", make_config_map("a"))
        watching = asyncio.create_task(api.watch("configmaps", 1000, watch="true"))
        await asyncio.sleep(0)
        code = await asyncio.to_thread(server.end)
        server.start()
        assert code == 0
        assert len(await watching) <= 1


def untyped(body):
    """Return an object as lists show it."""
    return {name: value for name, value in body.items() if name not in ("kind", "apiVersion")}
