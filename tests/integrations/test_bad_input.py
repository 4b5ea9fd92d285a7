"""However manifests lie, nothing falls over, every pod is in one place, and the order in which they come says nothing.

The recorded files are taken apart and changed as hypothesis likes: fields that are missing or of another type, foreign
UIDs, second controllers, owners in a circle, unknown versions, labels of other systems.
"""

import json
from collections import Counter
from copy import deepcopy
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integrations.golden_files import files_of_a_cluster, recorded_files
from integrations.kube import World, known, manifest, owned_by, pod, project, recorded
from muster_cli.manifests import read_documents
from muster_cli.recognised import recognised
from muster_cluster.objects import DEPLOYMENTS
from muster_cluster.port import Resource
from muster_integrations.recognition.kinds import group_of
from muster_integrations.recognition.manifests import Document
from muster_integrations.recognition.offline import Picture
from muster_integrations.recognition.table import TABLE

Object = dict[str, Any]
PYTORCH_JOBS: Resource[Any] = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob", dict)
ROLLOUTS: Resource[Any] = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout", dict)


def recorded_objects() -> list[Object]:
    """Every object of every recorded file."""
    written = [document.value for document in read_documents(recorded_files())]
    return [item for value in written for item in value.get("items", [value]) if "kind" in item]


