"""Status, scale, binding, eviction and log."""

import asyncio

import pytest


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not (found := await condition()):  # noqa: ASYNC110 - the condition lies in another process
            await asyncio.sleep(0.05)
    return found


async def bind(api, name, node="pool-a-0", **metadata):
    body = {"metadata": {"name": name, **metadata}, "target": {"kind": "Node", "name": node}}
    return await api.call("POST", api.path("pods", name, "binding"), body)


async def test_the_status_changes_by_its_subresource_alone(api, make_pod):
    made = (await api.create("pods", make_pod("a"))).body
    made["status"] = {"phase": "Running"}
    made["metadata"]["labels"] = {"l": "v"}
    replaced = (await api.replace("pods", made)).body
    assert (replaced["status"]["phase"], replaced["metadata"]["labels"]) == ("Pending", {"l": "v"})
    replaced["status"] = {"phase": "Running", "message": "so it is"}
    replaced["spec"] = {"containers": []}
    told = (await api.replace("pods", replaced, "status")).body
    assert told["status"] == {"phase": "Running", "message": "so it is"}
    assert told["spec"] == made["spec"]
    patched = (await api.patch("pods", "a", {"status": {"message": "or not"}}, "merge", "status")).body
    assert patched["status"] == {"phase": "Running", "message": "or not"}


async def test_a_binding_gives_a_pod_its_node_and_its_annotations(api, make_pod):
    await api.create("pods", make_pod("a", annotations={"own": "1"}))
    bound = await bind(api, "a", "pool-a-0", annotations={"gpus": "0,1"})
    assert (bound.status, bound.body["status"]) == (201, "Success")
    pod = (await api.get("pods", "a")).body
    assert pod["spec"]["nodeName"] == "pool-a-0"
    assert pod["metadata"]["annotations"] == {"own": "1", "gpus": "0,1"}
    (condition,) = [each for each in pod["status"]["conditions"] if each["type"] == "PodScheduled"]
    assert condition["status"] == "True"


async def test_a_pod_is_bound_once(api, make_pod):
    await api.create("pods", make_pod("a"))
    assert (await bind(api, "a")).status == 201
    again = await bind(api, "a", "pool-a-1")
    assert (again.status, again.body["reason"]) == (409, "Conflict")
    assert 'already assigned to node "pool-a-0"' in again.body["message"]


async def test_a_binding_minds_uid_and_version(api, make_pod):
    made = await api.create("pods", make_pod("a"))
    await api.patch("pods", "a", {"metadata": {"labels": {"moved": "on"}}})
    assert (await bind(api, "a", uid="another")).status == 409
    assert (await bind(api, "a", resourceVersion=made.version)).status == 409
    current = await api.get("pods", "a")
    uid = current.body["metadata"]["uid"]
    assert (await bind(api, "a", uid=uid, resourceVersion=current.version)).status == 201


async def test_of_many_who_bind_one_pod_one_succeeds(api, make_pod):
    await api.create("pods", make_pod("a"))
    answers = await asyncio.gather(*(bind(api, "a", f"pool-a-{number % 4}") for number in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19


async def test_a_gated_or_missing_pod_is_not_bound(api, make_pod):
    gated = make_pod("gated")
    gated["spec"]["schedulingGates"] = [{"name": "example.com/wait"}]
    await api.create("pods", gated)
    assert (await bind(api, "gated")).status == 409
    assert (await bind(api, "missing")).status == 404
    await api.patch("pods", "gated", [{"op": "remove", "path": "/spec/schedulingGates"}], "json")
    assert (await bind(api, "gated")).status == 201


async def test_a_scale_reads_and_sets_the_replicas(api):
    body = {
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"schedulerName": "nobody", "containers": [{"name": "a", "image": "i"}]},
            },
        },
    }
    await api.create("deployments.apps", body)
    path = api.path("deployments.apps", "d", "scale")
    scale = (await api.call("GET", path)).body
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 2}, "app=d")

    async def is_scaled():  # the controller writes too, so the first try may come too late
        current = (await api.call("GET", path)).body
        return (await api.call("PUT", path, current | {"spec": {"replicas": 3}})).status == 200

    await until(is_scaled)
    stale = await api.call("PUT", path, scale | {"spec": {"replicas": 9}})
    assert stale.status == 409
    patched = await api.call("PATCH", path, {"spec": {"replicas": 0}}, "application/merge-patch+json")
    assert patched.body["spec"]["replicas"] == 0
    assert (await api.get("deployments.apps", "d")).body["spec"]["replicas"] == 0
    negative = await api.call("PATCH", path, {"spec": {"replicas": -1}}, "application/merge-patch+json")
    assert negative.status == 422


