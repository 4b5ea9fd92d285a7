"""Seldon Core: SeldonDeployments with all their predictors, and Servers with the Models that are loaded into them."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, manifest, owned_by, pod, pod_spec, project, template, uid
from muster_cluster.objects import DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS
from muster_contracts.phases import PriorityClass
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.places import Aside
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "seldon"
RESOURCES = {resource.kind: resource for resource in written_resources() if "seldon.io" in resource.group}


def predictor(name: str = "main", *components: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A predictor with a component of one GPU, unless others are given."""
    return {"name": name, "componentSpecs": list(components or [component()])} | parts


def component(gpus: int = 1, **parts: Any) -> dict[str, Any]:
    return {"spec": pod_spec(gpus)} | parts


def deployment(*predictors: dict[str, Any], **parts: Any) -> dict[str, Any]:
    spec = {"predictors": list(predictors or [predictor()])} | parts.pop("spec", {})
    return manifest(RESOURCES["SeldonDeployment"], "fraud", spec=spec, **parts)


def made_by(owner: dict[str, Any], name: str, replicas: int = 1) -> list[dict[str, Any]]:
    """A Deployment and its ReplicaSet."""
    made = manifest(DEPLOYMENTS, name, owner=owner, spec={"replicas": replicas, "template": template(gpus=1)})
    return [made, manifest(REPLICA_SETS, f"{name}-5c9", owner=made)]


def served(owner: dict[str, Any], name: str, *roles: str, **parts: Any) -> dict[str, Any]:
    labels = {"seldon-deployment-id": "fraud"} | {f"seldon.io/{role}": "true" for role in roles}
    return pod(name, owner=owner, labels=labels, **parts)


def server(name: str = "mlserver", **spec: Any) -> dict[str, Any]:
    return manifest(RESOURCES["Server"], name, spec=spec)


def model(name: str, *, ready: bool = True, **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return manifest(RESOURCES["Model"], name, spec=spec, status={"conditions": conditions})


def world_of(*manifests: dict[str, Any]) -> World:
    world = World(project())
    world.show(*manifests)
    return world


def seen_in(world: World, workload: dict[str, Any]) -> SeenWorkload:
    found = world.mirror.seen_workload(UUID(workload["metadata"]["uid"]))
    assert found is not None
    return found


def see(*manifests: dict[str, Any]) -> SeenWorkload:
    return seen_in(world_of(*manifests), manifests[0])


# ------------------------------------------------------------ SeldonDeployment


def test_all_predictors_of_a_deployment_are_one_workload_that_serves() -> None:
    fraud = deployment(predictor("main", replicas=1), predictor("canary", replicas=1))
    main, canary = made_by(fraud, "fraud-main-0-classifier"), made_by(fraud, "seldon-0cc175b9c0f1b6a831c399e269772661")
    found = see(fraud, *main, *canary, served(main[1], "main-0", "model"), served(canary[1], "canary-0", "model"))
    assert (found.kind, found.name, found.owner.serving, len(found.pods)) == ("SeldonDeployment", "fraud", True, 2)
    assert {group.min_members for group in found.groups.values()} == {1}
    assert len(found.groups) == 2
    assert {group.priority_class for group in found.groups.values()} == {PriorityClass.INFERENCE}


@pytest.mark.parametrize(
    ("spec", "predictors", "desired"),
    [
        ({}, [predictor()], 1),
        ({"replicas": 3}, [predictor()], 3),
        ({"replicas": 3}, [predictor(replicas=2)], 2),
        ({"replicas": 1}, [predictor("a", component(), component(replicas=3), replicas=2), predictor("b")], 6),
        ({}, [{"name": "brought-along", "graph": {"implementation": "SKLEARN_SERVER"}}], 1),
        ({}, [predictor(explainer={"type": "AnchorTabular"})], 2),
        ({}, [predictor(explainer={})], 1),
        ({}, [predictor(explainer={"type": "AnchorTabular"}, replicas=3)], 4),
        ({}, [predictor(explainer={"type": "AnchorTabular", "replicas": 2}, replicas=0)], 0),
        ({"annotations": {"seldon.io/engine-separate-pod": "true"}}, [predictor(replicas=2)], 4),
        ({}, [predictor(annotations={"seldon.io/engine-separate-pod": "true"}, svcOrchSpec={"replicas": 1})], 2),
        ({"replicas": "three"}, [predictor(replicas=-1)], 1),
    ],
)
def test_the_most_specific_number_of_replicas_counts(
    spec: dict[str, Any], predictors: list[dict[str, Any]], desired: int
) -> None:
    assert see(deployment(*predictors, spec=spec)).owner.desired_pods == desired


def test_templates_say_what_a_deployment_asks_for() -> None:
    found = see(deployment(predictor("a", component(2, replicas=2)), predictor("b", component(1))))
    assert found.requests.gpu_millionths == 5_000_000


def test_an_autoscaler_decides_the_size_of_its_component_and_forbids_a_stop() -> None:
    fraud = deployment(predictor("main", component(hpaSpec={"minReplicas": 2, "maxReplicas": 9})))
    assert see(fraud).owner.desired_pods == 2
    found = see(fraud, *made_by(fraud, "fraud-main-0-classifier", replicas=5))
    assert found.owner.desired_pods == 5
    assert (found.controls.stop, found.controls.activate) == ((), ())
    assert "autoscaler" in found.controls.reason


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (("model",), "model"),
        (("model", "shadow"), "shadow"),
        (("shadow", "explainer"), "explainer"),
        (("model", "router"), "router"),
        (("combiner", "model"), "combiner"),
        (("transformer", "output-transformer"), "transformer"),
        (("output-transformer", "model"), "output-transformer"),
        ((), "model"),
    ],
)
def test_a_pod_is_called_by_the_rarest_of_its_roles(roles: tuple[str, ...], role: str) -> None:
    fraud = deployment()
    made = made_by(fraud, "fraud-main-0-classifier")
    (facts,) = see(fraud, *made, served(made[1], "main-0", *roles)).pods.values()
    assert facts.role == role


