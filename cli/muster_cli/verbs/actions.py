"""`muster stop`, `activate` and `delete`: three verbs that ask the same way."""

from typing import Annotated, Any

import typer

from muster_cli.output import Format, Output, print_data, progress, say
from muster_cli.verbs.describe import Project

Workloads = Annotated[list[str], typer.Argument(help="Names, project/names or ids.", metavar="WORKLOAD…")]


def stop(workloads: Workloads, project: Project = "", output: Output = Format.TABLE) -> None:
    """Stop workloads and keep what they are.

    Their pods end and their resources are free; `muster activate` runs them again.
    """
    _ask("stop", "is being stopped", workloads, project, output)


def activate(workloads: Workloads, project: Project = "", output: Output = Format.TABLE) -> None:
    """Run stopped workloads again."""
    _ask("activate", "is being activated", workloads, project, output)


def delete(workloads: Workloads, project: Project = "", output: Output = Format.TABLE) -> None:
    """Delete workloads; their history stays."""
    _ask("delete", "is being deleted", workloads, project, output)


def _ask(action: str, doing: str, workloads: list[str], project: str, output: Format) -> None:
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    answers = []
    with Client(CommandLineSettings.read()) as client, progress(f"Asking to {action} …"):
        for reference in workloads:
            found = find_workload(client, reference, project)
            answers.append(_send(client, action, found["id"]))
            client.get(f"/workloads/{found['id']}", at_least=answers[-1]["position"])
            if output is Format.TABLE:
                say(f"{found['name']} {doing}.")
    if output is not Format.TABLE:
        print_data(answers, output)


def _send(client: Any, action: str, workload_id: str) -> dict[str, Any]:
    path = f"/workloads/{workload_id}"
    answer: dict[str, Any] = client.delete(path) if action == "delete" else client.post(f"{path}/{action}")
    return answer
