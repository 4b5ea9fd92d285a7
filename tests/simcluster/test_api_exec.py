"""Commands in containers, as `kubectl` and the official client run them over a WebSocket."""

import asyncio
import json
import shutil
import subprocess

import pytest

KUBECTL = shutil.which("kubectl")

SIDECAR = {"name": "sidecar", "image": "x", "command": ["sh", "-c", 'trap "exit 0" INT; while true; do sleep 1; done;']}
OUTPUT, STATUS = 1, 3


@pytest.fixture
async def pod(api):
    """A pod whose main container has ended, while the one beside it waits for somebody to kill it."""
    annotations = {"sim.run-seconds.main": "0", "sim.exec-output.sidecar": '{"accuracy": 0.9}'}
    metadata = {"name": "task", "namespace": api.namespace, "annotations": annotations}
    spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}, SIDECAR]}
    await api.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return await until(api, "task", lambda states: "terminated" in states["main"] and "running" in states["sidecar"])


async def until(api, name, holds):
    """Wait until the states of a pod's containers are so."""
    async with asyncio.timeout(30):
        path = api.path("pods") + f"?watch=true&fieldSelector=metadata.name%3D{name}"
        async with api.session.get(api.url + path) as events:
            async for line in events.content:
                seen = json.loads(line)["object"]
                shown = seen["status"].get("containerStatuses", [])
                if shown and holds({each["name"]: each["state"] for each in shown}):
                    return seen
    raise AssertionError("the watch ended")


async def talk(api, words, *said, protocol="v4.channel.k8s.io", container="sidecar"):
    """Run a command and say something to it; return what came on each channel."""
    query = [("container", container), ("stdin", "true"), *(("command", word) for word in words)]
    url = api.url + api.path("pods", "task", "exec")
    heard = {}
    async with api.session.ws_connect(url, params=query, protocols=(protocol,)) as socket:
        assert socket.protocol == protocol
        for each in said:
            await socket.send_str("\x00" + each)
        if protocol.startswith("v5"):
            await socket.send_bytes(b"\xff\x00")
        async for message in socket:
            heard[message.data[0]] = heard.get(message.data[0], "") + message.data[1:].decode()
    return heard


async def test_a_command_prints_what_the_pod_says_and_succeeds(api, pod):
    heard = await talk(api, ["cat", "/airflow/xcom/return.json"])
    assert heard[OUTPUT] == '{"accuracy": 0.9}'
    assert json.loads(heard[STATUS])["status"] == "Success"


async def test_a_command_that_fails_tells_its_exit_code(api, pod):
    [cause] = json.loads((await talk(api, ["sh", "-c", "exit 3"]))[STATUS])["details"]["causes"]
    assert cause == {"reason": "ExitCode", "message": "3"}


async def test_a_shell_runs_its_lines_until_it_is_told_to_exit(api, pod):
    heard = await talk(api, ["/bin/sh"], "whoami\npw", "d\nexit 2\n")
    assert heard[OUTPUT] == '{"accuracy": 0.9}' * 2
    assert "exit status 2" in json.loads(heard[STATUS])["message"]


async def test_a_shell_ends_with_its_input(api, pod):
    assert OUTPUT in await talk(api, ["/bin/sh"], "whoami\n", protocol="v5.channel.k8s.io")


async def test_a_last_line_counts_that_the_end_of_the_input_ends(api, pod):
    heard = await talk(api, ["/bin/sh"], "whoami\nexit 2", protocol="v5.channel.k8s.io")
    assert heard[OUTPUT] == '{"accuracy": 0.9}'
    assert "exit status 2" in json.loads(heard[STATUS])["message"]


async def test_a_container_lives_until_it_is_killed(api, pod):
    heard = await talk(api, ["/bin/sh"], "kill -2 $(pgrep -u $(id -u) -f 'sh')\n")
    assert heard.keys() == {STATUS}
    ended = await until(api, "task", lambda states: "terminated" in states["sidecar"])
    assert ended["status"]["phase"] == "Succeeded"
    refused = await api.call("GET", api.path("pods", "task", "exec") + "?command=true&container=sidecar")
    assert refused.status == 400


async def test_only_what_runs_takes_commands_and_only_over_a_web_socket(api, pod):
    path = api.path("pods", "task", "exec")
    asked = {"Upgrade": "websocket", "Connection": "Upgrade"}
    for query, headers, why in (
        ("?command=true&container=sidecar", {}, "Upgrade request required"),
        ("?command=true&container=main", asked, "does not run"),
        ("?command=true&container=nobody", asked, "is not valid"),
        ("?container=sidecar", asked, "at least 1 command"),
    ):
        async with api.session.get(api.url + path + query, headers=headers) as answer:
            assert (answer.status, why in (await answer.json())["message"]) == (400, True)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
async def test_kubectl_runs_a_command(api, server, pod, tmp_path):
    typed = [KUBECTL, f"--kubeconfig={server.kubeconfig}", f"--cache-dir={tmp_path}", "-n", api.namespace]
    typed += ["exec", "task", "-c", "sidecar", "--", "cat", "/airflow/xcom/return.json"]
    done = await asyncio.to_thread(subprocess.run, typed, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, '{"accuracy": 0.9}'), done.stderr
