"""Runs a benchmark and its ceiling in turns and takes the medians.

A machine that other things run on is fast in one minute and slow in the next; what stays comparable is the ratio of two
runs that follow each other. So the ratio of a measurement is the median of the ratios of the runs, not the ratio of the
medians, and 1 always means "as fast as the bare machine", for rates and for times alike.
"""

import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from muster_contracts.errors import Unavailable

Sample = Mapping[str, float]
"""What one run found: a value per figure."""

Run = Callable[[], Awaitable[Sample]]
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `ceiling` says in words what stands beside it, `published` what others say of theirs.

    What Muster wants to reach is a `target` in the figure's unit, or a `target_ratio` to the ceiling.
    """

    name: str
    unit: str
    ceiling: str
    more_is_better: bool = True
    published: str = ""
    target: float | None = None
    target_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Contest:
    """Ours and the bare machine, made ready by a benchmark; both give the same figures."""

    ours: Run
    bare: Run


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What can be run by name. `open` takes a share of the usual amount of work (1.0), and warms up what it starts.

    `runs` is how often both are run: five times, where that is not too long and where chance is in it.
    """

    name: str
    figures: Sequence[Figure]
    open: Callable[[float], AbstractAsyncContextManager[Contest]]
    runs: int = 5


@dataclass(frozen=True, slots=True)
class Measurement:
    """Medians of all runs. `ratio` is the share of the ceiling that was reached; spreads are the least and the most."""

    figure: Figure
    runs: int
    value: float
    ceiling: float
    ratio: float
    spread: tuple[float, float]
    ceiling_spread: tuple[float, float]
    ratio_spread: tuple[float, float]

    @classmethod
    def of(cls, figure: Figure, ours: Sequence[float], bare: Sequence[float]) -> "Measurement":
        """Return what the runs say of one figure."""
        ratios = [_ratio(figure, mine, theirs) for mine, theirs in zip(ours, bare, strict=True)]
        return cls(
            figure,
            len(ratios),
            median(ours),
            median(bare),
            median(ratios),
            _spread(ours),
            _spread(bare),
            _spread(ratios),
        )

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.figure.target_ratio is not None:
            return self.ratio >= self.figure.target_ratio
        if self.figure.target is None:
            return None
        return self.value >= self.figure.target if self.figure.more_is_better else self.value <= self.figure.target


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a benchmark; `seconds` is how long all of it took. A failure is a sentence, and no measurements."""

    benchmark: str
    seconds: float
    measurements: Sequence[Measurement] = ()
    failure: str = ""


def _ratio(figure: Figure, ours: float, bare: float) -> float:
    if ours == bare:
        return 1.0  # and not nothing by nothing
    return ours / bare if figure.more_is_better else bare / ours


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


async def measure(benchmark: Benchmark, most_runs: int, scale: float, report: Report) -> Result:
    """Run one benchmark and its ceiling in turns. One that cannot be run to its end is a result as well."""
    began = perf_counter()
    try:
        measurements = await _measurements(benchmark, min(most_runs, benchmark.runs), scale, report)
    except (Unavailable, TimeoutError) as error:
        return Result(benchmark.name, perf_counter() - began, failure=str(error) or "It took too long.")
    return Result(benchmark.name, perf_counter() - began, measurements)


async def _measurements(benchmark: Benchmark, runs: int, scale: float, report: Report) -> list[Measurement]:
    ours: list[Sample] = []
    bare: list[Sample] = []
    async with benchmark.open(scale) as contest:
        for number in range(1, runs + 1):
            report(f"{benchmark.name}: run {number} of {runs}")
            for run, samples in ((contest.ours, ours), (contest.bare, bare)):
                gc.collect()
                samples.append(await run())
    return [
        Measurement.of(figure, [one[figure.name] for one in ours], [one[figure.name] for one in bare])
        for figure in benchmark.figures
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which so many per cent of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * len(ordered)))]


def scaled(amount: int, scale: float, least: int = 1) -> int:
    """Return so much of an amount of work, but something."""
    return max(least, round(amount * scale))
