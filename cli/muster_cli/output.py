"""What a command prints: a table for people, or JSON and YAML for programs; the same data in all three.

Tables go to standard output as wide as their content; progress and errors go to standard error, so that output can be
piped. `rich` is imported when something is printed.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("--output", "-o", help="How to print the answer.")]

PHASE_STYLES = {
    "Creating": "yellow",
    "Pending": "yellow",
    "Initializing": "cyan",
    "Running": "green",
    "Degraded": "magenta",
    "Deleting": "dim",
    "Stopped": "dim",
    "Failed": "red",
    "Completed": "blue",
}


def console() -> "Console":
    """Return standard output; where it is no terminal, lines are as long as they need to be."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 1000, soft_wrap=not sys.stdout.isatty())


def print_data(data: Any, output: Format) -> None:
    """Print data for programs."""
    if output is Format.JSON:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        import yaml

        yaml.safe_dump(data, sys.stdout, sort_keys=False, allow_unicode=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print a table, or the sentence `empty` when there are no rows."""
    rows = list(rows)
    if not rows:
        say(empty)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in {"MESSAGE", "REASON"}, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values below each other; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        console().print(f"[bold]{name + ':':<{width + 1}}[/bold] {value}")


def styled_phase(phase: str) -> str:
    """Return a phase in its colour."""
    return f"[{PHASE_STYLES[phase]}]{phase}[/]" if phase in PHASE_STYLES else phase


def plain(text: object) -> str:
    """Return text that is printed as it is, whatever brackets it has."""
    from rich.markup import escape

    return escape("" if text is None else str(text))


def say(sentence: str) -> None:
    """Tell the person something that is not the answer."""
    sys.stderr.write(sentence + "\n")


@contextmanager
def progress(sentence: str) -> Iterator[None]:
    """Show that something is going on, from the second second on, if somebody is looking."""
    if not sys.stderr.isatty():
        yield
        return
    import threading

    from rich.console import Console

    status = Console(stderr=True).status(sentence)
    timer = threading.Timer(1.0, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


def age(moment: str | None, *, now: datetime | None = None) -> str:
    """Return how long ago a moment was, in its largest unit: `35s`, `12m`, `3h`, `9d`."""
    if not moment:
        return ""
    seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def gpus(millionths: int) -> str:
    """Return an amount of GPUs without needless zeros."""
    return f"{millionths / 1_000_000:g}"
