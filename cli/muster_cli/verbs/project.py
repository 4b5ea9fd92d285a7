"""`muster project`: list, create and remove projects, and set what is their due."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from muster_cli import organising
from muster_cli.completing import project_names
from muster_cli.output import Format, Output, plain, print_data, print_table, progress, say
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


class AirflowUnit(StrEnum):
    """What of Airflow can be one workload."""

    DAG_RUN = "dag-run"
    TASK = "task"


app = typer.Typer(help="List, create and remove projects, and set their quotas.", no_args_is_help=True)

SETTINGS = (
    "department",
    "quotas",
    "node_pools",
    "airflow_unit",
    "preempt_minimum_seconds",
    "reclaim_minimum_seconds",
)


@app.command("list")
def list_projects(output: Output = Format.TABLE) -> None:
    """List the projects."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress("Asking …"):
        answer = client.get("/projects")
    if output is not Format.TABLE:
        print_data(answer, output)
        return
    print_table(
        ["NAME", "NAMESPACE", "DEPARTMENT", "WORKLOADS", "QUOTA"],
        [
            [
                plain(p["name"]),
                plain(p["namespace"]),
                plain(p["department"]),
                str(p["workloads"]),
                plain(shown(p["quotas"])),
            ]
            for p in answer["projects"]
        ],
        empty="There are no projects yet; create one with `muster project create NAME`.",
    )


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    namespace: Annotated[str | None, typer.Option("--namespace", help="An existing namespace to use.")] = None,
    airflow_unit: Annotated[
        AirflowUnit, typer.Option("--airflow-unit", help="What of Airflow is one workload in it.")
    ] = AirflowUnit.DAG_RUN,
    output: Output = Format.TABLE,
) -> None:
    """Create a project, with a namespace of its own."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress(f"Creating {name} …"):
        body = {"name": name, "namespace": namespace, "airflow_unit": airflow_unit.value}
        answer = client.post("/projects", body)
        client.settle("/projects", answer["position"])
    if output is Format.TABLE:
        say(f"Project {answer['name']} exists; its namespace is {answer['namespace']}.")
    else:
        print_data(answer, output)


@app.command("set")
def set_project(
    name: Annotated[str, typer.Argument(help="Which project.", autocompletion=project_names)],
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
    department: Annotated[str | None, typer.Option("--department", help="Where it belongs.")] = None,
    pools: Annotated[
        str | None, typer.Option("--use", help="Pools its workloads try, in order: `a100,default`.")
    ] = None,
    preempt_minimum_seconds: PreemptMinimum = None,
    reclaim_minimum_seconds: ReclaimMinimum = None,
    output: Output = Format.TABLE,
) -> None:
    """Set quotas and other settings of a project. What is not named stays as it is."""
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
        "department": department,
        "node_pools": None if pools is None else [pool for pool in pools.split(",") if pool],
        "preempt_minimum_seconds": preempt_minimum_seconds,
        "reclaim_minimum_seconds": reclaim_minimum_seconds,
    }

    def edit(present: dict[str, Any]) -> dict[str, Any]:
        body = {each: present[each] for each in SETTINGS} | {k: v for k, v in typed.items() if v is not None}
        return body | {"quotas": edited(present["quotas"], node_pool, quota, clear=no_quota)}

    organising.change("projects", name, new=None, edit=edit, output=output)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Which project.", autocompletion=project_names)],
    output: Output = Format.TABLE,
) -> None:
    """Remove a project in which no workload is. Its namespace stays."""
    organising.remove("projects", name, output=output, consequence="; its namespace stays")
