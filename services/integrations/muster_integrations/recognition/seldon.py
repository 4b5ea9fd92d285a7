"""Seldon Core: SeldonDeployment (v1), and Server with its Models (v2).

A SeldonDeployment makes a Deployment for every component of every predictor; they are one workload, and so are canaries
and shadows, which are predictors too. Names over 63 characters become hashes and users may overwrite any label, so the
owners count, and labels only where there are none. It has no switch: it is stopped by writing zero replicas at every
level, since the most specific wins, and each level's old number has to come back.

In v2 a Server owns the pods. A Model owns none: a scheduler loads it into a Server, and does not tell Kubernetes into
which. It is shown with the Server that it names, else with the one that is usually called by what it requires. The
control plane (scheduler, gateways, envoy) belongs to the installation and not to anybody's workloads.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import md5
from typing import Any, Final

from muster_cluster.objects import AnyObject, Deployment, Pod, PodSpec
from muster_contracts.phases import PriorityClass
from muster_contracts.values import Controls, OwnerFacts, Supports

from muster_integrations.recognition.controls import by_replicas, delete_only, patch
from muster_integrations.recognition.fields import (
    Raw,
    entries,
    field,
    flag,
    holding,
    mapping,
    number,
    pod_spec,
    text,
    texts,
)
from muster_integrations.recognition.kinds import (
    Claim,
    Handle,
    Kind,
    KindName,
    Members,
    Sight,
    Standing,
    System,
    Watch,
)
from muster_integrations.recognition.replicas import DEPLOYMENT, STATEFUL_SET

V1: Final = "machinelearning.seldon.io"
V2: Final = "mlops.seldon.io"
MODEL: Final = "model"
ENGINE: Final = "svc-orch"

_LONGEST_LABEL: Final = 63
_DEPLOYMENT_ID: Final = "seldon-deployment-id"
_SERVER_NAME: Final = "seldon-server-name"
_SEPARATE_ENGINE: Final = "seldon.io/engine-separate-pod"
_ENGINE_CONTAINER: Final = "seldon-container-engine"
_ROLES: Final = ("explainer", "shadow", "router", "combiner", "transformer", "output-transformer", MODEL)
_ALL: Final = Supports(stop=True, activate=True, delete=True)


# ------------------------------------------------------------ SeldonDeployment: sizes


def _sizes(sight: Sight) -> Iterator[Members]:
    for predictor in entries(sight.spec, "predictors"):
        size = _first(number(predictor, "replicas"), number(sight.spec, "replicas"), 1)
        yield from _components(sight, predictor, size)
        if _engine_is_apart(sight.spec, predictor):
            yield _alike(ENGINE, _first(number(predictor, "svcOrchSpec", "replicas"), size), PodSpec())
        if text(predictor, "explainer", "type"):
            explainers = _first(number(predictor, "explainer", "replicas"), 1) if size else 0
            yield _alike("explainer", explainers, PodSpec())


def _components(sight: Sight, predictor: Raw, size: int) -> Iterator[Members]:
    """Yield the components of a predictor; a server that Seldon brings along needs none to be written."""
    role = "shadow" if flag(predictor, "shadow") else MODEL
    for index, component in enumerate(entries(predictor, "componentSpecs") or [{}]):
        wanted = _first(number(component, "replicas"), size)
        if _scales_itself(component):
            wanted = _live_replicas(sight, text(predictor, "name"), index, number(component, "hpaSpec", "minReplicas"))
        annotations = texts(component, "metadata", "annotations")
        yield _alike(role, wanted, pod_spec(component, "spec") or PodSpec(), annotations)


def _alike(role: str, count: int, spec: PodSpec, annotations: Mapping[str, str] | None = None) -> Members:
    """Return members all of which are waited for. Without containers their pods have to tell what they ask for."""
    return Members(role, count, count, spec if spec.containers else None, annotations or {})


def _first(*numbers: int | None) -> int:
    return next((one for one in numbers if one is not None), 0)


def _scales_itself(component: Raw) -> bool:
    return bool(field(component, "hpaSpec") or field(component, "kedaSpec"))


def _live_replicas(sight: Sight, predictor: str, index: int, least: int | None) -> int:
    """Return what an autoscaler wants at the moment: the size of the component's Deployment, by its name."""
    prefix = f"{sight.name}-{predictor}-{index}-"
    deployments: Sequence[Deployment] = sight.parts_of(DEPLOYMENT.name)
    live = (part.spec.replicas for part in deployments if part.metadata.name.startswith(prefix))
    return next(live, least or 1)