async def running_pod(api, make_pod, name, **metadata):
    pod = make_pod(name, **metadata)
    pod["spec"]["schedulerName"] = "default-scheduler"
    await api.create("pods", pod)

    async def is_ready():
        conditions = (await api.get("pods", name)).body["status"].get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    await until(is_ready)


async def test_an_eviction_minds_the_disruption_budget(api, make_pod):
    await running_pod(api, make_pod, "a", labels={"app": "x"})
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}
    await api.create("poddisruptionbudgets.policy", budget)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}

    async def evict():
        return await api.call("POST", api.path("pods", "a", "eviction"), eviction)

    refused = await evict()
    assert (refused.status, refused.body["reason"]) == (429, "TooManyRequests")
    assert (await api.get("pods", "a")).status == 200
    await api.delete("poddisruptionbudgets.policy", "b")
    lenient = budget | {"spec": budget["spec"] | {"minAvailable": 0}}
    await api.create("poddisruptionbudgets.policy", lenient)

    async def is_allowed():
        return (await evict()).status == 201

    await until(is_allowed)

    async def is_gone():
        return (await api.get("pods", "a")).status == 404

    await until(is_gone)


async def test_a_pod_that_serves_nobody_is_evicted_whatever_the_budget(api, make_pod):
    await api.create("pods", make_pod("a", labels={"app": "x"}))
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}
    await api.create("poddisruptionbudgets.policy", budget)
    assert (await api.call("POST", api.path("pods", "a", "eviction"), {"metadata": {"name": "a"}})).status == 201
    assert (await api.get("pods", "a")).status == 404


async def test_an_eviction_minds_its_preconditions(api, make_pod):
    await api.create("pods", make_pod("a"))
    eviction = {"metadata": {"name": "a"}, "deleteOptions": {"preconditions": {"uid": "another"}}}
    assert (await api.call("POST", api.path("pods", "a", "eviction"), eviction)).status == 409
    assert (await api.get("pods", "a")).status == 200


async def test_a_log_is_read_whole_in_part_and_with_its_times(api, make_pod):
    await running_pod(api, make_pod, "a", annotations={"sim.log": "one\ntwo\nthree"})

    async def log(**query):
        return (await api.call("GET", api.path("pods", "a", "log"), **query)).body

    assert await log() == "one\ntwo\nthree\n"
    assert await log(tailLines="1") == "three\n"
    assert await log(limitBytes="3") == "one"
    stamped = (await log(timestamps="true")).splitlines()
    assert stamped[0].endswith("Z one")
    assert await log(sinceTime="2100-01-01T00:00:00Z") == ""


async def test_a_followed_log_ends_with_its_container(api, make_pod):
    pod = make_pod("a", annotations={"sim.log": "one\ntwo", "sim.run-seconds": "1"})
    pod["spec"] |= {"schedulerName": "default-scheduler", "restartPolicy": "Never"}
    await api.create("pods", pod)

    async def is_running():
        return (await api.get("pods", "a")).body["status"]["phase"] != "Pending"

    await until(is_running)
    async with asyncio.timeout(20):
        followed = await api.call("GET", api.path("pods", "a", "log"), follow="true")
    assert followed.body == "one\ntwo\n"


@pytest.mark.parametrize(("container", "status"), [("main", 400), ("other", 400)])
async def test_a_log_that_cannot_be_had_is_refused_with_a_reason(api, make_pod, container, status):
    await api.create("pods", make_pod("a"))
    refused = await api.call("GET", api.path("pods", "a", "log"), container=container)
    assert (refused.status, refused.body["kind"]) == (status, "Status")
    assert (await api.call("GET", api.path("pods", "b", "log"))).status == 404
