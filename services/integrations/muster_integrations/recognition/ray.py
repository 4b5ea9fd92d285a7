"""Ray, as KubeRay runs it: RayCluster, RayJob and RayService; and RayCronJob, which only makes RayJobs.

A RayJob is one workload with its cluster and its submitter, and so is a RayService with both clusters of an upgrade. A
cluster is one gang, a head and so many workers that it is of use; the submitter comes after it and would hold up a
gang that it was in. Neither head nor worker says to which RayJob its cluster belongs: only the RayCluster knows.

A RayJob with a `clusterSelector` runs on somebody else's cluster and owns no more than its submitter. Clusters are
called anew with every retry, so nothing but the name of a pod group hangs on the name of a cluster.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Job, Pod, PodSpec
from muster_contracts.phases import PriorityClass
from muster_contracts.values import Controls, Outcome, OwnerFacts, ParentRef, SubGroup, Supports

from muster_integrations.recognition.controls import by_switch, delete_only
from muster_integrations.recognition.fields import (
    Raw,
    conditions,
    entries,
    field,
    flag,
    holding,
    mapping,
    moment,
    number,
    pod_spec,
    sentence,
    text,
    texts,
)
from muster_integrations.recognition.jobs import JOB
from muster_integrations.recognition.kinds import (
    Claim,
    Grouping,
    Handle,
    Kind,
    KindName,
    Members,
    Sight,
    Standing,
    System,
    Watch,
    each_alone,
)
from muster_integrations.recognition.pod_facts import has_ended

GROUP: Final = "ray.io"
API_VERSION: Final = "ray.io/v1"
HEAD: Final = "head"
SUBMITTER: Final = "submitter"

_CLUSTER: Final = "ray.io/cluster"
_NODE_TYPE: Final = "ray.io/node-type"
_WORKER_GROUP: Final = "ray.io/group"
_MADE_FOR: Final = "ray.io/originated-from-cr-name"
_MADE_FOR_KIND: Final = "ray.io/originated-from-crd"
_CRON_JOB: Final = "ray.io/cronjob-name"

_SWITCH: Final = by_switch("spec", "suspend")
_ALL: Final = Supports(stop=True, activate=True, delete=True)


# ------------------------------------------------------------ how large a cluster is


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A cluster that is there, or that is planned: its pods' label is `name`, its `spec` that of a RayCluster.

    One that `leaves` is being deleted.
    """

    name: str
    spec: Any
    leaves: bool = False


def _sizes(spec: Any) -> Iterator[Members]:
    """Yield the head and every worker group that is not suspended."""
    head = field(spec, "headGroupSpec")
    yield Members(HEAD, 1, 1, pod_spec(head, "template", "spec"), _annotations(head))
    for group in entries(spec, "workerGroupSpecs"):
        if not flag(group, "suspend"):
            yield _workers(group, elastic=flag(spec, "enableInTreeAutoscaling"))


def _workers(group: Raw, *, elastic: bool) -> Members:
    """Return a worker group: `replicas` within its bounds, and at least `minReplicas`, times the hosts of a replica.

    An autoscaler writes `replicas` itself, so with one the minimum is the only wish of the user's, zero included.
    """
    hosts, least = max(1, number(group, "numOfHosts") or 1), number(group, "minReplicas") or 0
    most, asked = number(group, "maxReplicas"), number(group, "replicas")
    wanted = max(least, asked if asked is not None else least)
    replicas = wanted if most is None else max(least, min(wanted, most))
    minimum = least if elastic or least else replicas
    role, spec = _worker_role(text(group, "groupName")), pod_spec(group, "template", "spec")
    return Members(role, replicas * hosts, minimum * hosts, spec, _annotations(group))


def _annotations(group: Any) -> Mapping[str, str]:
    return texts(group, "template", "metadata", "annotations")


def _worker_role(group: str) -> str:
    return f"worker:{group}" if group else "worker"


def _spare(members: Members) -> Members:
    """Return the same pods as none that anybody waits for."""
    return replace(members, minimum=0)


# ------------------------------------------------------------ pods and their groups


def role(pod: Pod, _sight: Sight) -> str:
    """Return head, worker with its group, redis-cleanup; a pod without KubeRay's labels is just a pod."""
    labels = pod.metadata.labels
    node_type = labels.get(_NODE_TYPE, "")
    if node_type == "worker":
        return _worker_role(labels.get(_WORKER_GROUP, ""))
    return node_type or "pod"


