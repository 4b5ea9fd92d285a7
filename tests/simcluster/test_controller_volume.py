"""Claims get their volumes: at once, or on the node that a scheduler selects for the first pod that uses them."""

from typing import Any

NODE = "pool-a-0"


def storage_class(world: Any, name: str = "local", *, waits: bool = True, **more: Any) -> None:
    mode = "WaitForFirstConsumer" if waits else "Immediate"
    metadata = {"name": name, "annotations": more.pop("annotations", {})}
    body = {"provisioner": "sim.csi", "reclaimPolicy": "Delete", "volumeBindingMode": mode, **more}
    world.client.create("storageclasses.storage.k8s.io", {"metadata": metadata, **body})


def claim(world: Any, name: str = "scratch", storage: str = "local") -> None:
    spec = {"storageClassName": storage, "accessModes": ["ReadWriteOnce"]}
    spec |= {"resources": {"requests": {"storage": "5Gi"}}}
    metadata = {"name": name, "namespace": "demo"}
    world.client.create("persistentvolumeclaims", {"metadata": metadata, "spec": spec})


def select(world: Any, node: str, name: str = "scratch") -> None:
    found = read(world, name)
    annotations = {"volume.kubernetes.io/selected-node": node}
    world.client.update(
        "persistentvolumeclaims", {**found, "metadata": {**found["metadata"], "annotations": annotations}}
    )


def read(world: Any, name: str = "scratch") -> Any:
    return world.client.get("persistentvolumeclaims", "demo", name)


async def test_a_claim_that_waits_is_bound_on_the_selected_node_and_not_before(world):
    storage_class(world)
    claim(world)
    await world.advance(60)
    assert read(world)["status"]["phase"] == "Pending"
    select(world, NODE)
    await world.advance(2)
    assert read(world)["status"] == {
        "phase": "Bound",
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteOnce"],
    }
    volume = world.client.get("persistentvolumes", None, read(world)["spec"]["volumeName"])
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]
    assert volume["spec"]["claimRef"]["name"] == "scratch"


def ready_volume(world: Any, name: str, **spec: Any) -> None:
    spec = {"storageClassName": "local", "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], **spec}
    world.client.create("persistentvolumes", {"metadata": {"name": name}, "spec": spec})


async def test_a_volume_that_lies_ready_is_to_be_had_by_the_claim_it_is_reserved_for(world):
    storage_class(world, provisioner="kubernetes.io/no-provisioner")
    claim(world)
    ready_volume(world, "disk-1")
    ready_volume(world, "disk-2")
    await world.advance(5)
    found = world.client.get("persistentvolumes", None, "disk-2")
    assert (found["status"]["phase"], read(world)["status"]["phase"]) == ("Available", "Pending")
    reference = {"namespace": "demo", "name": "scratch", "uid": read(world)["metadata"]["uid"]}
    world.client.update("persistentvolumes", {**found, "spec": {**found["spec"], "claimRef": reference}})
    await world.advance(1)
    assert (read(world)["status"]["phase"], read(world)["spec"]["volumeName"]) == ("Bound", "disk-2")
    assert world.client.get("persistentvolumes", None, "disk-1")["status"]["phase"] == "Available"


async def test_a_claim_of_a_class_that_does_not_wait_is_bound_at_once_and_reached_from_anywhere(world):
    claim(world, storage="shared")
    await world.advance(5)
    assert read(world)["status"]["phase"] == "Pending"  # there is no such class yet
    storage_class(world, "shared", waits=False)
    await world.advance(2)
    volume = world.client.get("persistentvolumes", None, read(world)["spec"]["volumeName"])
    assert volume["status"]["phase"] == "Bound"
    assert "nodeAffinity" not in volume["spec"]


async def test_where_no_volume_can_be_made_the_selection_is_taken_back_and_another_one_does(world):
    storage_class(world, annotations={"sim.full-on": NODE})
    claim(world)
    select(world, NODE)
    await world.advance(2)
    assert read(world)["metadata"].get("annotations", {}) == {}
    (event,) = [one for one in world.client.list("events") if one["reason"] == "ProvisioningFailed"]
    assert NODE in event["message"]
    select(world, "pool-a-1")
    await world.advance(2)
    assert read(world)["status"]["phase"] == "Bound"


async def test_topologies_that_a_class_does_not_allow_are_refused(world):
    expression = {"key": "kubernetes.io/hostname", "values": ["pool-a-1"]}
    storage_class(world, allowedTopologies=[{"matchLabelExpressions": [expression]}])
    claim(world)
    select(world, NODE)
    await world.advance(2)
    assert read(world)["status"]["phase"] == "Pending"
    select(world, "pool-a-1")
    await world.advance(2)
    assert read(world)["status"]["phase"] == "Bound"


async def test_a_volume_that_was_made_goes_with_its_claim(world):
    storage_class(world, waits=False)
    claim(world)
    await world.advance(2)
    world.client.delete("persistentvolumeclaims", "demo", "scratch")
    await world.advance(1)
    assert world.client.list("persistentvolumes") == []


async def test_a_claim_that_names_no_class_gets_the_default_one(world):
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage_class(world, "usual", waits=False, annotations=default)
    storage_class(world, "other", waits=False)
    for name, spec in (("plain", {}), ("none", {"storageClassName": ""})):
        metadata = {"name": name, "namespace": "demo"}
        world.client.create("persistentvolumeclaims", {"metadata": metadata, "spec": spec})
    await world.advance(2)
    assert (read(world, "plain")["spec"]["storageClassName"], read(world, "plain")["status"]["phase"]) == (
        "usual",
        "Bound",
    )
    assert (read(world, "none")["spec"]["storageClassName"], read(world, "none")["status"]["phase"]) == ("", "Pending")
