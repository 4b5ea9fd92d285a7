"""Shows results: as tables for people, as JSON for machines, and in docs/performance.md between two marks.

Everything is written again after each benchmark, so that who cuts a run off loses the one under way alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import Measurement, Result
from benchmarks.machine import line

BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"
HEADINGS = (
    "figure",
    "unit",
    "Muster",
    "spread",
    "target",
    "ceiling",
    "spread",
    "ratio",
    "runs",
    "the ceiling is",
    "others publish",
)
EXPLAINED = "Medians of as many runs as each row says; ratio 1 is the bare machine."
Machine = Mapping[str, str]
Results = Sequence[Result]


def rows(results: Results) -> list[tuple[str, ...]]:
    """Return the table's cells, one row per figure."""
    return [_row(each) for result in results for each in result.measurements]


def _row(each: Measurement) -> tuple[str, ...]:
    return (
        each.figure.name,
        each.figure.unit,
        number(each.value),
        "–".join(map(number, each.spread)),
        _target(each),
        number(each.ceiling),
        "–".join(map(number, each.ceiling_spread)),
        f"{each.ratio:.2f}",
        str(each.runs),
        each.figure.ceiling,
        each.figure.published,
    )


def _target(each: Measurement) -> str:
    if each.met is None:
        return ""
    figure = each.figure
    verdict = "met" if each.met else "NOT met"
    if figure.target_ratio is not None:
        return f"ratio ≥ {figure.target_ratio:g}: {verdict}"
    assert figure.target is not None
    return f"{'≥' if figure.more_is_better else '≤'} {figure.target:,g}: {verdict}"


def number(value: float) -> str:
    """Write a number with three digits that say something."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(results: Results, machine: Machine) -> str:
    """Return what is printed in the end."""
    cells = [HEADINGS, *rows(results)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*lines, "", f"{EXPLAINED} {line(machine)}."])


def markdown(results: Results, machine: Machine) -> str:
    """Return what the docs page has: the figures, and how long each benchmark took."""
    lasted = [(f"`{each.benchmark}`", number(each.seconds), each.failure) for each in results]
    total = ("together", number(sum(each.seconds for each in results)), "")
    return "\n\n".join(
        [
            f"{EXPLAINED} {line(machine)}.",
            _markdown_table(HEADINGS, rows(results)),
            "How long each took, with the servers that it started and the past that it wrote:",
            _markdown_table(("`--only`", "seconds", "failed"), [*lasted, total]),
        ]
    )


def _markdown_table(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_json(path: Path, results: Results, machine: Machine) -> None:
    """Write everything that was found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": dict(machine), "results": [asdict(each) for each in results]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_docs(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{page} has lost its mark {BEGIN}"
    assert end, f"{page} has lost its mark {END}"
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
