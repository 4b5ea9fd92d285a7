"""The nodes of the simulated cluster: read from a small YAML file, written as Node objects.

The file is a list of groups of equal nodes:

    - name: pool-a
      count: 4
      labels: {node-pool: a, nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}
      taints: [{key: gpu, value: "true", effect: NoSchedule}]
      capacity: {nvidia.com/gpu: 8, cpu: "96", memory: 768Gi, pods: 110}

A node that exists already is left as it is, so what somebody cordoned, labelled or took down stays so over a restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from simcluster.client import Client
from simcluster.clock import Clock, to_timestamp
from simcluster.errors import ApiError
from simcluster.quantities import parse_quantity
from simcluster.resources import BUILT_IN, Object
from simcluster.validation import check_create

KUBELET_VERSION = "v1.32.0"
_NODES = next(resource for resource in BUILT_IN if resource.plural == "nodes")
_FIELDS = {"name", "count", "labels", "taints", "capacity"}
_PLAIN_CAPACITY = {"cpu": "96", "memory": "768Gi", "pods": "110", "ephemeral-storage": "1Ti"}
_HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


class NodesFileError(ValueError):
    """The nodes file does not describe nodes; the message says where."""


@dataclass(frozen=True)
class NodeGroup:
    """A number of equal nodes, named `<name>-<ordinal>` from 0 on."""

    name: str
    count: int
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    capacity: Mapping[str, str] = field(default_factory=dict)


DEFAULT_GROUPS = (
    NodeGroup(
        "pool-a",
        4,
        {"node-pool": "a", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"},
        capacity={"nvidia.com/gpu": "8"},
    ),
    NodeGroup(
        "pool-b",
        4,
        {"node-pool": "b", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"},
        capacity={"nvidia.com/gpu": "8"},
    ),
)


def read_node_groups(path: Path | None) -> tuple[NodeGroup, ...]:
    """Return the groups of a file, the default ones without; NodesFileError when it cannot be understood."""
    if path is None:
        return DEFAULT_GROUPS
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NodesFileError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no date
        raise NodesFileError(f"{path}: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise NodesFileError(f"{path}: expected a list of groups of nodes")
    groups = tuple(_group(f"{path}, group {place}", entry) for place, entry in enumerate(entries, start=1))
    if len({group.name for group in groups}) < len(groups):
        raise NodesFileError(f"{path}: two groups have the same name")
    return groups


def _group(where: str, entry: Any) -> NodeGroup:
    if not isinstance(entry, dict) or not entry.get("name"):
        raise NodesFileError(f"{where}: expected a mapping with a name")
    unknown = sorted(entry.keys() - _FIELDS, key=str)
    if unknown:
        raise NodesFileError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}")
    count = entry.get("count", 1)
    if not isinstance(count, int) or count < 0:
        raise NodesFileError(f"{where}: count must be a whole number, not {count!r}")
    group = NodeGroup(
        name=str(entry["name"]),
        count=count,
        labels={str(key): str(value) for key, value in _mapping(where, entry, "labels").items()},
        taints=_taints(where, entry.get("taints") or []),
        capacity=_capacity(where, _mapping(where, entry, "capacity")),
    )
    try:
        check_create(_NODES, _node(f"{group.name}-0", group, 0))
    except ApiError as error:  # a name or a label that Kubernetes does not allow
        raise NodesFileError(f"{where}: {error.message}") from error
    return group


def _mapping(where: str, entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name) or {}
    if not isinstance(value, dict):
        raise NodesFileError(f"{where}: {name} must be a mapping")
    return value


def _taints(where: str, taints: Any) -> tuple[Mapping[str, str], ...]:
    if not isinstance(taints, list):
        raise NodesFileError(f"{where}: taints must be a list")
    return tuple(_taint(where, taint) for taint in taints)


def _taint(where: str, taint: Any) -> Mapping[str, str]:
    if not isinstance(taint, dict) or not {"key", "effect"} <= taint.keys():
        raise NodesFileError(f"{where}: a taint needs a key and an effect")
    return {key: str(value) for key, value in taint.items()}


def _capacity(where: str, capacity: Mapping[str, Any]) -> Mapping[str, str]:
    for resource, text in capacity.items():
        try:
            number = parse_quantity(text)
        except ValueError:
            number = None
        if number is None or number < 0:
            raise NodesFileError(f"{where}: {text!r} is no amount of {resource}")
    return {str(resource): str(text) for resource, text in capacity.items()}


def register_nodes(client: Client, groups: tuple[NodeGroup, ...], clock: Clock) -> None:
    """Create the nodes that are not there yet, ready at once."""
    ordinal = len(client.list("nodes"))
    for group in groups:
        for place in range(group.count):
            name = f"{group.name}-{place}"
            if client.get("nodes", None, name) is None:
                created = client.create("nodes", _node(name, group, ordinal))
                client.update_status("nodes", {**created, "status": _status(name, group, ordinal, clock)})
                ordinal += 1


def _node(name: str, group: NodeGroup, ordinal: int) -> Object:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
    }
    if "nvidia.com/gpu" in group.capacity:
        labels |= {"nvidia.com/gpu.count": group.capacity["nvidia.com/gpu"], "nvidia.com/gpu.present": "true"}
    network = f"10.{64 + ordinal // 256}.{ordinal % 256}.0/24"
    spec: dict[str, Any] = {"podCIDR": network, "podCIDRs": [network], "providerID": f"simcluster://{name}"}
    if group.taints:
        spec["taints"] = [dict(taint) for taint in group.taints]
    metadata = {"name": name, "labels": labels | dict(group.labels)}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def _status(name: str, group: NodeGroup, ordinal: int, clock: Clock) -> Object:
    capacity = _PLAIN_CAPACITY | dict(group.capacity)
    address = f"172.{16 + ordinal // 65000}.{ordinal // 250 % 256}.{ordinal % 250 + 2}"
    return {
        "capacity": capacity,
        "allocatable": dict(capacity),
        "conditions": healthy_conditions(clock),
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "osImage": "simcluster",
            "kernelVersion": "6.1.0",
            "containerRuntimeVersion": "containerd://2.0.0",
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": KUBELET_VERSION,
            "machineID": name,
            "systemUUID": name,
            "bootID": name,
        },
    }


def healthy_conditions(clock: Clock) -> list[dict[str, str]]:
    """Return the conditions of a node whose kubelet is well."""
    now = to_timestamp(clock.now())
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for kind, (status, reason, message) in _HEALTHY.items()
    ]
