"""What claims, volumes and storage classes make pods demand of their nodes, in whichever order they are seen."""

import itertools
from typing import Any

from integrations.kube import NAMESPACE, manifest, read
from muster_cluster.objects import PODS, Pod
from muster_cluster.storage import CLAIMS, STORAGE_CAPACITIES, STORAGE_CLASSES, STORAGE_DRIVERS, VOLUMES
from muster_contracts.values import ClaimChoice, LabelRule, NodeTerm, ReadyVolumes
from muster_integrations.recognition.placement import NO_DEMANDS, Demands
from muster_integrations.recognition.reach import EVERYWHERE, MOST, NOWHERE
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


SHELF = storage_class(provisioner="kubernetes.io/no-provisioner")


def disk(name: str, node: str, size: str = "10Gi", phase: str = "Available", **more: Any) -> Any:
    """A local volume of one node."""
    reach = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host(node)]}]}}} if node else {}
    spec = {"storageClassName": "local", "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], **reach}
    return read(VOLUMES, manifest(VOLUMES, name, spec=spec | more, status={"phase": phase}))


def host(node: str) -> dict[str, Any]:
    return {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}


def wanting(size: str, name: str = "scratch", **more: Any) -> Any:
    asked = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], **more}
    return read(CLAIMS, manifest(CLAIMS, name, spec=asked | {"resources": {"requests": {"storage": size}}}))


def on(*nodes: str) -> NodeTerm:
    return NodeTerm(rules=(LabelRule(key="kubernetes.io/hostname", values=nodes),))


def test_a_claim_that_takes_what_lies_ready_is_told_where_how_much_does() -> None:
    disks = [disk("a-1", "a"), disk("a-2", "a"), disk("b-1", "b"), disk("c-1", "c"), disk("d-1", "d", size="1Gi")]
    taken = [disk("e-1", "e", phase="Bound"), disk("f-1", "f", claimRef={"namespace": "other", "name": "data"})]
    other = [disk("g-1", "g", volumeMode="Block"), disk("h-1", "h", storageClassName="fast")]
    for order in (1, -1):
        found = seen(*[wanting("5Gi"), SHELF, *disks, *taken, *other][::order]).demands_of(pod("scratch"))
        ready = (ReadyVolumes(free=1, nodes=(on("b", "c"),)), ReadyVolumes(free=2, nodes=(on("a"),)))
        choice = ClaimChoice(claim="scratch", storage_class="local", ready=ready)
        assert found == Demands(volumes=((on("a", "b", "c"),),), claims_choosing=(choice,))


def test_volumes_of_overlapping_reach_are_told_apart() -> None:
    (choice,) = (
        seen(wanting("1Gi"), SHELF, disk("a-1", "a"), disk("any", "")).demands_of(pod("scratch")).claims_choosing
    )
    assert [(one.free, one.nodes) for one in choice.ready] == [(1, (on("a"),)), (1, (EVERYWHERE,))]


def test_a_selector_of_volumes_is_honoured() -> None:
    quick = wanting("1Gi", selector={"matchLabels": {"disk": "nvme"}})
    assert seen(quick, SHELF, disk("a-1", "a")).demands_of(pod("scratch")).volumes == ((NOWHERE,),)


def test_where_too_much_lies_ready_to_be_told_any_node_is_possible() -> None:
    found = seen(wanting("1Gi"), SHELF, *(disk(f"disk-{n}", f"node-{n}") for n in range(MOST + 1)))
    choice = ClaimChoice(claim="scratch", storage_class="local")
    assert found.demands_of(pod("scratch")) == Demands(claims_choosing=(choice,))


DRIVER = read(STORAGE_DRIVERS, manifest(STORAGE_DRIVERS, "sim.csi", spec={"storageCapacity": True}))


def room(name: str, node: str, capacity: str, **more: Any) -> Any:
    topology = {"matchLabels": {"kubernetes.io/hostname": node}}
    published = {"storageClassName": "local", "nodeTopology": topology, "capacity": capacity, **more}
    return read(STORAGE_CAPACITIES, manifest(STORAGE_CAPACITIES, name, **published))


def test_a_volume_is_made_where_the_driver_says_that_it_has_room() -> None:
    rooms = [room("a", "a", "10Gi"), room("b", "b", "1Gi"), room("c", "c", "1Ti", maximumVolumeSize="2Gi")]
    nowhere = room("d", "d", "1Ti", nodeTopology=None)
    objects = [wanting("5Gi"), storage_class(), DRIVER, *rooms, nowhere]
    for order in (1, -1):
        found = seen(*objects[::order]).demands_of(pod("scratch"))
        assert found == Demands(volumes=((on("a"),),), claims_waiting=("scratch",))
    assert seen(wanting("5Gi"), storage_class(), DRIVER).demands_of(pod("scratch")).volumes == ((NOWHERE,),)
    silent = seen(wanting("5Gi"), storage_class(), *rooms)
    assert silent.demands_of(pod("scratch")) == Demands(claims_waiting=("scratch",))


def test_only_whose_room_comes_or_goes_is_concerned_by_it() -> None:
    storage = seen(wanting("5Gi"), storage_class(), DRIVER, room("a", "a", "10Gi"))
    storage.uses(pod("scratch"))
    assert list(storage.take(room("a", "a", "10Gi"), room("a", "a", "9Gi"))) == []
    assert list(storage.take(room("a", "a", "9Gi"), room("a", "a", "4Gi"))) == [pod().metadata.uid]
    assert storage.demands_of(pod("scratch")).volumes == ((NOWHERE,),)


def test_only_those_whom_a_ready_volume_suits_are_concerned_by_it() -> None:
    storage = seen(wanting("5Gi"), SHELF)
    storage.uses(pod("scratch"))
    assert list(storage.take(None, disk("a-1", "a", size="1Gi"))) == []
    assert list(storage.take(None, disk("a-2", "a"))) == [pod().metadata.uid]
    assert list(storage.take(disk("a-2", "a"), disk("a-2", "a", phase="Bound"))) == [pod().metadata.uid]
    assert storage.demands_of(pod("scratch")).volumes == ((NOWHERE,),)


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
