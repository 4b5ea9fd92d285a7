"""`python -m benchmarks`: run the benchmarks and say what came of it."""

import argparse
import gc
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from muster_contracts.errors import Unavailable

from benchmarks import (
    anchors,
    arrivals,
    binding,
    cold_start,
    journal_append,
    journal_follow,
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
from benchmarks.harness import Benchmark, Measurement, measure
from benchmarks.machine import machine
from benchmarks.report import markdown, table, write_docs, write_json

FOLDER = Path(__file__).parent
DOCS_PAGE = FOLDER.parent / "docs" / "performance.md"
USUAL = (
    journal_append,
    journal_follow,
    submissions,
    visibility,
    pod_creates,
    watch_fanout,
    cold_start,
    recognition,
    recognition_watch,
    planning,
    steady_cycle,
    binding,
)
HEAVY = (
    new_leader.BENCHMARK,
    time_travel.BENCHMARK,
    recognition.LARGE,
    binding.WHOLE,
    switched_on.BENCHMARK,
    arrivals.BENCHMARK,
    *arrivals.OTHERS,
    quality.BENCHMARK,
    anchors.BENCHMARK,
)
"""What takes so long, or so much memory, that it is run only when it is named."""

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (*(module.BENCHMARK for module in USUAL), *HEAVY)
}


def main() -> int:
    """Run what was asked for; the exit code is 1 when a benchmark could not be run to its end."""
    asked = _arguments()
    gc.set_threshold(50_000, 50, 100)  # as the services have it
    known = machine()
    if asked.kubeconfig is not None:
        BENCHMARKS[binding.BENCHMARK.name] = binding.on(asked.kubeconfig)
    measurements: list[Measurement] = []
    failures: dict[str, str] = {}
    for name in asked.only or [module.BENCHMARK.name for module in USUAL]:
        try:
            measurements += uvloop.run(measure(BENCHMARKS[name], asked.runs, asked.scale, _say))
        except (Unavailable, TimeoutError) as error:
            failures[name] = str(error) or "It took too long."
            _say(f"{name}: not measured. {failures[name]}")
    print(table(measurements, known, asked.runs))
    write_json(asked.json, measurements, known, failures)
    _say(f"Written to {asked.json}")
    if asked.write_docs:
        write_docs(DOCS_PAGE, markdown(measurements, known, asked.runs))
        _say(f"Written to {DOCS_PAGE}")
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=f"Folders are in {tempfile.gettempdir()}."
    )
    parser.add_argument("--runs", type=int, default=5, help="how often each is run; the table has medians")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run this one; may be repeated")
    parser.add_argument("--kubeconfig", type=Path, help="bind on this Kubernetes, not on a simulated one")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the usual amount of work")
    parser.add_argument("--json", type=Path, default=FOLDER / "results" / f"{moment}.json", help="where to write")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
