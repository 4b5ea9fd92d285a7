"""`muster department`: departments, whose quotas bound those of their projects."""

from typing import Annotated, Any

import typer

from muster_cli import organising
from muster_cli.output import Format, Output, plain, print_data, print_table, progress
from muster_cli.quotas import (
    Cpu,
    CpuLimit,
    Gpu,
    GpuLimit,
    Memory,
    MemoryLimit,
    NoQuota,
    OverQuota,
    Pool,
    PreemptMinimum,
    Priority,
    ReclaimMinimum,
    edited,
    shown,
    typed_quota,
)

app = typer.Typer(help="List, set and remove departments.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Which department.")]
NEW: dict[str, Any] = {"parent": "", "quotas": [], "preempt_minimum_seconds": 0, "reclaim_minimum_seconds": 0}


@app.command("list")
def list_departments(output: Output = Format.TABLE) -> None:
    """List the departments."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress("Asking …"):
        answer = client.get("/departments")
    if output is not Format.TABLE:
        print_data(answer, output)
        return
    print_table(
        ["NAME", "PART OF", "QUOTA"],
        [[plain(d["name"]), plain(d["parent"]), plain(shown(d["quotas"]))] for d in answer["departments"]],
        empty="No department is described yet; make one with `muster department set NAME`.",
    )


@app.command("set")
def set_department(
    name: Name,
    node_pool: Pool = "default",
    gpu: Gpu = None,
    gpu_limit: GpuLimit = None,
    cpu: Cpu = None,
    cpu_limit: CpuLimit = None,
    memory: Memory = None,
    memory_limit: MemoryLimit = None,
    weight: OverQuota = None,
    priority: Priority = None,
    no_quota: NoQuota = False,
    parent: Annotated[str | None, typer.Option("--parent", help="The department above.")] = None,
    preempt_minimum_seconds: PreemptMinimum = None,
    reclaim_minimum_seconds: ReclaimMinimum = None,
    output: Output = Format.TABLE,
) -> None:
    """Create a department, or change it. What is not named stays as it is."""
    quota = typed_quota(
        gpu=gpu,
        gpu_limit=gpu_limit,
        cpu=cpu,
        cpu_limit=cpu_limit,
        memory=memory,
        memory_limit=memory_limit,
        weight=weight,
        priority=priority,
    )
    typed = {
        "parent": parent,
        "preempt_minimum_seconds": preempt_minimum_seconds,
        "reclaim_minimum_seconds": reclaim_minimum_seconds,
    }

    def edit(present: dict[str, Any]) -> dict[str, Any]:
        body = {each: present[each] for each in NEW} | {k: v for k, v in typed.items() if v is not None}
        return body | {"quotas": edited(present["quotas"], node_pool, quota, clear=no_quota)}

    organising.change("departments", name, new=NEW, edit=edit, output=output)


@app.command()
def remove(name: Name, output: Output = Format.TABLE) -> None:
    """Remove a department in which nothing is."""
    organising.remove("departments", name, output=output)
