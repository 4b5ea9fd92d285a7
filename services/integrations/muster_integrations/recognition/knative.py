"""Knative's Service: pods that come and go with the requests, through a Configuration and its Revisions.

Alone it is a workload; under an InferenceService, one of its parts. Zero pods are its way to rest and no stop, and it
has no switch: whoever wants it gone deletes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from muster_cluster.objects import Deployment, Pod, PodSpec
from muster_contracts.phases import PriorityClass, WorkloadClass
from muster_contracts.values import OwnerFacts, Supports

from muster_integrations.recognition.controls import delete_only
from muster_integrations.recognition.fields import conditions, holding, pod_spec, sentence, text, texts
from muster_integrations.recognition.kinds import Claim, Kind, Members, Sight, Standing, System, Watch
from muster_integrations.recognition.replicas import DEPLOYMENT, role

GROUP: Final = "serving.knative.dev"
SERVICE_LABEL: Final = f"{GROUP}/service"

_LEAST: Final = ("autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale")
_SIDECARS: Final = frozenset({"queue-proxy", "agent", "istio-proxy"})


def owner(sight: Sight) -> OwnerFacts:
    """Return what a Service says: it is well, also without pods; or a revision cannot be made to serve."""
    failed = conditions(sight.status).get("ConfigurationsReady")
    wrong = text(failed, "status") == "False"
    return OwnerFacts(
        deleting=sight.deleting,
        serving=True,
        ready=True if any(holding(sight.status, "Ready")) else (False if wrong else None),
        reason=sentence(failed) if wrong else "",
    )


def members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the replicas of all revisions; before the first there is one, or what is the least."""
    if sight.item is None:
        return None
    return tuple(replicas_of_parts(sight)) or (_planned(sight.spec),)


def replicas_of_parts(sight: Sight) -> Iterator[Members]:
    """Yield the replicas of the Deployments that were made."""
    deployments: Sequence[Deployment] = sight.parts_of(DEPLOYMENT.name)
    for part in deployments:
        replicas = part.spec.replicas
        yield Members("replica", replicas, min(1, replicas), *template_of(part))


def template_of(part: Deployment) -> tuple[PodSpec | None, Mapping[str, str]]:
    """Return the spec and the annotations of a template; no spec when it is not written what its pods consist of."""
    template = part.spec.template
    return template.spec if template.spec.containers else None, template.metadata.annotations


def _planned(spec: Any) -> Members:
    annotations = texts(spec, "template", "metadata", "annotations")
    written = next((least for name in _LEAST if (least := annotations.get(name))), "")
    count = int(written) if written.isascii() and written.isdigit() and len(written) < 10 else 1
    return Members("replica", max(1, count), 1, pod_spec(spec, "template", "spec"), annotations)


def main_containers(pod: Pod) -> frozenset[str] | None:
    """Let the user's containers count, not those that stand before them."""
    return frozenset(container.name for container in pod.spec.containers) - _SIDECARS or None


def pod_of_a_service(pod: Pod) -> Claim | None:
    """Know a pod by the name of its Service."""
    name = pod.metadata.labels.get(SERVICE_LABEL, "")
    return Claim(SERVICE, f"{GROUP}/v1", name, object_name=name) if name else None


SERVICE: Final = Kind(
    group=GROUP,
    name="Service",
    workload_class=WorkloadClass.KUBERNETES,
    watch=Watch("services"),
    priority=PriorityClass.INFERENCE,
    supports=Supports(stop=False, activate=False, delete=True),
    owner=owner,
    members=members,
    role=role,
    main_containers=main_containers,
    controls=delete_only("A Knative Service cannot be suspended; it takes its pods away by itself when nobody calls."),
)
CONFIGURATION: Final = Kind(group=GROUP, name="Configuration", standing=Standing.STEP, watch=Watch("configurations"))
REVISION: Final = Kind(
    group=GROUP,
    name="Revision",
    standing=Standing.STEP,
    watch=Watch("revisions"),
    absorbs=frozenset({DEPLOYMENT.key}),
)

SYSTEM: Final = System(kinds=(SERVICE, CONFIGURATION, REVISION), by_label=(pod_of_a_service,))
