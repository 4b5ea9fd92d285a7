"""`muster wait`: wait until a workload is in a phase."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from muster_contracts.phases import TERMINAL_PHASES, Phase

from muster_cli.failure import Exit, Failure
from muster_cli.output import progress, say
from muster_cli.phase_names import phase_named, phase_names
from muster_cli.verbs.describe import Project, Workload

PAUSE_SECONDS = 0.25
UNITS = {"s": 1, "m": 60, "h": 3600}


def wait(
    workload: Workload,
    phase: Annotated[
        str,
        typer.Option(
            "--for",
            help=f"The phase to wait for: {', '.join(Phase)}.",
            metavar="PHASE",
            autocompletion=phase_names,
        ),
    ],
    project: Project = "",
    timeout: Annotated[str, typer.Option("--timeout", help="How long: 90s, 5m, 1h.")] = "5m",
) -> None:
    """Wait until a workload reaches a phase.

    A phase it passed through counts as reached, but not one from before it was stopped, or sent back to Pending.
    Exit code 1 when the phase can no longer come, 6 when time is up.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    wanted = phase_named(phase)
    deadline = time.monotonic() + _seconds(timeout)
    with Client(CommandLineSettings.read()) as client:
        found = find_workload(client, workload, project)
        with progress(f"Waiting for {workload} to be {wanted}; it is {found['phase']} …") as show:
            now = _until(client, found["id"], wanted, deadline, show)
    if now["phase"] == wanted:
        say(f"{workload} is {wanted}.")
    elif now["reached"]:
        say(f"{workload} was {wanted}; it is {_state(now)} now.")
    else:
        why = f"{now['message'] or now['phase_reason']}"
        raise Failure(
            Exit.TIMED_OUT,
            f"{workload} is still {now['phase']} after {timeout}: {why}",
            f"`muster describe {workload}` shows more.",
        )


def _until(
    client: Any, workload_id: str, wanted: Phase, deadline: float, show: Callable[[str], None]
) -> dict[str, Any]:
    """Return the workload when the phase is reached or time is up. Raises Failure when the phase cannot come."""
    from muster_cli.workloads import read_history

    records: list[dict[str, Any]] = []
    while True:
        now: dict[str, Any] = client.get(f"/workloads/{workload_id}")
        records += read_history(client, workload_id, after=records[-1]["position"] if records else 0)
        if now["phase"] != wanted and wanted in passed_phases(records):
            now = client.get(f"/workloads/{workload_id}")  # the history was read later, so it may have moved on since
            return {**now, "reached": True}
        now["reached"] = now["phase"] == wanted
        if now["reached"] or time.monotonic() > deadline:
            return now
        if (now["phase"] in TERMINAL_PHASES and wanted != Phase.DELETING) or now["deleted_at"]:
            raise Failure(Exit.NO, f"{now['name']} is {_state(now)} and will not be {wanted}: {now['phase_reason']}")
        show(f"Waiting for {now['name']} to be {wanted}; it is {now['phase']}: {now['message'] or now['phase_reason']}")
        time.sleep(PAUSE_SECONDS)


def passed_phases(records: list[dict[str, Any]]) -> set[str]:
    """Return the phases of a workload's present run: since it was last stopped, activated or sent back to Pending."""
    passed: set[str] = set()
    for record in records:
        sent_back = record["current"] == Phase.PENDING and record["previous"] != Phase.CREATING
        if sent_back or record["type"] in {"StopRequested", "ActivateRequested"}:
            passed.clear()
        if record["current"]:
            passed.add(record["current"])
    return passed


def _state(workload: dict[str, Any]) -> str:
    return "gone" if workload["deleted_at"] else str(workload["phase"])


def _seconds(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise Failure(Exit.INVALID, f"{text!r} is not a time.", "Write it like 90s, 5m or 1h.")
    return seconds
