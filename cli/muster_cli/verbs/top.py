"""`muster top`: who is due what and holds what, by node pool, department and project; and who is on which GPU.

Now, the scheduler is asked; for the past, the planner of this command answers from its fold (`past`).
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from muster_cli.moments import At, moment_of
from muster_cli.output import (
    Format,
    Output,
    gpus,
    memory,
    plain,
    print_data,
    print_marked,
    print_moment,
    print_table,
    progress,
)

if TYPE_CHECKING:
    from muster_cli.client import Client

app = typer.Typer(help="Show who holds what.", invoke_without_command=True)

PAGE = 500
CELLS = "·▁▂▃▄▅▆▇█"
"""A device, from free to full."""


@app.callback()
def top(context: typer.Context, at: At = None, output: Output = Format.TABLE) -> None:
    """Show quota, fair share, what is held and what waits, by node pool, department and project; with --at, of then."""
    if context.invoked_subcommand is None:
        projects(at, output)
    else:  # `muster top --at 4711 nodes` means the same as `muster top nodes --at 4711`
        context.default_map = {context.invoked_subcommand: {"at": at, "output": output.value}}


@app.command()
def projects(at: At = None, output: Output = Format.TABLE) -> None:
    """Show departments and projects, pool by pool; with --at, as they stood then."""
    from muster_cli.client import client_for
    from muster_cli.past import queues_then

    with client_for(at) as client, progress("Asking the planner …"):
        then = None if at is None else moment_of(client, at)
        found = client.get("/scheduling/queues") if then is None else queues_then(client, then.position)
    if output is not Format.TABLE:
        print_data(found | (then.shown if then else {}), output)
        return
    print_moment(then)
    for number, pool in enumerate(found["node_pools"]):
        _print_pool(pool, first=number == 0)


@app.command()
def nodes(at: At = None, output: Output = Format.TABLE) -> None:
    """Show every node with a map of its GPUs: how full each is, and whose pods are on it; with --at, were on it."""
    from muster_cli.client import client_for
    from muster_cli.past import nodes_then

    with client_for(at) as client, progress("Asking the planner …"):
        then = None if at is None else moment_of(client, at)
        found = list(_nodes(client)) if then is None else nodes_then(client, then.position)
    if output is not Format.TABLE:
        print_data({"nodes": found} | (then.shown if then else {}), output)
        return
    print_moment(then)
    print_table(
        ["NODE", "POOL", "GPUS", "FREE", "CPU FREE", "MEMORY FREE", "WHO"],
        [_node_row(node) for node in found],
        empty="There are no nodes.",
    )


def _nodes(client: "Client") -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        page = client.get("/scheduling/nodes", after=after, limit=PAGE)
        yield from page["nodes"]
        after = page["next"]
        if not after:
            return


def _print_pool(pool: dict[str, Any], *, first: bool) -> None:
    has, held = pool["capacity"], pool["allocated"]
    print_marked(
        f"{'' if first else chr(10)}[bold]Node pool {plain(pool['node_pool'])}[/bold]: "
        f"{pool['ready_nodes']} of {pool['nodes']} nodes ready; "
        f"{gpus(held['gpu_millionths'])} of {gpus(has['gpu_millionths'])} GPUs held{_lost_gpus(pool)}, "
        f"{held['cpu_milli'] / 1000:g} of {has['cpu_milli'] / 1000:g} CPUs, "
        f"{memory(held['memory_bytes'])} of {memory(has['memory_bytes'])}"
    )
    print_table(
        ["QUEUE", "QUOTA", "FAIR SHARE", "HELD", "OVER QUOTA", "NONPREEMPTIBLE", "PENDING", "PODS WAITING", "CPU HELD"],
        [_queue_row(queue, depth) for queue, depth in _with_depth(pool["queues"])],
        empty="No project is known.",
    )


def _lost_gpus(pool: dict[str, Any]) -> str:
    """Write how many of the GPUs held are on nodes that count for no capacity: ` (8 on nodes that are gone)`."""
    lost = [
        f"{gpus(amount)} on nodes that are {what}"
        for part, what in (("allocated_on_gone_nodes", "gone"), ("allocated_on_unready_nodes", "not ready"))
        if (amount := pool.get(part, {}).get("gpu_millionths"))  # services older than this command tell none
    ]
    return f" ({', '.join(lost)})" if lost else ""


def _with_depth(queues: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Say how deep each queue stands; parents come before children."""
    depths: dict[str, int] = {"": -1}
    for queue in queues:
        depth = depths.get(queue["parent"], -1) + 1
        if queue["kind"] == "department":
            depths[queue["name"]] = depth
        yield queue, depth


def _queue_row(queue: dict[str, Any], depth: int) -> list[str]:
    name = plain(queue["name"]) + ("/" if queue["kind"] == "department" else "")
    return [
        "  " * depth + name,
        _bound(queue["quota"]["gpu_millionths"]),
        *(gpus(queue[part]["gpu_millionths"]) for part in ("fair_share", "allocated", "over_quota")),
        gpus(queue["not_preemptible"]["gpu_millionths"]),
        gpus(queue["pending"]["gpu_millionths"]),
        str(queue["pending_pods"]),
        f"{queue['allocated']['cpu_milli'] / 1000:g}",
    ]


def _bound(amount: int | None) -> str:
    return "unlimited" if amount is None else gpus(amount)


def _node_row(node: dict[str, Any]) -> list[str]:
    state = "" if node["ready"] else " (not ready)"
    state = state or (" (takes no pods)" if node["unschedulable"] else "")
    return [
        plain(node["name"]) + state,
        plain(node["node_pool"]),
        "".join(_cell(free) for free in node["free_gpus"]),
        gpus(node["free"]["gpu_millionths"]),
        f"{node['free']['cpu_milli'] / 1000:g}",
        memory(max(0, node["free"]["memory_bytes"])),
        plain("; ".join(_owner(pod) for pod in node["pods"])),
    ]


def _cell(free: int) -> str:
    """Return how full a device is, as a bar of eight steps; whatever is used at all shows."""
    used = 1_000_000 - free
    return CELLS[-(-used * 8 // 1_000_000)]


def _owner(pod: dict[str, Any]) -> str:
    """Write whose pod holds which devices: `demo/train on 0,1:0.5`."""
    devices = ",".join(
        str(share["index"])
        if share["portion_millionths"] == 1_000_000
        else f"{share['index']}:{gpus(share['portion_millionths'])}"
        for share in pod["devices"]
    )
    leaving = " (leaving)" if pod["leaving"] else ""
    return f"{pod['project']}/{pod['workload']}{f' on {devices}' if devices else ''}{leaving}"
