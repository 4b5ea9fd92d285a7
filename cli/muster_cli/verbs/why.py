"""`muster why`: why a workload waits, now or at any moment of the past.

Now, the scheduler is asked. For the past its fold is taken as it was written down last before that moment, what the
event log says from there on is folded here, and the planner of this command answers as the scheduler would have then.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from muster_cli.moments import At, position_of, read_moment
from muster_cli.output import Format, Output, print_data, progress, say
from muster_cli.verbs.describe import Project, Workload, print_waiting

if TYPE_CHECKING:
    from muster_cli.client import Client


def why(workload: Workload, project: Project = "", at: At = None, output: Output = Format.TABLE) -> None:
    """Say why a workload waits: the reason, its place in the queue, who holds what it needs, what would free it.

    With --at, why it waited then. Its history (`muster history`) has every reason it ever had.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    moment = None if at is None else read_moment(at)
    with Client(CommandLineSettings.read()) as client, progress("Asking the planner …"):
        found = find_workload(client, workload, project)
        if moment is None:
            answer = client.get(f"/workloads/{found['id']}/waiting")
        else:
            answer = _then(client, UUID(found["id"]), position_of(client, moment))
    if output is not Format.TABLE:
        print_data(answer, output)
    elif answer["groups"]:
        print_waiting(answer["groups"])
    else:
        say(f"No pod of {found['name']} {'waits to be scheduled' if at is None else 'waited to be scheduled then'}.")


def _then(client: "Client", workload_id: UUID, until: int) -> dict[str, Any]:
    from muster_contracts.questions import WhyDoesItWait
    from muster_scheduler.core.fitting import why_did_it_wait

    from muster_cli.journal import journal_of
    from muster_cli.past import beginning_before

    asked = WhyDoesItWait(workload_id=workload_id)
    begun, answer = beginning_before(client, until), None
    if begun is not None:
        answer = why_did_it_wait(journal_of(client, after=begun.position, until=until), asked, begun.state)
    if answer is None:
        answer = why_did_it_wait(journal_of(client, until=until), asked)
    assert answer is not None
    return answer.model_dump(mode="json")