OBJECTS = recorded_objects()
LABELS = sorted({label for one in OBJECTS for label in one["metadata"].get("labels", {}).items()})
REFERENCES = [reference for one in OBJECTS for reference in one["metadata"].get("ownerReferences", [])]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10),
    st.sampled_from(
        ["", "v2", "0", "3", "-1", "x" * 300, "\x00", "\ud800", "True", "ray.io/v2", "1e9999", "2026-13-01"]
    ),
    st.just([]),
    st.just({}),
    st.just([None, 3, "a", {}]),
    st.just({"a": {"b": [1]}}),
)


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a value."""
    children: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return [spot for key, part in children for spot in ((*path, key), *spots(part, (*path, key)))]


def put(one: Object, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        one = one[key]
    one[path[-1]] = value


@st.composite
def pictures(draw: st.DrawFn) -> list[Object]:
    """Some of the recorded objects, and what becomes of them."""
    starts = draw(st.lists(st.integers(0, len(OBJECTS) - 1), min_size=1, max_size=3))
    chosen = {index for start in starts for index in range(start, min(start + 8, len(OBJECTS)))}
    objects = [deepcopy(OBJECTS[index]) for index in sorted(chosen)]
    for _ in range(draw(st.integers(0, 6))):
        change(draw, objects)
    return objects


def change(draw: st.DrawFn, objects: list[Object]) -> None:
    one = objects[draw(st.integers(0, len(objects) - 1))]
    other = objects[draw(st.integers(0, len(objects) - 1))]
    metadata = one.get("metadata")
    what = draw(st.sampled_from(["junk", "junk", "junk", "remove", "label", "owner", "second", "version", "namesake"]))
    if what == "junk" and (places := spots(one)):
        put(one, draw(st.sampled_from(places)), deepcopy(draw(JUNK)))
    elif what == "remove" and len(objects) > 1:
        objects.remove(one)
    elif what == "version":
        group, separator, _ = str(one.get("apiVersion")).rpartition("/")
        one["apiVersion"] = f"{group}{separator}v2"
    elif isinstance(metadata, dict):
        change_metadata(draw, what, objects, one, other)


def change_metadata(draw: st.DrawFn, what: str, objects: list[Object], one: Object, other: Object) -> None:
    metadata = one["metadata"]
    references = metadata.get("ownerReferences")
    if what == "label":
        name, value = draw(st.sampled_from(LABELS))
        metadata["labels"] = {**labels_of(metadata), name: value}
    elif what == "owner":
        metadata["ownerReferences"] = [reference_to(other)]
    elif what == "second":
        more = [deepcopy(draw(st.sampled_from(REFERENCES))), reference_to(other)]
        metadata["ownerReferences"] = [*(references if isinstance(references, list) else []), *more]
    elif what == "namesake":
        objects.append(deepcopy(one | {"metadata": metadata | {"uid": str(draw(st.uuids()))}}))


def labels_of(metadata: Object) -> Object:
    labels = metadata.get("labels")
    return labels if isinstance(labels, dict) else {}


def reference_to(other: Object) -> Object:
    metadata = other.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    return {
        "apiVersion": other.get("apiVersion"),
        "kind": other.get("kind"),
        "name": known.get("name"),
        "uid": known.get("uid"),
        "controller": True,
    }


def answer(objects: list[Object]) -> Any:
    return json.loads(json.dumps(recognised(Picture(Document("picture", one) for one in objects))))


def places_of_pods(found: Any) -> Counter[str]:
    inside = [pod["name"] for workload in found["workloads"] for pod in workload["pods"]]
    grouped = [pod for workload in found["workloads"] for group in workload["pod_groups"] for pod in group["pods"]]
    assert Counter(inside) == Counter(grouped), "a pod has one pod group"
    return Counter([*inside, *(ignored["name"] for ignored in found["ignored"] if ignored["kind"] == "Pod")])


def identities(objects: list[Object]) -> list[tuple[Any, ...]]:
    return [
        (one.get("kind"), one["metadata"].get("namespace"), one["metadata"].get("name"))
        for one in objects
        if isinstance(one.get("metadata"), dict)
    ]


def uids(objects: list[Object]) -> list[str]:
    said = (one["metadata"].get("uid") for one in objects if isinstance(one.get("metadata"), dict))
    return [uid for uid in said if isinstance(uid, str) and uid]


def distinct(values: list[Any]) -> bool:
    return len({json.dumps(value) for value in values}) == len(values)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pictures(), st.randoms(use_true_random=False))
def test_whatever_is_written_each_pod_is_in_one_place_in_any_order(objects: list[Object], random: Random) -> None:
    found = answer(objects)
    if not distinct(identities(objects)) or not distinct(uids(objects)):
        return  # of two that are the same, one counts
    pods = [one for one in objects if one.get("kind") == "Pod" and one.get("apiVersion") in ["v1", "v2"]]
    named = Counter(one["metadata"]["name"] for one in pods if has_a_name(one))
    places = places_of_pods(found)
    assert {name: places[name] for name in named} == named
    random.shuffle(objects)
    assert answer(objects) == found


def has_a_name(one: Object) -> bool:
    metadata = one.get("metadata")
    return isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and bool(metadata["name"])


# ---------------------------------------------------------------- by name

AIRFLOW = {
    "dag_id": "nightly",
    "task_id": "train",
    "run_id": "r-1",
    "try_number": "1",
    "kubernetes_pod_operator": "True",
}
TRAINING = {"training.kubeflow.org/job-name": "net", "training.kubeflow.org/operator-name": "pytorchjob-controller"}
SPARK = {"spark-app-selector": "spark-1", "spark-role": "driver"}


def workloads(*objects: Object) -> list[tuple[str, str, Any]]:
    found = answer(list(objects))
    return [(one["kind"], one["name"], one["parent"] and one["parent"]["kind"]) for one in found["workloads"]]


def test_a_pod_that_two_systems_claim_is_the_inner_ones() -> None:
    assert workloads(pod("a", labels={**AIRFLOW, **TRAINING})) == [("PyTorchJob", "net", "AirflowDagRun")]
    assert workloads(pod("a", labels={**AIRFLOW, **SPARK})) == [("SparkApp", "a", "AirflowDagRun")]
    assert workloads(pod("a", labels=AIRFLOW)) == [("AirflowDagRun", "nightly/r-1", None)]


def test_labels_say_nothing_against_an_owner_that_is_there() -> None:
    web = manifest(DEPLOYMENTS, "web")
    liar = pod("a", owner=web, labels={**AIRFLOW, **TRAINING, "ray.io/cluster": "c", "ray.io/node-type": "head"})
    assert [found[:2] for found in workloads(web, liar)] == [("Deployment", "web")]


def test_of_two_controllers_the_one_that_stands_first_in_the_table_counts_and_the_conflict_is_told() -> None:
    web, net = manifest(DEPLOYMENTS, "web"), manifest(PYTORCH_JOBS, "net", spec={})
    torn = pod("a", references=[owned_by(web), owned_by(net)])
    (workload,) = [one for one in answer([web, net, torn])["workloads"] if one["pods"]]
    assert (workload["kind"], workload["attributes"]["conflict"]) == ("PyTorchJob", "Deployment/web, PyTorchJob/net")


@pytest.mark.parametrize("version", ["v1", "v1alpha1", "v2"])
def test_a_version_nobody_knows_is_still_the_same_kind(version: str) -> None:
    net = manifest(PYTORCH_JOBS, "net", spec={}) | {"apiVersion": f"kubeflow.org/{version}"}
    assert workloads(net, pod("a", owner=net)) == [("PyTorchJob", "net", None)]


def test_owners_in_a_circle_leave_their_pod_in_one_place() -> None:
    one, other = (manifest(ROLLOUTS, name) for name in ("one", "other"))
    one["metadata"]["ownerReferences"], other["metadata"]["ownerReferences"] = [owned_by(other)], [owned_by(one)]
    assert len(workloads(one, other, pod("a", owner=one))) == 1


def test_a_pod_that_owns_itself_is_a_bare_pod() -> None:
    snake = pod("a")
    snake["metadata"]["ownerReferences"] = [owned_by(snake)]
    assert workloads(snake) == [("Pod", "a", None)]


# ---------------------------------------------------------------- while somebody watches


def watched_objects() -> list[Object]:
    """The recorded objects that are watched, each with a UID, in a namespace that is a project's."""
    return [one for path in files_of_a_cluster() for one in recorded(path) if is_watched(one)]


