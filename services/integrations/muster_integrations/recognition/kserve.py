"""KServe: InferenceService, InferenceGraph and LLMInferenceService, which serve models and never complete.

An InferenceService has components (predictor, transformer, explainer), each a Deployment, or a Knative Service with its
chain down to a Deployment; the Deployments know best how many pods are wanted, for autoscalers write there. Zero pods
are a way to rest and no stop; that is an annotation. A predictor on several nodes is a gang, a head and its workers, in
each generation; an LLMInferenceService on several nodes is made of LeaderWorkerSets, whose copies are gangs.

Pods carry the service's own labels too, so that the label `component` may be anybody's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from muster_cluster.objects import AnyObject, Deployment, Pod, PodSpec
from muster_contracts.phases import PriorityClass
from muster_contracts.values import OwnerFacts, SubGroup, Supports

from muster_integrations.recognition import leaderworkerset
from muster_integrations.recognition.controls import by_switch
from muster_integrations.recognition.fields import (
    Raw,
    conditions,
    entries,
    field,
    holding,
    mapping,
    number,
    pod_spec,
    sentence,
    text,
    texts,
)
from muster_integrations.recognition.kinds import Claim, Grouping, Kind, Members, Sight, System, Watch, each_alone
from muster_integrations.recognition.knative import (
    SERVICE,
    SERVICE_LABEL,
    main_containers,
    replicas_of_parts,
    template_of,
)
from muster_integrations.recognition.leaderworkerset import LEADER_WORKER_SET
from muster_integrations.recognition.pod_facts import has_ended
from muster_integrations.recognition.replicas import DEPLOYMENT

GROUP: Final = "serving.kserve.io"
OLD_GROUP: Final = "serving.kubeflow.org"
COMPONENTS: Final = ("predictor", "transformer", "explainer")
WORKER: Final = "worker"

_STOP: Final = "serving.kserve.io/stop"
_GENERATION: Final = "isvc.generation"
_COMPONENT_NAME: Final = re.compile(r"-(predictor|transformer|explainer)(-default)?(-\d+-deployment)?$")
_FAILED_TO_LOAD: Final = frozenset({"BlockedByFailedLoad", "InvalidSpec"})
_ALL: Final = Supports(stop=True, activate=True, delete=True)
_SWITCH: Final = by_switch("metadata", "annotations", _STOP, stopped="true", running=None)


# ------------------------------------------------------------ all kinds


def _facts(sight: Sight, trouble: str = "") -> OwnerFacts:
    """Return what such an object says; of what is not ready only `trouble` is more than a beginning."""
    is_ready = any(holding(sight.status, "Ready"))
    return OwnerFacts(
        suspended=_is_stopped(sight),
        deleting=sight.deleting,
        serving=True,
        ready=True if is_ready else (False if trouble else None),
        reason="" if is_ready else trouble,
    )


def _is_stopped(sight: Sight) -> bool:
    item: AnyObject | None = sight.item
    return item is not None and item.metadata.annotations.get(_STOP, "").lower() == "true"


def _with_containers(containers: Sequence[Any]) -> PodSpec | None:
    """Return a pod of these containers, as far as they can be read."""
    return pod_spec({"spec": {"containers": containers}}, "spec")


# ------------------------------------------------------------ InferenceService: its components


def component_of(labels: Mapping[str, str], name: str = "") -> str:
    """Return the component by its own label, else by how its service or Deployment is called; else the predictor."""
    if labels.get("app", "").endswith(f"-{WORKER}"):
        return WORKER
    if (written := labels.get("component", "")) in COMPONENTS:
        return written
    names = (labels.get(SERVICE_LABEL, ""), labels.get("app", ""), name)
    return next((found[1] for one in names if (found := _COMPONENT_NAME.search(one))), COMPONENTS[0])


def _role(pod: Pod, _sight: Sight) -> str:
    return component_of(pod.metadata.labels)


def _members(sight: Sight) -> tuple[Members, ...] | None:
    """Return what the Deployments want; for a component that has none yet, what is written of it."""
    if sight.item is None:
        return None
    made = tuple(_made(sight))
    return (*made, *(size for size in _written(sight) if size.role not in {one.role for one in made}))


def _made(sight: Sight) -> Iterator[Members]:
    deployments: Sequence[Deployment] = sight.parts_of(DEPLOYMENT.name)
    for part in deployments:
        role, wanted = component_of(_labels(part), part.metadata.name), part.spec.replicas
        enough = wanted if role == WORKER else min(wanted, _least(mapping(sight.spec, role)))
        yield Members(role, wanted, enough, *template_of(part))


def _labels(part: Deployment) -> Mapping[str, str]:
    return {**part.metadata.labels, **part.spec.template.metadata.labels}


def _written(sight: Sight) -> Iterator[Members]:
    """Yield the components as they are written; the annotations of the service go to all its pods."""
    spec, given = sight.spec, sight.item.metadata.annotations if sight.item is not None else {}
    for name in COMPONENTS:
        if isinstance(component := field(spec, name), Mapping):
            annotations, least = {**given, **texts(component, "annotations")}, _least(component)
            yield Members(name, least, least, _component_spec(component), annotations)
    if isinstance(worker := field(spec, "predictor", "workerSpec"), Mapping):
        yield Members(WORKER, _workers(worker), _workers(worker), pod_spec(spec, "predictor", "workerSpec"))


def _least(component: Raw) -> int:
    """Return the least number of replicas: one unless it is written, and zero where that is."""
    written = number(component, "minReplicas")
    return 1 if written is None else written


def _component_spec(component: Raw) -> PodSpec | None:
    """Return what a component's pod asks for: its own containers, and the one that its model stands for."""
    models = [value for value in component.values() if isinstance(value, Mapping) and "resources" in value]
    return _with_containers([*entries(component, "containers"), *models])