def _role_in_a_job(pod: Pod, sight: Sight) -> str:
    """Return what any pod of Ray is called; one that is of no cluster submits the job."""
    owned_by_one = any(owner.kind == RAY_CLUSTER.name for owner in pod.metadata.owner_references)
    of_a_cluster = owned_by_one or not pod.metadata.labels.keys().isdisjoint((_CLUSTER, _NODE_TYPE))
    return role(pod, sight) if of_a_cluster else SUBMITTER


def main_containers(pod: Pod) -> frozenset[str] | None:
    """Let the first container count: it is Ray's; an autoscaler or a submitter at its side is not."""
    return frozenset(container.name for container in pod.spec.containers[:1]) or None


def _groups(clusters: Iterable[_Cluster], sight: Sight) -> Sequence[Grouping]:
    """Return one gang per cluster, and every other pod alone.

    A cluster that cannot be read is a gang of the pods that say they are its, and have not ended.
    """
    known = {cluster.name: cluster for cluster in clusters}
    gangs: dict[str, list[Pod]] = {name: [] for name in known}
    others: list[Pod] = []
    for pod in sight.pods:
        (gangs.setdefault(pod.metadata.labels.get(_CLUSTER, ""), []) if _is_node(pod) else others).append(pod)
    formed = [_gang(name, known.get(name), pods) for name, pods in gangs.items()]
    return [*formed, *each_alone(Sight(None, "", "", others))]


def _is_node(pod: Pod) -> bool:
    return pod.metadata.labels.get(_NODE_TYPE) in {HEAD, "worker"}


def _gang(name: str, cluster: _Cluster | None, pods: Sequence[Pod]) -> Grouping:
    if cluster is None:
        return Grouping(name, name, max(1, sum(not has_ended(pod) for pod in pods)), pods)
    parts = tuple(SubGroup(name=size.role, min_members=size.minimum) for size in _sizes(cluster.spec))
    return Grouping(name, name, sum(part.min_members for part in parts), pods, parts)


# ------------------------------------------------------------ RayCluster


def _cluster_owner(sight: Sight) -> OwnerFacts:
    """Return what a RayCluster says: it stands until it is deleted, and may lack pods that cannot be made."""
    failed = next(holding(sight.status, "ReplicaFailure"), None)
    wrong = failed is not None or text(sight.status, "state") == "failed"
    return OwnerFacts(
        suspended=flag(sight.spec, "suspend"),
        deleting=sight.deleting,
        serving=True,
        ready=False if wrong else None,
        reason=(sentence(failed) or text(sight.status, "reason")) if wrong else "",
    )


def _cluster_members(sight: Sight) -> tuple[Members, ...] | None:
    return tuple(_sizes(sight.spec)) if sight.item is not None else None


def _cluster_groups(sight: Sight) -> Sequence[Grouping]:
    return _groups([_Cluster(sight.name, sight.spec)] if sight.item is not None else [], sight)


# ------------------------------------------------------------ RayJob

_OUTCOMES: Final = {"Failed": Outcome.FAILED, "ValidationFailed": Outcome.FAILED}
_STOPPED: Final = "The Ray job was stopped."


def _job_owner(sight: Sight) -> OwnerFacts:
    """Return what a RayJob says: `Complete` only tells that Ray's job is over, `jobStatus` how."""
    outcome = _outcome(sight.status)
    ended = outcome is not Outcome.NONE
    return OwnerFacts(
        suspended=flag(sight.spec, "suspend"),
        deleting=sight.deleting,
        outcome=outcome,
        reason=_reason(sight.status, outcome),
        finished_at=moment(sight.status, "endTime") if ended else None,
        ready=True if not ended and text(sight.status, "jobStatus") == "RUNNING" else None,
    )


def _outcome(status: Any) -> Outcome:
    deployment = text(status, "jobDeploymentStatus")
    if deployment == "Complete":
        return Outcome.FAILED if text(status, "jobStatus") in {"FAILED", "STOPPED"} else Outcome.SUCCEEDED
    return _OUTCOMES.get(deployment, Outcome.NONE)


def _reason(status: Any, outcome: Outcome) -> str:
    if outcome is not Outcome.FAILED:
        return ""
    return sentence(status) or (_STOPPED if text(status, "jobStatus") == "STOPPED" else "")


def _made_clusters(sight: Sight) -> Sequence[_Cluster]:
    """Return the clusters that are there: one, and during a retry or an upgrade another."""
    parts = sight.parts_of(RAY_CLUSTER.name)
    return [_Cluster(part.metadata.name, part.spec, part.metadata.deletion_timestamp is not None) for part in parts]


def _planned(sight: Sight, path: str) -> Sequence[_Cluster]:
    """Return the cluster that an object will have, under the object's own name."""
    spec = field(sight.spec, path)
    return [_Cluster(sight.name, spec)] if isinstance(spec, Mapping) and not _shares_cluster(sight) else []