def test_the_engine_does_not_count_unless_it_is_alone() -> None:
    fraud = deployment()
    made = made_by(fraud, "fraud-main-0-classifier")
    beside = pod_spec(containers=[{"name": "classifier"}, {"name": "seldon-container-engine"}])
    alone = pod_spec(containers=[{"name": "seldon-container-engine"}])
    found = see(fraud, *made, served(made[1], "a", "model", spec=beside), served(made[1], "b", spec=alone))
    mains = {facts.name: [c.name for c in facts.containers if c.role == "main"] for facts in found.pods.values()}
    assert mains == {"a": ["classifier"], "b": ["seldon-container-engine"]}
    assert {facts.name: facts.role for facts in found.pods.values()} == {"a": "model", "b": "svc-orch"}


@pytest.mark.parametrize(
    ("status", "ready", "reason"),
    [
        ({"state": "Available"}, True, ""),
        ({"state": "Available", "replicas": 1}, True, ""),
        ({"state": "Available", "replicas": 0}, None, ""),  # from before it was started again
        ({"state": "Creating", "description": "waiting"}, None, ""),
        ({"state": "Failed", "description": "No such image."}, False, "No such image."),
        ({"state": 7}, None, ""),
        ("odd", None, ""),
    ],
)
def test_a_deployment_says_whether_it_is_well(status: Any, ready: bool | None, reason: str) -> None:
    owner = see(deployment(status=status)).owner
    assert (owner.ready, owner.reason) == (ready, reason)


def test_a_server_that_seldon_brings_along_names_its_framework() -> None:
    graph = {"implementation": "MLFLOW_SERVER", "children": [{"implementation": "SKLEARN_SERVER"}, {}]}
    assert see(deployment(predictor(graph=graph))).attributes == {"framework": "mlflow, sklearn"}


def test_a_stop_writes_zero_at_every_level_and_the_start_what_was_there() -> None:
    levels = predictor("main", component(), component(replicas=3), replicas=2, explainer={"type": "AnchorText"})
    fraud = deployment(levels, spec={"replicas": 4})
    controls = see(fraud).controls
    (stop,), (activate,) = controls.stop, controls.activate
    stopped = stop.body["spec"]
    assert stopped["replicas"] == stopped["predictors"][0]["replicas"] == 0
    assert [one["replicas"] for one in stopped["predictors"][0]["componentSpecs"]] == [0, 0]
    assert stopped["predictors"][0]["explainer"] == {"type": "AnchorText", "replicas": 0}
    assert activate.body["spec"] == fraud["spec"]


