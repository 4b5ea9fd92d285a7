"""What a command prints: a table for people, or JSON and YAML for programs; the same data in all three.

The answer goes to standard output; progress, errors and remarks go to standard error, so that output can be piped.
Where nobody looks, a row is one line however long; in a terminal that is too narrow, the last column is folded, or
goes below its row. Moments are local and short for people, and complete for programs. `rich` is imported when
something is printed.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from muster_cli.moments import Moment


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("--output", "-o", help="How to print the answer.")]

MEMORY_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
LEAST_ROOM = 30
"""Columns of a terminal that the last column of a table is folded into; with fewer it goes below its row."""
GAP = "  "
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

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def write(content: str | bytes) -> None:
    """Write to standard output. Somebody who has read enough (`muster list | head`) ends the command in peace."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content.encode() if isinstance(content, str) else content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush would complain
        raise typer.Exit from None


def print_marked(*lines: "str | RenderableType") -> None:
    """Print lines with rich's markup."""
    target = console()
    with target.capture() as captured:
        for line in lines:
            target.print(line)
    write(captured.get())


def print_data(data: Any, output: Format) -> None:
    """Print data for programs."""
    if output is Format.JSON:
        write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        import yaml

        write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print a table, or the sentence `empty` when there are no rows. Cells have rich's markup."""
    rows = list(rows)
    if not rows:
        say(empty)
        return
    from rich.text import Text

    lines = [[Text(column, style="bold") for column in columns]]
    lines += [[Text.from_markup(cell) for cell in row] for row in rows]
    widths = [max(line[place].cell_len for line in lines) for place in range(len(columns))]
    needed = sum(widths) + len(GAP) * (len(widths) - 1)
    room = console().width - needed + widths[-1]
    if not sys.stdout.isatty() or widths[-1] <= room:
        print_marked(*(_beside_each_other(line, widths) for line in lines))
    elif room >= LEAST_ROOM:
        print_marked(*(_folded(line, widths) for line in lines))
    else:
        print_marked(*(part for line in lines for part in _above_each_other(line, widths)))


def _beside_each_other(cells: Sequence["Text"], widths: Sequence[int]) -> "Text":
    from rich.text import Text

    padded = [cell + " " * (width - cell.cell_len) for cell, width in zip(cells, widths, strict=False)]
    line = Text(GAP).join(padded)
    line.rstrip()
    return line


def _folded(cells: Sequence["Text"], widths: Sequence[int]) -> "RenderableType":
    from rich.table import Table

    table = Table.grid(padding=(0, len(GAP), 0, 0))
    table.add_column(no_wrap=True, width=sum(widths[:-1]) + len(GAP) * (len(widths) - 2))
    table.add_column(overflow="fold")
    table.add_row(_beside_each_other(cells[:-1], widths), cells[-1])
    return table


def _above_each_other(cells: Sequence["Text"], widths: Sequence[int]) -> Iterator["RenderableType"]:
    from rich.padding import Padding

    yield _beside_each_other(cells[:-1], widths)
    if cells[-1].plain:
        yield Padding(cells[-1], (0, 0, 0, 4))


def print_moment(then: "Moment | None") -> None:
    """Say of which moment of the past the rest of the answer is; nothing of now."""
    if then is not None:
        where = f"position {then.position:,}"
        print_marked(f"[bold]At {f'{moment(then.as_of)} ({where})' if then.as_of else where}[/bold]")


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values below each other; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    print_marked(*(f"[bold]{name + ':':<{width + 1}}[/bold] {value}" for name, value in shown))


def styled_phase(phase: str) -> str:
    """Return a phase in its colour."""
    return f"[{PHASE_STYLES[phase]}]{phase}[/]" if phase in PHASE_STYLES else phase


def plain(text: object) -> str:
    """Return text on one line that is printed as it is, whatever brackets or control characters it has."""
    from rich.markup import escape

    shown = "" if text is None else str(text)
    return escape("".join(character if character.isprintable() else " " for character in shown))


def say(sentence: str) -> None:
    """Tell the person something that is not the answer."""
    sys.stderr.write(sentence + "\n")


@contextmanager
def progress(sentence: str) -> Iterator[Callable[[str], None]]:
    """Show that something is going on, from the second second on, if somebody is looking. Yields what changes it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    import threading

    from rich.console import Console

    status = Console(stderr=True).status(plain(sentence))
    timer = threading.Timer(1.0, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda changed: status.update(plain(changed))
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


def moment(text: str | None, *, now: datetime | None = None) -> str:
    """Return a moment in local time, with its date unless it is of today."""
    if not text:
        return ""
    local = datetime.fromisoformat(text).astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"


def gpus(millionths: int) -> str:
    """Return an amount of GPUs in thousandths, for nobody reads millionths, and without needless zeros."""
    return f"{round(millionths / 1_000_000, 3):g}"


def asked_gpus(requests: dict[str, Any]) -> str:
    """Return what is asked for of GPUs: `2`, `0.5`, `20 GiB` of their memory, or both where pods differ."""
    in_bytes = requests["gpu_memory_bytes"]
    counted = [gpus(requests["gpu_millionths"])] if requests["gpu_millionths"] or not in_bytes else []
    return " + ".join([*counted, *([memory(in_bytes)] if in_bytes else [])])


def memory(amount_bytes: int) -> str:
    """Return an amount of memory in its largest binary unit that leaves at least one: `1.5 GiB`."""
    unit = max(0, min((amount_bytes.bit_length() - 1) // 10, len(MEMORY_UNITS) - 1))
    return f"{round(amount_bytes / 1024**unit, 1):g} {MEMORY_UNITS[unit]}"