def _engine_is_apart(spec: Any, predictor: Raw) -> bool:
    return any(field(raw, "annotations", _SEPARATE_ENGINE) == "true" for raw in (spec, predictor))


# ------------------------------------------------------------ SeldonDeployment: what it says, how it is stopped

_HEALTH: Final = {"Available": True, "Failed": False}


def _deployment_owner(sight: Sight) -> OwnerFacts:
    sizes = _deployment_members(sight)
    return OwnerFacts(
        suspended=bool(sizes) and not any(size.count for size in sizes or ()),
        deleting=sight.deleting,
        serving=True,
        ready=_health(sight),
        reason=text(sight.status, "description") if text(sight.status, "state") == "Failed" else "",
    )


def _health(sight: Sight) -> bool | None:
    """Return what it says of itself. `Available` is out of date where it counts fewer copies than are wanted by now."""
    wanted = sum(size.count for size in _deployment_members(sight) or ())
    state = text(sight.status, "state")
    if state == "Available" and _first(number(sight.status, "replicas"), wanted) < wanted:
        return None
    return _HEALTH.get(state)


def _deployment_members(sight: Sight) -> tuple[Members, ...] | None:
    return tuple(_sizes(sight)) if sight.item is not None else None


def _deployment_role(pod: Pod, _sight: Sight) -> str:
    """Return what a pod is in the graph. A pod in several roles is called by the rarest."""
    if [container.name for container in pod.spec.containers] == [_ENGINE_CONTAINER]:
        return ENGINE
    labels = pod.metadata.labels
    return next((role for role in _ROLES if labels.get(f"seldon.io/{role}") == "true"), MODEL)


def _all_but_engine(pod: Pod) -> frozenset[str] | None:
    """Let every container count but Seldon's engine, unless that is alone."""
    return frozenset(container.name for container in pod.spec.containers) - {_ENGINE_CONTAINER} or None


def _hashed(deployment: AnyObject) -> Sequence[tuple[KindName, str]]:
    """Return how pods call a deployment whose name is too long for a label; it stands for one that is called so."""
    name = deployment.metadata.name
    if len(name) <= _LONGEST_LABEL:
        return ()
    return ((SELDON_DEPLOYMENT.key, f"seldon-{md5(name.encode(), usedforsecurity=False).hexdigest()}"),)


def _frameworks(sight: Sight) -> Mapping[str, str]:
    """Name what the servers that Seldon brings along are for: `MLFLOW_SERVER` says mlflow."""
    graphs = [field(predictor, "graph") for predictor in entries(sight.spec, "predictors")]
    servers = {server for graph in graphs for server in _implementations(graph) if server.endswith("_SERVER")}
    names = sorted(server.removesuffix("_SERVER").lower() for server in servers)
    return {"framework": ", ".join(names)} if names else {}


def _implementations(unit: Any, depth: int = 10) -> Iterator[str]:
    yield text(unit, "implementation")
    for child in entries(unit, "children") if depth else ():
        yield from _implementations(child, depth - 1)


