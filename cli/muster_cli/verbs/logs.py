"""`muster logs`: what a workload's containers print."""

import sys
from typing import Annotated

import typer

from muster_cli.verbs.describe import Project, Workload


def logs(
    workload: Workload,
    project: Project = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is printed.")] = False,
    pod: Annotated[str | None, typer.Option("--pod", help="Which pod; default: the first.")] = None,
    container: Annotated[str | None, typer.Option("--container", "-c", help="Which container of it.")] = None,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="Only the last lines.")] = None,
    previous: Annotated[bool, typer.Option("--previous", help="Of the container's last life.")] = False,
) -> None:
    """Print the log of a workload's pod."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    with Client(CommandLineSettings.read()) as client:
        found = find_workload(client, workload, project)
        with client.stream(
            f"/workloads/{found['id']}/logs",
            follow=str(follow).lower(),
            pod=pod,
            container=container,
            tail_lines=tail,
            previous=str(previous).lower(),
        ) as chunks:
            for chunk in chunks:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
