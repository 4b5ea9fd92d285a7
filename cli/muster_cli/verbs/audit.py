"""`muster audit`: prove that what is shown is what happened."""

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_marked, progress

app = typer.Typer(help="Prove that what is shown is what happened.", no_args_is_help=True)

SHOWN = 20


@app.callback()
def audit() -> None:
    """Prove that what is shown is what happened."""


@app.command()
def verify(output: Output = Format.TABLE) -> None:
    """Fold the whole event log anew and compare: every recorded phase, every row of the read models.

    Exit code 1 when something differs.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress("Folding the event log …"):
        result = client.get("/audit/verify")
    if output is not Format.TABLE:
        print_data(result, output)
    elif result["ok"]:
        print_marked(
            f"[green]Verified.[/] {result['events']:,} events up to position {result['position']:,}: "
            f"{result['phases_checked']:,} recorded phases and {result['rows_checked']:,} rows equal a fresh fold."
        )
    else:
        print_marked(*(f"[red]·[/] {plain(difference)}" for difference in result["differences"][:SHOWN]))
    if not result["ok"]:
        found = result["differences_found"]
        raise Failure(
            Exit.NO,
            f"{found:,} difference{'s were' if found > 1 else ' was'} found up to position {result['position']:,}.",
            "The event log is the truth: `muster audit verify -o json` shows more, and a read model can be rebuilt.",
        )
