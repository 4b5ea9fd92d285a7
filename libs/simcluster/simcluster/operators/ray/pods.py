"""The pods of a RayCluster, and the Service by which its head is found."""

from collections.abc import Mapping
from typing import Any

from simcluster.controllers.ownership import pod_from_template
from simcluster.operators.operator import lasting, with_course
from simcluster.operators.ray.kinds import OPERATOR
from simcluster.pods import name_of
from simcluster.resources import Object

_LONGEST_PREFIX, _LONGEST_LABEL = 50, 63


def head_pod(cluster: Object, template: Object) -> Object:
    """Return the head of a cluster, with its autoscaler if it has one."""
    pod = pod_from_template(cluster, template, f"{name_of(cluster)[:_LONGEST_PREFIX]}-head-")
    if cluster["spec"].get("enableInTreeAutoscaling"):
        image = pod["spec"]["containers"][0].get("image", "")
        pod["spec"]["containers"] = [*pod["spec"]["containers"], {"name": "autoscaler", "image": image}]
    return _ray_pod(pod, cluster, "head", "headgroup")


def worker_pod(cluster: Object, group: Mapping[str, Any]) -> Object:
    """Return a worker of a group, which waits for the head before it starts."""
    name = group["groupName"]
    prefix = f"{name_of(cluster)}-{name}"[:_LONGEST_PREFIX]
    pod = pod_from_template(cluster, group["template"], f"{prefix}-worker-")
    spec = pod["spec"]
    waiting = {"name": "wait-gcs-ready", "image": spec["containers"][0].get("image", "")}
    spec["initContainers"] = [*spec.get("initContainers", []), waiting]
    return with_course(_ray_pod(pod, cluster, "worker", name), "wait-gcs-ready", run_seconds="1")


def _ray_pod(pod: Object, cluster: Object, node_type: str, group: str) -> Object:
    """Return a pod with its labels; users may overwrite all but those it is known by."""
    labels = pod["metadata"]["labels"]
    pod["metadata"]["labels"] = {
        "ray.io/is-ray-node": "yes",
        "ray.io/identifier": f"{name_of(cluster)}-{node_type}"[-_LONGEST_LABEL:],
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": OPERATOR,
        **labels,
        "ray.io/cluster": name_of(cluster),
        "ray.io/node-type": node_type,
        "ray.io/group": group,
    }
    return lasting(pod)


def head_service(cluster: Object) -> Object:
    """Return the Service that leads to a cluster's head."""
    labels = {"ray.io/cluster": name_of(cluster), "ray.io/node-type": "head"}
    ports = [{"name": "gcs", "port": 6379}, {"name": "dashboard", "port": 8265}, {"name": "client", "port": 10001}]
    metadata = {"name": f"{name_of(cluster)}-head-svc", "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}}
