"""`muster list`: the workloads, newest first."""

from typing import Annotated

import typer

from muster_cli.output import Format, Output, age, gpus, plain, print_data, print_table, progress, styled_phase


def list_workloads(
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only of this project.")] = None,
    phase: Annotated[str | None, typer.Option("--phase", help="Only in this phase.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="Only those whose name contains this.")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Those that are gone, instead.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 50,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Pass over so many first.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """List workloads, newest first."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress("Asking …"):
        answer = client.get(
            "/workloads",
            project=project,
            phase=phase,
            search=search,
            deleted=str(deleted).lower(),
            limit=limit,
            offset=offset,
            sort_by="created_at",
            sort_order="desc",
        )
    if output is not Format.TABLE:
        print_data(answer, output)
        return
    print_table(
        ["NAME", "PROJECT", "KIND", "PHASE", "PODS", "GPUS", "NODES", "AGE", "MESSAGE"],
        [
            [
                plain(w["name"]),
                plain(w["project"]),
                plain(w["workload_kind"] or w["kind"]),
                styled_phase(w["phase"]),
                f"{w['running_pods']}/{w['desired_pods']}",
                gpus(w["requests"]["gpu_millionths"]),
                plain(",".join(w["nodes"])),
                age(w["created_at"]),
                plain(w["message"]),
            ]
            for w in answer["workloads"]
        ],
        empty="There are no workloads here.",
    )
    if answer.get("next"):
        from muster_cli.output import say

        say(f"There are more: --offset {offset + limit}.")
