"""`muster completion`: the script that makes a shell complete `muster`."""

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells we know."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print the completion script of a shell.

    Example: source <(muster completion bash)
    It completes commands, options, phases, and the names of workloads and projects where Muster answers.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name="muster", complete_var="_MUSTER_COMPLETE", shell=shell.value))