def test_a_stopped_deployment_is_suspended_and_finds_its_sizes_again_whatever_else_was_changed() -> None:
    fraud = deployment(predictor("main", component(), component(replicas=3), replicas=2))
    world = world_of(fraud)
    world.write()
    stopped = fraud["spec"] | {"replicas": 0}
    stopped["predictors"] = [
        predictor("main", component(gpus=4, replicas=0), component(replicas=0), replicas=0),
        predictor("new", component(replicas=0), replicas=0),
    ]
    world.step(fraud, deployment(spec=stopped, version=2))
    found = seen_in(world, fraud)
    assert found.owner.suspended
    (activate,) = found.controls.activate
    main, new = activate.body["spec"]["predictors"]
    assert activate.body["spec"]["replicas"] is None
    assert main == predictor("main", component(gpus=4), component(replicas=3), replicas=2)
    assert new == predictor("new", component())
    assert activate.resource_version == "2"


def test_what_was_never_seen_larger_than_zero_starts_with_one() -> None:
    (activate,) = see(deployment(predictor(replicas=0))).controls.activate
    assert activate.body["spec"] == {"replicas": 1, "predictors": [predictor()]}


@pytest.mark.parametrize("spec", [None, "odd", {"predictors": 3}, {"predictors": [None, {"componentSpecs": [1, {}]}]}])
@pytest.mark.parametrize("kind", ["SeldonDeployment", "Server"])
def test_odd_objects_of_a_version_nobody_knows_are_borne(kind: str, spec: Any) -> None:
    resource = RESOURCES[kind]
    odd = manifest(resource, "odd", spec=spec, status=3) | {"apiVersion": f"{resource.group}/v2"}
    found = see(odd, pod("odd-0", references=[owned_by(odd)]))
    assert (found.kind, found.api_version, len(found.pods)) == (kind, f"{resource.group}/v2", 1)


# ------------------------------------------------------------ Server


@pytest.mark.parametrize("resource", [STATEFUL_SETS, DEPLOYMENTS], ids=lambda resource: resource.kind)
def test_a_server_is_one_workload_with_the_pods_it_runs_models_in(resource: Any) -> None:
    owner = server(replicas=2)
    made = manifest(resource, "mlserver", owner=owner, spec={"replicas": 2, "template": template(gpus=1)})
    found = see(owner, made, pod("mlserver-0", owner=made), pod("mlserver-1", owner=made))
    assert (found.kind, found.owner.serving, found.owner.desired_pods) == ("Server", True, 2)
    assert {facts.role for facts in found.pods.values()} == {"server"}
    assert found.requests.gpu_millionths == 2_000_000


def test_models_are_shown_with_the_server_they_name_or_usually_go_to() -> None:
    world = world_of(
        server("mlserver"),
        server("triton"),
        server("special"),
        model("iris", requirements=["sklearn"]),
        model("resnet", requirements=["onnx"], ready=False),
        model("chat", server="special"),
        model("odd", requirements="sklearn"),
    )
    attributes = {name: seen_in(world, server(name)).attributes for name in ("mlserver", "triton", "special")}
    assert attributes == {
        "mlserver": {"models": "iris, odd"},
        "triton": {"models": "resnet (not ready)"},
        "special": {"models": "chat"},
    }


def test_a_model_without_a_server_is_no_workload_until_the_server_is_there() -> None:
    iris, owner = model("iris"), server()
    world = world_of(iris)
    assert world.mirror.place_of(iris["metadata"]["uid"]) is None
    world.show(owner)
    assert seen_in(world, owner).attributes == {"models": "iris"}


def test_a_server_stops_by_its_replicas() -> None:
    owner = server(replicas=3)
    controls = see(owner).controls
    assert [patch.body for patch in controls.stop] == [{"spec": {"replicas": 0}}]
    assert [patch.body for patch in controls.activate] == [{"spec": {"replicas": 3}}]
    assert see(server(replicas=0)).owner.suspended


