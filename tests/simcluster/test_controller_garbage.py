"""What goes when its owner goes, what stays, and how a namespace is emptied."""

from typing import Any


def config(world: Any, name: str, owner: Any = None, kind: str = "configmaps", **reference: Any) -> Any:
    metadata: dict[str, Any] = {"name": name, "namespace": "demo"}
    if owner is not None:
        named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
        metadata["ownerReferences"] = [named | {"uid": owner["metadata"]["uid"]} | reference]
    return world.client.create(kind, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def exists(world: Any, name: str) -> bool:
    return world.client.get("configmaps", "demo", name) is not None


async def test_dependents_go_after_their_owner_down_to_the_last(world):
    owner = config(world, "owner")
    child = config(world, "child", owner)
    config(world, "grandchild", child)
    await world.advance(1)
    assert exists(world, "grandchild")
    world.client.delete("configmaps", "demo", "owner", propagation="Background")
    await world.advance(1)
    assert not exists(world, "child")
    assert not exists(world, "grandchild")


async def test_an_owner_deleted_in_the_foreground_stays_until_what_blocks_it_is_gone(world):
    world.create_job("train", {"run-seconds": "100", "termination-seconds": "10"})
    await world.advance(10)
    world.client.delete("jobs.batch", "demo", "train", propagation="Foreground")
    await world.advance(5)
    assert "deletionTimestamp" in world.job("train")["metadata"]
    await world.advance(10)
    assert world.client.get("jobs.batch", "demo", "train") is None
    assert world.client.list("pods") == []


async def test_orphaned_dependents_stay_and_forget_their_owner(world):
    world.create_job("train", {"run-seconds": "100"})
    await world.advance(10)
    world.client.delete("jobs.batch", "demo", "train", propagation="Orphan")
    await world.advance(10)
    assert world.client.get("jobs.batch", "demo", "train") is None
    (pod,) = world.client.list("pods")
    assert pod["status"]["phase"] == "Running"
    assert "ownerReferences" not in pod["metadata"]
    assert "finalizers" not in pod["metadata"]


async def test_an_object_whose_owner_never_was_is_collected(world):
    stranger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nobody", "uid": "not-there"}}
    config(world, "stray", stranger)
    await world.advance(1)
    assert not exists(world, "stray")


async def test_an_object_with_another_owner_left_stays_and_names_that_one_alone(world):
    first, second = config(world, "first"), config(world, "second")
    shared = config(world, "shared", first)
    references = [*shared["metadata"]["ownerReferences"]]
    references.append(references[0] | {"name": "second", "uid": second["metadata"]["uid"]})
    world.client.update("configmaps", {**shared, "metadata": {**shared["metadata"], "ownerReferences": references}})
    await world.advance(1)
    world.client.delete("configmaps", "demo", "first", propagation="Background")
    await world.advance(1)
    kept = world.client.get("configmaps", "demo", "shared")
    assert [each["name"] for each in kept["metadata"]["ownerReferences"]] == ["second"]


async def test_an_owner_of_a_kind_nobody_serves_keeps_its_dependents(world):
    unknown = {"apiVersion": "example.com/v1", "kind": "Robot", "metadata": {"name": "r", "uid": "1"}}
    config(world, "kept", unknown)
    await world.advance(1)
    assert exists(world, "kept")


async def test_a_deleted_job_takes_its_running_pods_along(world):
    world.create_job("train", {"run-seconds": "100"}, parallelism=3, completions=3)
    await world.advance(10)
    world.client.delete("jobs.batch", "demo", "train", propagation="Background")
    assert world.client.get("jobs.batch", "demo", "train") is None
    await world.advance(5)
    assert world.client.list("pods") == []


async def test_a_namespace_goes_once_all_in_it_has_ended(world):
    world.create_job("train", {"run-seconds": "100", "termination-seconds": "10"}, parallelism=2, completions=2)
    config(world, "settings")
    await world.advance(10)
    world.client.delete("namespaces", None, "demo")
    await world.advance(5)
    assert world.client.get("namespaces", None, "demo")["status"]["phase"] == "Terminating"
    assert not exists(world, "settings")
    await world.advance(20)
    assert world.client.get("namespaces", None, "demo") is None
    assert world.client.list("pods") == []
    assert world.client.list("events", "demo") == []


async def test_garbage_of_a_custom_kind_is_collected_too(world):
    names = {"plural": "robots", "kind": "Robot"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    world.client.create(
        "customresourcedefinitions.apiextensions.k8s.io",
        definition | {"metadata": {"name": "robots.example.com"}, "spec": spec},
    )
    await world.advance(1)
    robot = {"apiVersion": "example.com/v1", "kind": "Robot", "metadata": {"name": "r", "namespace": "demo"}}
    owner = world.client.create("robots.example.com", robot)
    config(world, "part", owner)
    await world.advance(1)
    world.client.delete("robots.example.com", "demo", "r")
    await world.advance(1)
    assert not exists(world, "part")
