"""Deployments, ReplicaSets, StatefulSets and the budgets that protect their pods."""

from typing import Any

import pytest
from simcluster.errors import ApiError

DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS = "deployments.apps", "replicasets.apps", "statefulsets.apps"
QUICK = {"sim.pull-seconds": "0", "sim.start-seconds": "1", "sim.ready-seconds": "4"}


def template(image: str, annotations: dict[str, str]) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": image}]}
    return {"metadata": {"labels": {"app": "web"}, "annotations": QUICK | annotations}, "spec": spec}


def create(world: Any, kind: str, image: str = "web:1", annotations: dict[str, str] | None = None, **spec: Any) -> Any:
    names = {DEPLOYMENTS: "Deployment", REPLICA_SETS: "ReplicaSet", STATEFUL_SETS: "StatefulSet"}
    selector = {"matchLabels": {"app": "web"}}
    body = {"apiVersion": "apps/v1", "kind": names[kind], "metadata": {"name": "web", "namespace": "demo"}}
    body["spec"] = {"selector": selector, "template": template(image, annotations or {}), **spec}
    return world.client.create(kind, body)


def read(world: Any, kind: str) -> Any:
    found = world.client.get(kind, "demo", "web")
    assert found is not None
    return found


def images(world: Any) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in world.pods(app="web"))


def names(world: Any) -> list[str]:
    return [pod["metadata"]["name"] for pod in world.pods(app="web")]


def set_image(world: Any, kind: str, image: str, annotations: dict[str, str] | None = None) -> None:
    world.change(kind, read(world, kind), template=template(image, annotations or {}))


async def test_a_replica_set_replaces_pods_and_adopts_those_that_match(world):
    world.client.create(
        "pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "stray", "namespace": "demo", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        },
    )
    create(world, REPLICA_SETS, replicas=3)
    await world.advance(10)
    assert len(world.pods(app="web")) == 3
    assert world.pod("stray")["metadata"]["ownerReferences"][0]["name"] == "web"
    assert read(world, REPLICA_SETS)["status"]["readyReplicas"] == 3
    world.client.delete("pods", "demo", "stray")
    await world.advance(10)
    assert len(world.pods(app="web")) == 3
    assert "stray" not in names(world)