def _deployment_controls(sight: Sight, handle: Handle | None, remembered: Controls) -> Controls:
    """Write zero at every level; what was there, at every level, is what activates.

    A merge patch replaces lists as a whole, so both carry all predictors.
    """
    if handle is None:
        return Controls()
    if any(_scales_itself(c) for p in entries(sight.spec, "predictors") for c in entries(p, "componentSpecs")):
        return delete_only("An autoscaler decides its replicas, so it cannot be scaled to zero.")(
            sight, handle, remembered
        )
    before = sight.spec if any(size.count for size in _sizes(sight)) else _remembered_spec(remembered)
    return Controls(
        stop=(patch(handle, ("spec",), _with_replicas(sight.spec, None)),),
        activate=(patch(handle, ("spec",), _with_replicas(sight.spec, before)),),
        delete=(handle.reference,),
    )


def _remembered_spec(remembered: Controls) -> Raw:
    """Return what it was before it was stopped; one replica each when nobody ever saw it larger."""
    return next((before.body["spec"] for before in remembered.activate), {"replicas": 1})


def _with_replicas(spec: Any, before: Any | None) -> dict[str, Any]:
    """Return the replicas of every level and all that has to be written with them: zero, or as they were before."""
    sizes = {text(predictor, "name"): predictor for predictor in entries(before, "predictors")}
    predictors = [
        _sized_predictor(predictor, None if before is None else sizes.get(text(predictor, "name"), {}))
        for predictor in entries(spec, "predictors")
    ]
    replicas = 0 if before is None else number(before, "replicas")
    return {"replicas": replicas} | ({"predictors": predictors} if predictors else {})


def _sized_predictor(predictor: Raw, before: Raw | None) -> dict[str, Any]:
    sized = _sized(predictor, before)
    if components := entries(predictor, "componentSpecs"):
        earlier = entries(before, "componentSpecs")
        sized["componentSpecs"] = [
            _sized(component, None if before is None else (earlier[index] if index < len(earlier) else {}))
            for index, component in enumerate(components)
        ]
    for name in ("svcOrchSpec", "explainer"):
        if isinstance(part := field(predictor, name), Mapping) and part:
            sized[name] = _sized(part, None if before is None else mapping(before, name))
    return sized


def _sized(level: Raw, before: Any | None) -> dict[str, Any]:
    """Return one level with no replicas (`before` is None), or with as many as it was given before, if any."""
    kept = {name: value for name, value in level.items() if name != "replicas"}
    replicas = 0 if before is None else number(before, "replicas")
    return kept if replicas is None else {**kept, "replicas": replicas}


# ------------------------------------------------------------ Server and its Models


def _server_replicas(item: Any) -> int:
    return _first(number(item.spec, "replicas"), number(item.spec, "minReplicas"), 1)


def _server_owner(sight: Sight) -> OwnerFacts:
    """Return what a Server says: that it is ready. That it is not yet is no trouble; its pods tell more."""
    return OwnerFacts(
        suspended=sight.item is not None and _server_replicas(sight.item) == 0,
        deleting=sight.deleting,
        serving=True,
        ready=True if any(holding(sight.status, "Ready")) else None,
    )


def _server_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the replicas. Their template is known from what Seldon made; a Server itself only says what is special."""
    if sight.item is None:
        return None
    made = [*sight.parts_of(STATEFUL_SET.name), *sight.parts_of(DEPLOYMENT.name)]
    template = next((part.spec.template.spec for part in made), None) or pod_spec(sight.spec, "podSpec")
    return (_alike("server", _server_replicas(sight.item), template or PodSpec()),)


def _server_role(_pod: Pod, _sight: Sight) -> str:
    return "server"


def _inference_containers(pod: Pod) -> frozenset[str] | None:
    """Let every container count but those that fetch models."""
    return frozenset(container.name for container in pod.spec.containers) - {"rclone", "agent"} or None


def _models(sight: Sight) -> Mapping[str, str]:
    """Name the Models that are shown with a Server, and say which of them are not ready."""
    said = [_model_words(model) for model in sight.parts_of(_MODEL_NAME)]
    return {"models": ", ".join(said)} if said else {}


def _model_words(model: Any) -> str:
    name: str = model.metadata.name
    return name if any(holding(model.status, "Ready", "ModelReady")) else f"{name} (not ready)"


_TRITON: Final = frozenset({"triton", "dali", "fil", "onnx", "openvino", "pytorch", "tensorflow", "tensorrt"})
"""What only the Server that Seldon's installation calls `triton` can do; `mlserver` takes the rest."""


