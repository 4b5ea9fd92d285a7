"""What claims, volumes and storage classes make pods demand of their nodes, in whichever order they are seen."""

import itertools
from typing import Any

from integrations.kube import NAMESPACE, manifest, read
from muster_cluster.objects import CLAIMS, PODS, STORAGE_CLASSES, VOLUMES, Pod
from muster_contracts.values import LabelRule, NodeTerm
from muster_integrations.recognition.placement import NO_DEMANDS, Demands
from muster_integrations.recognition.storage import Storage

ZONE_B = NodeTerm(rules=(LabelRule(key="zone", values=("b",)),))


def pod(*claims: str, **more: Any) -> Pod:
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    spec = {"containers": [], "volumes": [{"name": "token", "projected": {}}, *volumes, *more.pop("volumes", [])]}
    return read(PODS, manifest(PODS, "train-0", spec=spec, **more))


def claim(name: str = "scratch", *, volume: str = "", storage: str = "local") -> Any:
    spec = {"storageClassName": storage, "volumeName": volume}
    return read(CLAIMS, manifest(CLAIMS, name, spec=spec))


def volume(name: str = "pv-1", *, of: str = "scratch") -> Any:
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
    spec = {
        "claimRef": {"namespace": NAMESPACE, "name": of},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    return read(VOLUMES, manifest(VOLUMES, name, spec=spec))


def storage_class(name: str = "local", mode: str = "WaitForFirstConsumer", **more: Any) -> Any:
    more = {"provisioner": "sim.csi", **more}
    return read(STORAGE_CLASSES, manifest(STORAGE_CLASSES, name, volumeBindingMode=mode, **more))


def seen(*objects: Any) -> Storage:
    storage = Storage()
    for item in objects:
        assert list(storage.take(None, item)) == []  # nobody uses them yet
    return storage


def test_a_bound_claim_demands_what_reaches_its_volume() -> None:
    for objects in itertools.permutations([claim(volume="pv-1"), volume(), storage_class()]):
        assert seen(*objects).demands_of(pod("scratch")) == Demands(volumes=((ZONE_B,),))


def test_a_claim_that_waits_is_named_with_what_its_class_allows() -> None:
    expression = {"key": "zone", "values": ["b"]}
    allowed = storage_class(allowedTopologies=[{"matchLabelExpressions": [expression]}])
    found = seen(claim(), allowed).demands_of(pod("scratch"))
    assert found == Demands(volumes=((ZONE_B,),), claims_waiting=("scratch",))
    assert seen(claim(), storage_class()).demands_of(pod("scratch")) == Demands(claims_waiting=("scratch",))


def test_a_claim_that_is_made_with_the_pod_is_found_by_its_name() -> None:
    storage = seen(claim("train-0-scratch"), storage_class())
    ephemeral = pod(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}])
    assert storage.demands_of(ephemeral) == Demands(claims_waiting=("train-0-scratch",))


def test_what_is_not_seen_or_is_made_anywhere_is_told_as_unbound() -> None:
    unbound = Demands(claims_unbound=("scratch",))
    assert seen().demands_of(pod("scratch")) == unbound
    assert seen(claim()).demands_of(pod("scratch")) == unbound
    assert seen(claim(), storage_class(mode="Immediate")).demands_of(pod("scratch")) == unbound


def test_without_claims_or_without_limits_on_where_volumes_reach_nothing_is_demanded() -> None:
    assert seen(claim(volume="pv-1"), storage_class()).demands_of(pod("scratch")) == NO_DEMANDS
    assert seen(claim(), storage_class()).demands_of(pod()) == NO_DEMANDS
    nobody = storage_class(provisioner="kubernetes.io/no-provisioner")
    assert seen(claim(), nobody).demands_of(pod("scratch")) == NO_DEMANDS


def test_whoever_uses_a_claim_is_concerned_by_it_its_volume_and_its_class() -> None:
    storage, user = Storage(), pod("scratch")
    storage.uses(user)
    storage.uses(pod("other", uid="another"))
    uid = user.metadata.uid
    assert list(storage.take(None, claim())) == [uid]
    assert list(storage.take(None, storage_class())) == [uid]
    assert list(storage.take(claim(), claim(volume="pv-1"))) == [uid]
    assert list(storage.take(None, volume())) == [uid]
    assert list(storage.take(volume(), None)) == [uid]
    storage.forget(user)
    assert list(storage.take(claim(volume="pv-1"), None)) == []
