"""`muster describe`: all there is to know of one workload, for a person."""

from typing import Annotated, Any

import typer

from muster_cli.output import (
    Format,
    Output,
    age,
    console,
    gpus,
    plain,
    print_data,
    print_pairs,
    print_table,
    styled_phase,
)

Workload = Annotated[str, typer.Argument(help="Its name, project/name, or id.", metavar="WORKLOAD")]
Project = Annotated[str, typer.Option("--project", "-p", help="Where to look for the name.", envvar="MUSTER_PROJECT")]

LAST_CHANGES = 10


def describe(workload: Workload, project: Project = "", output: Output = Format.TABLE) -> None:
    """Show one workload.

    What it asks for, where it runs, why it waits, what it went through.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings
    from muster_cli.workloads import find_workload

    with Client(CommandLineSettings.read()) as client:
        found = find_workload(client, workload, project)
        pods = client.get(f"/workloads/{found['id']}/pods")["pods"]
        history = client.get(f"/workloads/{found['id']}/history")["records"]
    if output is not Format.TABLE:
        print_data({**found, "pods": pods, "history": history}, output)
        return
    print_pairs(_pairs(found))
    console().print("\n[bold]Pods[/bold]")
    _print_pods(pods)
    console().print("\n[bold]Last changes[/bold]")
    print_history(history[-LAST_CHANGES:])


def _pairs(w: dict[str, Any]) -> list[tuple[str, str]]:
    requests, parent = w["requests"], w.get("parent")
    can = [action for action, allowed in w["actions_supported"].items() if allowed]
    gone = "" if not w.get("deleted_at") else f"{age(w['deleted_at'])} ago"
    return [
        ("Name", plain(w["name"])),
        ("Project", plain(w["project"])),
        ("Kind", plain(f"{w['workload_kind'] or w['kind']} ({w['class']}, {w['kind']})")),
        ("Id", w["id"]),
        ("Phase", f"{styled_phase(w['phase'])} for {age(w['phase_since'])}"),
        ("Reason", plain(w["phase_reason"])),
        ("Message", plain(w["message"])),
        ("Pods", f"{w['running_pods']} of {w['desired_pods']} running"),
        ("Asks for", _amounts(requests)),
        ("Nodes", plain(", ".join(w["nodes"]))),
        ("Parent", plain(f"{parent['kind']} {parent['name']}") if parent else ""),
        ("Submitted by", plain(f"{w['submitted_by']} ({w['source']})") if w.get("submitted_by") else ""),
        ("Created", f"{w['created_at']} ({age(w['created_at'])} ago)"),
        ("Completed", w.get("completed_at") or ""),
        ("Gone", gone),
        ("It can be", ", ".join({"stop": "stopped", "activate": "activated", "delete": "deleted"}[a] for a in can)),
    ]


def _amounts(requests: dict[str, Any]) -> str:
    devices = gpus(requests["gpu_millionths"])
    memory = f"{requests['memory_bytes'] / 2**20:g} MiB"
    return f"{devices} GPU{'' if devices == '1' else 's'}, {requests['cpu_milli'] / 1000:g} CPU, {memory} of memory"


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
                plain(pod["gpus"]),
                str(pod["restarts"]),
                plain(pod["message"]),
            ]
            for pod in pods
        ],
        empty="It has no pods now.",
    )


def print_history(records: list[dict[str, Any]]) -> None:
    """Print changes of phase and other happenings, oldest first."""
    print_table(
        ["TIME", "WHAT", "REASON"],
        [[plain(r["time"]), _what(r), plain(r["reason"])] for r in records],
        empty="Nothing is recorded yet.",
    )


def _what(record: dict[str, Any]) -> str:
    if record["type"] != "PhaseChanged":
        return plain(record["type"])
    return f"{record['previous'] or '·'} → {styled_phase(record['current'])}"
