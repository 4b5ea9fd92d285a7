"""`muster nodepool`: which nodes belong together, and how pods are placed on them."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from muster_cli import organising
from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_table, progress

app = typer.Typer(help="List, set and remove node pools.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Which node pool.")]
NEW: dict[str, Any] = {"label_key": "", "label_value": "", "gpu_placement": "bin-pack", "cpu_placement": "bin-pack"}


class Strategy(StrEnum):
    """How pods are placed on the nodes of a pool."""

    BIN_PACK = "bin-pack"
    SPREAD = "spread"


@app.command("list")
def list_node_pools(output: Output = Format.TABLE) -> None:
    """List the node pools."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress("Asking …"):
        answer = client.get("/node-pools")
    if output is not Format.TABLE:
        print_data(answer, output)
        return
    print_table(
        ["NAME", "LABEL", "PODS WITH GPUS", "PODS WITHOUT"],
        [
            [plain(p["name"]), plain(_label(p)), plain(p["gpu_placement"]), plain(p["cpu_placement"])]
            for p in answer["node_pools"]
        ],
        empty="No node pool is described; all nodes are in the pool default.",
    )


@app.command("set")
def set_node_pool(
    name: Name,
    label: Annotated[str | None, typer.Option("--label", help="The label of its nodes: KEY=VALUE.")] = None,
    gpu_placement: Annotated[Strategy | None, typer.Option("--gpu-placement", help="Pods with GPUs.")] = None,
    cpu_placement: Annotated[Strategy | None, typer.Option("--cpu-placement", help="Pods without.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Create a node pool, or change it. What is not named stays as it is."""
    typed = _typed_label(label) if label is not None else {}
    typed |= {"gpu_placement": gpu_placement.value} if gpu_placement else {}
    typed |= {"cpu_placement": cpu_placement.value} if cpu_placement else {}

    def edit(present: dict[str, Any]) -> dict[str, Any]:
        return {each: present[each] for each in NEW} | typed

    organising.change("node-pools", name, new=NEW, edit=edit, output=output)


@app.command()
def remove(name: Name, output: Output = Format.TABLE) -> None:
    """Remove a node pool that nobody names."""
    organising.remove("node-pools", name, output=output, consequence="; its nodes belong to default")


def _typed_label(text: str) -> dict[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Failure(Exit.INVALID, f"{text!r} is not a label.", "Write it like gpu=a100.")
    return {"label_key": key, "label_value": value}


def _label(pool: dict[str, Any]) -> str:
    return f"{pool['label_key']}={pool['label_value']}" if pool["label_key"] else "all other nodes"
