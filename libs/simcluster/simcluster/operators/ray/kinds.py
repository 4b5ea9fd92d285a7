"""Ray's kinds, and what all parts of a Ray job or service bear that says where they come from."""

from simcluster.operators.kinds import CustomKind
from simcluster.pods import name_of
from simcluster.resources import Object

_GROUP = "ray.io"
_VERSIONS = ("v1", "v1alpha1")
CLUSTER = CustomKind(_GROUP, "RayCluster", "rayclusters", _VERSIONS)
JOB = CustomKind(_GROUP, "RayJob", "rayjobs", _VERSIONS)
SERVICE = CustomKind(_GROUP, "RayService", "rayservices", _VERSIONS)
CRON_JOB = CustomKind(_GROUP, "RayCronJob", "raycronjobs")

OPERATOR = "kuberay-operator"
SUBMISSION_MODE = "ray.io/job-submission-mode"


def child_cluster(owner: Object, kind: str, spec: Object) -> Object:
    """Return a new cluster of a job or service; its name is generated."""
    labels = {"ray.io/originated-from-cr-name": name_of(owner), "ray.io/originated-from-crd": kind}
    metadata = {"generateName": f"{name_of(owner)}-", "labels": labels}
    return {"apiVersion": CLUSTER.api_version, "kind": "RayCluster", "metadata": metadata, "spec": dict(spec)}


def course_of(job: Object) -> dict[str, str]:
    """Return the annotations that say how a job fares."""
    annotations = job["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith("sim.")}


def label(obj: Object, name: str) -> str:
    """Return a label's value, empty when the object does not bear it."""
    return str((obj["metadata"].get("labels") or {}).get(name, ""))


def truth(holds: bool) -> str:
    """Write a condition's status."""
    return "True" if holds else "False"
