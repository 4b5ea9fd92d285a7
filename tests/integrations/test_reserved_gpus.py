"""Reservation pods on a node: the GPU is the sharers', who are counted; the pod slot is taken all the same."""

import pytest
from muster_cluster.metadata import Metadata
from muster_cluster.objects import Container, Node, NodeStatus, Pod, PodSpec, Resources
from muster_contracts.names import GPU_INDEX, RESERVATIONS_NAMESPACE
from muster_integrations.recognition.nodes import observed

NODE = Node(
    metadata=Metadata(name="a", uid="00000000-0000-4000-8000-00000000000a"),
    status=NodeStatus(allocatable={"nvidia.com/gpu": "8", "cpu": "64", "memory": "1Ti", "pods": "110"}),
)


@pytest.mark.parametrize(
    ("namespace", "labels", "gpus"),
    [
        (RESERVATIONS_NAMESPACE, {GPU_INDEX: "3"}, 0),
        (RESERVATIONS_NAMESPACE, {}, 1),
        ("elsewhere", {GPU_INDEX: "3"}, 1),
    ],
)
def test_only_a_reservation_in_its_own_namespace_holds_no_gpu(
    namespace: str, labels: dict[str, str], gpus: int
) -> None:
    one_gpu = {"nvidia.com/gpu": "1"}
    container = Container(name="main", resources=Resources(requests=one_gpu, limits=one_gpu))
    metadata = Metadata(name="p", namespace=namespace, uid="00000000-0000-4000-8000-00000000000b", labels=labels)
    seen = observed(NODE, [Pod(metadata=metadata, spec=PodSpec(node_name="a", containers=(container,)))])
    assert seen.others.gpu_millionths == gpus * 1_000_000
    assert seen.other_pods == 1
