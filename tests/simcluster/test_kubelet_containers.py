"""What a pod's status tells while its containers are pulled, run, fail and are ended."""

import asyncio
import itertools
from typing import Any

import pytest
from simcluster.errors import ApiError


def main_container(world: Any, pod: str) -> Any:
    return world.pod(pod)["status"]["containerStatuses"][0]


def waiting_reason(world: Any, pod: str) -> str:
    return main_container(world, pod)["state"].get("waiting", {}).get("reason", "")


async def test_a_pod_without_a_node_stays_pending_without_container_statuses(world):
    world.create_pod("waits", schedulerName="somebody-else")
    await world.advance(60)
    assert world.phase("waits") == "Pending"
    assert "containerStatuses" not in world.pod("waits")["status"]


async def test_a_pod_passes_from_creating_to_running_to_succeeded(world):
    world.create_pod("train", {"pull-seconds": "5", "start-seconds": "2", "ready-seconds": "3", "run-seconds": "20"})
    await world.advance(6)
    pod = world.pod("train")
    assert waiting_reason(world, "train") == "ContainerCreating"
    assert world.condition(pod, "PodScheduled")["status"] == "True"
    assert world.condition(pod, "Initialized")["status"] == "True"
    assert world.condition(pod, "Ready")["reason"] == "ContainersNotReady"
    assert world.condition(pod, "Ready")["message"] == "containers with unready status: [main]"

    await world.advance(2)
    pod = world.pod("train")
    assert pod["status"]["phase"] == "Running"
    assert main_container(world, "train")["state"] == {"running": {"startedAt": "2026-01-01T00:00:07Z"}}
    assert not main_container(world, "train")["ready"]
    assert pod["status"]["podIP"].startswith("10.64.0.")
    assert pod["status"]["startTime"] == "2026-01-01T00:00:00Z"

    await world.advance(2)
    ready = world.condition(world.pod("train"), "Ready")
    assert ready == {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"}

    await world.advance(20)
    pod = world.pod("train")
    assert pod["status"]["phase"] == "Succeeded"
    ended = main_container(world, "train")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert (ended["startedAt"], ended["finishedAt"]) == ("2026-01-01T00:00:07Z", "2026-01-01T00:00:27Z")
    assert world.condition(pod, "Ready")["reason"] == "PodCompleted"


async def test_a_container_that_keeps_failing_is_restarted_ever_later(world):
    world.create_pod(
        "broken",
        {"pull-seconds": "0", "start-seconds": "0", "run-seconds": "1", "exit-code": "3"},
        restartPolicy="Always",
    )
    await world.advance(5)
    shown = main_container(world, "broken")
    assert waiting_reason(world, "broken") == "CrashLoopBackOff"
    assert shown["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main")
    assert shown["restartCount"] == 1
    assert shown["lastState"]["terminated"]["exitCode"] == 3
    assert world.phase("broken") == "Running"

    restarts = []
    for second in range(5, 1500):
        await world.advance(1)
        count = main_container(world, "broken")["restartCount"]
        if not restarts or count != restarts[-1][1]:
            restarts.append((second, count))
    gaps = [later - sooner for (sooner, _), (later, _) in itertools.pairwise(restarts[1:])]
    assert gaps == [21, 41, 81, 161, 301, 301, 301]


async def test_a_container_that_exits_well_is_restarted_only_if_the_policy_says_always(world):
    world.create_pod("once", {"run-seconds": "1"}, restartPolicy="OnFailure")
    world.create_pod("again", {"run-seconds": "1"}, restartPolicy="Always")
    await world.advance(5)
    assert world.phase("once") == "Succeeded"
    assert main_container(world, "again")["restartCount"] == 1


async def test_a_container_recovers_after_the_failures_its_annotation_names(world):
    world.create_pod("flaky", {"run-seconds": "1", "fail-times": "2", "exit-code": "9"}, restartPolicy="OnFailure")
    await world.advance(60)
    assert world.phase("flaky") == "Succeeded"
    assert main_container(world, "flaky")["restartCount"] == 2
    assert main_container(world, "flaky")["lastState"]["terminated"]["exitCode"] == 9


async def test_an_image_that_cannot_be_pulled_keeps_the_pod_pending(world):
    world.create_pod("typo", {"pull-error": "manifest unknown"})
    await world.advance(2)
    assert waiting_reason(world, "typo") == "ErrImagePull"
    assert main_container(world, "typo")["state"]["waiting"]["message"] == "manifest unknown"
    await world.advance(3)
    assert waiting_reason(world, "typo") == "ImagePullBackOff"
    await world.advance(3600)
    assert world.phase("typo") == "Pending"
    assert waiting_reason(world, "typo") in {"ErrImagePull", "ImagePullBackOff"}
    assert ("Failed", 'Failed to pull image "registry.example/train:1": manifest unknown') in world.events("typo")


async def test_an_image_can_be_pulled_after_the_failures_its_annotation_names(world):
    world.create_pod("slow", {"pull-error": "timeout", "pull-error-times": "2"})
    await world.advance(20)
    assert waiting_reason(world, "slow") == "ImagePullBackOff"
    await world.advance(30)
    assert world.phase("slow") == "Succeeded"


async def test_the_second_pod_with_an_image_need_not_pull_it(world):
    world.create_pod("first", {"run-seconds": "100"})
    await world.advance(10)
    world.create_pod("second")
    await world.advance(10)
    message = 'Container image "registry.example/train:1" already present on machine'
    assert ("Pulled", message) in world.events("second")


async def test_init_containers_run_one_after_the_other_before_the_rest(world):
    init = [{"name": "fetch", "image": "tools"}, {"name": "unpack", "image": "tools"}]
    annotations = {"pull-seconds": "0", "start-seconds": "0", "run-seconds.fetch": "10", "run-seconds.unpack": "5"}
    world.create_pod("staged", annotations, initContainers=init)
    await world.advance(5)
    pod = world.pod("staged")
    assert pod["status"]["phase"] == "Pending"
    assert waiting_reason(world, "staged") == "PodInitializing"
    assert "running" in pod["status"]["initContainerStatuses"][0]["state"]
    assert world.condition(pod, "Initialized")["message"] == "containers with incomplete status: [fetch unpack]"
    await world.advance(7)
    pod = world.pod("staged")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert world.condition(pod, "Initialized")["message"] == "containers with incomplete status: [unpack]"
    await world.advance(4)
    assert world.phase("staged") == "Running"
    assert world.condition(world.pod("staged"), "Initialized")["status"] == "True"


async def test_a_failing_init_container_fails_a_pod_that_never_restarts(world):
    world.create_pod("staged", {"exit-code.fetch": "4"}, initContainers=[{"name": "fetch", "image": "tools"}])
    await world.advance(10)
    assert world.phase("staged") == "Failed"
    assert waiting_reason(world, "staged") == "PodInitializing"


async def test_a_sidecar_ends_once_the_others_are_done(world):
    sidecar = [{"name": "proxy", "image": "proxy", "restartPolicy": "Always"}]
    world.create_pod("served", {"run-seconds.main": "5"}, initContainers=sidecar)
    await world.advance(5)
    assert world.phase("served") == "Running"
    assert world.pod("served")["status"]["initContainerStatuses"][0]["ready"]
    await world.advance(20)
    assert world.phase("served") == "Succeeded"
    assert "terminated" in world.pod("served")["status"]["initContainerStatuses"][0]["state"]


async def test_a_deleted_pod_is_ended_within_its_grace_and_then_gone(world):
    world.create_pod("polite", {"run-seconds": "forever", "termination-seconds": "5"})
    world.create_pod(
        "stubborn", {"run-seconds": "forever", "termination-seconds": "300"}, terminationGracePeriodSeconds=8
    )
    await world.advance(10)
    seen: dict[str, Any] = {}
    watch = world.client.subscribe(["pods"])
    world.client.delete("pods", "demo", "polite")
    world.client.delete("pods", "demo", "stubborn")
    await world.advance(1)
    assert world.phase("polite") == "Running"
    await world.advance(5)
    assert world.client.get("pods", "demo", "polite") is None
    assert world.phase("stubborn") == "Running"
    await world.advance(5)
    assert world.client.get("pods", "demo", "stubborn") is None
    for change in await watch.batch():
        if change.type == "DELETED":
            seen[change.stored.name] = change.stored.body["status"]
    codes = {name: each["containerStatuses"][0]["state"]["terminated"]["exitCode"] for name, each in seen.items()}
    assert codes == {"polite": 143, "stubborn": 137}
    assert {each["phase"] for each in seen.values()} == {"Failed"}
    assert ("Killing", "Stopping container main") in world.events("polite")


async def test_a_pod_past_its_deadline_fails(world):
    world.create_pod("late", {"run-seconds": "forever"}, activeDeadlineSeconds=30)
    await world.advance(40)
    assert world.phase("late") == "Failed"
    assert world.pod("late")["status"]["reason"] == "DeadlineExceeded"


@pytest.mark.parametrize(
    ("command", "phase", "seconds"),
    [
        (["sleep", "10"], "Succeeded", 10),
        (["true"], "Succeeded", 0),
        (["false"], "Failed", 0),
        (["sh", "-c", "echo hello; sleep 4 && exit 3"], "Failed", 4),
    ],
)
async def test_everyday_commands_do_what_they_say(world, command, phase, seconds):
    world.create_pod("shell", containers=[{"name": "main", "image": "busybox", "command": command}])
    await world.advance(30)
    assert world.phase("shell") == phase
    ended = main_container(world, "shell")["state"]["terminated"]
    assert int(ended["finishedAt"][-3:-1]) - int(ended["startedAt"][-3:-1]) == seconds


async def test_annotations_that_change_take_effect_at_once(world):
    world.create_pod("train", {"run-seconds": "forever"})
    await world.advance(60)
    pod = world.pod("train")
    changed = {"sim.run-seconds": "10", "sim.exit-code": "5"}
    world.client.update("pods", {**pod, "metadata": {**pod["metadata"], "annotations": changed}})
    await world.advance(1)
    ended = main_container(world, "train")["state"]["terminated"]
    assert (ended["exitCode"], ended["finishedAt"]) == (5, "2026-01-01T00:01:00Z")
    assert world.phase("train") == "Failed"


async def test_a_log_is_written_line_by_line_as_the_container_runs(world):
    world.create_pod("talks", {"log": "one\ntwo\nthree", "run-seconds": "30", "pull-seconds": "0"})
    await world.advance(0)
    with pytest.raises(ApiError, match="waiting to start: ContainerCreating"):
        world.plane.kubelet.logs("demo", "talks")
    await world.advance(15)
    assert [line.text for line in world.plane.kubelet.logs("demo", "talks")] == ["one", "two"]
    await world.advance(30)
    assert [line.text for line in world.plane.kubelet.logs("demo", "talks", tail=1)] == ["three"]
    with pytest.raises(ApiError, match="previous terminated container"):
        world.plane.kubelet.logs("demo", "talks", previous=True)


async def test_following_a_log_ends_with_the_container(world):
    world.create_pod("talks", {"log": "one\ntwo\nthree", "run-seconds": "30", "pull-seconds": "0"})
    await world.advance(5)

    async def follow() -> list[str]:
        return [line.text async for line in world.plane.kubelet.follow_logs("demo", "talks")]

    following = asyncio.create_task(follow())
    await world.advance(10)
    assert not following.done()
    await world.advance(60)
    assert await following == ["one", "two", "three"]


async def test_a_pod_with_several_containers_needs_one_named_for_its_log(world):
    world.create_pod("two", containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "x"}])
    await world.advance(5)
    with pytest.raises(ApiError, match=r"choose one of: \[a b\]"):
        world.plane.kubelet.logs("demo", "two")
