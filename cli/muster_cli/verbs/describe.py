"""`muster describe`: all there is to know of one workload, for a person."""

import re
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

import typer

from muster_cli.completing import project_names, workload_names
from muster_cli.moments import At, moment_of
from muster_cli.output import (
    Format,
    Output,
    age,
    asked_gpus,
    gpus,
    memory,
    moment,
    plain,
    print_data,
    print_marked,
    print_moment,
    print_pairs,
    print_table,
    progress,
    styled_phase,
)
from muster_cli.quantities import WHOLE_GPU

Workload = Annotated[
    str, typer.Argument(help="Its name, project/name, or id.", metavar="WORKLOAD", autocompletion=workload_names)
]
Project = Annotated[
    str,
    typer.Option("--project", "-p", help="Where to look.", envvar="MUSTER_PROJECT", autocompletion=project_names),
]

LAST_CHANGES = 10
WAITING = frozenset({"Creating", "Pending", "Degraded"})
"""The phases in which pods may wait to be scheduled."""
DONE = {"stop": "stopped", "activate": "activated", "delete": "deleted"}


def describe(workload: Workload, project: Project = "", at: At = None, output: Output = Format.TABLE) -> None:
    """Show one workload, now or as it was then.

    What it asks for, where it runs, why it waits, what it went through.
    """
    from muster_cli.client import client_for
    from muster_cli.workloads import find_workload, read_history, read_waiting

    with client_for(at) as client, progress("Asking …"):
        then = None if at is None else moment_of(client, at)
        position = then.position if then else None
        found = find_workload(client, workload, project, position)
        pods = client.get(f"/workloads/{found['id']}/pods", at=position)["pods"]
        history = read_history(client, found["id"], at=position)
        waiting = read_waiting(client, found, position) if found["phase"] in WAITING else None
    if output is not Format.TABLE:
        whole = {**found, "pods": pods, "waiting": waiting, "history": history}
        print_data(whole | (then.shown if then else {}), output)
        return
    print_moment(then)
    print_pairs(_pairs(found, then.instant if then else None))
    if waiting:
        print_marked("\n[bold]Why it waits[/bold]")
        print_waiting(waiting)
    if pods:
        print_marked("\n[bold]Pods[/bold]")
        _print_pods(pods)
    print_marked("\n[bold]Last changes[/bold]")
    print_history(history, last=LAST_CHANGES)


def print_waiting(groups: list[dict[str, Any]]) -> None:
    """Print what the planner says of pod groups that wait, those once that wait for the same."""
    for number, alike in enumerate(_alike(groups)):
        if number:
            print_marked("")
        print_pairs(_waiting(alike))


