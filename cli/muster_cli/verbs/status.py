"""`muster status`: how Muster itself is doing."""

from typing import Any

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_table, progress


def status(output: Output = Format.TABLE) -> None:
    """Show how Muster itself is doing.

    Every service and its loops, and how far they have read. Exit code 1 when one is not well.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress("Asking …"):
        system = client.get("/system")
    if output is not Format.TABLE:
        print_data(system, output)
    else:
        print_table(
            ["SERVICE", "LOOP", "CONDITION", "POSITION", "BEHIND", "REASON"],
            [_row(service, name, loop) for service in system["services"] for name, loop in service["loops"].items()],
            empty="No service answered.",
        )
    if not system["well"]:
        sick = ", ".join(service["service"] for service in system["services"] if not service["well"])
        raise Failure(Exit.NO, f"Not everything is well: {sick}.", "The reason stands beside the loop.")


def _row(service: dict[str, Any], name: str, loop: dict[str, Any]) -> list[str]:
    position, end = loop.get("position"), loop.get("end")
    behind = "" if position is None or end is None else str(end - position)
    style = {"running": "green", "waiting": "yellow", "stopped": "red"}.get(loop["condition"], "")
    condition = f"[{style}]{loop['condition']}[/]" if style else loop["condition"]
    return [service["service"], name, condition, str(position or ""), behind, plain(loop.get("reason", ""))]
