"""`muster simulate`: play scenarios against the planner that schedules the cluster, without a cluster.

Offline: the scheduler's core is imported, nothing is asked. Files of scenarios and files of fair-share cases may be
mixed; which is which shows in their fields.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_marked, say

if TYPE_CHECKING:
    from muster_scheduler.core.scenarios.reading import Runnable
    from muster_scheduler.core.scenarios.runner import Outcome


def simulate(
    files: Annotated[list[Path], typer.Argument(help="Files of scenarios, as JSON.", show_default=False)],
    case: Annotated[str | None, typer.Option("--case", help="Only the case with this id.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Play scenarios against the real planner, and say what differs from what they expect.

    Exit code 1 when some differ, 2 when a file cannot be read.
    """
    chosen = [(name, run) for file in files for name, run in _cases_of(file) if case in {None, name}]
    if not chosen:
        raise Failure(Exit.INVALID, f"No case has the id {case}.", "Without --case all are played.")
    results = []
    for _, run in chosen:
        began = time.perf_counter()
        outcome = run()
        results.append(_result(outcome, time.perf_counter() - began))
        for remark in outcome.remarks:
            say(f"{outcome.id}: {remark}")
        if output is Format.TABLE:
            _print_result(results[-1])
    if output is not Format.TABLE:
        print_data({"cases": results}, output)
    failed = sum(not result["passed"] for result in results)
    if failed:
        raise Failure(Exit.NO, f"{failed} of {len(results)} cases differ from what they expect.")
    if output is Format.TABLE:
        print_marked(f"[green]All {len(results)} hold.[/]" if len(results) > 1 else "[green]It holds.[/]")


def _cases_of(file: Path) -> "list[Runnable]":
    from muster_scheduler.core.scenarios.document import Unreadable
    from muster_scheduler.core.scenarios.reading import runnable_cases

    try:
        return runnable_cases(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise Failure(Exit.INVALID, f"{file}: The file cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Failure(Exit.INVALID, f"{file}: This is not text in UTF-8.") from error
    except Unreadable as error:
        raise Failure(Exit.INVALID, str(error)) from error


def _result(outcome: "Outcome", seconds: float) -> dict[str, Any]:
    return {
        "id": outcome.id,
        "passed": outcome.passed,
        "differences": list(outcome.differences),
        "rounds": outcome.rounds,
        "binds": outcome.binds,
        "evictions": outcome.evictions,
        "milliseconds": round(seconds * 1000, 3),
    }


def _print_result(result: dict[str, Any]) -> None:
    mark = "[green]pass[/]" if result["passed"] else "[red]differs[/]"
    print_marked(f"{mark} {plain(result['id'])}", *(f"  · {plain(one)}" for one in result["differences"]))
