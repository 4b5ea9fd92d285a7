"""`muster history`: what a workload went through, from the event log."""

from muster_cli.moments import At, moment_of
from muster_cli.output import Format, Output, print_data, print_moment, progress
from muster_cli.verbs.describe import Project, Workload, print_history


def history(workload: Workload, project: Project = "", at: At = None, output: Output = Format.TABLE) -> None:
    """Show what a workload went through, or had gone through by then.

    Every change of phase and what else happened to it, with time and reason, from the event log.
    """
    from muster_cli.client import client_for
    from muster_cli.workloads import find_workload, read_history

    with client_for(at) as client, progress("Asking …"):
        then = None if at is None else moment_of(client, at)
        position = then.position if then else None
        found = find_workload(client, workload, project, position)
        records = read_history(client, found["id"], at=position)
    if output is not Format.TABLE:
        print_data({"records": records} | (then.shown if then else {}), output)
        return
    print_moment(then)
    print_history(records)