# ------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("labels", "kind", "name"),
    [
        ({"seldon-deployment-id": "fraud"}, "SeldonDeployment", "fraud"),
        ({"seldon-server-name": "mlserver"}, "Server", "mlserver"),
    ],
)
def test_pods_without_an_owner_are_known_by_their_labels(labels: dict[str, str], kind: str, name: str) -> None:
    world = World(project())
    world.mirror.reads((RESOURCES[kind].group, kind), Reading.FORBIDDEN)
    orphan = pod("orphan", labels=labels)
    world.show(orphan)
    world.write()
    place = world.mirror.place_of(orphan["metadata"]["uid"])
    assert isinstance(place, UUID)
    found = world.mirror.seen_workload(place)
    assert found is not None
    assert (found.kind, found.name, found.identity) == (kind, name, f"muster-demo/{name}")


@pytest.mark.parametrize("first", [0, 1])
def test_a_pod_without_an_owner_finds_its_deployment_by_the_hash_of_a_long_name(first: int) -> None:
    name = "a-name-of-" + "very-" * 12 + "many-letters"
    long = manifest(RESOURCES["SeldonDeployment"], name, spec={"predictors": [predictor()]})
    orphan = pod("orphan", labels={"seldon-deployment-id": "seldon-bb1b6c567c4a44fded0997fe50b28f9a"})
    world = world_of(*[long, orphan][first:], *[long, orphan][:first])
    assert {world.mirror.place_of(one["metadata"]["uid"]) for one in (long, orphan)} == {UUID(long["metadata"]["uid"])}


def test_a_label_that_lies_is_not_believed_before_the_owner() -> None:
    fraud = deployment()
    made = made_by(fraud, "fraud-main-0-classifier")
    liar = pod("main-0", owner=made[1], labels={"seldon-deployment-id": "other", "seldon-server-name": "other"})
    assert len(see(fraud, *made, liar).pods) == 1


@pytest.mark.parametrize("label", ["app", "app.kubernetes.io/name", "control-plane"])
def test_the_control_plane_is_no_workload(label: str) -> None:
    scheduler = pod("seldon-scheduler-0", labels={label: "seldon-scheduler"})
    assert world_of(scheduler).mirror.place_of(scheduler["metadata"]["uid"]) is Aside.APART


def test_what_a_seldon_runtime_owns_is_no_workload() -> None:
    reference = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "SeldonRuntime", "name": "seldon", "uid": uid("r")}
    made = manifest(STATEFUL_SETS, "seldon-anything", references=[reference])
    part = pod("seldon-anything-0", owner=made)
    assert world_of(made, part).mirror.place_of(part["metadata"]["uid"]) is Aside.APART


# ------------------------------------------------------------ recorded


@pytest.mark.parametrize(
    ("file", "namespace", "kind", "name", "expected", "attributes"),
    [
        ("derived-v1-sdep-with-shadow", "team-a", "SeldonDeployment", "fraud", ["model", "model", "shadow"], {}),
        ("derived-v2-server-and-model", "seldon-mesh", "Server", "mlserver", ["server", "server"], {"models": "iris"}),
    ],
)
def test_recorded_objects_are_one_workload_each(
    file: str, namespace: str, kind: str, name: str, expected: list[str], attributes: dict[str, str]
) -> None:
    world = World(project("a", namespace=namespace))
    world.show(*json.loads((RECORDED / f"{file}.json").read_text())["items"])
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.kind, found.name, found.attributes) == (kind, name, attributes)
    assert sorted(facts.role for facts in found.pods.values()) == expected
    assert found.owner.desired_pods == len(expected)


def test_an_explainer_without_a_template_takes_no_gpu_away_from_the_models() -> None:
    found = see(deployment(predictor(explainer={"type": "AnchorTabular"}, replicas=2)))
    assert found.requests.gpu_millionths == 2_000_000


def test_what_nobody_saw_running_is_not_activated_with_an_explainer_of_zero_replicas() -> None:
    stopped = predictor(explainer={"type": "AnchorTabular", "replicas": 0}, replicas=0)
    [patch] = see(deployment(stopped, spec={"replicas": 0})).controls.activate
    [restored] = patch.body["spec"]["predictors"]
    assert restored["explainer"] == {"type": "AnchorTabular"}


def test_the_engine_is_stopped_with_the_models() -> None:
    [patch] = see(deployment(predictor(svcOrchSpec={"replicas": 2}))).controls.stop
    [stopped] = patch.body["spec"]["predictors"]
    assert stopped["svcOrchSpec"] == {"replicas": 0}
