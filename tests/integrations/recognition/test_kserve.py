"""KServe and Knative: services that serve models, whatever chain of owners their pods hang on."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, container, manifest, owned_by, pod, pod_spec, project, template
from muster_cluster.objects import DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS
from muster_cluster.port import Resource
from muster_contracts.phases import PriorityClass
from muster_contracts.values import Outcome, ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "kserve"
RESOURCES: dict[tuple[str, str], Resource[Any]] = {(one.group, one.kind): one for one in written_resources()}
KSERVE, KNATIVE = "serving.kserve.io", "serving.knative.dev"
NAME_LABEL = f"{KSERVE}/inferenceservice"


def inference_service(name: str = "iris", *, spec: Any = None, group: str = KSERVE, **parts: Any) -> dict[str, Any]:
    written = {"predictor": {"model": {"modelFormat": {"name": "mlflow"}}}} if spec is None else spec
    return manifest(RESOURCES[group, "InferenceService"], name, spec=written, **parts)


def llm_service(spec: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return manifest(RESOURCES[KSERVE, "LLMInferenceService"], "chat", spec=spec, **parts)


def knative_service(name: str, **parts: Any) -> dict[str, Any]:
    return manifest(RESOURCES[KNATIVE, "Service"], name, **parts)


def deployment(owner: dict[str, Any], name: str, replicas: int = 1, gpus: int = 1, **labels: str) -> dict[str, Any]:
    spec = {"replicas": replicas, "template": template(gpus=gpus, labels=labels)}
    return manifest(DEPLOYMENTS, name, owner=owner, spec=spec)


def pods_of(made: dict[str, Any], count: int = 1, **labels: str) -> list[dict[str, Any]]:
    """The ReplicaSet of a Deployment, and pods of it."""
    name = made["metadata"]["name"]
    replica_set = manifest(REPLICA_SETS, f"{name}-6d4b", owner=made)
    return [replica_set, *(pod(f"{name}-{index}", owner=replica_set, labels=labels) for index in range(count))]


def chain(service: dict[str, Any], replicas: int = 1, count: int = 1) -> list[dict[str, Any]]:
    """All that Knative makes of a Service, down to the pods."""
    name = service["metadata"]["name"]
    configuration = manifest(RESOURCES[KNATIVE, "Configuration"], name, owner=service)
    revision = manifest(RESOURCES[KNATIVE, "Revision"], f"{name}-00001", owner=configuration)
    made = deployment(revision, f"{name}-00001-deployment", replicas, **{f"{KNATIVE}/service": name})
    return [configuration, revision, made, *pods_of(made, count, **{f"{KNATIVE}/service": name})]


def world_of(*manifests: dict[str, Any]) -> World:
    world = World(project())
    world.show(*manifests)
    return world


def see(*manifests: dict[str, Any]) -> SeenWorkload:
    found = world_of(*manifests).mirror.seen_workload(UUID(manifests[0]["metadata"]["uid"]))
    assert found is not None
    return found


def roles(found: SeenWorkload) -> list[str]:
    return sorted(facts.role for facts in found.pods.values())


def sizes(found: SeenWorkload) -> tuple[int, int]:
    return found.owner.desired_pods, found.owner.min_pods


# ------------------------------------------------------------ InferenceService


def test_a_service_in_standard_mode_is_one_workload_with_its_components() -> None:
    iris = inference_service(spec={"predictor": {"minReplicas": 2}, "transformer": {}})
    predictor = deployment(iris, "iris-predictor", 2, component="predictor")
    transformer = deployment(iris, "iris-transformer", 1, gpus=0, component="transformer")
    found = see(
        iris,
        predictor,
        transformer,
        *pods_of(predictor, 2, component="predictor"),
        *pods_of(transformer, component="transformer"),
    )
    assert (found.kind, found.name, found.owner.serving) == ("InferenceService", "iris", True)
    assert roles(found) == ["predictor", "predictor", "transformer"]
    assert sizes(found) == (3, 3)
    assert found.requests.gpu_millionths == 2_000_000
    assert [group.min_members for group in found.groups.values()] == [1, 1, 1]
    assert {group.priority_class for group in found.groups.values()} == {PriorityClass.INFERENCE}


@pytest.mark.parametrize("knative_name", ["iris-predictor", "iris-predictor-default"])
def test_a_service_in_knative_mode_is_one_workload_over_six_owners(knative_name: str) -> None:
    iris = inference_service()
    made = knative_service(knative_name, owner=iris)
    found = see(iris, made, *chain(made, replicas=2, count=2))
    assert (found.kind, found.name, roles(found)) == ("InferenceService", "iris", ["predictor", "predictor"])
    assert sizes(found) == (2, 1)


def test_an_autoscaler_makes_more_pods_than_the_least_and_the_least_are_enough() -> None:
    iris = inference_service(spec={"predictor": {"minReplicas": 2, "maxReplicas": 9}})
    assert sizes(see(iris, deployment(iris, "iris-predictor", 7))) == (7, 2)


def test_a_component_without_a_deployment_yet_is_counted_as_it_is_written() -> None:
    iris = inference_service(spec={"predictor": {}, "transformer": {"minReplicas": 3}, "explainer": {}})
    assert sizes(see(iris, deployment(iris, "iris-predictor", 2))) == (6, 5)


@pytest.mark.parametrize(
    "component",
    [
        {"containers": [container(2)]},
        {"model": {"modelFormat": {"name": "onnx"}, "resources": {"limits": {"nvidia.com/gpu": "2"}}}},
        {"sklearn": {"storageUri": "s3://b/m", "resources": {"limits": {"nvidia.com/gpu": 2}}}},
    ],
)
def test_a_service_without_pods_says_what_it_will_ask_for(component: dict[str, Any]) -> None:
    found = see(inference_service(spec={"predictor": component | {"minReplicas": 3}}))
    assert found.requests.gpu_millionths == 6_000_000


@pytest.mark.parametrize("with_deployment", [False, True])
def test_parts_of_gpus_that_annotations_ask_for_are_summed(with_deployment: bool) -> None:
    half = {"gpu-fraction": "0.5"}
    iris = inference_service(spec={"predictor": {"minReplicas": 3}}, annotations=half)
    spec = {"replicas": 3, "template": template(annotations=half)}
    made = [manifest(DEPLOYMENTS, "iris-predictor", owner=iris, spec=spec)] if with_deployment else []
    assert see(iris, *made).requests.gpu_millionths == 1_500_000


def test_zero_pods_are_a_way_to_rest_and_no_stop() -> None:
    iris = inference_service(status={"conditions": [{"type": "Ready", "status": "True"}]})
    made = knative_service("iris-predictor", owner=iris)
    found = see(iris, made, *chain(made, replicas=0, count=0))
    assert (found.owner.suspended, found.owner.ready, sizes(found)) == (False, True, (0, 0))


def test_a_stop_is_an_annotation_and_the_start_takes_it_away() -> None:
    controls = see(inference_service()).controls
    assert [patch.body for patch in controls.stop] == [{"metadata": {"annotations": {f"{KSERVE}/stop": "true"}}}]
    assert [patch.body for patch in controls.activate] == [{"metadata": {"annotations": {f"{KSERVE}/stop": None}}}]


@pytest.mark.parametrize(("written", "suspended"), [("true", True), ("True", True), ("false", False), ("", False)])
def test_a_service_is_suspended_by_the_value_of_its_annotation(written: str, suspended: bool) -> None:
    assert see(inference_service(annotations={f"{KSERVE}/stop": written})).owner.suspended is suspended


def condition(kind: str, status: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "message": message}


@pytest.mark.parametrize(
    ("status", "ready", "reason"),
    [
        ({}, None, ""),
        ({"conditions": [condition("Ready", "True")]}, True, ""),
        ({"conditions": [condition("PredictorReady", "False"), condition("Ready", "False")]}, None, ""),
        (
            {"conditions": [condition("PredictorReady", "True"), condition("IngressReady", "False", "no gateway")]},
            False,
            "no gateway.",
        ),
        (
            {
                "conditions": [
                    condition(f"{one}Ready", "False") for one in ("Predictor", "PredictorConfiguration", "Routes")
                ]
            },
            False,
            "Its requests do not reach it.",
        ),
        (
            {
                "conditions": [condition("PredictorReady", "False")],
                "modelStatus": {
                    "transitionStatus": "BlockedByFailedLoad",
                    "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no such bucket"},
                },
            },
            False,
            "no such bucket.",
        ),
        ({"modelStatus": {"transitionStatus": "InvalidSpec"}}, False, "The model cannot be loaded."),
        ({"conditions": 3, "modelStatus": []}, None, ""),
    ],
)
def test_a_service_says_whether_it_is_well(status: Any, ready: bool | None, reason: str) -> None:
    owner = see(inference_service(status=status)).owner
    assert (owner.ready, owner.reason, owner.outcome) == (ready, reason, Outcome.NONE)


@pytest.mark.parametrize(
    ("predictor", "attributes"),
    [
        ({"model": {"modelFormat": {"name": "mlflow"}}}, {"framework": "mlflow"}),
        ({"sklearn": {"storageUri": "gs://m"}}, {"framework": "sklearn"}),
        ({"containers": []}, {}),
    ],
)
def test_a_service_names_the_framework_of_its_model(predictor: dict[str, Any], attributes: dict[str, str]) -> None:
    assert see(inference_service(spec={"predictor": predictor})).attributes == attributes


@pytest.mark.parametrize(
    ("labels", "role"),
    [
        ({"component": "explainer"}, "explainer"),
        ({"component": "backend", "app": "isvc.iris-transformer"}, "transformer"),
        ({"component": "backend", f"{KNATIVE}/service": "iris-explainer-default"}, "explainer"),
        ({"app": "isvc.iris-predictor-worker"}, "worker"),
        ({"app": "isvc.iris-en-predictor"}, "predictor"),
        ({}, "predictor"),
    ],
)
def test_a_pod_is_called_by_its_component_though_the_label_may_be_anybodys(labels: dict[str, str], role: str) -> None:
    iris = inference_service()
    made = deployment(iris, "iris-something")
    assert roles(see(iris, made, *pods_of(made, **labels))) == [role]


def test_what_stands_before_the_model_does_not_count() -> None:
    iris = inference_service()
    made = deployment(iris, "iris-predictor")
    replica_set, member = pods_of(made)
    containers = [{"name": name} for name in ("kserve-container", "queue-proxy", "agent", "transformer-container")]
    found = see(iris, made, replica_set, member | {"spec": pod_spec(containers=containers)})
    (facts,) = found.pods.values()
    mains = [one.name for one in facts.containers if one.role == "main"]
    assert mains == ["kserve-container", "transformer-container"]


def test_a_predictor_on_several_nodes_is_a_gang_in_each_generation() -> None:
    worker = {"pipelineParallelSize": 3, "containers": [container(4)]}
    iris = inference_service(
        spec={"predictor": {"workerSpec": worker, "containers": [container(1)]}, "transformer": {}}
    )
    manifests = []
    for generation in ("1", "2"):
        labels = {"isvc.generation": generation}
        head = deployment(iris, f"iris-predictor-{generation}")
        workers = deployment(iris, f"iris-predictor-worker-{generation}", 2, app="isvc.iris-predictor-worker")
        manifests += [head, *pods_of(head, component="predictor", **labels)]
        manifests += [workers, *pods_of(workers, 2, app="isvc.iris-predictor-worker", **labels)]
    transformer = deployment(iris, "iris-transformer")
    found = see(iris, *manifests, transformer, *pods_of(transformer, component="transformer"))
    assert sorted((group.name, group.min_members) for group in found.groups.values()) == [
        ("iris-1", 3),
        ("iris-2", 3),
        ("iris-transformer-0", 1),
    ]
    gang = next(group for group in found.groups.values() if group.name == "iris-1")
    assert [(part.name, part.min_members) for part in gang.sub_groups] == [("predictor", 1), ("worker", 2)]
    assert sum(facts.sub_group == "worker" for facts in found.pods.values()) == 4


def test_a_gang_whose_service_may_not_be_read_is_who_is_there() -> None:
    world = World(project())
    world.mirror.reads((KSERVE, "InferenceService"), Reading.FORBIDDEN)
    names = {NAME_LABEL: "iris"}
    workers = [pod(f"worker-{n}", labels=names | {"app": "isvc.iris-predictor-worker"}) for n in range(2)]
    ended = pod("worker-2", labels=names | {"app": "isvc.iris-predictor-worker"}, status={"phase": "Failed"})
    world.show(pod("head", labels=names | {"component": "predictor"}), *workers, ended)
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert [(group.name, group.min_members) for group in found.groups.values()] == [("iris", 3)]


def test_workers_that_are_not_made_yet_are_counted_as_they_are_written() -> None:
    worker = {"pipelineParallelSize": 3, "containers": [container(4)]}
    found = see(inference_service(spec={"predictor": {"workerSpec": worker, "containers": [container(1)]}}))
    assert (sizes(found), found.requests.gpu_millionths) == ((3, 3), 9_000_000)
    assert [(group.name, group.min_members) for group in found.groups.values()] == [(found.name, 3)]
    assert sizes(see(inference_service(spec={"predictor": {"workerSpec": {"size": 3}}}))) == (4, 4)


# ------------------------------------------------------------ LLMInferenceService, InferenceGraph


def test_an_llm_service_counts_those_who_decode_and_those_who_prefill() -> None:
    one_gpu = {"template": {"containers": [container(1)]}}
    found = see(
        llm_service({"replicas": 1, "model": {"name": "gpt"}, **one_gpu, "prefill": {"replicas": 2, **one_gpu}})
    )
    assert (found.kind, sizes(found), found.requests.gpu_millionths) == ("LLMInferenceService", (3, 3), 3_000_000)
    assert found.attributes == {"model": "gpt"}


@pytest.mark.parametrize(
    ("parallelism", "nodes"), [({}, 1), ({"pipeline": 2}, 2), ({"data": 16, "dataLocal": 8}, 2), ({"data": 4}, 4)]
)
def test_an_llm_service_on_several_nodes_counts_them(parallelism: dict[str, int], nodes: int) -> None:
    found = see(llm_service({"replicas": 3, "worker": {}, "template": {}, "parallelism": parallelism}))
    assert found.owner.desired_pods == 3 * nodes


def test_pods_of_an_llm_service_are_called_by_their_component() -> None:
    chat = llm_service({"template": {}})
    made = deployment(chat, "chat-kserve")
    label = "app.kubernetes.io/component"
    router = deployment(chat, "chat-router", gpus=0)
    found = see(
        chat,
        made,
        *pods_of(made, **{label: "llminferenceservice-workload-prefill"}),
        router,
        *pods_of(router, **{label: "llminferenceservice-router-scheduler"}),
    )
    assert roles(found) == ["router-scheduler", "workload-prefill"]
    assert sizes(found) == (2, 2)


def test_copies_of_an_llm_service_on_several_nodes_are_gangs() -> None:
    chat = llm_service({"template": {}, "worker": {}})
    leaders = RESOURCES["leaderworkerset.x-k8s.io", "LeaderWorkerSet"]
    made = manifest(
        leaders,
        "chat-kserve-mn",
        owner=chat,
        spec={"replicas": 2, "leaderWorkerTemplate": {"size": 2, "workerTemplate": template(gpus=8)}},
    )
    members = manifest(STATEFUL_SETS, "chat-kserve-mn", owner=made)
    lws = "leaderworkerset.sigs.k8s.io"
    pods = [
        pod(
            f"chat-{copy}-{index}",
            owner=members,
            labels={f"{lws}/name": "chat-kserve-mn", f"{lws}/group-index": copy, f"{lws}/worker-index": index},
        )
        for copy in ("0", "1")
        for index in ("0", "1")
    ]
    found = see(chat, made, members, *pods)
    assert (found.kind, len(found.pods), found.owner.desired_pods) == ("LLMInferenceService", 4, 4)
    assert [group.min_members for group in found.groups.values()] == [2, 2]
    assert found.requests.gpu_millionths == 32_000_000


def test_a_graph_is_a_workload_of_routers() -> None:
    graph = manifest(RESOURCES[KSERVE, "InferenceGraph"], "splitter", spec={"minReplicas": 2, "nodes": {}})
    assert sizes(see(graph)) == (2, 2)
    made = deployment(graph, "splitter", 2)
    found = see(graph, made, *pods_of(made, 2))
    assert (found.kind, roles(found), sizes(found)) == ("InferenceGraph", ["router", "router"], (2, 1))


# ------------------------------------------------------------ Knative alone


def test_a_knative_service_alone_is_a_workload_of_its_own() -> None:
    hello = knative_service("hello", spec={"template": {"spec": pod_spec(gpus=1)}})
    assert sizes(see(hello)) == (1, 1)
    found = see(hello, *chain(hello, replicas=3, count=2))
    assert (found.kind, found.api_version, found.owner.serving) == ("Service", "serving.knative.dev/v1", True)
    assert (roles(found), sizes(found)) == (["replica", "replica"], (3, 1))


@pytest.mark.parametrize(("written", "least"), [("3", 3), ("0", 1), ("many", 1), ("", 1)])
def test_a_knative_service_that_made_nothing_yet_wants_its_least(written: str, least: int) -> None:
    annotations = {"autoscaling.knative.dev/min-scale": written}
    assert sizes(see(knative_service("hello", spec={"template": template(annotations=annotations)}))) == (least, 1)


def test_a_knative_service_can_only_be_deleted_and_says_why() -> None:
    found = see(knative_service("hello"))
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (False, False, True)
    assert "cannot be suspended" in found.controls.reason
    assert [doomed.resource for doomed in found.controls.delete] == ["services"]


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ([condition("Ready", "True")], True),
        ([condition("Ready", "False"), condition("ConfigurationsReady", "False", "no such image")], False),
        ([condition("Ready", "Unknown")], None),
    ],
)
def test_a_knative_service_says_whether_it_is_well(conditions: list[dict[str, str]], ready: bool | None) -> None:
    assert see(knative_service("hello", status={"conditions": conditions})).owner.ready is ready


# ------------------------------------------------------------ what cannot be read


@pytest.mark.parametrize(
    ("labels", "kind", "group", "name"),
    [
        ({NAME_LABEL: "iris"}, "InferenceService", KSERVE, "iris"),
        ({"serving.kubeflow.org/inferenceservice": "iris"}, "InferenceService", "serving.kubeflow.org", "iris"),
        ({f"{KSERVE}/inferencegraph": "splitter"}, "InferenceGraph", KSERVE, "splitter"),
        ({f"{KNATIVE}/service": "hello"}, "Service", KNATIVE, "hello"),
        ({NAME_LABEL: "iris", f"{KNATIVE}/service": "iris-predictor"}, "InferenceService", KSERVE, "iris"),
        (
            {"app.kubernetes.io/part-of": "llminferenceservice", "app.kubernetes.io/name": "chat"},
            "LLMInferenceService",
            KSERVE,
            "chat",
        ),
    ],
)
def test_pods_without_an_owner_are_known_by_their_labels(
    labels: dict[str, str], kind: str, group: str, name: str
) -> None:
    world = World(project())
    world.mirror.reads((group, kind), Reading.FORBIDDEN)
    orphan = pod("orphan", labels=labels)
    world.show(orphan)
    place = world.mirror.place_of(orphan["metadata"]["uid"])
    assert isinstance(place, UUID)
    found = world.mirror.seen_workload(place)
    assert found is not None
    assert (found.kind, found.name, found.identity) == (kind, name, f"muster-demo/{name}")
    assert found.api_version.startswith(group)


def test_a_revision_that_may_not_be_read_leaves_the_labels_to_speak() -> None:
    iris = inference_service()
    made = knative_service("iris-predictor", owner=iris)
    configuration, revision, *rest = chain(made)
    rest[-1]["metadata"]["labels"][NAME_LABEL] = "iris"
    world = World(project())
    for kind in ("Service", "Configuration", "Revision"):
        world.mirror.reads((KNATIVE, kind), Reading.FORBIDDEN)
    world.show(iris, *rest)
    found = world.mirror.seen_workload(UUID(iris["metadata"]["uid"]))
    assert found is not None
    assert len(found.pods) == 1
    assert configuration != revision


def test_a_cron_that_owns_a_service_is_its_parent() -> None:
    outer = manifest(RESOURCES["batch", "CronJob"], "nightly")
    assert see(inference_service(owner=outer), outer).parent == ParentRef(kind="CronJob", name="nightly")


@pytest.mark.parametrize(
    "spec", [3, [], {"predictor": "x"}, {"predictor": {"minReplicas": "2", "model": {"resources": 7}}, "explainer": []}]
)
@pytest.mark.parametrize("kind", ["InferenceService", "InferenceGraph", "LLMInferenceService"])
def test_odd_objects_of_a_version_nobody_knows_are_borne(kind: str, spec: Any) -> None:
    odd = manifest(RESOURCES[KSERVE, kind], "odd", spec=spec, status=[1]) | {"apiVersion": f"{KSERVE}/v2"}
    found = see(odd, pod("odd-0", references=[owned_by(odd)]))
    assert (found.kind, found.api_version, len(found.pods)) == (kind, f"{KSERVE}/v2", 1)


# ------------------------------------------------------------ recorded


def test_the_recorded_service_is_one_workload() -> None:
    world = World(project("a", namespace="team-a"))
    written = (RECORDED / "derived-isvc-standard-predictor-transformer.json").read_text()
    world.show(*json.loads(written)["items"])
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.kind, found.name, found.attributes) == ("InferenceService", "iris", {"framework": "mlflow"})
    assert (roles(found), sizes(found)) == (["predictor", "predictor", "transformer"], (3, 3))
