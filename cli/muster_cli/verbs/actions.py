"""`muster stop`, `activate` and `delete`: three verbs that ask the same way.

All names are looked up before anything is asked, so that a slip of the finger changes nothing; then each is asked, and
a refusal of one does not keep the others from it.
"""

import sys
from typing import Annotated, Any

import typer

from muster_cli.completing import workload_names
from muster_cli.failure import Failure
from muster_cli.output import Format, Output, print_data, progress, say
from muster_cli.verbs.describe import Project

Workloads = Annotated[
    list[str],
    typer.Argument(help="Names, project/names or ids.", metavar="WORKLOAD…", autocompletion=workload_names),
]


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

    answers, failures = [], []
    with Client(CommandLineSettings.read()) as client, progress(f"Asking to {action} …"):
        for found in [find_workload(client, reference, project) for reference in workloads]:
            try:
                answer = _send(client, action, found["id"])
            except Failure as failure:
                failures.append(failure)
                continue
            answers.append({"name": found["name"], "project": found["project"], **answer})
            client.settle(f"/workloads/{found['id']}", answer["position"])
            if output is Format.TABLE:
                say(f"{found['name']} {'is deleted already' if found['deleted_at'] else doing}.")
                if answer.get("warning"):
                    say(answer["warning"])
    if output is not Format.TABLE:
        print_data(answers, output)
    _tell(failures)


def _tell(failures: list[Failure]) -> None:
    """Say what went wrong; the first failure decides the exit code."""
    for failure in failures[1:]:
        sys.stderr.write(f"{failure.message}\n")
    if failures:
        raise failures[0]


def _send(client: Any, action: str, workload_id: str) -> dict[str, Any]:
    path = f"/workloads/{workload_id}"
    answer: dict[str, Any] = client.delete(path) if action == "delete" else client.post(f"{path}/{action}")
    return answer
