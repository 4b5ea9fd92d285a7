"""The kinds of object the cluster serves: one line each, and those that CRDs add at run time.

A kind is named by its key, the plural with its group: `pods`, `jobs.batch`, `rayjobs.ray.io`. The API server, the
store and the controllers all speak of kinds by key; only URLs and objects carry group, version and plural apart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as JSON. What the store hands out is never to be changed by who receives it."""


@dataclass(frozen=True)
class Column:
    """A column `kubectl get` prints for a custom resource, read by a JSON path."""

    name: str
    type: str
    path: str
    priority: int = 0
    description: str = ""


@dataclass(frozen=True)
class ScalePaths:
    """Where a kind keeps what `scale` reads and writes, as dotted paths."""

    replicas: str = "spec.replicas"
    observed: str = "status.replicas"
    selector: str | None = None  # a built-in kind has a label selector object, a custom one a string


@dataclass(frozen=True)
class Resource:
    """One kind, as discovery describes it and as the registry treats it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    singular: str = ""
    counts_generation: bool = False
    custom: bool = False
    columns: tuple[Column, ...] = ()
    scale: ScalePaths | None = None
    schema: Object | None = field(default=None, compare=False, repr=False)
    served_versions: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The kind's name throughout this package."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """What its objects carry as `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version it is served under, the stored one among them."""
        return self.served_versions or (self.version,)

    @property
    def has_status(self) -> bool:
        """Whether `status` changes through its subresource alone."""
        return "status" in self.subresources


_STATUS = ("status",)
_SCALED = ("status", "scale")
_ALL = ("all",)


def _core(plural: str, kind: str, **more: Any) -> Resource:
    return Resource("", "v1", plural, kind, **more)


def _of(api_version: str, plural: str, kind: str, **more: Any) -> Resource:
    group, _, version = api_version.partition("/")
    return Resource(group, version, plural, kind, **more)


_RBAC = "rbac.authorization.k8s.io/v1"
_HOOKS = "admissionregistration.k8s.io/v1"
_EXTENSIONS = ("api-extensions",)

BUILT_IN: tuple[Resource, ...] = (
    _core("namespaces", "Namespace", namespaced=False, short_names=("ns",), subresources=("status", "finalize")),
    _core("nodes", "Node", namespaced=False, short_names=("no",), subresources=_STATUS),
    _core(
        "pods",
        "Pod",
        short_names=("po",),
        categories=_ALL,
        subresources=("status", "binding", "eviction", "exec", "log"),
        counts_generation=True,
    ),
    _core("services", "Service", short_names=("svc",), categories=_ALL, subresources=_STATUS),
    _core("endpoints", "Endpoints", singular="endpoints", short_names=("ep",)),
    _core("configmaps", "ConfigMap", short_names=("cm",)),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", short_names=("sa",)),
    _core("events", "Event", short_names=("ev",)),
    _core("persistentvolumes", "PersistentVolume", namespaced=False, short_names=("pv",), subresources=_STATUS),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",), subresources=_STATUS),
    _core("resourcequotas", "ResourceQuota", short_names=("quota",), subresources=_STATUS),
    _core("limitranges", "LimitRange", short_names=("limits",)),
    _of(
        "apps/v1",
        "deployments",
        "Deployment",
        short_names=("deploy",),
        categories=_ALL,
        subresources=_SCALED,
        counts_generation=True,
        scale=ScalePaths(),
    ),
    _of(
        "apps/v1",
        "replicasets",
        "ReplicaSet",
        short_names=("rs",),
        categories=_ALL,
        subresources=_SCALED,
        counts_generation=True,
        scale=ScalePaths(),
    ),
    _of(
        "apps/v1",
        "statefulsets",
        "StatefulSet",
        short_names=("sts",),
        categories=_ALL,
        subresources=_SCALED,
        counts_generation=True,
        scale=ScalePaths(),
    ),
    _of(
        "apps/v1",
        "daemonsets",
        "DaemonSet",
        short_names=("ds",),
        categories=_ALL,
        subresources=_STATUS,
        counts_generation=True,
    ),
    _of("apps/v1", "controllerrevisions", "ControllerRevision"),
    _of("batch/v1", "jobs", "Job", categories=_ALL, subresources=_STATUS, counts_generation=True),
    _of(
        "batch/v1",
        "cronjobs",
        "CronJob",
        short_names=("cj",),
        categories=_ALL,
        subresources=_STATUS,
        counts_generation=True,
    ),
    _of(
        "policy/v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        short_names=("pdb",),
        subresources=_STATUS,
        counts_generation=True,
    ),
    _of("coordination.k8s.io/v1", "leases", "Lease"),
    _of("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", namespaced=False, short_names=("pc",)),
    _of("storage.k8s.io/v1", "storageclasses", "StorageClass", namespaced=False, short_names=("sc",)),
    _of("storage.k8s.io/v1", "csidrivers", "CSIDriver", namespaced=False),
    _of("storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity"),
    _of("networking.k8s.io/v1", "ingresses", "Ingress", short_names=("ing",), subresources=_STATUS),
    _of("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", short_names=("netpol",)),
    _of(
        "autoscaling/v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        short_names=("hpa",),
        categories=_ALL,
        subresources=_STATUS,
    ),
    _of(_RBAC, "roles", "Role"),
    _of(_RBAC, "rolebindings", "RoleBinding"),
    _of(_RBAC, "clusterroles", "ClusterRole", namespaced=False),
    _of(_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _of(_HOOKS, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False),
    _of(_HOOKS, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False),
    _of(
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        short_names=("crd", "crds"),
        categories=_EXTENSIONS,
        subresources=_STATUS,
        counts_generation=True,
    ),
)


class ResourceTable:
    """The kinds served now, found by key, by kind or by URL."""

    def __init__(self, resources: Iterable[Resource] = BUILT_IN) -> None:
        self._by_key: dict[str, Resource] = {}
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        for resource in resources:
            self.add(resource)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_key.values())

    def add(self, resource: Resource) -> None:
        """Serve a kind, in place of an earlier one of the same key."""
        resource = resource if resource.singular else replace(resource, singular=resource.kind.lower())
        self.remove(resource.key)
        self._by_key[resource.key] = resource
        for version in resource.versions:
            self._by_path[resource.group, version, resource.plural] = resource

    def remove(self, key: str) -> None:
        """Serve the kind no longer; nothing happens when it was not served."""
        resource = self._by_key.pop(key, None)
        for version in resource.versions if resource else ():
            del self._by_path[resource.group, version, resource.plural]  # type: ignore[union-attr]

    def get(self, key: str) -> Resource | None:
        """Return the kind of that key."""
        return self._by_key.get(key)

    def at(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the kind served under a URL's parts."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return what an object's own `apiVersion` and `kind` mean, as owner references need it."""
        group, _, version = api_version.rpartition("/")
        for resource in self._by_key.values():
            if resource.kind == kind and resource.group == group and version in resource.versions:
                return resource
        return None