def _lasting(sight: Sight, path: str) -> Sequence[_Cluster]:
    """Return the clusters that are there to stay; the one that is planned while there is none."""
    return [cluster for cluster in _made_clusters(sight) if not cluster.leaves] or _planned(sight, path)


def _gangs(sight: Sight, path: str) -> Sequence[Grouping]:
    """Return a gang per cluster; one for the cluster that is planned while none is seen, also of what is suspended."""
    unseen = not any(_is_node(pod) for pod in sight.pods)
    return _groups(_made_clusters(sight) or (_planned(sight, path) if unseen else []), sight)


def _shares_cluster(sight: Sight) -> bool:
    return bool(mapping(sight.spec, "clusterSelector"))


def _job_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the nodes of the current cluster, and the submitter, for which nobody waits who has a cluster."""
    if sight.item is None:
        return None
    clusters = _lasting(sight, "rayClusterSpec")
    name = text(sight.status, "rayClusterName")
    current = [cluster for cluster in clusters if cluster.name == name] or clusters
    nodes = tuple(size for cluster in current for size in _sizes(cluster.spec))
    return (*nodes, *(_spare(size) if nodes else size for size in _submitters(sight)))


def _submitters(sight: Sight) -> Iterator[Members]:
    """Yield the one pod that submits in `K8sJobMode`, the default; in the other modes nobody or a container does."""
    if text(sight.spec, "submissionMode") in {"", "K8sJobMode"}:
        jobs: Sequence[Job] = sight.parts_of(JOB.name)
        made = next((job.spec.template.spec for job in jobs), None)
        yield Members(SUBMITTER, 1, 1, made or pod_spec(sight.spec, "submitterPodTemplate", "spec") or PodSpec())


def _job_groups(sight: Sight) -> Sequence[Grouping]:
    """Return the gangs of its clusters; once it has ended only of those that are still there."""
    ended = _outcome(sight.status) is not Outcome.NONE
    return _groups(_made_clusters(sight), sight) if ended else _gangs(sight, "rayClusterSpec")


def _job_attributes(sight: Sight) -> Mapping[str, str]:
    said = {
        "ray_cluster": text(sight.status, "rayClusterName"),
        "ray_job_id": text(sight.status, "jobId"),
        "submission_mode": text(sight.spec, "submissionMode"),
    }
    return {name: value for name, value in said.items() if value}


def _job_controls(sight: Sight, handle: Handle | None, remembered: Controls) -> Controls:
    """Suspend a RayJob, where KubeRay lets it be suspended; what it refuses would make the job invalid for good."""
    if _shares_cluster(sight):
        make = delete_only(
            "It runs on a shared cluster (clusterSelector), and Ray suspends a job only with its cluster."
        )
    elif sight.item is not None and not flag(sight.spec, "shutdownAfterJobFinishes"):
        make = delete_only("Ray suspends a job only if it is told to shut down its cluster (shutdownAfterJobFinishes).")
    else:
        make = _SWITCH
    return make(sight, handle, remembered)


def _held(*names: str) -> Sequence[tuple[KindName, str]]:
    return [(RAY_CLUSTER.key, name) for name in names if name]


def _job_holds(job: Any) -> Sequence[tuple[KindName, str]]:
    """Return its current cluster; one that it shares is somebody else's."""
    shared = bool(mapping(job.spec, "clusterSelector"))
    return () if shared else _held(text(job.status, "rayClusterName"))


# ------------------------------------------------------------ RayService


_TROUBLES: Final = frozenset({"ZeroServeEndpoints", "InitializingTimeout", "ValidationFailed"})
"""Why a service is not ready, other than that it is not ready yet."""


def _service_owner(sight: Sight) -> OwnerFacts:
    """Return what a RayService says; not to be ready yet is no trouble, not to have become ready in time is."""
    suspended = flag(sight.spec, "suspend")
    trouble = "" if suspended else _trouble(sight.status)
    upgrading = any(holding(sight.status, "UpgradeInProgress"))
    return OwnerFacts(
        suspended=suspended,
        deleting=sight.deleting,
        serving=True,
        ready=True if any(holding(sight.status, "Ready")) else (False if trouble else None),
        reason=trouble or ("It moves to a new Ray cluster." if upgrading else ""),
    )


def _trouble(status: Any) -> str:
    said = conditions(status).get("Ready")
    if text(said, "status") != "False" or text(said, "reason") not in _TROUBLES:
        return ""
    return text(said, "message") or f"Ray says that it does not serve: {text(said, 'reason')}."