def _workers(worker: Raw) -> int:
    """Return how many workers a head has: one less than the stages of its pipeline; in older versions `size`."""
    stages = number(worker, "pipelineParallelSize")
    return max(1, stages - 1) if stages else (number(worker, "size") or 1)


# ------------------------------------------------------------ InferenceService: groups, health, attributes


def _groups(sight: Sight) -> Sequence[Grouping]:
    """Return every pod alone; of a predictor on several nodes a gang per generation, and one before its first pod."""
    roles = [_role(pod, sight) for pod in sight.pods]
    if WORKER not in roles and not isinstance(field(sight.spec, "predictor", "workerSpec"), Mapping):
        return each_alone(sight)
    of_gangs = {COMPONENTS[0], WORKER}
    nodes = [pod for pod, role in zip(sight.pods, roles, strict=True) if role in of_gangs]
    others = [pod for pod, role in zip(sight.pods, roles, strict=True) if role not in of_gangs]
    latest = max((pod.metadata.labels.get(_GENERATION, "") for pod in nodes), default="")
    generations: dict[str, list[Pod]] = {latest: []}
    for pod in nodes:
        generations.setdefault(pod.metadata.labels.get(_GENERATION, latest), []).append(pod)
    gangs = [_gang(sight, generation, pods) for generation, pods in generations.items()]
    return [*gangs, *each_alone(Sight(None, "", "", others))]


def _gang(sight: Sight, generation: str, pods: Sequence[Pod]) -> Grouping:
    """Return a head and its workers; when nobody says how many those are, the pods that are there."""
    worker = mapping(sight.spec, "predictor", "workerSpec")
    workers = _workers(worker) if worker else max(0, sum(not has_ended(pod) for pod in pods) - 1)
    parts = (SubGroup(name=COMPONENTS[0], min_members=1), SubGroup(name=WORKER, min_members=workers))
    return Grouping(f"generation-{generation}", f"{sight.name}-{generation}".rstrip("-"), 1 + workers, pods, parts)


