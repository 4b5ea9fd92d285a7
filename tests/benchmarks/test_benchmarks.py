"""`python -m benchmarks` on next to no work: it gives its table, its JSON and its page, whatever the figures are."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from muster_contracts.errors import Unavailable

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))  # `benchmarks` is a folder of the checkout, not an installed package

from benchmarks.harness import Benchmark, Contest, Figure, Measurement, Result, Sample, measure  # noqa: E402
from benchmarks.report import BEGIN, END, markdown, table, write_docs  # noqa: E402

RATE = Figure("pods", "pods/s", "bare aiohttp")
TIME = Figure("wait", "ms", "bare PostgreSQL", more_is_better=False)
MACHINE = dict.fromkeys(("when", "cores", "processor", "load", "system", "python", "versions"), "1")


async def run(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--runs", "1", "--scale", "0.01", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")},
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("journal-append", 4),
        ("journal-follow", 1),
        ("submissions", 6),
        ("visibility", 4),
        ("pod-creates", 1),
        ("watch-fanout", 1),
        ("planning", 11),
        ("planning-more", 16),
        ("recognition", 4),
        ("steady-cycle", 2),
        ("recognition-watch", 3),
        ("binding", 4),
        ("arrivals", 9),
        ("arrivals-many", 9),
        ("arrivals-near", 15),
        ("quality", 21),
        ("binding-whole-stack", 4),
        ("switched-on", 1),
        ("new-leader", 1),
    ],
)
async def test_a_benchmark_gives_a_table_and_json_with_each_figure_beside_its_ceiling(
    name: str, figures: int, tmp_path: Path
) -> None:
    table = await run("--only", name, "--json", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    (result,) = found["results"]
    assert result["failure"] == ""
    assert found["machine"]["cores"]
    assert len(result["measurements"]) == figures
    for measurement in result["measurements"]:
        assert measurement["figure"]["name"] in table
        may_be_nothing = measurement["figure"]["ceiling"] == "the ideal"
        assert measurement["value"] > 0 or may_be_nothing
        assert measurement["ceiling"] > 0 or may_be_nothing


def test_the_ratio_is_that_of_runs_which_follow_each_other() -> None:
    measurement = Measurement.of(RATE, [100, 10, 100], [200, 20, 100])
    assert (measurement.value, measurement.ceiling, measurement.ratio) == (100, 100, 0.5)
    assert measurement.ratio_spread == (0.5, 1.0)


def test_a_time_of_twice_the_ceiling_is_a_ratio_of_a_half() -> None:
    assert Measurement.of(TIME, [20], [10]).ratio == 0.5


@pytest.mark.parametrize(("asked", "runs"), [(5, 3), (2, 2)])
async def test_a_row_says_how_often_it_was_run(asked: int, runs: int) -> None:
    result = await measure(benchmark(runs=3), asked, 1.0, print)
    assert [each.runs for each in result.measurements] == [runs]
    assert f"  {runs}     bare aiohttp" in table([result], MACHINE)


async def test_what_cannot_be_run_to_its_end_is_told_and_loses_nothing_else(tmp_path: Path) -> None:
    failed = await measure(benchmark(runs=3, fails=True), 5, 1.0, print)
    page = markdown([Result("other", 1.0, [Measurement.of(RATE, [1], [2])]), failed], MACHINE)
    assert "| pods | pods/s | 1 |" in page
    assert failed.failure in page


def benchmark(runs: int, *, fails: bool = False) -> Benchmark:
    """Give a benchmark of one figure that takes no time."""

    async def run() -> Sample:
        if fails:
            raise Unavailable("There is no server.")
        return {RATE.name: 1.0}

    @asynccontextmanager
    async def opened(_scale: float) -> AsyncIterator[Contest]:
        yield Contest(run, run)

    return Benchmark("quick", [RATE], opened, runs)


@pytest.mark.parametrize(
    ("figure", "value", "met"),
    [
        (replace(RATE, target=100.0), 100.0, True),
        (replace(RATE, target=100.0), 99.0, False),
        (replace(TIME, target=100.0), 100.0, True),
        (replace(TIME, target=100.0), 101.0, False),
        (replace(RATE, target_ratio=0.5), 50.0, True),
        (replace(RATE, target_ratio=0.5), 49.0, False),
        (RATE, 1.0, None),
    ],
)
def test_a_row_says_whether_its_target_is_met(figure: Figure, value: float, met: bool | None) -> None:
    assert Measurement.of(figure, [value], [100.0]).met is met


def test_the_docs_page_keeps_everything_outside_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):  # the second time replaces the first
        write_docs(page, markdown([Result("pods", 1.0, [Measurement.of(RATE, [1234.5], [2000])])], MACHINE))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("| pods |") == 1


def test_the_docs_page_has_its_marks() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
