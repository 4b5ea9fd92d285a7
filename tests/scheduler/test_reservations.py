"""Shared GPUs on a simulated cluster: each is held by one pod of ours, as long as it is shared and no longer."""

import asyncio

import pytest
from muster_cluster.objects import PODS
from muster_contracts import events as e
from muster_contracts.errors import Unavailable
from muster_contracts.names import GPU_INDEX, RESERVATIONS_NAMESPACE
from muster_contracts.values import (
    WHOLE_GPU,
    DeviceShare,
    GpuRequest,
    Placement,
    PodFacts,
    PodMark,
    PodPhase,
    Resources,
)
from muster_scheduler.execution.reservations import Reservations
from scheduler.scene import NAMESPACE, Scene, manifest, of_type, scheduled
from scheduler.worlds import group, id_of, node, pod, recorded, state_of
from simcluster.resources import Object

HALF = 500_000
_HALF_GPU = GpuRequest(devices=1, portion_millionths=HALF)


async def test_a_shared_gpu_is_reserved_before_its_first_sharer_is_bound(scene: Scene) -> None:
    await share(scene, "sharers", 3)
    scene.start_scheduler()
    events = await scene.until(scheduled(3))
    assert reserved(scene) == shared_devices(events)
    (pod, *_) = reservations(scene)
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    asked = scene.transport.asked
    made = [asked.index(one) for one in asked if one == f"POST /api/v1/namespaces/{RESERVATIONS_NAMESPACE}/pods"]
    assert made[0] < min(number for number, one in enumerate(asked) if one.endswith("/binding"))


async def test_a_reservation_goes_when_the_last_sharer_has_left(scene: Scene) -> None:
    pods = await share(scene, "sharers", 2)
    scene.start_scheduler(reservation_sweep_seconds=0.02)
    await scene.until(scheduled(2))
    assert len(reserved(scene)) == 1
    await leave(scene, "sharers", pods[:1])
    await share(scene, "others", 1)  # takes the free half
    await scene.until(scheduled(3))
    assert len(reserved(scene)) == 1
    await leave(scene, "sharers", pods[1:])
    await leave(scene, "others", [scene.facts("others-0", "others")])
    await until_reserved(scene, 0)


async def test_a_gpu_is_free_before_it_is_given_to_a_pod_whole(scene: Scene) -> None:
    pods = await share(scene, "sharers", 2)
    scene.start_scheduler(reservation_sweep_seconds=3600)
    await scene.until(scheduled(2))
    await leave(scene, "sharers", pods)
    assert len(reserved(scene)) == 1
    await scene.observe("whole", 2, gpus=8)
    await scene.until(scheduled(4))
    assert reserved(scene) == set()
    for name in ("whole-0", "whole-1"):
        await scene.until_ready(name)  # whom a kubelet without a free GPU refuses never is


async def test_a_new_leader_keeps_the_reservations_there_are(scene: Scene) -> None:
    await share(scene, "sharers", 2)
    scene.start_scheduler()
    await scene.until(scheduled(2))
    before = {pod["metadata"]["uid"] for pod in reservations(scene)}
    await scene.kill_schedulers()
    await share(scene, "more", 1)
    scene.start_scheduler(reservation_sweep_seconds=0.02)
    await scene.until(scheduled(3))
    assert before <= {pod["metadata"]["uid"] for pod in reservations(scene)}
    assert len(reservations(scene)) == 2


async def test_a_reservation_that_somebody_deleted_is_made_again(scene: Scene) -> None:
    await share(scene, "sharers", 2)
    scene.start_scheduler(reservation_sweep_seconds=0.02)
    await scene.until(scheduled(2))
    (pod,) = reservations(scene)
    scene.simulated.client.delete("pods", RESERVATIONS_NAMESPACE, pod["metadata"]["name"], grace_seconds=0)
    await until_reserved(scene, 1)


async def test_who_believes_that_nobody_shares_removes_no_pod_that_another_leader_made(scene: Scene) -> None:
    state = state_of(node("pool-a-0"), *group("sharer", [_half()]))
    late = Reservations(scene.cluster, state, "pause")
    await late.prepare(_placement(portion=HALF))
    (pod,) = reservations(scene)
    scene.simulated.client.delete("pods", RESERVATIONS_NAMESPACE, pod["metadata"]["name"], grace_seconds=0)
    other = Reservations(scene.cluster, state_of(node("pool-a-0"), *group("sharer", [_half()])), "pause")
    await other.prepare(_placement(portion=HALF))
    for one in recorded([_gone()], first=state.position + 1):
        state.apply(one)
    await late.prepare(_placement(portion=WHOLE_GPU))
    assert len(reservations(scene)) == 1


async def test_who_leads_again_does_not_trust_what_he_knew(scene: Scene) -> None:
    ours = Reservations(scene.cluster, state_of(node("pool-a-0"), *group("sharer", [_half()])), "pause")
    await ours.prepare(_placement(portion=HALF))
    (pod,) = reservations(scene)
    scene.simulated.client.delete("pods", RESERVATIONS_NAMESPACE, pod["metadata"]["name"], grace_seconds=0)
    ours.forget()
    await ours.prepare(_placement(portion=HALF))
    assert len(reservations(scene)) == 1


async def test_nobody_is_bound_while_an_earlier_reservation_is_on_its_way_out(scene: Scene) -> None:
    ours = Reservations(scene.cluster, state_of(node("pool-a-0"), *group("sharer", [_half()])), "pause")
    await ours.prepare(_placement(portion=HALF))
    (pod,) = reservations(scene)
    name = pod["metadata"]["name"]
    held = {"metadata": {"finalizers": ["test/held"]}}
    await scene.cluster.patch(PODS, RESERVATIONS_NAMESPACE, name, held)
    scene.simulated.client.delete("pods", RESERVATIONS_NAMESPACE, name, grace_seconds=0)
    ours.forget()
    with pytest.raises(Unavailable, match="GPU 0 of pool-a-0 cannot be reserved"):
        await ours.prepare(_placement(portion=HALF))


async def test_devices_are_made_right_in_an_order_that_no_run_of_python_changes(scene: Scene) -> None:
    sharers = [_half().model_copy(update={"pod_id": id_of(f"pod/{i}"), "gpus": f"{i}:{HALF}"}) for i in range(8)]
    await Reservations(scene.cluster, state_of(node("pool-a-0"), *group("sharer", sharers)), "pause").sweep()
    made = sorted(reservations(scene), key=lambda pod: int(pod["metadata"]["resourceVersion"]))
    assert [pod["metadata"]["labels"][GPU_INDEX] for pod in made] == [str(i) for i in range(8)]


def _half() -> PodFacts:
    return pod("sharer-0", "sharer", node="pool-a-0", gpu=_HALF_GPU).model_copy(update={"gpus": f"0:{HALF}"})


def _gone() -> e.PodGone:
    mark = PodMark(pod_id=id_of("pod/sharer-0"), name="sharer-0", last_phase=PodPhase.RUNNING)
    return e.PodGone(workload_id=id_of("workload/sharer"), pods=(mark,))


def _placement(*, portion: int) -> Placement:
    return Placement(
        workload_id=id_of("workload/sharer"),
        pod_group_id=id_of("group/sharer"),
        pod_id=id_of("pod/sharer-0"),
        namespace=NAMESPACE,
        name="sharer-0",
        resource_version="1",
        node="pool-a-0",
        devices=(DeviceShare(index=0, portion_millionths=portion),),
    )


async def share(scene: Scene, gang: str, size: int) -> list[PodFacts]:
    """Let pods come that want half a GPU each; to Kubernetes they ask for none."""
    pods = []
    for number in range(size):
        scene.simulated.client.create("pods", manifest(f"{gang}-{number}", 0))
        facts = scene.facts(f"{gang}-{number}", gang)
        half = {
            "gpu": _HALF_GPU,
            "requests": Resources(cpu_milli=1000, memory_bytes=1024**3, gpu_millionths=HALF),
        }
        pods.append(facts.model_copy(update=half))
    await scene.form(gang, 1, pods)
    return pods


async def leave(scene: Scene, gang: str, pods: list[PodFacts]) -> None:
    """Let pods of a gang be gone."""
    for facts in pods:
        scene.simulated.client.delete("pods", NAMESPACE, facts.name, grace_seconds=0)
    marks = tuple(PodMark(pod_id=facts.pod_id, name=facts.name, last_phase=PodPhase.RUNNING) for facts in pods)
    await scene.observer.append(e.PodGone(workload_id=id_of(f"workload/{gang}"), pods=marks))


async def until_reserved(scene: Scene, count: int) -> None:
    async with asyncio.timeout(20):
        while len(reserved(scene)) != count:  # noqa: ASYNC110  # no event tells of reservations
            await asyncio.sleep(0.02)


def reservations(scene: Scene) -> list[Object]:
    return list(scene.simulated.client.list("pods", RESERVATIONS_NAMESPACE))


def reserved(scene: Scene) -> set[tuple[str, int]]:
    """Return the devices that are reserved; none of them twice."""
    pods = reservations(scene)
    devices = {(pod["spec"]["nodeName"], int(pod["metadata"]["labels"][GPU_INDEX])) for pod in pods}
    assert len(devices) == len(pods)
    return devices


def shared_devices(events: list[e.AnyEvent]) -> set[tuple[str, int]]:
    bound = [pod for event in of_type(events, e.PodScheduled) for pod in event.pods]
    return {(pod.node, share.index) for pod in bound for share in pod.devices if share.portion_millionths == HALF}
