"""`muster up`: the whole of Muster on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import say


def up(
    state: Annotated[
        Path | None, typer.Option("--state", help="Where to keep the data; default: .muster here.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port of the HTTP origin.")] = 8080,
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", help="A real cluster, instead of the simulated one.")
    ] = None,
    nodes: Annotated[
        Path | None, typer.Option("--nodes", help="The simulated cluster's nodes, as a YAML file.")
    ] = None,
) -> None:
    """Start everything on this machine.

    Ctrl-C stops it; the next start continues with the same data.
    """
    try:
        from muster_local.stack import StackSettings
        from muster_local.up import up as run
    except ImportError as error:
        raise Failure(
            Exit.UNAVAILABLE, "The local stack is not installed.", "Install the package muster-local."
        ) from error
    from muster_cli.settings import state_folder

    settings = StackSettings(state or state_folder(), host=host, port=port, kubeconfig=kubeconfig, nodes=nodes)
    raise typer.Exit(run(settings, say))