def _service_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the nodes of all clusters that stay or have yet to go; nobody waits for those beside the active one."""
    if sight.item is None:
        return None
    active, _ = _service_clusters(sight.status)
    clusters = _lasting(sight, "rayClusterConfig")
    upgrades = active in {cluster.name for cluster in clusters}
    return tuple(
        size if not upgrades or cluster.name == active else _spare(size)
        for cluster in clusters
        for size in _sizes(cluster.spec)
    )


def _service_clusters(status: Any) -> tuple[str, str]:
    return (
        text(status, "activeServiceStatus", "rayClusterName"),
        text(status, "pendingServiceStatus", "rayClusterName"),
    )


def _service_groups(sight: Sight) -> Sequence[Grouping]:
    return _gangs(sight, "rayClusterConfig")


def _service_attributes(sight: Sight) -> Mapping[str, str]:
    active, pending = _service_clusters(sight.status)
    said = {"ray_cluster": active, "pending_ray_cluster": pending}
    return {name: value for name, value in said.items() if value}


def _service_holds(service: Any) -> Sequence[tuple[KindName, str]]:
    return _held(*_service_clusters(service.status))


# ------------------------------------------------------------ the kinds, and what labels tell

RAY_CLUSTER: Final = Kind(
    group=GROUP,
    name="RayCluster",
    watch=Watch("rayclusters", versions=("v1", "v1alpha1")),
    absorbs=frozenset({JOB.key}),  # cleans up Redis
    supports=_ALL,
    owner=_cluster_owner,
    members=_cluster_members,
    groups=_cluster_groups,
    role=role,
    main_containers=main_containers,
    controls=_SWITCH,
)
RAY_JOB: Final = Kind(
    group=GROUP,
    name="RayJob",
    watch=Watch("rayjobs", versions=("v1", "v1alpha1")),
    absorbs=frozenset({RAY_CLUSTER.key, JOB.key}),
    supports=_ALL,
    holds=_job_holds,
    owner=_job_owner,
    members=_job_members,
    groups=_job_groups,
    role=_role_in_a_job,
    main_containers=main_containers,
    attributes=_job_attributes,
    controls=_job_controls,
)
RAY_SERVICE: Final = Kind(
    group=GROUP,
    name="RayService",
    watch=Watch("rayservices", versions=("v1", "v1alpha1")),
    absorbs=frozenset({RAY_CLUSTER.key}),
    priority=PriorityClass.INFERENCE,
    supports=_ALL,
    holds=_service_holds,
    owner=_service_owner,
    members=_service_members,
    groups=_service_groups,
    role=role,
    main_containers=main_containers,
    attributes=_service_attributes,
    controls=_SWITCH,
)
RAY_CRON_JOB: Final = Kind(group=GROUP, name="RayCronJob", standing=Standing.PARENT, watch=Watch("raycronjobs"))


def node_of_a_cluster(pod: Pod) -> Claim | None:
    """Know a head or a worker by the name of its cluster."""
    cluster = pod.metadata.labels.get(_CLUSTER, "")
    return Claim(RAY_CLUSTER, API_VERSION, cluster, object_name=cluster) if cluster else None


def submitter_of_a_job(pod: Pod) -> Claim | None:
    """Know a submitter by the name of its RayJob. Heads and workers do not carry it."""
    labels = pod.metadata.labels
    if _CLUSTER in labels or labels.get(_MADE_FOR_KIND) != RAY_JOB.name or not labels.get(_MADE_FOR):
        return None
    return Claim(RAY_JOB, API_VERSION, labels[_MADE_FOR], object_name=labels[_MADE_FOR])


def cron_job_of(metadata: Metadata) -> ParentRef | None:
    """Name the RayCronJob that made a RayJob."""
    name = metadata.labels.get(_CRON_JOB, "")
    return ParentRef(kind=RAY_CRON_JOB.name, name=name) if name else None


def maker_of(metadata: Metadata) -> ParentRef | None:
    """Name the RayJob or RayService that a cluster says it was made for, though it is not owned by it."""
    kind, name = metadata.labels.get(_MADE_FOR_KIND, ""), metadata.labels.get(_MADE_FOR, "")
    return ParentRef(kind=kind, name=name) if name and kind in {RAY_JOB.name, RAY_SERVICE.name} else None


SYSTEM: Final = System(
    kinds=(RAY_JOB, RAY_SERVICE, RAY_CLUSTER, RAY_CRON_JOB),
    by_label=(node_of_a_cluster, submitter_of_a_job),
    parents=(cron_job_of, maker_of),
)
