"""The benchmarks' own arithmetic, where a mistake would flatter us: simulated minutes, and the plot."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))  # `benchmarks` is a folder of the checkout, not an installed package

from benchmarks.arrivals import (  # noqa: E402
    BASELINE,
    EVICTED,
    MANY,
    NEAR,
    SMALL,
    USAGE,
    USEFUL,
    Generator,
    Play,
    sample,
)
from benchmarks.growth import ACROSS, UP, draw  # noqa: E402
from benchmarks.growth import SIZES as NODES  # noqa: E402
from benchmarks.quality import PLAYED  # noqa: E402
from benchmarks.quality import sample as quality  # noqa: E402


@pytest.mark.parametrize(("generator", "scale"), [(BASELINE, 0.02), (NEAR, 0.02), (MANY, 0.01)])
def test_all_that_comes_runs_to_its_end_and_nothing_is_granted_twice(generator: Generator, scale: float) -> None:
    coming = generator.arrivals(scale)
    play = Play(coming, generator.world())
    play.run()
    ended = [span.arrival.job.name for span in play.spans if not span.evicted]
    assert sorted(ended) == sorted(arrival.job.name for arrival in coming)
    found = sample(generator, play)
    usage, useful, evicted = (found[f"{generator.title}, {name}"] for name in (USAGE, USEFUL, EVICTED))
    assert 0 < useful <= usage <= 100
    assert useful == pytest.approx(usage * (1 - evicted))


def test_who_is_alone_on_the_cluster_waits_for_the_next_cycle_only() -> None:
    first = next(arrival for arrival in BASELINE.arrivals(0.02) if arrival.size is SMALL)
    play = Play([first], BASELINE.world())
    play.run()
    (span,) = play.spans
    assert span.began_seconds == pytest.approx(first.at_seconds)
    assert span.seconds == pytest.approx(SMALL.runtime_seconds)


def test_a_gang_that_wants_one_rack_runs_in_one() -> None:
    gang = next(arrival for arrival in NEAR.arrivals(0.02) if arrival.size.name == "large, in one rack")
    play = Play([gang], NEAR.world())
    while not play.world.tasks:
        play.step()
    racks = {int(str(task.node).removeprefix("node-")) // 64 for task in play.world.tasks.values()}
    assert len(play.world.tasks) == 8
    assert len(racks) == 1


def test_a_cost_in_proportion_is_a_straight_line() -> None:
    steps = [ACROSS.at(10.0 * NODES[0]) - ACROSS.at(NODES[0]), ACROSS.at(40.0 * NODES[0]) - ACROSS.at(4.0 * NODES[0])]
    assert steps[0] == pytest.approx(steps[1], abs=0.2)
    assert UP.at(1.0) < UP.at(0.001)  # more is further up


def test_the_plot_is_a_picture_with_a_point_per_size() -> None:
    picture = ElementTree.fromstring(draw({"plan": [(size, size / 10_000) for size in NODES]}))
    assert len(picture.findall("{http://www.w3.org/2000/svg}circle")) == len(NODES)


def test_what_a_large_gang_takes_back_is_counted_as_lost() -> None:
    reclaim = next(shape for shape in PLAYED if shape.name.startswith("reclaim, 4,000"))
    found = dict(quality(reclaim, 0.01))
    evicted = next(value for name, value in found.items() if "evicted" in name)
    assert 0.4 < evicted < 0.6  # a minute of everything was lost, a minute of everything was not
