"""Which volume suits a claim, and which nodes reach it, by the rules of Kubernetes' own matching."""

from typing import Any

import msgspec
import pytest
from muster_cluster.storage import PersistentVolume, PersistentVolumeClaim
from muster_cluster.volumes import is_ready, is_within_reach, suits


def volume(phase: str = "Available", labels: dict[str, str] | None = None, **spec: Any) -> PersistentVolume:
    has = {"storageClassName": "local", "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], **spec}
    written = {"metadata": {"name": "disk", "labels": labels or {}}, "spec": has, "status": {"phase": phase}}
    return msgspec.convert(written, PersistentVolume)


def claim(size: str = "10Gi", **spec: Any) -> PersistentVolumeClaim:
    asks = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], **spec}
    asks |= {"resources": {"requests": {"storage": size}}}
    return msgspec.convert({"metadata": {"name": "data"}, "spec": asks}, PersistentVolumeClaim)


@pytest.mark.parametrize(
    ("offered", "asked", "holds"),
    [
        (volume(), claim(), True),
        (volume(), claim("11Gi"), False),
        (volume(capacity={"storage": "lots"}), claim("1"), False),
        (volume(), claim(accessModes=["ReadWriteMany"]), False),
        (volume(), claim(volumeMode="Block"), False),
        (volume(storageClassName="fast"), claim(), False),
        (volume(), claim(selector={"matchLabels": {"disk": "nvme"}}), False),
        (volume(labels={"disk": "nvme"}), claim(selector={"matchLabels": {"disk": "nvme"}}), True),
        (volume(), claim(selector={"matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]}), True),
        (volume(), claim(selector={"matchExpressions": [{"key": "old", "operator": "Exists"}]}), False),
        (volume(), claim(selector={"matchExpressions": [{"key": "old", "operator": "Odd"}]}), False),
    ],
)
def test_a_volume_suits_a_claim(offered: PersistentVolume, asked: PersistentVolumeClaim, holds: bool) -> None:
    assert suits(offered, asked) is holds


def test_a_volume_that_is_somebodys_is_not_ready() -> None:
    assert is_ready(volume())
    assert not is_ready(volume(phase="Released"))
    assert not is_ready(volume(claimRef={"namespace": "demo", "name": "data"}))


def confined(*terms: dict[str, Any]) -> PersistentVolume:
    return volume(nodeAffinity={"required": {"nodeSelectorTerms": list(terms)}})


def test_one_term_is_enough_to_reach_a_volume_and_an_empty_one_is_none() -> None:
    by_zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["first"]}]}
    assert is_within_reach(volume(), "first", {})
    assert is_within_reach(confined(by_zone), "first", {"zone": "b"})
    assert not is_within_reach(confined(by_zone), "first", {"zone": "a"})
    assert is_within_reach(confined(by_zone, by_name), "first", {"zone": "a"})
    assert not is_within_reach(confined({}), "first", {})
