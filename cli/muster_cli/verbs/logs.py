"""`muster logs`: what a workload's containers print."""

import time
from typing import Annotated, Any

import typer
from muster_contracts.phases import Phase

from muster_cli.output import progress, write
from muster_cli.verbs.describe import Project, Workload

PAUSE_SECONDS = 0.5
NOT_STARTED = {Phase.CREATING, Phase.PENDING, Phase.INITIALIZING}


def logs(
    workload: Workload,
    project: Project = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait until it starts, and go on as more is printed.")
    ] = False,
    pod: Annotated[str | None, typer.Option("--pod", help="Which pod; default: the first.")] = None,
    container: Annotated[str | None, typer.Option("--container", "-c", help="Which container of it.")] = None,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="Only the last lines.")] = None,
    previous: Annotated[bool, typer.Option("--previous", help="Of the container's last life.")] = False,
) -> None:
    """Print the log of a workload's pod."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    wish = {"pod": pod, "container": container, "tail_lines": tail}
    switches = {"follow": str(follow).lower(), "previous": str(previous).lower()}
    with Client(CommandLineSettings.read()) as client:
        found = find_workload(client, workload, project)
        if follow:
            _until_it_starts(client, found)
        with client.stream(f"/workloads/{found['id']}/logs", **wish, **switches) as chunks:
            for chunk in chunks:
                write(chunk)


def _until_it_starts(client: Any, workload: dict[str, Any]) -> None:
    with progress(f"Waiting for {workload['name']} to start …"):
        while workload["phase"] in NOT_STARTED and not workload["deleted_at"]:
            time.sleep(PAUSE_SECONDS)
            workload = client.get(f"/workloads/{workload['id']}")
