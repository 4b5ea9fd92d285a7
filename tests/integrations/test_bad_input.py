"""However manifests lie, nothing falls over, every pod is in one place, and the order in which they come says nothing.

The recorded files are taken apart and changed as hypothesis likes: fields that are missing or of another type, foreign
UIDs, second controllers, owners in a circle, unknown versions, labels of other systems.
"""

import json
from collections import Counter
from copy import deepcopy
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integrations.golden_files import recorded_files
from muster_cli.manifests import read_documents
from muster_cli.recognised import recognised
from muster_integrations.recognition.manifests import Document
from muster_integrations.recognition.offline import Picture

Object = dict[str, Any]


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
    st.sampled_from(["", "v2", "0", "3", "-1", "x" * 300, "\x00", "True", "ray.io/v2", "1e9999", "2026-13-01"]),
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