async def test_a_deployment_becomes_available_with_its_replicas(world):
    create(world, DEPLOYMENTS, replicas=3)
    await world.advance(1)
    deployment = read(world, DEPLOYMENTS)
    assert world.condition(deployment, "Available")["status"] == "False"
    assert deployment["status"]["unavailableReplicas"] == 3
    await world.advance(10)
    deployment = read(world, DEPLOYMENTS)
    status = deployment["status"]
    counts = [status[f"{each}eplicas"] for each in ("r", "updatedR", "readyR", "availableR")]
    assert counts == [3, 3, 3, 3]
    assert status["observedGeneration"] == deployment["metadata"]["generation"]
    assert world.condition(deployment, "Available")["reason"] == "MinimumReplicasAvailable"
    assert world.condition(deployment, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    (replica_set,) = world.client.list(REPLICA_SETS, "demo")
    assert all(
        pod["metadata"]["labels"]["pod-template-hash"] in replica_set["metadata"]["name"] for pod in world.pods()
    )
    assert read(world, DEPLOYMENTS)["metadata"]["generation"] == 1


async def test_a_new_image_is_rolled_out_without_too_few_or_too_many_pods(world):
    create(world, DEPLOYMENTS, replicas=4)
    await world.advance(20)
    set_image(world, DEPLOYMENTS, "web:2")
    while images(world) != ["web:2"] * 4:
        await world.advance(1)
        standing = [pod for pod in world.pods(app="web") if "deletionTimestamp" not in pod["metadata"]]
        assert len(standing) <= 5
        assert sum(world.condition(pod, "Ready").get("status") == "True" for pod in standing) >= 3
    await world.advance(10)
    assert read(world, DEPLOYMENTS)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert sorted(each["spec"]["replicas"] for each in world.client.list(REPLICA_SETS, "demo")) == [0, 4]


async def test_a_rollout_back_takes_the_old_replica_set_up_again(world):
    create(world, DEPLOYMENTS, replicas=2)
    await world.advance(20)
    set_image(world, DEPLOYMENTS, "web:2")
    await world.advance(60)
    set_image(world, DEPLOYMENTS, "web:1")
    await world.advance(60)
    assert images(world) == ["web:1"] * 2
    assert len(world.client.list(REPLICA_SETS, "demo")) == 2
    assert read(world, DEPLOYMENTS)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_recreate_ends_the_old_pods_before_it_starts_new_ones(world):
    create(world, DEPLOYMENTS, annotations={"sim.termination-seconds": "5"}, strategy={"type": "Recreate"}, replicas=2)
    await world.advance(20)
    set_image(world, DEPLOYMENTS, "web:2")
    await world.advance(3)
    assert images(world) == ["web:1", "web:1"]
    await world.advance(20)
    assert images(world) == ["web:2", "web:2"]


async def test_a_rollout_that_does_not_progress_says_so_and_keeps_the_old_pods(world):
    create(world, DEPLOYMENTS, replicas=2, progressDeadlineSeconds=30)
    await world.advance(20)
    set_image(world, DEPLOYMENTS, "web:typo", {"sim.pull-error": "not found"})
    await world.advance(60)
    deployment = read(world, DEPLOYMENTS)
    assert world.condition(deployment, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert world.condition(deployment, "Available")["status"] == "True"
    assert images(world).count("web:1") == 2


async def test_a_deployment_scales_up_and_down(world):
    create(world, DEPLOYMENTS, replicas=1)
    await world.advance(10)
    world.change(DEPLOYMENTS, read(world, DEPLOYMENTS), replicas=5)
    await world.advance(10)
    assert len(world.pods(app="web")) == 5
    world.change(DEPLOYMENTS, read(world, DEPLOYMENTS), replicas=0)
    await world.advance(10)
    assert world.pods(app="web") == []
    assert "availableReplicas" in read(world, DEPLOYMENTS)["status"]


async def test_a_deleted_deployment_takes_its_replica_sets_and_pods_along(world):
    create(world, DEPLOYMENTS, replicas=2)
    await world.advance(10)
    world.client.delete(DEPLOYMENTS, "demo", "web", propagation="Background")
    await world.advance(10)
    assert world.client.list(REPLICA_SETS) == []
    assert world.client.list("pods") == []


async def test_a_stateful_set_makes_its_pods_one_after_the_other(world):
    create(world, STATEFUL_SETS, replicas=3, serviceName="web")
    await world.advance(3)
    assert names(world) == ["web-0"]
    await world.advance(5)
    assert names(world) == ["web-0", "web-1"]
    await world.advance(10)
    assert names(world) == ["web-0", "web-1", "web-2"]
    pod = world.pod("web-2")
    assert pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "web-2"
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-2", "web")
    status = read(world, STATEFUL_SETS)["status"]
    assert status["readyReplicas"] == status["currentReplicas"] == status["updatedReplicas"] == 3
    assert pod["metadata"]["labels"]["controller-revision-hash"] == status["updateRevision"]


async def test_a_parallel_stateful_set_makes_them_all_at_once(world):
    create(world, STATEFUL_SETS, replicas=3, podManagementPolicy="Parallel")
    await world.advance(0)
    assert names(world) == ["web-0", "web-1", "web-2"]


async def test_the_claims_of_a_pod_in_a_set_are_named_after_both_and_outlive_it(world):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    create(world, STATEFUL_SETS, replicas=2, volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": spec}])
    await world.advance(30)
    claims = world.client.list("persistentvolumeclaims", "demo")
    assert [claim["metadata"]["name"] for claim in claims] == ["data-web-0", "data-web-1"]
    assert {claim["metadata"]["labels"]["app"] for claim in claims} == {"web"}
    (volume,) = [one for one in world.pod("web-1")["spec"]["volumes"] if one["name"] == "data"]
    assert volume["persistentVolumeClaim"] == {"claimName": "data-web-1"}
    before = world.pod("web-1")["metadata"]["uid"]
    world.client.delete("pods", "demo", "web-1")
    await world.advance(10)
    assert world.pod("web-1")["metadata"]["uid"] != before
    assert world.client.list("persistentvolumeclaims", "demo") == claims


async def test_a_stateful_set_loses_its_highest_pods_first_and_replaces_the_rest_by_name(world):
    create(world, STATEFUL_SETS, replicas=3)
    await world.advance(30)
    world.change(STATEFUL_SETS, read(world, STATEFUL_SETS), replicas=2)
    await world.advance(10)
    assert names(world) == ["web-0", "web-1"]
    before = world.pod("web-0")["metadata"]["uid"]
    world.client.delete("pods", "demo", "web-0")
    await world.advance(10)
    assert names(world) == ["web-0", "web-1"]
    assert world.pod("web-0")["metadata"]["uid"] != before


async def test_a_stateful_set_rolls_out_from_the_highest_number_down_to_its_partition(world):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    create(world, STATEFUL_SETS, replicas=3, updateStrategy=strategy)
    await world.advance(30)
    set_image(world, STATEFUL_SETS, "web:2")
    await world.advance(4)
    assert images(world) == ["web:1", "web:1", "web:2"]
    await world.advance(30)
    assert images(world) == ["web:1", "web:2", "web:2"]
    assert world.pod("web-0")["spec"]["containers"][0]["image"] == "web:1"
    status = read(world, STATEFUL_SETS)["status"]
    assert (status["currentReplicas"], status["updatedReplicas"]) == (1, 2)


async def test_a_budget_tells_how_many_pods_may_go_and_evictions_heed_it(world):
    create(world, DEPLOYMENTS, replicas=3)
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    metadata = {"name": "web", "namespace": "demo"}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    world.client.create("poddisruptionbudgets.policy", body)
    await world.advance(2)
    assert world.client.get("poddisruptionbudgets.policy", "demo", "web")["status"]["disruptionsAllowed"] == 0
    await world.advance(10)
    status = world.client.get("poddisruptionbudgets.policy", "demo", "web")["status"]
    counts = [status[each] for each in ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")]
    assert counts == [3, 3, 2, 1]
    first, second, _ = names(world)
    world.registry.evict("demo", first, {"metadata": {"name": first}})
    with pytest.raises(ApiError, match="disruption budget"):
        world.registry.evict("demo", second, {"metadata": {"name": second}})
    await world.advance(20)
    assert world.client.get("poddisruptionbudgets.policy", "demo", "web")["status"]["disruptionsAllowed"] == 1
    assert len(world.pods(app="web")) == 3
    world.registry.evict("demo", second, {"metadata": {"name": second}})
    await world.advance(1)
    assert second not in names(world)
