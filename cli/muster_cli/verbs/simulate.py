"""`muster simulate`: play scenarios, or the recorded history, against the planner that schedules the cluster.

Scenarios are played offline: the scheduler's core is imported, nothing is asked. Files of scenarios and files of
fair-share cases may be mixed; which is which shows in their fields. With `--from-journal` the history is read through
the HTTP API, and scheduled again here.
"""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muster_cli.failure import Exit, Failure, too_deep, what_is_no_yaml
from muster_cli.moments import At, moment_of
from muster_cli.output import Format, Output, moment, plain, print_data, print_marked, print_table, progress, say

if TYPE_CHECKING:
    from muster_scheduler.core.scenarios.changes import Changes
    from muster_scheduler.core.scenarios.reading import Runnable
    from muster_scheduler.core.scenarios.replay import Course, Waiting
    from muster_scheduler.core.scenarios.runner import Outcome

Files = Annotated[list[Path] | None, typer.Argument(help="Files of scenarios, as JSON.", show_default=False)]
Case = Annotated[str | None, typer.Option("--case", help="Only the case with this id.", show_default=False)]
FromJournal = Annotated[bool, typer.Option("--from-journal", help="Schedule the recorded history again.")]
With = Annotated[
    Path | None, typer.Option("--with", help="Other quotas, weights and nodes, as YAML.", show_default=False)
]


def simulate(
    files: Files = None,
    case: Case = None,
    from_journal: FromJournal = False,
    at: At = None,
    changed: With = None,
    output: Output = Format.TABLE,
) -> None:
    """Play scenarios against the real planner, and say what differs from what they expect.

    Or say what would have happened to the workloads of the past. Exit code 1 when some cases differ, 2 when a file
    cannot be read.
    """
    if from_journal == bool(files):
        sentence = "Name either files of scenarios or --from-journal, and not both."
        raise Failure(Exit.INVALID, sentence, "muster simulate --help")
    if from_journal:
        if case is not None:
            raise Failure(Exit.INVALID, "--case chooses among scenarios; the journal has none.")
        _replay(at, changed, output)
    else:
        if at is not None or changed is not None:
            raise Failure(Exit.INVALID, "--at and --with say something about --from-journal.")
        _play(files or [], case, output)


# ---------------------------------------------------------------- scenarios


def _play(files: list[Path], case: str | None, output: Format) -> None:
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
        return runnable_cases(_text_of(file), str(file))
    except Unreadable as error:
        raise Failure(Exit.INVALID, str(error)) from error


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(Exit.INVALID, f"{file}: The file cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Failure(Exit.INVALID, f"{file}: This is not text in UTF-8.") from error


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


# ---------------------------------------------------------------- the recorded history


def _replay(at: str | None, changed: Path | None, output: Format) -> None:
    from muster_scheduler.core.scenarios.replay import replay
    from muster_scheduler.core.scenarios.runner import as_the_service

    from muster_cli.client import Client
    from muster_cli.journal import end_of, journal_of, told
    from muster_cli.settings import CommandLineSettings

    changes = _changes_in(changed)
    with Client(CommandLineSettings.read()) as client, progress("Reading the event log …") as tell:
        until = end_of(client) if at is None else moment_of(client, at).position
        history = list(told(journal_of(client, until=until), "Reading the event log …", until, tell))
    for field, name in changes.unknown(history):
        raise Failure(Exit.INVALID, f"{changed}, field {field}: The history knows no {name}.")
    with progress("Scheduling it again …"):
        waiting = replay(history, changes, as_the_service)
    position = history[-1].position if history else 0
    if output is Format.TABLE:
        _print_waiting(waiting)
    else:
        print_data({"position": position, "workloads": [_compared(one) for one in waiting]}, output)


def _changes_in(file: Path | None) -> "Changes":
    from muster_scheduler.core.scenarios.changes import NO_CHANGES, read_changes
    from muster_scheduler.core.scenarios.document import Unreadable, parse

    if file is None:
        return NO_CHANGES
    import yaml

    try:
        return read_changes(parse(json.dumps(yaml.safe_load(_text_of(file))), str(file)))
    except RecursionError as error:
        raise too_deep(file) from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        if isinstance(error, Unreadable):
            raise Failure(Exit.INVALID, str(error)) from error
        raise Failure(Exit.INVALID, f"{file}: This is not YAML that can be read: {what_is_no_yaml(error)}.") from error


def _compared(one: "Waiting") -> dict[str, Any]:
    return {
        "id": str(one.workload_id),
        "name": one.name,
        "project": one.project,
        "submitted": one.submitted.isoformat(),
        **_course("before", one.submitted, one.before),
        **_course("after", one.submitted, one.after),
    }


def _course(when: str, submitted: datetime, course: "Course") -> dict[str, Any]:
    return {
        f"started_{when}": course.started.isoformat() if course.started else None,
        f"waited_seconds_{when}": _waited(submitted, course.started),
        f"evictions_{when}": course.evictions,
        f"lost_seconds_{when}": course.lost_seconds,
        f"waited_again_seconds_{when}": course.waited_again_seconds,
    }


def _waited(submitted: datetime, started: datetime | None) -> float | None:
    return max(0.0, (started - submitted).total_seconds()) if started else None


def _print_waiting(waiting: "list[Waiting]") -> None:
    rows = [
        [
            plain(one.name),
            plain(one.project),
            moment(one.submitted.isoformat()),
            _shown(one.submitted, one.before),
            _shown(one.submitted, one.after),
        ]
        for one in waiting
    ]
    columns = ["WORKLOAD", "PROJECT", "SUBMITTED", "WAITED", "WOULD HAVE WAITED"]
    print_table(columns, rows, empty="The history has no workloads.")


def _shown(submitted: datetime, course: "Course") -> str:
    waited = _waited(submitted, course.started)
    if waited is None:
        return "not started"
    if not course.evictions:
        return f"{waited:.0f}s"
    pods = "1 pod" if course.evictions == 1 else f"{course.evictions} pods"
    cost = f"{course.lost_seconds:.0f}s lost, {course.waited_again_seconds:.0f}s waited again"
    return f"{waited:.0f}s; {pods} evicted: {cost}"
