"""What a simulated container has printed.

No line is stored: the text is on the pod (`sim.log`), and when each line was printed follows from when the run began
and how long it lasts, its lines spread evenly over it. So logs survive a restart and cost nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from simcluster.clock import from_timestamp
from simcluster.errors import ApiError, bad_request
from simcluster.pods import name_of
from simcluster.resources import Object
from simcluster.script import FOR_EVER, Script, read_script

MOST_LINES = 500


@dataclass(frozen=True)
class LogLine:
    """One line and when it was printed."""

    instant: datetime
    text: str


@dataclass(frozen=True)
class Run:
    """One run of a container, as its status tells."""

    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None


def container_named(pod: Object, name: str | None) -> Mapping[str, Any]:
    """Return the container asked for; ApiError 400 when there is none, or several and no name."""
    init, main = pod["spec"].get("initContainers", []), pod["spec"]["containers"]
    if name is None:
        if len(init) + len(main) > 1:
            raise _which(pod, [each["name"] for each in main], [each["name"] for each in init])
        name = main[0]["name"]
    for container in (*main, *init):
        if container["name"] == name:
            found: Mapping[str, Any] = container
            return found
    raise bad_request(f"container {name} is not valid for pod {name_of(pod)}")


def _which(pod: Object, main: list[str], init: list[str]) -> ApiError:
    message = f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(main)}]"
    return bad_request(message + (f" or one of the init containers: [{' '.join(init)}]" if init else ""))


def run_of(pod: Object, container: str, previous: bool) -> Run:
    """Return the run whose log is meant; ApiError 400 when it has not begun, or there was none before."""
    status = pod.get("status", {})
    shown = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    mine: Mapping[str, Any] = next((each for each in shown if each["name"] == container), {})
    state, last = mine.get("state", {}), mine.get("lastState", {}).get("terminated")
    if previous:
        if not last:
            raise bad_request(f'previous terminated container "{container}" in pod "{name_of(pod)}" not found')
        return _ended(last)
    if "running" in state:
        return Run(from_timestamp(state["running"]["startedAt"]), None, None)
    ended = state.get("terminated") or last
    if ended and ended.get("startedAt"):
        return _ended(ended)
    reason = state.get("waiting", {}).get("reason", "ContainerCreating")
    raise bad_request(f'container "{container}" in pod "{name_of(pod)}" is waiting to start: {reason}')


def _ended(state: Mapping[str, Any]) -> Run:
    return Run(from_timestamp(state["startedAt"]), from_timestamp(state["finishedAt"]), state["exitCode"])


def lines_of(pod: Object, container: Mapping[str, Any], run: Run, now: datetime) -> list[LogLine]:
    """Return what a run has printed so far."""
    script = read_script(pod, container)
    text = script.log or "simulated: " + _command(container)
    lines = text.splitlines()[-MOST_LINES:]
    step = _step(script, len(lines))
    until = run.finished_at or now
    printed = [LogLine(run.started_at + step * place, line) for place, line in enumerate(lines)]
    printed = [line for line in printed if line.instant <= until]
    if run.finished_at is not None and run.exit_code:
        printed.append(LogLine(run.finished_at, f"simulated: exited with code {run.exit_code}"))
    return printed


def _command(container: Mapping[str, Any]) -> str:
    words = [*container.get("command", []), *container.get("args", [])]
    return " ".join(str(word) for word in words) or str(container.get("image", ""))


def _step(script: Script, lines: int) -> timedelta:
    if script.run_seconds == FOR_EVER or not lines:
        return timedelta(0)
    return timedelta(seconds=script.run_seconds / lines)