def _owner(sight: Sight) -> OwnerFacts:
    return _facts(sight, _trouble(sight.status))


def _trouble(status: Any) -> str:
    """Return what is wrong, beyond not being ready yet: a model that does not load, or a way that leads nowhere."""
    if text(status, "modelStatus", "transitionStatus") in _FAILED_TO_LOAD:
        failure = mapping(status, "modelStatus", "lastFailureInfo")
        return sentence(failure) or "The model cannot be loaded."
    untrue = {name: said for name, said in conditions(status).items() if text(said, "status") == "False"}
    ways = [untrue[name] for name in ("RoutesReady", "IngressReady") if name in untrue]
    serves = (
        any(holding(status, "PredictorReady")) or {"PredictorReady", "PredictorConfigurationReady"} <= untrue.keys()
    )
    return (sentence(ways[0]) or "Its requests do not reach it.") if ways and serves else ""


def _attributes(sight: Sight) -> Mapping[str, str]:
    """Name the framework of the model: by its format, or in the older way by the field that holds it."""
    predictor = mapping(sight.spec, "predictor")
    older = (name for name, value in predictor.items() if text(value, "storageUri") and name != "model")
    framework = text(predictor, "model", "modelFormat", "name") or next(older, "")
    return {"framework": framework} if framework else {}


# ------------------------------------------------------------ InferenceGraph


def _graph_role(_pod: Pod, _sight: Sight) -> str:
    return "router"


def _graph_members(sight: Sight) -> tuple[Members, ...] | None:
    if sight.item is None:
        return None
    least = _least(mapping(sight.spec))
    return tuple(replicas_of_parts(sight)) or (
        Members("router", least, least, _with_containers([mapping(sight.spec)])),
    )


# ------------------------------------------------------------ LLMInferenceService

_LLM: Final = "llminferenceservice"
_LLM_COMPONENT: Final = "app.kubernetes.io/component"
_SET: Final = "leaderworkerset.sigs.k8s.io/name"


def _llm_role(pod: Pod, _sight: Sight) -> str:
    """Return the component without what they all begin with: workload, workload-prefill, workload-leader, router …"""
    return pod.metadata.labels.get(_LLM_COMPONENT, "").removeprefix(f"{_LLM}-") or "workload"


