"""How the planner's cost grows with the cluster: `python -m benchmarks.growth` draws docs/growth.svg.

Four curves over the number of nodes, each point one measurement in processor time: as many new pods as there are nodes
on an empty cluster; a gang of a tenth of the nodes, each pod a whole node, that takes back what others borrowed on a
full one; a cycle with nothing to do over ten times as many pods; and the first snapshot of the same, which is made once
after a start. Both axes are logarithmic: a cost in proportion to the cluster is a line at 45 degrees.
"""

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from time import process_time

from muster_scheduler.core.snapshot import take_snapshot

from benchmarks.planning import full_of_borrowers, timed_plan
from benchmarks.scenes import Scene, jobs, nodes, queues
from benchmarks.steady_cycle import cycle_milliseconds, steady_world

PICTURE = Path(__file__).parent.parent / "docs" / "growth.svg"
SIZES = (250, 500, 1000, 2500, 5000, 10_000)
SECONDS = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 420, 70, 20, 210, 50
COLOURS = ("#1b6ac9", "#c2410c", "#15803d", "#7e22ce")
Curves = Mapping[str, Sequence[tuple[int, float]]]


def measure(size: int) -> dict[str, float]:
    """Return what everything costs with so many nodes, in seconds."""
    fill = Scene(nodes(size), queues({"team": None}), jobs("team", size, gpus=1))
    reclaim = full_of_borrowers(size, gang=size // 10, gpus=8, count=1, weight=0)
    found = {
        "a pod per node, empty cluster": timed_plan(fill.world(), fill)[0],
        "reclaim by a gang, full cluster": timed_plan(reclaim.world(), reclaim)[0],
    }
    world = steady_world(size)
    began = process_time()
    take_snapshot(world.state)
    found["first snapshot, 10 pods a node"] = process_time() - began
    found["nothing to do, 10 pods a node"] = min(cycle_milliseconds(world, number) for number in range(3)) / 1000
    return found


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis from one pixel to another."""

    least: float
    most: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies."""
        share = (log10(value) - log10(self.least)) / (log10(self.most) - log10(self.least))
        return round(self.begin + share * (self.end - self.begin), 1)


ACROSS = Axis(SIZES[0], SIZES[-1], LEFT, WIDTH - RIGHT)
UP = Axis(SECONDS[0], SECONDS[-1], HEIGHT - BOTTOM, TOP)


def draw(curves: Curves) -> str:
    """Return the picture as SVG."""
    body = [*_grid(), *(line for number, name in enumerate(curves) for line in _curve(name, curves[name], number))]
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *body, "</svg>", ""])


def _grid() -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = []
    for seconds in SECONDS:
        lines.append(_line(LEFT, UP.at(seconds), right, UP.at(seconds)))
        lines.append(_text(LEFT - 8, UP.at(seconds) + 4, _duration(seconds), "end"))
    for size in SIZES:
        lines.append(_line(ACROSS.at(size), TOP, ACROSS.at(size), bottom))
        lines.append(_text(ACROSS.at(size), bottom + 18, f"{size:,}", "middle"))
    return [*lines, _text((LEFT + right) / 2, HEIGHT - 10, "nodes", "middle")]


def _curve(name: str, points: Sequence[tuple[int, float]], number: int) -> list[str]:
    colour, (last_size, last_seconds) = COLOURS[number], points[-1]
    places = [(ACROSS.at(size), UP.at(max(seconds, SECONDS[0]))) for size, seconds in points]
    path = " ".join(f"{x},{y}" for x, y in places)
    dots = [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places]
    label = _text(ACROSS.at(last_size) + 8, UP.at(max(last_seconds, SECONDS[0])) + 4, name, "start", colour)
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots, label]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def main() -> int:
    """Measure every point and write the picture."""
    gc.set_threshold(50_000, 50, 100)  # as the services have it
    points = {size: measure(size) for size in SIZES}
    curves = {name: [(size, points[size][name]) for size in SIZES] for name in points[SIZES[0]]}
    for name, curve in curves.items():
        print(name, ", ".join(f"{size:,}: {_duration(round(seconds, 5))}" for size, seconds in curve), flush=True)
    PICTURE.write_text(draw(curves), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
