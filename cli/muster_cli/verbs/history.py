"""`muster history`: what a workload went through, from the event log."""

from muster_cli.output import Format, Output, print_data
from muster_cli.verbs.describe import Project, Workload, print_history


def history(workload: Workload, project: Project = "", output: Output = Format.TABLE) -> None:
    """Show what a workload went through.

    Every change of phase and what else happened to it, with time and reason, from the event log.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    with Client(CommandLineSettings.read()) as client:
        found = find_workload(client, workload, project)
        answer = client.get(f"/workloads/{found['id']}/history")
    if output is Format.TABLE:
        print_history(answer["records"])
    else:
        print_data(answer, output)