def is_watched(one: Object) -> bool:
    kind = TABLE.get((group_of(one["apiVersion"]), one["kind"]))
    return kind is not None and kind.watch is not None


WATCHED = watched_objects()


@st.composite
def changed_objects(draw: st.DrawFn) -> tuple[Object, Object]:
    """One of the watched objects, before and after somebody wrote into it what he liked."""
    before = draw(st.sampled_from(WATCHED))
    after = deepcopy(before)
    for _ in range(draw(st.integers(1, 3))):
        write_into(draw, after)
    return before, after


def write_into(draw: st.DrawFn, one: Object) -> None:
    metadata = one["metadata"]
    what = draw(st.sampled_from(["label", "owner", "spec", "status"]))
    if what == "label":
        name, value = draw(st.sampled_from(LABELS))
        metadata["labels"] = {**labels_of(metadata), name: value}
    elif what == "owner":
        owners = draw(st.lists(st.sampled_from(WATCHED), max_size=2))
        metadata["ownerReferences"] = [reference_to(owner) for owner in owners]
    elif places := spots(one.get(what, {})):
        put(one[what], draw(st.sampled_from(places)), deepcopy(draw(JUNK)))


def is_readable(one: Object) -> bool:
    """Say whether an API server could show it: of kinds with a schema it takes no field of another type."""
    try:
        known(one)
    except msgspec.DecodeError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(changed_objects(), max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_whatever_changes_while_somebody_watches_each_pod_has_one_home(
    changes: list[tuple[Object, Object]], writes: list[bool]
) -> None:
    world = World(project())
    world.show(*WATCHED)
    now = {one["metadata"]["uid"]: one for one in WATCHED}
    for (before, after), write in zip(changes, writes, strict=False):
        uid = before["metadata"]["uid"]
        if is_readable(after):
            world.step(now[uid], after)
            now[uid] = after
        if write:
            world.write()
    world.give_up_owners()
    world.write_everybody()
    homes = Counter(pod_id for workload in world.fold.workloads.values() for pod_id in workload.pods)
    assert homes == Counter(UUID(one["metadata"]["uid"]) for one in WATCHED if one["kind"] == "Pod")
    assert world.write_everybody() == []
