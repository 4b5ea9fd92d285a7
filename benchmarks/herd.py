"""Many pods with owners, on a simulated cluster whose operators sleep: what recognition has to sort out at a start.

Half of the pods belong to PyTorchJobs, half to RayClusters that RayJobs own, ten pods each, labelled as the operators
label them, in the namespace of a project. They name a scheduler that does not exist, so that nothing moves but what a
benchmark moves.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from muster_contracts.errors import Unavailable

from benchmarks.events import NAMESPACE
from benchmarks.http_client import Connection, connected, request

PODS_PER_OWNER = 10
CONNECTIONS = 32
NO_OPERATORS = ("--operators", "none", "--history", "100000")
NAMESPACES = "/api/v1/namespaces"
PODS = f"{NAMESPACES}/{NAMESPACE}/pods"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of owner."""

    group: str
    kind: str
    plural: str

    @property
    def path(self) -> str:
        """Where its objects are created."""
        return f"/apis/{self.group}/v1/namespaces/{NAMESPACE}/{self.plural}"

    def definition(self) -> Object:
        """Return its CustomResourceDefinition."""
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
        names = {"plural": self.plural, "singular": self.kind.lower(), "kind": self.kind}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{self.group}"},
            "spec": {"group": self.group, "scope": "Namespaced", "names": names, "versions": [version]},
        }

    def object(self, name: str, spec: Object, owner: Object | None = None) -> Object:
        """Return one object."""
        metadata = {"name": name} | _owned_by(owner)
        return {"apiVersion": f"{self.group}/v1", "kind": self.kind, "metadata": metadata, "spec": spec}


PYTORCH_JOB = Kind("kubeflow.org", "PyTorchJob", "pytorchjobs")
RAY_JOB = Kind("ray.io", "RayJob", "rayjobs")
RAY_CLUSTER = Kind("ray.io", "RayCluster", "rayclusters")
CONTAINER: Object = {
    "name": "main",
    "image": "registry.example/pretrain:7",
    "command": ["python", "train.py"],
    "env": [{"name": "LEARNING_RATE", "value": "3e-4"}],
    "resources": {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"nvidia.com/gpu": "1"}},
}
POD_SPEC: Object = {"schedulerName": "nobody", "restartPolicy": "Never", "containers": [CONTAINER]}
TEMPLATE: Object = {"spec": POD_SPEC}


def objects_for(pods: int) -> int:
    """Return how many objects there are in a herd of so many pods: a PyTorchJob, or a RayJob and a RayCluster each."""
    owners = pods // PODS_PER_OWNER
    return pods + owners + owners // 2


async def create_herd(url: str, pods: int) -> list[str]:
    """Create a herd and return the names of its pods."""
    owners = pods // PODS_PER_OWNER
    async with connected(url, CONNECTIONS) as connections:
        await connections[0].ask(request("POST", NAMESPACES, {"metadata": {"name": NAMESPACE}}))
        for kind in (PYTORCH_JOB, RAY_JOB, RAY_CLUSTER):
            await connections[0].ask(request("POST", DEFINITIONS, kind.definition()))
        trainings = await _create(connections, PYTORCH_JOB.path, map(_training, range(owners - owners // 2)))
        ray_jobs = await _create(connections, RAY_JOB.path, map(_ray_job, range(owners // 2)))
        clusters = await _create(connections, RAY_CLUSTER.path, map(_ray_cluster, ray_jobs))
        made = (*(_worker(job, n) for job in trainings for n in range(PODS_PER_OWNER)),)
        made += (*(_ray_pod(cluster, n) for cluster in clusters for n in range(PODS_PER_OWNER)),)
        await _create(connections, PODS, made)
    return [pod["metadata"]["name"] for pod in made]


async def _create(connections: Sequence[Connection], path: str, bodies: Iterable[Object]) -> list[Object]:
    waiting = enumerate(bodies)  # shared, so that each is created once
    found: dict[int, Object] = {}

    async def work(connection: Connection) -> None:
        for number, body in waiting:
            answer = await connection.ask(request("POST", path, body))
            if answer.status != 201:
                raise Unavailable(f"{path} was answered {answer.status}: {answer.body[:200]!r}")
            found[number] = json.loads(answer.body)

    await asyncio.gather(*(work(connection) for connection in connections))
    return [found[number] for number in sorted(found)]


def _training(number: int) -> Object:
    replicas = {"Worker": {"replicas": PODS_PER_OWNER, "restartPolicy": "OnFailure", "template": TEMPLATE}}
    return PYTORCH_JOB.object(f"train-{number}", {"pytorchReplicaSpecs": replicas})


def _worker(job: Object, number: int) -> Object:
    name = job["metadata"]["name"]
    labels = {
        "training.kubeflow.org/job-name": name,
        "training.kubeflow.org/replica-type": "worker",
        "training.kubeflow.org/replica-index": str(number),
    }
    return _pod(f"{name}-worker-{number}", labels, job)


def _ray_spec() -> Object:
    workers = {"groupName": "workers", "replicas": PODS_PER_OWNER - 1, "template": TEMPLATE}
    return {"headGroupSpec": {"template": TEMPLATE}, "workerGroupSpecs": [workers]}


def _ray_job(number: int) -> Object:
    return RAY_JOB.object(f"sweep-{number}", {"entrypoint": "python sweep.py", "rayClusterSpec": _ray_spec()})


def _ray_cluster(job: Object) -> Object:
    return RAY_CLUSTER.object(f"{job['metadata']['name']}-x7k2p", _ray_spec(), job)


def _ray_pod(cluster: Object, number: int) -> Object:
    name, role = cluster["metadata"]["name"], "worker" if number else "head"
    labels = {
        "ray.io/cluster": name,
        "ray.io/node-type": role,
        "ray.io/group": "workers" if number else "headgroup",
        "ray.io/is-ray-node": "yes",
    }
    return _pod(f"{name}-{role}-{number}", labels, cluster)


def _pod(name: str, labels: Object, owner: Object) -> Object:
    metadata = {"name": name, "labels": labels} | _owned_by(owner)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": POD_SPEC}


def _owned_by(owner: Object | None) -> Object:
    if owner is None:
        return {}
    reference = {name: owner[name] for name in ("apiVersion", "kind")}
    reference |= {name: owner["metadata"][name] for name in ("name", "uid")}
    return {"ownerReferences": [reference | {"controller": True, "blockOwnerDeletion": True}]}
