"""`python -m benchmarks`: run the benchmarks and say what came of it.

Without arguments everything is run, and docs/performance.md shows that run and no other; whatever narrows the run
leaves the page alone.
"""

import argparse
import gc
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks import (
    anchors,
    arrivals,
    binding,
    cold_start,
    journal_append,
    journal_follow,
    million,
    new_leader,
    planning,
    pod_creates,
    quality,
    recognition,
    recognition_watch,
    steady_cycle,
    submissions,
    switched_on,
    time_travel,
    visibility,
    watch_fanout,
)
from benchmarks.harness import Benchmark, Result, measure
from benchmarks.machine import machine
from benchmarks.report import markdown, table, write_docs, write_json

FOLDER = Path(__file__).parent
DOCS_PAGE = FOLDER.parent / "docs" / "performance.md"
FIVE = 5
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        journal_append.BENCHMARK,
        journal_follow.BENCHMARK,
        submissions.BENCHMARK,
        visibility.BENCHMARK,
        pod_creates.BENCHMARK,
        watch_fanout.BENCHMARK,
        cold_start.BENCHMARK,
        recognition.BENCHMARK,
        recognition.LARGE,
        recognition_watch.BENCHMARK,
        planning.BENCHMARK,
        anchors.BENCHMARK,
        steady_cycle.BENCHMARK,
        binding.BENCHMARK,
        binding.WHOLE,
        switched_on.BENCHMARK,
        new_leader.BENCHMARK,
        time_travel.BENCHMARK,
        million.BENCHMARK,
        quality.BENCHMARK,
        arrivals.BENCHMARK,
        *arrivals.OTHERS,
    )
}

BY_NAME_ALONE = frozenset({million.BENCHMARK.name})
"""Too long for everybody's every run."""


def main() -> int:
    """Run what was asked for; the exit code is 1 when a benchmark could not be run to its end."""
    asked = _arguments()
    gc.set_threshold(50_000, 50, 100)  # as the services have it
    known = machine()
    results: list[Result] = []
    for result in _results(asked):
        results.append(result)
        write_json(asked.json, results, known)
        if asked.whole:
            write_docs(DOCS_PAGE, markdown(results, known))
    print(table(results, known))
    _say(f"Written to {asked.json}")
    return 1 if any(result.failure for result in results) else 0


def _results(asked: argparse.Namespace) -> Iterator[Result]:
    if asked.kubeconfig is not None:
        BENCHMARKS[binding.BENCHMARK.name] = binding.on(asked.kubeconfig)
    for name in asked.only or [name for name in BENCHMARKS if name not in BY_NAME_ALONE]:
        result = uvloop.run(measure(BENCHMARKS[name], asked.runs, asked.scale, _say))
        _say(f"{name}: {result.seconds:.0f} s. {result.failure}")
        yield result


def _arguments() -> argparse.Namespace:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=f"Folders are in {tempfile.gettempdir()}."
    )
    parser.add_argument("--runs", type=int, default=FIVE, help="how often each is run at most; the table has medians")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run this one; may be repeated")
    parser.add_argument("--kubeconfig", type=Path, help="bind on this Kubernetes, not on a simulated one")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the usual amount of work")
    parser.add_argument("--json", type=Path, default=FOLDER / "results" / f"{moment}.json", help="where to write")
    asked = parser.parse_args()
    asked.whole = not asked.only and asked.kubeconfig is None and (asked.runs, asked.scale) == (FIVE, 1.0)
    return asked


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
