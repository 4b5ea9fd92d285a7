"""`muster history`: what a workload went through, from the event log."""

from muster_cli.output import Format, Output, print_data, progress
from muster_cli.verbs.describe import Project, Workload, print_history


def history(workload: Workload, project: Project = "", output: Output = Format.TABLE) -> None:
    """Show what a workload went through.

    Every change of phase and what else happened to it, with time and reason, from the event log.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload, read_history

    with Client(CommandLineSettings.read()) as client, progress("Asking …"):
        found = find_workload(client, workload, project)
        records = read_history(client, found["id"])
    if output is Format.TABLE:
        print_history(records)
    else:
        print_data({"records": records}, output)
