"""Operators of which nothing was recorded make of our examples what is known of the real ones (`facts.yaml`)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
FACTS = yaml.safe_load((Path(__file__).parent / "facts.yaml").read_text(encoding="utf-8"))
NAMESPACE = "muster-demo"


def objects(example: str) -> Iterator[Any]:
    """Yield the objects of an example, for the scheduler that is here."""
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    yield from yaml.safe_load_all(text.replace("muster-scheduler", "default-scheduler"))


def owners(world: Any, obj: Any) -> list[str]:
    """Return the controllers of an object, from the nearest up."""
    for reference in obj["metadata"].get("ownerReferences", []):
        assert reference["controller"]
        resource = world.registry.resources.of_kind(reference["apiVersion"], reference["kind"])
        owner = world.client.get(resource.key, NAMESPACE, reference["name"])
        return [f"{reference['kind']} {reference['name']}", *owners(world, owner)]
    return []


def faults(world: Any, pod: Any, fact: Any) -> list[str]:
    """Return in what a pod differs from what is known."""
    metadata, spec = pod["metadata"], pod["spec"]
    found = [
        f"{place} {key}: {(metadata.get(place) or {}).get(key)!r} is not {pattern!r}"
        for place in ("labels", "annotations")
        for key, pattern in fact.get(place, {}).items()
        if not re.fullmatch(pattern, (metadata.get(place) or {}).get(key, ""))
    ]
    found += [f"label {key} should not be here" for key in fact.get("never", ()) if key in metadata["labels"]]
    above = owners(world, pod)
    if not re.fullmatch("; ".join(fact["owners"]), "; ".join(above)):
        found.append(f"its owners are {above}")
    for place, names in (("containers", fact["containers"]), ("initContainers", fact.get("init", []))):
        has = sorted(each["name"] for each in spec.get(place, []))
        found += [f"{place}: {has}"] if has != sorted(names) else []
    return found


@pytest.mark.parametrize("example", FACTS)
async def test_pods_are_as_the_real_operator_makes_them(opener: Any, example: str) -> None:
    known = FACTS[example]["pods"]
    async with opener(systems=tuple(FACTS[example]["systems"])) as world:
        world.client.create("namespaces", {"metadata": {"name": NAMESPACE}})
        for body in objects(example):
            resource = world.registry.resources.of_kind(body["apiVersion"], body["kind"])
            world.client.create(resource.key, body)
        await world.advance(20)
        pods = world.client.list("pods", NAMESPACE)
        alike = [[pod for pod in pods if re.fullmatch(fact["name"], pod["metadata"]["name"])] for fact in known]
        assert [len(each) for each in alike] == [fact.get("count", 1) for fact in known]
        assert len(pods) == sum(map(len, alike))
        for fact, each in zip(known, alike, strict=True):
            assert [faults(world, pod, fact) for pod in each] == [[]] * len(each)
