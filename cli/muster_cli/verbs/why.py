"""`muster why`: why a workload waits, now or at any moment of the past.

Now, the scheduler is asked. For the past its fold is taken as it was written down last before that moment, what the
event log says from there on is folded here, and the planner of this command answers as the scheduler would have then.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, print_data, progress, say
from muster_cli.verbs.describe import Project, Workload, print_waiting

if TYPE_CHECKING:
    from muster_cli.client import Client

At = Annotated[
    str,
    typer.Option("--at", help="A position of the event log, or a time: 4711, 2026-03-01T10:00.", show_default=False),
]


def why(workload: Workload, project: Project = "", at: At = "", output: Output = Format.TABLE) -> None:
    """Say why a workload waits: the reason, its place in the queue, who holds what it needs, what would free it.

    With --at, why it waited then. Its history (`muster history`) has every reason it ever had.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    moment = _moment(at) if at else None
    with Client(CommandLineSettings.read()) as client, progress("Asking the planner …"):
        found = find_workload(client, workload, project)
        if moment is None:
            answer = client.get(f"/workloads/{found['id']}/waiting")
        else:
            answer = _then(client, UUID(found["id"]), moment)
    if output is not Format.TABLE:
        print_data(answer, output)
    elif answer["groups"]:
        print_waiting(answer["groups"])
    else:
        say(f"No pod of {found['name']} {'waited' if at else 'waits'} to be scheduled{' then' if at else ''}.")


def _then(client: "Client", workload_id: UUID, moment: int | datetime) -> dict[str, Any]:
    from muster_contracts.questions import WhyDoesItWait
    from muster_scheduler.core.fitting import why_did_it_wait

    from muster_cli.journal import journal_of, position_at
    from muster_cli.past import beginning_before

    until = moment if isinstance(moment, int) else position_at(client, moment)
    asked = WhyDoesItWait(workload_id=workload_id)
    begun, answer = beginning_before(client, until), None
    if begun is not None:
        answer = why_did_it_wait(journal_of(client, after=begun.position, until=until), asked, begun.state)
    if answer is None:
        answer = why_did_it_wait(journal_of(client, until=until), asked)
    assert answer is not None
    return answer.model_dump(mode="json")


def _moment(text: str) -> int | datetime:
    """Return a position or a time; a time without a zone is local."""
    if text.isdecimal():
        return int(text)
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        sentence = f"{text!r} is neither a position nor a time."
        raise Failure(Exit.INVALID, sentence, "Write it like 4711 or 2026-03-01T10:00.") from error
