"""`muster why`: why a workload waits, now or at any moment of the past.

Now, the scheduler is asked. For the past its fold is taken as it was written down last before that moment, what the
event log says from there on is folded here, and the planner of this command answers as the scheduler would have then.
"""

from muster_cli.moments import At, moment_of
from muster_cli.output import Format, Output, print_data, print_moment, progress, say
from muster_cli.verbs.describe import Project, Workload, print_waiting


def why(workload: Workload, project: Project = "", at: At = None, output: Output = Format.TABLE) -> None:
    """Say why a workload waits: the reason, its place in the queue, who holds what it needs, what would free it.

    With --at, why it waited then. Its history (`muster history`) has every reason it ever had.
    """
    from muster_cli.client import client_for
    from muster_cli.past import waiting_then
    from muster_cli.workloads import find_workload

    with client_for(at) as client, progress("Asking the planner …"):
        then = None if at is None else moment_of(client, at)
        found = find_workload(client, workload, project, then.position if then else None)
        if then is None:
            answer = client.get(f"/workloads/{found['id']}/waiting")
        else:
            answer = waiting_then(client, found["id"], then.position)
    if output is not Format.TABLE:
        print_data(answer | (then.shown if then else {}), output)
        return
    print_moment(then)
    if answer["groups"]:
        print_waiting(answer["groups"])
    else:
        say(f"No pod of {found['name']} {'waits to be scheduled' if at is None else 'waited to be scheduled then'}.")