def _alike(groups: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Bring together the groups of which the same is said: a sweep of a thousand pods waits for one reason."""
    alike: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        said = repr([group[field] for field in ("reason", "remedy", "code", "holders")])
        alike.setdefault(said, []).append(group)
    return list(alike.values())


def _waiting(alike: list[dict[str, Any]]) -> list[tuple[str, str]]:
    group = alike[0]
    return [
        ("Pods", f"{sum(each['pods'] for each in alike)} wait for this" if len(alike) > 1 else ""),
        ("Reason", plain(group["reason"])),
        ("What would free it", plain(group["remedy"])),
        ("Code", plain(group["code"])),
        ("Place in the queue", _places([each["queue_position"] for each in alike])),
        ("Most is held by", plain("; ".join(_holder(holder) for holder in group["holders"]))),
    ]


def _places(places: list[int | None]) -> str:
    known = sorted(place for place in places if place is not None)
    return " to ".join(str(place) for place in dict.fromkeys((known[0], known[-1]))) if known else ""


def _holder(holder: dict[str, Any]) -> str:
    held, quota = holder["allocated"]["gpu_millionths"], holder["quota"]["gpu_millionths"]
    due = "no quota set" if quota is None else f"quota {gpus(quota)}"
    noun = "GPU" if held == WHOLE_GPU else "GPUs"
    return f"{holder['project']} {gpus(held)} {noun} ({due}, fair share {gpus(holder['fair_share']['gpu_millionths'])})"


def _pairs(w: dict[str, Any], now: datetime | None) -> list[tuple[str, str]]:
    parent, gone = w["parent"], w["deleted_at"]
    return [
        ("Name", plain(w["name"])),
        ("Project", plain(w["project"])),
        ("Kind", plain(f"{w['workload_kind'] or w['kind']} ({w['class']}, {w['kind']})")),
        ("Id", w["id"]),
        ("Phase", "gone" if gone else f"{styled_phase(w['phase'])} for {age(w['phase_since'], now=now)}"),
        ("Reason", plain(w["phase_reason"])),
        ("Message", plain(w["message"])),
        ("Pods", "" if gone else f"{w['running_pods']} of {w['desired_pods']} running"),
        ("Asks for", _amounts(w["requests"])),
        ("Priority", plain(w["priority_class"])),
        ("Nodes", plain(", ".join(w["nodes"]))),
        ("Parent", plain(f"{parent['kind']} {parent['name']}") if parent else ""),
        ("Submitted by", plain(f"{w['submitted_by']} ({w['source']})") if w["submitted_by"] else ""),
        ("Created", _ago(w["created_at"], now)),
        ("Completed", _ago(w["completed_at"], now)),
        ("Gone", _ago(gone, now)),
        (
            "It cannot be",
            ", ".join(DONE[action] for action, possible in w["actions_supported"].items() if not possible),
        ),
    ]


def _ago(text: str | None, now: datetime | None) -> str:
    return f"{moment(text)} ({age(text, now=now)} ago)" if text else ""


def _amounts(requests: dict[str, Any]) -> str:
    devices = asked_gpus(requests)
    noun = "of GPU memory" if requests["gpu_memory_bytes"] else "GPU" if devices == "1" else "GPUs"
    processors = f"{requests['cpu_milli'] / 1000:g}"
    return f"{devices} {noun}, {processors} CPU, {memory(requests['memory_bytes'])} of memory"


def _print_pods(pods: list[dict[str, Any]]) -> None:
    print_table(
        ["POD", "ROLE", "STATUS", "READY", "NODE", "DEVICES", "RESTARTS", "MESSAGE"],
        [
            [
                plain(pod["name"]),
                plain(pod["role"]),
                plain(pod["reason"] or pod["phase"]),
                "yes" if pod["ready"] else "no",
                plain(pod["node"]),
                plain(_devices(pod["gpus"])),
                str(pod["restarts"]),
                plain(pod["message"]),
            ]
            for pod in pods
        ],
        empty="It has no pods now.",
    )


def _devices(written: str) -> str:
    """Return devices with parts as `0.5`; they are written on the pod in millionths, or by somebody else's hand."""
    return re.sub(r":(\d{1,7})\b", lambda part: f":{gpus(int(part[1]))}", written)


def print_history(records: list[dict[str, Any]], last: int = 0) -> None:
    """Print changes of phase and other happenings, oldest first; what is said several times in a row once.

    With `last`, no more lines than that.
    """
    rows = [[moment(first["time"]), _what(first, times), plain(first["reason"])] for first, times in _in_a_row(records)]
    print_table(["TIME", "WHAT", "REASON"], rows[-last:], empty="Nothing is recorded yet.")


def _in_a_row(records: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Return the first of each row of records that say the same, and how many they are."""
    rows = [list(alike) for _, alike in groupby(records, key=lambda r: (r["type"], r["reason"], r["current"]))]
    return [(alike[0], len(alike)) for alike in rows]


def _what(record: dict[str, Any], times: int) -> str:
    if record["type"] != "PhaseChanged":
        return plain(record["type"]) + (f" ({times} times)" if times > 1 else "")
    return f"{record['previous'] or '·'} → {styled_phase(record['current'])}"
