"""The `exec` subresource: a command in a container that runs, over a WebSocket, as `kubectl exec` and Airflow speak it.

No process is run here either. What a command prints is written on the pod (`sim.exec-output`, or
`sim.exec-output.<container>`); without that, what the few commands say that `script` understands. A bare shell takes a
command per line of its input, until `exit` or the end of the input. `kill`, of whatever, ends the container: it is as
if its `sim.run-seconds` had become 0.

Each message begins with a byte that names its channel; the last one, on the channel of errors, is a `Status`. Pitfall:
clients write text or binary messages as they like, and only the newest protocol lets them end their input.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import orjson

from simcluster.errors import bad_request
from simcluster.logs import container_named
from simcluster.registry import Registry
from simcluster.resources import Object
from simcluster.script import SHELLS, Script, read_command, text_for
from simcluster.wire import Request, Response

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_INPUT, _OUTPUT, _STATUS, _CLOSE = b"\x00", b"\x01", b"\x03", b"\xff"
_END_OF_INPUT = _CLOSE + _INPUT


async def answer(registry: Registry, namespace: str | None, name: str, request: Request) -> Response:
    """Begin to talk; ApiError 404 without such a pod, 400 when its container does not run or nobody can talk."""
    pod = registry.existing("pods", namespace, name).body
    container = container_named(pod, request.query.get("container") or None)["name"]
    if not request.command:
        raise bad_request("you must specify at least 1 command for the container")
    if request.headers.get("upgrade", "").lower() != "websocket":
        raise bad_request("Upgrade request required: commands are run over a WebSocket")
    if not _runs(pod, container):
        raise bad_request(f"container {container} of pod {name} does not run")
    return Response(200, _Session(registry, pod, container, request.command).talk)


@dataclass(frozen=True)
class _Session:
    """A command in a container, from its start to its end."""

    registry: Registry
    pod: Object
    container: str
    command: Sequence[str]

    async def talk(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield what the command prints and how it ends."""
        course = Script()
        async for command in self._commands(messages):
            course = read_command(command)
            said = self._said(command, course)
            if said:
                yield _OUTPUT + said.encode()
            if _first_word(command) == "kill":
                self._end_container()
                break
        yield _STATUS + orjson.dumps(_status(course.exit_code))

    async def _commands(self, messages: AsyncIterator[bytes]) -> AsyncIterator[Sequence[str]]:
        """Yield the command, or each line of input when it is a bare shell."""
        if len(self.command) > 1 or self.command[0] not in SHELLS:
            yield self.command
            return
        async for line in _lines(messages):
            yield (self.command[0], "-c", line)
            if line.split()[:1] == ["exit"]:
                return

    def _said(self, command: Sequence[str], course: Script) -> str:
        if _first_word(command) in ("kill", "exit"):
            return ""
        said = text_for(self.pod, "sim.exec-output", self.container)
        return course.log if said is None else said

    def _end_container(self) -> None:
        course = {f"sim.run-seconds.{self.container}": "0"}
        metadata = self.pod["metadata"]

        def ended(pod: Object) -> Object:
            pod["metadata"]["annotations"] = {**(pod["metadata"].get("annotations") or {}), **course}
            return pod

        self.registry.modify("pods", metadata["namespace"], metadata["name"], ended)


async def _lines(messages: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield each line of input; the last may lack its end, if the input has one."""
    rest = ""
    async for message in messages:
        if message == _END_OF_INPUT:
            if rest:
                yield rest
            return
        if message[:1] == _INPUT:
            *lines, rest = (rest + message[1:].decode(errors="replace")).split("\n")
            for line in lines:
                yield line


def _first_word(command: Sequence[str]) -> str:
    text = command[2] if len(command) > 2 and command[0] in SHELLS else command[0]
    return (text.split() or [""])[0]


def _runs(pod: Object, container: str) -> bool:
    status = pod.get("status") or {}
    shown = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    return any(each["name"] == container and "running" in each["state"] for each in shown)


def _status(exit_code: int) -> Object:
    if not exit_code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }
