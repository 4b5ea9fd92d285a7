"""Pods whose volumes are made on the node they get: first the volume, then the binding, or another node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_contracts import events as e
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_contracts.values import ClaimChoice, LabelRule, NodeTerm, PlacementRules, ReadyVolumes
from muster_journal.memory_leases import MemoryLeases
from muster_scheduler.core.promises import Promise
from muster_scheduler.execution.binding import Binder
from muster_scheduler.execution.deeds import Execution
from muster_scheduler.execution.evicting import Evictor
from muster_scheduler.execution.reservations import Reservations
from muster_scheduler.execution.volumes import Volumes
from muster_scheduler.leading import Leadership
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings
from scheduler.scene import NAMESPACE, Scene, of_type, scheduled
from scheduler.worlds import id_of, node

SELECTED_NODE = "volume.kubernetes.io/selected-node"
WAITS = PlacementRules(claims_waiting=("scratch",))


def storage_class(scene: Scene, *, provisioner: str = "sim.csi", **annotations: str) -> None:
    metadata = {"name": "local", "annotations": {"sim.provision-seconds": "0.05", **annotations}}
    body = {"provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"}
    scene.simulated.client.create("storageclasses.storage.k8s.io", {"metadata": metadata, **body})


def claim(scene: Scene) -> dict[str, Any]:
    found = scene.simulated.client.get("persistentvolumeclaims", NAMESPACE, "scratch")
    assert found is not None
    return found


async def waits_with_a_claim(scene: Scene, *, size: int = 1, rules: PlacementRules = WAITS) -> None:
    """Show a gang whose first pod has a claim that waits."""
    metadata = {"name": "scratch", "namespace": NAMESPACE}
    spec = {"storageClassName": "local", "resources": {"requests": {"storage": "1Gi"}}}
    spec |= {"accessModes": ["ReadWriteOnce"]}
    scene.simulated.client.create("persistentvolumeclaims", {"metadata": metadata, "spec": spec})
    await scene.observe("train", size, rules=rules)


async def tell_where_the_volume_is(scene: Scene) -> None:
    """Say what integrations says once the claim is bound."""
    facts = scene.facts("train-0", "train")
    reach = NodeTerm(rules=(LabelRule(key="kubernetes.io/hostname", values=(_volume_node(scene),)),))
    told = facts.model_copy(update={"rules": PlacementRules(volumes=((reach,),))})
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/train"), pods=(told,)))


def _volume_node(scene: Scene) -> str:
    volume = scene.simulated.client.get("persistentvolumes", None, claim(scene)["spec"]["volumeName"])
    assert volume is not None
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    return str(term["matchExpressions"][0]["values"][0])


async def until_bound(scene: Scene) -> None:
    """Wait until the claim has a volume."""
    async with asyncio.timeout(20):
        async for _, found in scene.simulated.client.subscribe(["persistentvolumeclaims"]):
            if found["status"]["phase"] == "Bound":
                return


async def name_nodes_by_host(scene: Scene) -> None:
    for name in ("pool-a-0", "pool-a-1"):
        await scene.observer.append(node(name, labels={"kubernetes.io/hostname": name}))


async def test_the_volume_is_made_on_the_planned_node_before_any_pod_of_the_gang_is_bound(scene: Scene) -> None:
    storage_class(scene)
    await name_nodes_by_host(scene)
    await waits_with_a_claim(scene, size=2)
    scene.start_scheduler()
    await until_bound(scene)
    assert claim(scene)["metadata"]["annotations"][SELECTED_NODE] == "pool-a-0"
    assert not any(asked.endswith("/binding") for asked in scene.transport.asked)
    await tell_where_the_volume_is(scene)
    events = await scene.until(scheduled(2))
    assert {pod.node for event in of_type(events, e.PodScheduled) for pod in event.pods} == {"pool-a-0"}
    assert len(of_type(events, e.PlanMade)) == 1


async def test_where_the_provisioner_refuses_the_plan_is_released_and_another_node_gets_it(scene: Scene) -> None:
    storage_class(scene, **{"sim.full-on": "pool-a-0"})
    await name_nodes_by_host(scene)
    await waits_with_a_claim(scene)
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    (released,) = of_type(events, e.PlacementReleased)
    assert released.reason == "No volume for the claim scratch of train-0 can be made on pool-a-0."
    assert released.misplaced == released.pod_ids
    seen_anew = scene.facts("train-0", "train").model_copy(update={"rules": WAITS})
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/train"), pods=(seen_anew,)))
    await until_bound(scene)
    await tell_where_the_volume_is(scene)
    (bound,) = of_type(await scene.until(scheduled(1)), e.PodScheduled)
    assert bound.pods[0].node == "pool-a-1"


async def test_a_volume_that_is_not_made_in_time_is_sought_elsewhere(scene: Scene) -> None:
    storage_class(scene, **{"sim.provision-seconds": "3600"})
    await name_nodes_by_host(scene)
    await waits_with_a_claim(scene)
    scene.start_scheduler(volume_patience_seconds=0.05)
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    (released,) = of_type(events, e.PlacementReleased)
    assert released.reason == "The volumes of train-0 were not made within 0.05 s."
    assert not of_type(events, e.PodScheduled)


async def test_a_claim_that_is_on_its_way_is_waited_for_and_one_that_is_not_there_is_not(scene: Scene) -> None:
    storage = {"provisioner": "sim.csi", "volumeBindingMode": "Immediate"}
    metadata = {"name": "local", "annotations": {"sim.provision-seconds": "0.3"}}
    scene.simulated.client.create("storageclasses.storage.k8s.io", {"metadata": metadata, **storage})
    await name_nodes_by_host(scene)
    await waits_with_a_claim(scene, rules=PlacementRules(claims_unbound=("scratch", "nowhere")))
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await until_bound(scene)
    assert not any(asked.endswith("/binding") for asked in scene.transport.asked)
    facts = scene.facts("train-0", "train")
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/train"), pods=(facts,)))
    await scene.until(scheduled(1))


async def test_a_volume_that_turns_out_to_be_elsewhere_takes_its_pod_there(scene: Scene) -> None:
    storage_class(scene)
    await name_nodes_by_host(scene)
    await waits_with_a_claim(scene)
    await scene.decide(placements=[_place(scene, "pool-a-1")])
    reach = NodeTerm(rules=(LabelRule(key="kubernetes.io/hostname", values=("pool-a-0",)),))
    told = scene.facts("train-0", "train").model_copy(update={"rules": PlacementRules(volumes=((reach,),))})
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/train"), pods=(told,)))
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert of_type(events, e.PlacementReleased)[0].reason == "A volume of train-0 is not within reach of pool-a-1."
    assert not any(asked.endswith("/binding") for asked in scene.transport.asked)


def lies_ready(scene: Scene, name: str, on: str) -> None:
    """Lay a volume of the class of the claim ready on a node."""
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}]}]
    spec = {"storageClassName": "local", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    spec |= {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
    scene.simulated.client.create("persistentvolumes", {"metadata": {"name": name}, "spec": spec})


def chooses_on(*nodes: str) -> PlacementRules:
    reach = NodeTerm(rules=(LabelRule(key="kubernetes.io/hostname", values=nodes),))
    ready = (ReadyVolumes(free=1, nodes=(reach,)),)
    choice = ClaimChoice(claim="scratch", storage_class="local", ready=ready)
    return PlacementRules(volumes=((reach,),), claims_choosing=(choice,))


async def until_offered(scene: Scene, name: str) -> None:
    async with asyncio.timeout(20):
        async for _, found in scene.simulated.client.subscribe(["persistentvolumes"]):
            if found["metadata"]["name"] == name and found.get("status", {}).get("phase") == "Available":
                return


async def test_a_volume_that_lies_ready_is_taken_before_the_pod_is_bound(scene: Scene) -> None:
    storage_class(scene, provisioner="kubernetes.io/no-provisioner")
    await name_nodes_by_host(scene)
    lies_ready(scene, "disk-0", on="pool-a-0")
    lies_ready(scene, "disk-1", on="pool-a-1")
    await until_offered(scene, "disk-1")
    await waits_with_a_claim(scene, rules=chooses_on("pool-a-1"))
    scene.start_scheduler()
    await until_bound(scene)
    assert claim(scene)["spec"]["volumeName"] == "disk-1"
    assert not any(asked.endswith("/binding") for asked in scene.transport.asked)
    await tell_where_the_volume_is(scene)
    (bound,) = of_type(await scene.until(scheduled(1)), e.PodScheduled)
    assert bound.pods[0].node == "pool-a-1"


async def test_a_node_whose_ready_volume_somebody_else_took_is_left(scene: Scene) -> None:
    storage_class(scene, provisioner="kubernetes.io/no-provisioner")
    await name_nodes_by_host(scene)
    lies_ready(scene, "disk-1", on="pool-a-1")
    await until_offered(scene, "disk-1")
    await waits_with_a_claim(scene, rules=chooses_on("pool-a-0", "pool-a-1"))
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    (released,) = of_type(events, e.PlacementReleased)
    assert released.reason == "No volume that suits the claim scratch of train-0 lies ready on pool-a-0."
    assert released.misplaced == released.pod_ids


def _place(scene: Scene, where: str) -> dict[str, object]:
    facts = scene.facts("train-0", "train")
    return {
        "workload_id": id_of("workload/train"),
        "pod_group_id": id_of("group/train"),
        "pod_id": facts.pod_id,
        "namespace": NAMESPACE,
        "name": facts.name,
        "resource_version": facts.resource_version,
        "node": where,
        "devices": ({"index": 0, "portion_millionths": 1_000_000},),
    }


@dataclass
class Leader:
    """A scheduler that leads and carries out what is promised, but only when a test says so."""

    planning: Planning
    volumes: Volumes
    execution: Execution

    async def carry_out(self) -> None:
        await self.execution.carry_out(id_of("workload/train"))


@asynccontextmanager
async def leads(scene: Scene) -> AsyncIterator[Leader]:
    journal, leadership = scene.journal(Writer.SCHEDULER), Leadership(MemoryLeases(), "first", renewal_seconds=0.5)
    health = Health("scheduler")
    planning = Planning(journal, SchedulerSettings(), id_of("cluster"), leadership, health)
    volumes = Volumes(scene.cluster, planning.state, patience_seconds=60)
    binder = Binder(scene.cluster, Reservations(scene.cluster, planning.state, "pause"), 3)
    execution = Execution(planning, journal, binder, Evictor(scene.cluster, planning), volumes, 8)
    async with asyncio.TaskGroup() as tasks:
        fold = follow_into(journal, planning.fold, planning.progress, health, "fold")
        running = [tasks.create_task(leadership.run()), tasks.create_task(fold)]
        await leadership.until_ours()
        await planning.take_leadership()
        yield Leader(planning, volumes, execution)
        for task in running:
            task.cancel()


async def asks_in_vain(scene: Scene, leader: Leader) -> Promise:
    """Let a promised pod's claim be given its node, and the provisioner refuse; return the promise."""
    with pytest.raises(Unavailable, match="waits for its volumes"):
        await leader.carry_out()
    async with asyncio.timeout(20):
        async for _, found in scene.simulated.client.subscribe(["persistentvolumeclaims"]):
            if SELECTED_NODE not in found["metadata"].get("annotations", {}):
                break
    (promise,) = leader.planning.state.promises.by_pod.values()
    return promise


async def promised_where_no_volume_can_be(scene: Scene) -> None:
    storage_class(scene, **{"sim.full-on": "pool-a-0"})
    await name_nodes_by_host(scene)
    await waits_with_a_claim(scene)
    await scene.decide(placements=[_place(scene, "pool-a-0")])


async def test_what_was_written_on_a_claim_is_remembered_until_its_promise_is_closed(scene: Scene) -> None:
    await promised_where_no_volume_can_be(scene)
    async with leads(scene) as leader:
        promise = await asks_in_vain(scene, leader)
        for _ in range(2):
            assert "can be made on pool-a-0" in (await leader.volumes.prepare(promise) or "")
        await leader.carry_out()
        assert not leader.planning.state.promises
        with pytest.raises(Unavailable):  # as one that was never asked about
            await leader.volumes.prepare(promise)


async def test_who_takes_the_lead_anew_writes_the_node_on_a_claim_anew(scene: Scene) -> None:
    await promised_where_no_volume_can_be(scene)
    async with leads(scene) as leader:
        promise = await asks_in_vain(scene, leader)
        assert await leader.execution.adopt() == [id_of("workload/train")]
        with pytest.raises(Unavailable):
            await leader.volumes.prepare(promise)
