"""`muster`: the command line. Every verb has its own file; here they are put together.

Starting fast matters more than anything else to somebody who types: nothing is imported here but Typer and the verbs'
signatures; what a verb needs, it imports when it runs.
"""

import sys
from typing import Annotated

import typer
from typer._completion_classes import completion_init

from muster_cli.failure import Failure
from muster_cli.verbs import (
    actions,
    audit,
    completion,
    department,
    describe,
    fits,
    history,
    list_,
    logs,
    nodepool,
    project,
    recognise,
    simulate,
    status,
    submit,
    top,
    up,
    wait,
    why,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"muster {version('muster-cli')}")
        raise typer.Exit


app = typer.Typer(
    name="muster",
    help="Submit, watch and steer workloads on shared GPU clusters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 done, 1 no, 2 wrong usage or request, 3 not found, 4 refused, 5 unavailable, 6 timed out.",
)
app.command(rich_help_panel="System")(up.up)
app.add_typer(submit.app, name="submit", rich_help_panel="Workloads")
app.command("list", rich_help_panel="Workloads")(list_.list_workloads)
app.command(rich_help_panel="Workloads")(describe.describe)
app.command(rich_help_panel="Workloads")(why.why)
app.command(rich_help_panel="Workloads")(fits.fits)
app.command(rich_help_panel="Workloads")(history.history)
app.command(rich_help_panel="Workloads")(logs.logs)
app.command(rich_help_panel="Workloads")(wait.wait)
app.command(rich_help_panel="Workloads")(actions.stop)
app.command(rich_help_panel="Workloads")(actions.activate)
app.command(rich_help_panel="Workloads")(actions.delete)
app.add_typer(top.app, name="top", rich_help_panel="System")
app.add_typer(project.app, name="project", rich_help_panel="System")
app.add_typer(department.app, name="department", rich_help_panel="System")
app.add_typer(nodepool.app, name="nodepool", rich_help_panel="System")
app.command(rich_help_panel="System")(status.status)
app.command(rich_help_panel="System")(simulate.simulate)
app.command(rich_help_panel="System")(recognise.recognise)
app.add_typer(audit.app, name="audit", rich_help_panel="System")
app.command(rich_help_panel="System")(completion.completion)


@app.callback(invoke_without_command=False)
def muster(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Submit, watch and steer workloads on shared GPU clusters."""


def main() -> None:
    """Run a command; failures become one sentence on standard error and an exit code.

    Typer itself ends the command with 2 for wrong usage and with 130 after Ctrl-C.
    """
    completion_init()  # Typer does it only for its own options to install completion, which we do not offer
    try:
        app(prog_name="muster")
    except Failure as failure:
        sys.stderr.write(f"{failure.message}\n")
        if failure.next_step:
            sys.stderr.write(f"{failure.next_step}\n")
        sys.exit(int(failure.code))


if __name__ == "__main__":
    main()
