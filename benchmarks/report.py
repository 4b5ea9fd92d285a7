"""Shows measurements: as a table for people, as JSON for machines, and in docs/performance.md between two marks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import Measurement
from benchmarks.machine import line

BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"
HEADINGS = ("figure", "unit", "Muster", "spread", "ceiling", "spread", "ratio", "the ceiling is", "others publish")


def rows(measurements: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """Return the table's cells, one row per figure."""
    return [
        (
            each.figure.name,
            each.figure.unit,
            number(each.value),
            "–".join(map(number, each.spread)),
            number(each.ceiling),
            "–".join(map(number, each.ceiling_spread)),
            f"{each.ratio:.2f}",
            each.figure.ceiling,
            each.figure.published,
        )
        for each in measurements
    ]


def number(value: float) -> str:
    """Write a number with three digits that say something."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(measurements: Sequence[Measurement], machine: Mapping[str, str], runs: int) -> str:
    """Return what is printed in the end."""
    cells = [HEADINGS, *rows(measurements)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*lines, "", f"Medians of {runs} runs; ratio 1 is the bare machine. {line(dict(machine))}."])


def markdown(measurements: Sequence[Measurement], machine: Mapping[str, str], runs: int) -> str:
    """Return the table as the docs page has it."""
    head = f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}"
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows(measurements))
    return f"Medians of {runs} runs. {line(dict(machine))}.\n\n{head}\n{body}"


def write_json(
    path: Path, measurements: Sequence[Measurement], machine: Mapping[str, str], failures: Mapping[str, str]
) -> None:
    """Write everything that was found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [asdict(each) for each in measurements]
    content = {"machine": dict(machine), "measurements": found, "failures": dict(failures)}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_docs(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{page} has lost its mark {BEGIN}"
    assert end, f"{page} has lost its mark {END}"
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
