"""What a service tells Prometheus: the health of its loops as numbers, in the text format, from `health` alone.

Three gauges per loop. An alert on a loop that does not run, or is ever further behind, is all that a first watch needs.
"""

from collections.abc import Callable, Iterator

from muster_chassis.health import Condition, Health, LoopHealth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGES: dict[str, tuple[str, Callable[[LoopHealth], int | None]]] = {
    "muster_loop_running": ("Whether the loop does its work.", lambda loop: int(loop.condition is Condition.RUNNING)),
    "muster_loop_position": ("How far the loop has read the journal.", lambda loop: loop.position),
    "muster_loop_behind": (
        "Events between the loop and the end of the journal when it last looked.",
        lambda loop: None if loop.position is None or loop.end is None else loop.end - loop.position,
    ),
}
"""Each gauge with its help and how it is read; a loop that does not read the journal has no position."""


def metrics_text(health: Health) -> str:
    """Return all gauges of a service in Prometheus' text format."""
    return "".join(f"{line}\n" for line in _lines(health))


def _lines(health: Health) -> Iterator[str]:
    for gauge, (meaning, read) in GAUGES.items():
        yield f"# HELP {gauge} {meaning}"
        yield f"# TYPE {gauge} gauge"
        for name, loop in sorted(health.loops.items()):
            if (value := read(loop)) is not None:
                yield f'{gauge}{{service="{_escaped(health.service)}",loop="{_escaped(name)}"}} {value}'


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
