"""`docs/scheduling.md` says what the planner does: its tables are divided again, its pictures are planned again."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from muster_contracts import events as e
from muster_contracts.values import WHOLE_GPU, Caller, GpuRequest, PoolQuota, TopologyConstraint
from muster_scheduler.core import reasons
from muster_scheduler.core.fair_share import Claim, QueueClaims, Resource, fair_shares
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import State
from scheduler.worlds import GIBIBYTE, gang, group, id_of, node, pod, recorded

DOCUMENT = Path(__file__).parents[2].joinpath("docs", "scheduling.md").read_text(encoding="utf-8")
TABLES = re.findall(r"<!-- (\d+) GPUs are divided -->\n((?:\|.*\n)+)", DOCUMENT)
HALF = WHOLE_GPU // 2


# ---------------------------------------------------------------- tables of fair shares


@pytest.mark.parametrize(("capacity", "table"), TABLES)
def test_a_table_of_fair_shares_is_what_the_division_gives(capacity: str, table: str) -> None:
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
    head, _, *body = rows
    assert head == ["project", "quota", "weight", "wants", "fair share"]
    claims = [
        QueueClaims(name, age=age, claims={Resource.GPU: _claim(quota, weight, wants)})
        for age, (name, quota, weight, wants, _) in enumerate(body)
    ]
    shares = fair_shares(claims, {Resource.GPU: int(capacity) * WHOLE_GPU})
    assert {row[0]: int(row[4]) for row in body} == {
        name: share[Resource.GPU] // WHOLE_GPU for name, share in shares.items()
    }


def _claim(quota: str, weight: str, wants: str) -> Claim:
    return Claim(deserved=int(quota) * WHOLE_GPU, limit=None, weight=int(weight), request=int(wants) * WHOLE_GPU)


def test_the_document_has_its_tables() -> None:
    assert len(TABLES) == 5


# ---------------------------------------------------------------- pictures of clusters


def world(*parts: e.AnyEvent | list[e.AnyEvent]) -> Snapshot:
    state = State()
    for event in recorded([event for part in parts for event in (part if isinstance(part, list) else [part])]):
        state.apply(event)
    return take_snapshot(state)


def project(name: str, gpus: int) -> e.ProjectChanged:
    quotas = (PoolQuota(gpu_millionths=gpus * WHOLE_GPU),)
    somebody = Caller(name="ada")
    return e.ProjectChanged(
        project_id=id_of(name), name=name, namespace=f"muster-{name}", quotas=quotas, changed_by=somebody
    )


def owned(name: str, project_name: str, events: list[e.AnyEvent]) -> list[e.AnyEvent]:
    discovered = e.WorkloadDiscovered.model_construct(
        workload_id=id_of(f"workload/{name}"), name=name, project=project_name
    )
    return [discovered, *events]


def singles(prefix: str, project_name: str, count: int, *, on: str, first: int = 0, gpus: int = 1) -> list[e.AnyEvent]:
    """Return running workloads of one pod each, the first the oldest, on consecutive devices."""
    found: list[e.AnyEvent] = []
    for number in range(count):
        name, device = f"{prefix}{number}", first + number * gpus
        one = pod(f"{name}-0", name, gpus=gpus, age=100 - number, node=on, phase="Running")
        devices = ",".join(str(device + more) for more in range(gpus))
        found += owned(name, project_name, group(name, [one.model_copy(update={"gpus": devices})]))
    return found


def before(snapshot: Snapshot) -> list[str]:
    """Draw who is on which device: a letter of the workload, two where two share it."""
    held = [
        (bound.node, share.index, view.name[0])
        for view in snapshot.views.values()
        for bound in view.bound
        for share in bound.devices
    ]
    return _draw(snapshot, held)


def after(snapshot: Snapshot, made: Plan) -> list[str]:
    """Draw the same when everything planned was done."""
    names = {view.id: view.name for view in snapshot.views.values()}
    gone = {victim.pod_id for victim in made.victims}
    held = [
        (bound.node, share.index, view.name[0])
        for view in snapshot.views.values()
        for bound in view.bound
        if bound.facts.pod_id not in gone
        for share in bound.devices
    ]
    held += [
        (place.node, share.index, names[place.pod_group_id][0])
        for place in (*made.placements, *made.nominations)
        for share in place.devices
    ]
    return _draw(snapshot, held)


def _draw(snapshot: Snapshot, held: Iterable[tuple[str, int, str]]) -> list[str]:
    letters: dict[tuple[str, int], str] = {}
    for where, index, letter in sorted(held):
        letters[where, index] = letters.get((where, index), "") + letter
    return [
        f"{one.name} " + "".join(f"[{letters.get((one.name, index), ' ')}]" for index in range(one.gpu_devices))
        for one in snapshot.terrain.nodes
    ]


def is_drawn(heading: str, *rows: tuple[str, list[str]]) -> None:
    """Assert that the picture under a heading has these rows."""
    section = DOCUMENT.split(f"## {heading}\n")[1].split("\n## ")[0]
    for label, lines in rows:
        for line in lines:
            assert f"{label:<7} {line}" in section, "\n".join([section, f"{label:<7} {line}"])


def told(made: Plan, name: str) -> str:
    """Return why a workload waits."""
    return next(one.reason for one in made.blocked if one.reason.startswith(name))


def test_the_picture_of_reclaim() -> None:
    snapshot = world(
        node("node", gpus=8),
        project("vision", 4),
        project("language", 4),
        singles("v", "vision", 6, on="node"),
        owned("l", "language", gang("l", 4)),
    )
    made = plan(snapshot)
    assert [(victim.name, victim.rule) for victim in made.victims] == [("v5-0", "reclaim"), ("v4-0", "reclaim")]
    is_drawn("Reclaim", ("before", before(snapshot)), ("after", after(snapshot, made)))


def test_the_picture_of_preemption() -> None:
    waiting = group("w", [pod("w-0", "w", gpus=2)], priority="interactive-preemptible")
    snapshot = world(
        node("node", gpus=8), project("vision", 8), singles("t", "vision", 8, on="node"), owned("w", "vision", waiting)
    )
    made = plan(snapshot)
    assert [(victim.name, victim.rule) for victim in made.victims] == [("t7-0", "preempt"), ("t6-0", "preempt")]
    is_drawn("Preemption", ("before", before(snapshot)), ("after", after(snapshot, made)))


def test_the_picture_of_consolidation() -> None:
    snapshot = world(
        node("one", gpus=4),
        node("two", gpus=4),
        project("vision", 8),
        singles("x", "vision", 2, on="one"),
        singles("y", "vision", 2, on="two"),
        owned("big", "vision", gang("big", 1, gpus=4)),
    )
    made = plan(snapshot)
    assert {victim.rule for victim in made.victims} == {"consolidate"}
    assert len(made.victims) == 2
    is_drawn("Consolidation", ("before", before(snapshot)), ("after", after(snapshot, made)))


def test_the_gang_that_does_not_fit() -> None:
    snapshot = world(
        node("one", gpus=4),
        node("two", gpus=4),
        project("vision", 12),
        owned("gang", "vision", gang("gang", 3, gpus=4)),
    )
    made = plan(snapshot)
    assert made.placements == ()
    assert f"> {told(made, 'gang')}" in DOCUMENT


def test_the_sentences_about_nearness_are_those_that_are_told() -> None:
    racks = {"left-0": "left", "left-1": "left", "right-0": "right", "right-1": "right", "right-2": "right"}
    nodes: list[e.AnyEvent] = [node(name, gpus=4, labels={"rack": rack}) for name, rack in racks.items()]
    rack, hall = (TopologyConstraint(levels=(level,), required=level) for level in ("rack", "hall"))
    made = plan(world(nodes, gang("whole", 3, gpus=4, topology=rack)))
    assert {racks[place.node] for place in made.placements} == {"right"}
    for name, size, topology in (("huge", 4, rack), ("lost", 2, hall)):
        assert f"> {told(plan(world(nodes, gang(name, size, gpus=4, topology=topology))), name)}" in DOCUMENT


def half(name: str, age: int, **more: Any) -> list[e.AnyEvent]:
    gpu = GpuRequest(devices=1, portion_millionths=HALF)
    return owned(name, "vision", group(name, [pod(f"{name}-0", name, age=age, gpu=gpu, **more)]))


def test_the_picture_of_fractions() -> None:
    snapshot = world(node("node", gpus=2), project("vision", 2), half("a", 9), half("b", 8), half("c", 7))
    made = plan(snapshot)
    is_drawn("Parts of GPUs", ("after", after(snapshot, made)))


def test_memory_of_a_device_becomes_a_part_of_it() -> None:
    asked = GpuRequest(devices=1, memory_bytes=20 * GIBIBYTE)
    snapshot = world(
        node("node", gpus=1, gpu_memory_bytes=80 * GIBIBYTE),
        project("vision", 1),
        owned("m", "vision", group("m", [pod("m-0", "m", gpu=asked)])),
    )
    (placement,) = plan(snapshot).placements
    assert placement.devices[0].portion_millionths == WHOLE_GPU // 4
    assert "20 GiB of a device with 80 GiB are a quarter of it" in DOCUMENT


def test_a_gang_keeps_to_one_pool_and_goes_round_its_list() -> None:
    def pooled(name: str, pool: str) -> e.NodeObserved:
        return node(name, gpus=4, labels={"gpu": pool})

    pools = [
        e.NodePoolChanged(
            node_pool_id=id_of(name), name=name, label_key="gpu", label_value=name, changed_by=Caller(name="ada")
        )
        for name in ("a100", "h100")
    ]
    made = [
        e.PodGroupFormed.model_validate({**one.model_dump(), "node_pools": ["a100", "h100"]})
        if isinstance(one, e.PodGroupFormed)
        else one
        for one in gang("gang", 2, gpus=4)
    ]
    snapshot = world(
        *pools, pooled("x", "a100"), pooled("y", "h100"), pooled("z", "h100"), owned("gang", "vision", made)
    )
    assert sorted(place.node for place in plan(snapshot).placements) == ["y", "z"]


def test_every_code_of_a_reason_is_explained() -> None:
    source = Path(reasons.__file__).parent
    text = "".join(file.read_text() for file in (source / "reasons.py", *sorted((source / "causes").glob("*.py"))))
    codes = set(re.findall(r'^(?:[A-Z]+ = |\s+code, .* = |\s+)"([A-Z][a-z]+(?:[A-Z][A-Za-z]+)+)"', text, re.MULTILINE))
    codes |= set(re.findall(r'Cause\(\s*"([A-Z][A-Za-z]+)"', text))
    assert len(codes) == 18
    assert {code for code in codes if f"| `{code}` |" not in DOCUMENT} == set()
