"""`muster fits`: would this start now? The planner answers, on the cluster as it is."""

from typing import Annotated, Any

import typer

from muster_cli.completing import project_names
from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_marked, print_table, progress
from muster_cli.quantities import asked_gpus, cpu_cores, memory_bytes


def fits(
    project: Annotated[
        str, typer.Option("--project", "-p", help="For whom.", envvar="MUSTER_PROJECT", autocompletion=project_names)
    ],
    gpu: Annotated[str, typer.Option("--gpu", help="GPUs of each pod: 8, 0.5, 2x0.5.")] = "0",
    gpu_memory: Annotated[
        str | None, typer.Option("--gpu-memory", help="Instead of a part of a GPU: memory of it, 20Gi.")
    ] = None,
    cpu: Annotated[str, typer.Option("--cpu", help="Processors of each pod.")] = "1",
    memory: Annotated[str, typer.Option("--memory", help="Memory of each pod.")] = "100Mi",
    pods: Annotated[int, typer.Option("--pods", min=1, help="How many pods, which start together.")] = 1,
    priority: Annotated[
        str, typer.Option("--priority", help="train, interactive-preemptible, build or inference.")
    ] = "train",
    node_pool: Annotated[
        list[str] | None, typer.Option("--node-pool", help="Try only this pool; repeat for more, in order.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Say whether pods would find places now, where, and if not why.

    Nothing is started or reserved. Exit code 1 when they would not start even after others have made room.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    asked = {
        "project": project,
        "pods": pods,
        **asked_gpus(gpu, gpu_memory),
        "cpu_milli": round(cpu_cores(cpu) * 1000),
        "memory_bytes": memory_bytes(memory),
        "priority_class": priority,
        "node_pool": node_pool or None,
    }
    with Client(CommandLineSettings.read()) as client, progress("Asking the planner …"):
        found = client.get("/scheduling/fits", **asked)
    if output is not Format.TABLE:
        print_data(found, output)
    else:
        _print(found)
    if found["fits"] == "no":
        raise Failure(Exit.NO, f"It does not fit: {found['reason']}", found["remedy"])


def _print(found: dict[str, Any]) -> None:
    if found["fits"] == "no":
        return
    if found["fits"] == "now":
        print_marked(f"[green]It fits now[/], in node pool {plain(found['node_pool'])}.")
    else:
        print_marked(f"[yellow]It fits when others have gone[/], in node pool {plain(found['node_pool'])}.")
    print_table(["NODE", "PODS"], [[plain(p["node"]), str(p["pods"])] for p in found["places"]], empty="")
    if found["victims"]:
        print_marked("\n[bold]Who would have to go[/bold]")
        print_table(
            ["WORKLOAD", "PODS", "RULE"],
            [[plain(v["name"] or v["workload_id"]), str(v["pods"]), plain(v["rule"])] for v in found["victims"]],
            empty="",
        )
