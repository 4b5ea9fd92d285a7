"""`muster list`: the workloads, newest first."""

from datetime import datetime
from typing import Annotated, Any

import typer

from muster_cli.completing import project_names
from muster_cli.moments import At, moment_of
from muster_cli.output import (
    Format,
    Output,
    age,
    asked_gpus,
    plain,
    print_data,
    print_moment,
    print_table,
    progress,
    say,
    styled_phase,
)
from muster_cli.phase_names import phase_named, phase_names


def list_workloads(
    project: Annotated[
        str,
        typer.Option(
            "--project", "-p", help="Only of this project.", envvar="MUSTER_PROJECT", autocompletion=project_names
        ),
    ] = "",
    all_projects: Annotated[bool, typer.Option("--all-projects", "-A", help="Whatever MUSTER_PROJECT says.")] = False,
    phase: Annotated[
        str | None,
        typer.Option("--phase", help="Only in this phase.", metavar="PHASE", autocompletion=phase_names),
    ] = None,
    search: Annotated[str | None, typer.Option("--search", help="Only those whose name contains this.")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Those that are gone, instead.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 50,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Pass over so many first.")] = 0,
    at: At = None,
    output: Output = Format.TABLE,
) -> None:
    """List workloads, newest first; with --at, as they were then."""
    from muster_cli.client import client_for

    chosen = None if all_projects else project or None
    wanted = {
        "project": chosen,
        "phase": None if phase is None else phase_named(phase),
        "search": search,
        "deleted": str(deleted).lower(),
    }
    with client_for(at) as client, progress("Asking …"):
        then = None if at is None else moment_of(client, at)
        wanted["at"] = None if then is None else str(then.position)
        answer = client.get("/workloads", **wanted, limit=limit, offset=offset)
        if chosen and then is None and not answer["workloads"]:
            client.get(f"/projects/{chosen}")  # none of a project that is, or no such project?
        more = client.get("/workloads/count", **wanted)["count"] if answer["next"] else 0
    if output is not Format.TABLE:
        print_data(answer | (then.shown if then else {}), output)
        return
    like_that = " like that" if phase or search else ""
    where = f"{like_that} in project {chosen}" if chosen else like_that or " yet"
    print_moment(then)
    _print(answer["workloads"], deleted=deleted, where=where, now=then.instant if then else None)
    if more:
        say(f"These are {len(answer['workloads'])} of {more:,}; --offset {offset + limit} shows the next.")


def _print(workloads: list[dict[str, Any]], *, deleted: bool, where: str, now: datetime | None) -> None:
    state = ["GONE", "REASON"] if deleted else ["NODES", "AGE", "MESSAGE"]
    print_table(
        ["NAME", "PROJECT", "KIND", "PHASE", "PODS", "GPUS", *state],
        [_row(w, deleted=deleted, now=now) for w in workloads],
        empty=f"There are no {'deleted ' if deleted else ''}workloads{where}.",
    )


def _row(w: dict[str, Any], *, deleted: bool, now: datetime | None) -> list[str]:
    present = [plain(",".join(w["nodes"])), age(w["created_at"], now=now), plain(w["message"])]
    return [
        plain(w["name"]),
        plain(w["project"]),
        plain(w["workload_kind"] or w["kind"]),
        "gone" if deleted and w["phase"] == "Deleting" else styled_phase(w["phase"]),
        f"{w['running_pods']}/{w['desired_pods']}",
        asked_gpus(w["requests"]),
        *([f"{age(w['deleted_at'], now=now)} ago", plain(w["phase_reason"])] if deleted else present),
    ]