def _server_of(model: Any) -> tuple[KindName, str]:
    """Return the Server of a Model: the one it names, else the one that is usually called by what it requires."""
    required = field(model.spec, "requirements")
    asked = {one for one in required if isinstance(one, str)} if isinstance(required, Sequence) else set()
    usual = "triton" if asked & _TRITON else "mlserver"
    return SERVER.key, text(model.spec, "server") or usual


# ------------------------------------------------------------ the kinds, and what labels tell

SELDON_DEPLOYMENT: Final = Kind(
    group=V1,
    name="SeldonDeployment",
    watch=Watch("seldondeployments", versions=("v1", "v1alpha3", "v1alpha2")),
    absorbs=frozenset({DEPLOYMENT.key}),
    priority=PriorityClass.INFERENCE,
    supports=_ALL,
    holds=_hashed,
    owner=_deployment_owner,
    members=_deployment_members,
    role=_deployment_role,
    main_containers=_all_but_engine,
    attributes=_frameworks,
    controls=_deployment_controls,
)
SERVER: Final = Kind(
    group=V2,
    name="Server",
    watch=Watch("servers", versions=("v1alpha1",)),
    absorbs=frozenset({STATEFUL_SET.key, DEPLOYMENT.key}),
    priority=PriorityClass.INFERENCE,
    supports=_ALL,
    owner=_server_owner,
    members=_server_members,
    role=_server_role,
    main_containers=_inference_containers,
    attributes=_models,
    controls=by_replicas(_server_replicas),
)
_MODEL_NAME: Final = "Model"
MODELS: Final = Kind(group=V2, name=_MODEL_NAME, watch=Watch("models", versions=("v1alpha1",)), refers=_server_of)
SELDON_RUNTIME: Final = Kind(group=V2, name="SeldonRuntime", standing=Standing.APART)

_CONTROL_PLANE: Final = frozenset(
    {
        "hodometer",
        "seldon-controller-manager",
        "seldon-dataflow-engine",
        "seldon-envoy",
        "seldon-hodometer",
        "seldon-modelgateway",
        "seldon-pipelinegateway",
        "seldon-scheduler",
        "seldon-v2-controller-manager",
    }
)


def is_control_plane(pod: Pod) -> str:
    """Say of a pod of Seldon's own services that it is no workload."""
    labels = pod.metadata.labels
    called = {labels.get(name, "") for name in ("app", "app.kubernetes.io/name", "control-plane")}
    return "It is a part of Seldon Core's control plane." if called & _CONTROL_PLANE else ""


def pod_of_a_deployment(pod: Pod) -> Claim | None:
    """Know a pod by the id of its SeldonDeployment: the name, or a hash of one that is too long."""
    name = pod.metadata.labels.get(_DEPLOYMENT_ID, "")
    return Claim(SELDON_DEPLOYMENT, f"{V1}/v1", name, object_name=name) if name else None


def pod_of_a_server(pod: Pod) -> Claim | None:
    """Know a pod by the name of its Server."""
    name = pod.metadata.labels.get(_SERVER_NAME, "")
    return Claim(SERVER, f"{V2}/v1alpha1", name, object_name=name) if name else None


SYSTEM: Final = System(
    kinds=(SELDON_DEPLOYMENT, SERVER, MODELS, SELDON_RUNTIME),
    by_label=(pod_of_a_deployment, pod_of_a_server),
    apart=(is_control_plane,),
)
