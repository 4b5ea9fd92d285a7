"""`muster project`: list and create projects."""

from enum import StrEnum
from typing import Annotated

import typer

from muster_cli.output import Format, Output, plain, print_data, print_table, progress, say


class AirflowUnit(StrEnum):
    """What of Airflow can be one workload."""

    DAG_RUN = "dag-run"
    TASK = "task"


app = typer.Typer(help="List and create projects.", no_args_is_help=True)


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
        ["NAME", "NAMESPACE", "DEPARTMENT", "WORKLOADS"],
        [
            [plain(p["name"]), plain(p["namespace"]), plain(p["department"]), str(p["workloads"])]
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
