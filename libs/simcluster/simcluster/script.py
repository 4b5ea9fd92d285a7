"""What a container will do: read from the `sim.` annotations of its pod, else from its command.

The simulated kubelet runs no processes. How long an image takes to pull, how long a container runs and how it exits
is written on the pod: `sim.run-seconds: "20"` for all its containers, `sim.run-seconds.sidecar: "5"` for the one of
that name. Without annotations a few commands are understood (`sleep 10`, `true`, `false`, `echo`, `exit 3`, also
behind `sh -c` and joined by `;` or `&&`, and loops `while true`), so that everyday manifests do what their author
expects.
An annotation that cannot be read counts as absent: a pod must not break the cluster.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simcluster.pods import is_sidecar
from simcluster.resources import Object

FOR_EVER = math.inf
SHELLS = frozenset({"sh", "bash", "ash", "/bin/sh", "/bin/bash", "/bin/ash"})


@dataclass(frozen=True, slots=True)
class Script:
    """One container's course; times in seconds, `FOR_EVER` for one that only a stop ends."""

    pull_seconds: float | None = None  # None: a second, or nothing when the node has the image
    pull_error: str = ""
    pull_error_times: float = FOR_EVER
    start_seconds: float = 0.5
    ready_seconds: float = 0.0
    run_seconds: float = 3.0
    exit_code: int = 0
    fail_times: int | None = None  # None: it always exits with `exit_code`
    log: str = ""
    termination_seconds: float = 0.2


def read_script(pod: Object, container: Mapping[str, Any]) -> Script:
    """Return what the pod's annotations, or else the container's command, make the container do."""
    script = _from_command(_default_script(pod, container), container)
    for field, read in _READERS.items():
        text = text_for(pod, "sim." + field.replace("_", "-"), container["name"])
        value = None if text is None else read(text)
        if value is not None:
            script = replace(script, **{field: value})
    return script


def text_for(pod: Object, annotation: str, container: str) -> str | None:
    """Return what an annotation says of a container: the one that names it, else the one for all."""
    annotations = pod["metadata"].get("annotations") or {}
    text: str | None = annotations.get(f"{annotation}.{container}", annotations.get(annotation))
    return text


def read_command(words: Sequence[str]) -> Script:
    """Return what a command would do by itself; one that is not understood succeeds and says nothing."""
    return _from_command(Script(run_seconds=0.0), {"command": words})


def _default_script(pod: Object, container: Mapping[str, Any]) -> Script:
    init_names = {each["name"] for each in pod["spec"].get("initContainers", [])}
    if container["name"] in init_names and not is_sidecar(container):
        return Script(run_seconds=1.0)
    runs_on = is_sidecar(container) or pod["spec"].get("restartPolicy", "Always") == "Always"
    return Script(run_seconds=FOR_EVER if runs_on else 3.0)


def _seconds(text: str) -> float | None:
    if text.strip().lower() in {"never", "forever", "inf", "infinity"}:
        return FOR_EVER
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number >= 0 else None


def _whole_number(text: str) -> int | None:
    try:
        return max(0, int(text))
    except ValueError:
        return None


_READERS: dict[str, Any] = {
    "pull_seconds": _seconds,
    "pull_error": str,
    "pull_error_times": _seconds,
    "start_seconds": _seconds,
    "ready_seconds": _seconds,
    "run_seconds": _seconds,
    "exit_code": _whole_number,
    "fail_times": _whole_number,
    "log": str,
    "termination_seconds": _seconds,
}


def _from_command(script: Script, container: Mapping[str, Any]) -> Script:
    words = [str(word) for word in (*container.get("command", []), *container.get("args", []))]
    course = [step for step in _steps(words) if step]
    if not course or not all(step[0] in _COMMANDS for step in course) or any(map(_has_another_end, course)):
        return script
    script = replace(script, run_seconds=0.0)
    for step in course:
        if step[0] == "exit":
            return _exit(script, step[1:])
        script = _COMMANDS[step[0]](script, step[1:])
    return script


def _steps(words: Sequence[str]) -> list[list[str]]:
    if len(words) < 3 or words[0] not in SHELLS or words[1] not in {"-c", "-ec", "-xc"}:
        return [list(words)]
    lines = words[2].replace("&&", ";").replace("\n", ";").split(";")
    try:
        return [shlex.split(line) for line in lines]
    except ValueError:
        return []


def _has_another_end(step: Sequence[str]) -> bool:
    """Say whether a step is a loop that ends when something else is so."""
    return step[0] == "while" and list(step[1:]) not in (["true"], [":"])


def _sleep(script: Script, words: Sequence[str]) -> Script:
    seconds = _duration(words[0]) if words else None
    return script if seconds is None else replace(script, run_seconds=script.run_seconds + seconds, exit_code=0)


def _duration(text: str) -> float | None:
    factor = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:])
    seconds = _seconds(text if factor is None else text[:-1])
    return None if seconds is None else seconds * (factor or 1)


def _exit(script: Script, words: Sequence[str]) -> Script:
    code = _whole_number(words[0]) if words else None
    return replace(script, exit_code=script.exit_code if code is None else code)


def _echo(script: Script, words: Sequence[str]) -> Script:
    return replace(script, log=f"{script.log}{' '.join(words)}\n", exit_code=0)


_COMMANDS: dict[str, Any] = {
    "sleep": _sleep,
    "true": lambda script, _: replace(script, exit_code=0),
    "false": lambda script, _: replace(script, exit_code=1),
    "echo": _echo,
    "exit": _exit,
    "trap": lambda script, _: script,
    "while": lambda script, _: replace(script, run_seconds=FOR_EVER),
    "do": lambda script, _: script,
    "done": lambda script, _: script,
}
