"""`muster audit`: prove that what is shown is what happened, and that what was decided follows from what was known.

The services judge phases and rows, for they have the read models. Decisions are judged here: the journal is read
through the HTTP API, or from a copy, and the planner of this command plans again.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_marked, progress, write

if TYPE_CHECKING:
    from muster_contracts.wire import Recorded
    from muster_scheduler.core.audit import Report

app = typer.Typer(help="Prove that what is shown is what happened.", no_args_is_help=True)

SHOWN = 20

Decisions = Annotated[
    bool, typer.Option("--decisions", help="Make every recorded plan anew and compare, byte for byte.")
]
Last = Annotated[int | None, typer.Option("--last", min=1, help="Only the last so many plans.", show_default=False)]
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
def verify(decisions: Decisions = False, last: Last = None, file: Copy = None, output: Output = Format.TABLE) -> None:
    """Fold the whole event log anew and compare: every recorded phase, every row of the read models.

    Or, with --decisions, every plan of the scheduler. Exit code 1 when something differs.
    """
    if not decisions and last is not None:
        raise Failure(Exit.INVALID, "--last says something about --decisions.", "muster audit verify --help")
    if decisions:
        result, sentence = _decisions(last, file)
    elif file is not None:
        result, sentence = _phases_in(file)
    else:
        result, sentence = _asked()
    if output is not Format.TABLE:
        print_data(result, output)
    elif result["ok"]:
        print_marked(sentence)
    else:
        print_marked(*(f"[red]·[/] {plain(difference)}" for difference in result["differences"][:SHOWN]))
    if not result["ok"]:
        found = result["differences_found"]
        raise Failure(
            Exit.NO,
            f"{found:,} difference{'s were' if found > 1 else ' was'} found up to position {result['position']:,}.",
            "The event log is the truth: `muster audit verify -o json` shows more, and a read model can be rebuilt."
            if not decisions
            else "A plan that does not follow from the log was changed, or made by another planner than it says.",
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


def _asked() -> tuple[dict[str, Any], str]:
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress("Folding the event log …"):
        result = client.get("/audit/verify")
    return result, (
        f"[green]Verified.[/] {result['events']:,} events up to position {result['position']:,}: "
        f"{result['phases_checked']:,} recorded phases and {result['rows_checked']:,} rows equal a fresh fold."
    )


def _phases_in(file: Path) -> tuple[dict[str, Any], str]:
    from dataclasses import asdict

    from muster_status.core.audit import audit_events

    from muster_cli.journal import journal_in

    with progress("Folding the event log …"):
        report = audit_events(journal_in(file))
    return {"ok": report.ok, **asdict(report)}, (
        f"[green]Verified.[/] {report.events:,} events up to position {report.position:,}: "
        f"{report.phases_checked:,} recorded phases equal a fresh fold."
    )


def _decisions(last: int | None, file: Path | None) -> tuple[dict[str, Any], str]:
    from dataclasses import asdict

    report = _plan_again(last, file)
    return {"ok": report.ok, **asdict(report)}, (
        f"[green]Verified.[/] {report.events:,} events up to position {report.position:,}: "
        f"{report.replanned:,} plan{'' if report.replanned == 1 else 's'} came out the same when made anew"
        f"{f'; {report.checked_only:,} of other planners were only checked' if report.checked_only else ''}"
        f"{f'; {report.incomplete:,} lack a part' if report.incomplete else ''}."
    )


def _plan_again(last: int | None, file: Path | None) -> "Report":
    if file is not None:
        from muster_cli.journal import journal_in

        return _judged(lambda _until: journal_in(file), last)
    from muster_cli.client import Client
    from muster_cli.journal import journal_of
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client:
        return _judged(lambda until: journal_of(client, until=until), last)


def _judged(read: "Callable[[int | None], Iterator[Recorded]]", last: int | None) -> "Report":
    """Read twice, the second time as far as the first: a living journal grows meanwhile."""
    from muster_scheduler.core.audit import DecisionAudit, headers_of

    end = 0

    def first_pass() -> "Iterator[Recorded]":
        nonlocal end
        for recorded in read(None):
            end = recorded.position
            yield recorded

    with progress("Looking for plans …") as tell:
        audit = DecisionAudit(headers_of(first_pass(), last))
        tell("Planning again …")
        for recorded in read(end):
            audit.apply(recorded)
        return audit.finish()
