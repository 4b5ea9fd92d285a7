"""`muster audit`: prove that what is shown is what happened, and that what was decided follows from what was known.

The services judge phases and rows, for they have the read models. Decisions are judged here (`muster_cli.decisions`):
the journal is read through the HTTP API, or from a copy, and the planner of this command plans again.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_marked, progress, write

app = typer.Typer(help="Prove that what is shown is what happened.", no_args_is_help=True)

SHOWN = 20
PATIENCE_SECONDS = 24 * 3600.0
"""The whole event log is folded before there is an answer, some 20,000 events a second."""
CHANGED_ROWS = "The event log is the truth: `muster audit verify -o json` shows more, and a read model can be rebuilt."
CHANGED_COPY = "The copy is not what the services wrote, or what they wrote was changed before it was copied."
CHANGED_PLANS = "A plan that does not follow from the log was changed, or made by another planner than it says."

Decisions = Annotated[
    bool, typer.Option("--decisions", help="Make every recorded plan anew and compare, byte for byte.")
]
Last = Annotated[int | None, typer.Option("--last", min=1, help="Only the last so many plans.", show_default=False)]
Since = Annotated[
    int | None,
    typer.Option("--since", min=1, help="Only plans based on this position or a later one.", show_default=False),
]
Copy = Annotated[
    Path | None,
    typer.Option(
        "--file", help="A copy of the event log (`muster audit export`), instead of asking.", show_default=False
    ),
]


@app.callback()
def audit() -> None:
    """Prove that what is shown is what happened."""


@app.command()
def verify(
    decisions: Decisions = False,
    last: Last = None,
    since: Since = None,
    file: Copy = None,
    output: Output = Format.TABLE,
) -> None:
    """Fold the whole event log anew and compare: every recorded phase, every row of the read models.

    Or, with --decisions, every plan of the scheduler; of some of them alone, folding begins at a checkpoint, which is
    then trusted and named. Exit code 1 when something differs.
    """
    if not decisions and (last is not None or since is not None):
        raise Failure(Exit.INVALID, "--last and --since say something about --decisions.", "muster audit verify --help")
    result = _decisions(last, since, file) if decisions else _phases(file)
    if output is not Format.TABLE:
        print_data(result, output)
    elif result["ok"]:
        print_marked(f"[green]Verified.[/] {_what_holds(result)}")
    else:
        print_marked(*(f"[red]·[/] {plain(difference)}" for difference in result["differences"][:SHOWN]))
    if not result["ok"]:
        found = result["differences_found"]
        raise Failure(
            Exit.NO,
            f"{found:,} difference{'s were' if found > 1 else ' was'} found up to position {result['position']:,}.",
            _what_is_wrong(decisions=decisions, is_copy=file is not None),
        )


@app.command()
def export() -> None:
    """Write the whole event log to standard output, an event a line: a copy to keep, and to verify elsewhere."""
    from muster_cli.client import Client
    from muster_cli.journal import raw_journal
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client:
        for event in raw_journal(client):
            write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")


def _what_is_wrong(*, decisions: bool, is_copy: bool) -> str:
    if is_copy:
        return CHANGED_COPY
    return CHANGED_PLANS if decisions else CHANGED_ROWS


def _what_holds(result: dict[str, Any]) -> str:
    read = f"{result['events']:,} events up to position {result['position']:,}"
    if "replanned" not in result:
        rows = f" and {result['rows_checked']:,} rows" if "rows_checked" in result else ""
        checkpoints = " So do the checkpoints." if result.get("checkpoints_checked") else ""
        return f"{read}: {result['phases_checked']:,} recorded phases{rows} equal a fresh fold.{checkpoints}"
    made, checked, incomplete = result["replanned"], result["checked_only"], result["incomplete"]
    return (
        f"{read}: {made:,} plan{'' if made == 1 else 's'} came out the same when made anew"
        f"{f'; {checked:,} of other planners were only checked' if checked else ''}"
        f"{f'; {incomplete:,} lack a part' if incomplete else ''}.{_of_checkpoints(result)}"
    )


def _of_checkpoints(result: dict[str, Any]) -> str:
    """Say what was trusted, and what was proven for those who will trust it."""
    trusted, proven = result["checkpoint_trusted"], len(result["checkpoints_proven"])
    if trusted is not None:
        where = f"position {trusted['position']:,} (SHA-256 {trusted['digest']})"
        return f" This trusts the checkpoint at {where}; nothing before it is proven."
    if not proven:
        return ""
    return f" {proven:,} checkpoint{' is' if proven == 1 else 's are'} what a fresh fold is."


def _decisions(last: int | None, since: int | None, file: Path | None) -> dict[str, Any]:
    from muster_cli.client import Client
    from muster_cli.decisions import Wanted, judge_copy, judge_journal
    from muster_cli.settings import CommandLineSettings

    wanted = Wanted(last, since)
    if file is not None:
        return judge_copy(file, wanted)
    with Client(CommandLineSettings.read()) as client:
        return judge_journal(client, wanted)


def _phases(file: Path | None) -> dict[str, Any]:
    with progress("Folding the event log …") as tell:
        return _asked() if file is None else _folded(file, tell)


def _asked() -> dict[str, Any]:
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read(), timeout_seconds=PATIENCE_SECONDS, attempts=1) as client:
        found: dict[str, Any] = client.get("/audit/verify")
    return found


def _folded(file: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Judge the phases of a copy; there are no rows in it."""
    from dataclasses import asdict

    from muster_status.core.audit import audit_events

    from muster_cli.journal import journal_in, told

    report = audit_events(told(journal_in(file), "Folding the event log …", None, tell))
    found = {"ok": report.ok, **asdict(report)}
    del found["rows_checked"], found["checkpoints_checked"]
    return found
