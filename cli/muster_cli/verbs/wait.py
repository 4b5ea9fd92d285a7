"""`muster wait`: wait until a workload is in a phase."""

import time
from typing import Annotated, Any

import typer
from muster_contracts.phases import TERMINAL_PHASES, Phase

from muster_cli.failure import Exit, Failure
from muster_cli.output import progress, say
from muster_cli.verbs.describe import Project, Workload

PAUSE_SECONDS = 0.25
UNITS = {"s": 1, "m": 60, "h": 3600}


def wait(
    workload: Workload,
    wanted: Annotated[Phase, typer.Option("--for", help="The phase to wait for.", case_sensitive=False)],
    project: Project = "",
    timeout: Annotated[str, typer.Option("--timeout", help="How long: 90s, 5m, 1h.")] = "5m",
) -> None:
    """Wait until a workload reaches a phase.

    A phase that was passed through counts as reached. Exit code 1 when it can no longer come, 6 when time is up.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    deadline = time.monotonic() + _seconds(timeout)
    with Client(CommandLineSettings.read()) as client, progress(f"Waiting for {workload} to be {wanted} …"):
        found = find_workload(client, workload, project)
        while not _reached(client, found["id"], wanted):
            if time.monotonic() > deadline:
                now = client.get(f"/workloads/{found['id']}")
                why = f" {now['message'] or now['phase_reason']}"
                raise Failure(Exit.TIMED_OUT, f"{workload} is still {now['phase']} after {timeout}.{why}")
            time.sleep(PAUSE_SECONDS)
    say(f"{workload} is {wanted}.")


def _reached(client: Any, workload_id: str, wanted: Phase) -> bool:
    """Whether the phase is, or was since the last activation, the workload's. Raises Failure when it cannot come."""
    now = client.get(f"/workloads/{workload_id}")
    if now["phase"] == wanted:
        return True
    if now["phase"] in TERMINAL_PHASES or now.get("deleted_at"):
        passed = {record.get("current") for record in client.get(f"/workloads/{workload_id}/history")["records"]}
        if wanted in passed:
            return True
        state = "gone" if now.get("deleted_at") else now["phase"]
        raise Failure(Exit.NO, f"{now['name']} is {state} and will not be {wanted}: {now['phase_reason']}")
    return False


def _seconds(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        return float(number) * UNITS[unit]
    except ValueError:
        raise Failure(Exit.INVALID, f"{text!r} is not a time.", "Write it like 90s, 5m or 1h.") from None