def _llm_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return what was made of it; before that, decoders and prefillers as they are written."""
    if sight.item is None:
        return None
    sets = [size for part in _sets(sight) for size in leaderworkerset.members(part) or ()]
    return (*replicas_of_parts(sight), *sets) or tuple(_llm_written(sight.spec))


def _sets(sight: Sight) -> Iterator[Sight]:
    """Yield each LeaderWorkerSet of a service, with its pods."""
    for part in sight.parts_of(LEADER_WORKER_SET.name):
        name = part.metadata.name
        yield Sight(part, name, sight.namespace, [pod for pod in sight.pods if pod.metadata.labels.get(_SET) == name])


def _llm_written(spec: Any) -> Iterator[Members]:
    for role, workload in (("workload", spec), ("workload-prefill", field(spec, "prefill"))):
        if isinstance(workload, Mapping):
            replicas = number(workload, "replicas")
            count = (1 if replicas is None else replicas) * _llm_nodes(workload)
            yield Members(role, count, count, pod_spec(workload, "template"))


def _llm_nodes(workload: Raw) -> int:
    """Return on how many nodes a replica is: the stages of its pipeline, or its data-parallel ranks by node."""
    if not isinstance(field(workload, "worker"), Mapping):
        return 1
    parallelism = mapping(workload, "parallelism")
    ranks, local = number(parallelism, "data") or 1, number(parallelism, "dataLocal") or 1
    return max(1, number(parallelism, "pipeline") or 1, ranks // local)


def _llm_groups(sight: Sight) -> Sequence[Grouping]:
    """Return a gang per copy of a LeaderWorkerSet, and every other pod alone."""
    sets = list(_sets(sight))
    gangs = [replace(copy, key=f"{part.name}/{copy.key}") for part in sets for copy in leaderworkerset.groups(part)]
    names = {part.name for part in sets}
    others = [pod for pod in sight.pods if pod.metadata.labels.get(_SET) not in names]
    return [*gangs, *each_alone(Sight(None, "", "", others))]


def _llm_attributes(sight: Sight) -> Mapping[str, str]:
    model = text(sight.spec, "model", "name") or text(sight.spec, "model", "uri")
    return {"model": model} if model else {}


# ------------------------------------------------------------ the kinds, and what labels tell

INFERENCE_SERVICE: Final = Kind(
    group=GROUP,
    name="InferenceService",
    watch=Watch("inferenceservices", versions=("v1beta1",)),
    absorbs=frozenset({DEPLOYMENT.key, SERVICE.key}),
    priority=PriorityClass.INFERENCE,
    supports=_ALL,
    owner=_owner,
    members=_members,
    groups=_groups,
    role=_role,
    main_containers=main_containers,
    attributes=_attributes,
    controls=_SWITCH,
)
OLD_INFERENCE_SERVICE: Final = replace(
    INFERENCE_SERVICE, group=OLD_GROUP, watch=Watch("inferenceservices", versions=("v1beta1", "v1alpha2"))
)
INFERENCE_GRAPH: Final = Kind(
    group=GROUP,
    name="InferenceGraph",
    watch=Watch("inferencegraphs", versions=("v1alpha1",)),
    absorbs=frozenset({DEPLOYMENT.key, SERVICE.key}),
    priority=PriorityClass.INFERENCE,
    supports=_ALL,
    owner=_facts,
    members=_graph_members,
    role=_graph_role,
    main_containers=main_containers,
    controls=_SWITCH,
)
LLM_INFERENCE_SERVICE: Final = Kind(
    group=GROUP,
    name="LLMInferenceService",
    watch=Watch("llminferenceservices", versions=("v1alpha2", "v1alpha1")),
    absorbs=frozenset({DEPLOYMENT.key, LEADER_WORKER_SET.key}),
    priority=PriorityClass.INFERENCE,
    supports=_ALL,
    owner=_facts,
    members=_llm_members,
    groups=_llm_groups,
    role=_llm_role,
    main_containers=main_containers,
    attributes=_llm_attributes,
    controls=_SWITCH,
)

_BY_NAME: Final = (
    (f"{GROUP}/inferenceservice", INFERENCE_SERVICE, f"{GROUP}/v1beta1"),
    (f"{OLD_GROUP}/inferenceservice", OLD_INFERENCE_SERVICE, f"{OLD_GROUP}/v1beta1"),
    (f"{GROUP}/inferencegraph", INFERENCE_GRAPH, f"{GROUP}/v1alpha1"),
)


def pod_by_service(pod: Pod) -> Claim | None:
    """Know a pod by the label that names its InferenceService or InferenceGraph."""
    for label, kind, api_version in _BY_NAME:
        if name := pod.metadata.labels.get(label, ""):
            return Claim(kind, api_version, name, object_name=name)
    return None


def pod_by_part(pod: Pod) -> Claim | None:
    """Know a pod of an LLMInferenceService by the application it is a part of."""
    labels = pod.metadata.labels
    name = labels.get("app.kubernetes.io/name", "")
    if labels.get("app.kubernetes.io/part-of") != _LLM or not name:
        return None
    return Claim(LLM_INFERENCE_SERVICE, f"{GROUP}/v1alpha2", name, object_name=name)


SYSTEM: Final = System(
    kinds=(INFERENCE_SERVICE, OLD_INFERENCE_SERVICE, INFERENCE_GRAPH, LLM_INFERENCE_SERVICE),
    by_label=(pod_by_service, pod_by_part),
)
