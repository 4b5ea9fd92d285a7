"""`muster why`: why a workload waits, now or at any moment of the past.

Now, the scheduler is asked. For the past the event log is read up to that moment and folded here, and the planner of
this command answers as the scheduler would have answered then.
"""

from collections.abc import Callable
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, print_data, progress, say
from muster_cli.verbs.describe import Project, Workload, print_waiting

if TYPE_CHECKING:
    from muster_contracts.wire import Recorded

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

    is_before = _moment(at) if at else None
    with Client(CommandLineSettings.read()) as client, progress("Asking the planner …"):
        found = find_workload(client, workload, project)
        if is_before is None:
            answer = client.get(f"/workloads/{found['id']}/waiting")
        else:
            answer = _then(client, UUID(found["id"]), is_before)
    if output is not Format.TABLE:
        print_data(answer, output)
    elif answer["groups"]:
        print_waiting(answer["groups"])
    else:
        say(f"No pod of {found['name']} {'waited' if at else 'waits'} to be scheduled{' then' if at else ''}.")


def _then(client: "Client", workload_id: UUID, is_before: "Callable[[Recorded], bool]") -> dict[str, Any]:
    from muster_contracts.questions import WhyDoesItWait
    from muster_scheduler.core.fitting import why_did_it_wait

    from muster_cli.journal import journal_of

    history = takewhile(is_before, journal_of(client))
    return why_did_it_wait(history, WhyDoesItWait(workload_id=workload_id)).model_dump(mode="json")


def _moment(text: str) -> "Callable[[Recorded], bool]":
    """Return what tells the events up to a position or a time; a time without a zone is local."""
    if text.isdecimal():
        return lambda recorded: recorded.position <= int(text)
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        sentence = f"{text!r} is neither a position nor a time."
        raise Failure(Exit.INVALID, sentence, "Write it like 4711 or 2026-03-01T10:00.") from error
    return lambda recorded: recorded.envelope.time <= moment
