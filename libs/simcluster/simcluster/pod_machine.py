"""The course of one pod's containers, as a machine that only time moves.

`PodMachine` is told the hour (`advance`) and that the pod is to end (`stop`); it answers with what its containers are
doing and with the next instant at which that changes by itself. It touches nothing: images, earlier failures and
events reach it through its `Host`, and `pod_status` writes down what it shows. Transitions happen at the instant they
were due, not at the one they were noticed, so a kubelet that was away for an hour still reports when a container
ended.

Order within a pod: init containers one after the other, sidecars (init containers with restartPolicy `Always`) as
soon as they have started let the next begin, then all others at once. Delays before a restart are the kubelet's:
none, then 10 s, doubling to 300 s, forgotten after a run of ten minutes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from simcluster.clock import from_timestamp
from simcluster.containers import Container, Role, Stage, end_of_run, terminated_state
from simcluster.pods import is_sidecar, uid_of
from simcluster.resources import Object
from simcluster.script import read_script

FIRST_DELAY_SECONDS = 10.0
LONGEST_DELAY_SECONDS = 300.0
FORGIVEN_AFTER = timedelta(minutes=10)
# How long `ErrImagePull` is shown before the back-off is: a kubelet's next look at the pod.
PULL_FAILURE_SHOWN = timedelta(seconds=2)
DEFAULT_PULL_SECONDS = 1.0
KILLED, TERMINATED = 137, 143


class Host(Protocol):
    """The node a machine runs on, and the books kept about it."""

    def has_image(self, image: str) -> bool:
        """Say whether the image was pulled before."""
        ...

    def keep_image(self, image: str) -> None:
        """Note that an image was pulled."""
        ...

    def failures_before(self, container: Container) -> int:
        """Return how many runs of this container's work failed before, over all pods of a Job."""
        ...

    def record(self, kind: str, reason: str, message: str, container: Container) -> None:
        """Write an Event about a container; `kind` is `Normal` or `Warning`."""
        ...


@dataclass(slots=True)
class PodMachine:
    """All containers of one admitted pod."""

    containers: list[Container]
    restart_policy: str
    host: Host
    awake_since: datetime  # nothing but the end of a run can have happened before
    stopping: bool = False
    failure: tuple[str, str] | None = None  # reason and message when the kubelet itself fails the pod
    init: list[Container] = field(init=False)
    main: list[Container] = field(init=False)

    def __post_init__(self) -> None:
        self.init = [each for each in self.containers if each.role is not Role.MAIN]
        self.main = [each for each in self.containers if each.role is Role.MAIN]

    @property
    def initialized(self) -> bool:
        """Whether every init container is done and every sidecar up."""
        return all(_lets_next_begin(each) for each in self.init)

    @property
    def init_failed(self) -> bool:
        """Whether an init container ended badly for good."""
        return any(each.role is Role.INIT and each.stage is Stage.ENDED and each.exit_code for each in self.init)

    @property
    def all_ended(self) -> bool:
        """Whether nothing runs or will run."""
        return all(each.stage is Stage.ENDED for each in self.containers)

    def advance(self, now: datetime) -> None:
        """Let everything happen that is due, each at its own instant."""
        self._begin_those_in_turn(self.awake_since)
        while (container := self._earliest()) is not None and container.due is not None and container.due <= now:
            self._fire(container, container.due)

    def next_instant(self, now: datetime) -> datetime | None:
        """Return when something changes next if nobody interferes."""
        instants = [each.due for each in self.containers if each.due is not None]
        instants += [at for each in self.containers if (at := each.ready_at) is not None and at > now]
        return min(instants, default=None)

    def stop(self, now: datetime, grace_seconds: float) -> None:
        """Ask all containers to end within the grace; to be called again only with a shorter one."""
        if not self.stopping:
            for container in self.containers:
                if container.stage is Stage.RUNNING:
                    self.host.record("Normal", "Killing", f"Stopping container {container.name}", container)
        self.stopping = True
        for container in self.containers:
            self._stop_one(container, now, grace_seconds)

    def follow_script(self, pod: Object, now: datetime) -> None:
        """Heed annotations that have changed; a run that should have ended by them ends now."""
        for container in self.containers:
            script = read_script(pod, container.spec)
            if script == container.script:
                continue
            container.script = script
            if container.stage is Stage.RUNNING and container.stopped_with is None:
                end = end_of_run(container)
                container.due = end if end is None else max(end, now)

    def _stop_one(self, container: Container, now: datetime, grace_seconds: float) -> None:
        if container.stage is Stage.RUNNING:
            obeys = container.script.termination_seconds <= grace_seconds
            seconds = container.script.termination_seconds if obeys else grace_seconds
            deadline = now + timedelta(seconds=seconds)
            if container.due is None or deadline < container.due:
                container.due = deadline
                container.stopped_with = TERMINATED if obeys else KILLED
        elif container.stage is not Stage.ENDED:
            self._give_up(container)

    def _give_up(self, container: Container) -> None:
        """End a container that is not running; one that never ran leaves no better trace than the kubelet's."""
        container.stage, container.due = Stage.ENDED, None
        if container.finished_at is None:
            container.exit_code, container.end_reason = KILLED, "ContainerStatusUnknown"

    def _earliest(self) -> Container | None:
        waiting = [each for each in self.containers if each.due is not None]
        return min(waiting, key=lambda each: each.due or self.awake_since, default=None)

    def _fire(self, container: Container, due: datetime) -> None:
        at = due if container.stage is Stage.RUNNING else max(due, self.awake_since)
        container.due = None
        match container.stage:
            case Stage.PULLING:
                self._finish_pull(container, at)
            case Stage.PULL_FAILED:
                self._back_off_from_pull(container, at)
            case Stage.PULL_BACK_OFF:
                self._pull(container, at)
            case Stage.STARTING:
                self._run(container, at)
            case Stage.RUNNING:
                self._end(container, at)
            case Stage.CRASHED:
                self._start(container, at)
            case Stage.WAITING | Stage.ENDED:
                raise AssertionError(f"a {container.stage} container waits for nothing")
        self._begin_those_in_turn(at)

    def _begin_those_in_turn(self, at: datetime) -> None:
        if self.stopping:
            return
        for container in self._in_turn():
            if container.stage is Stage.WAITING:
                self._pull(container, at)
        if self.init_failed:
            self._abandon_rest()
        if self.main and all(each.stage is Stage.ENDED for each in self.main):
            self._end_sidecars(at)

    def _in_turn(self) -> Iterator[Container]:
        for container in self.init:
            yield container
            if not _lets_next_begin(container):
                return
        yield from self.main

    def _abandon_rest(self) -> None:
        for container in self.containers:
            if container.stage is Stage.WAITING:
                container.stage = Stage.ENDED
                container.waiting_reason = "PodInitializing"

    def _end_sidecars(self, at: datetime) -> None:
        for container in self.init:
            if container.role is Role.SIDECAR and container.stopped_with is None:
                self._stop_one(container, at, LONGEST_DELAY_SECONDS)

    def _pull(self, container: Container, at: datetime) -> None:
        container.stage = Stage.PULLING
        seconds = container.script.pull_seconds
        if seconds is None and not container.script.pull_error and self.host.has_image(container.image):
            message = f'Container image "{container.image}" already present on machine'
            self.host.record("Normal", "Pulled", message, container)
            self._start(container, at)
            return
        self.host.record("Normal", "Pulling", f'Pulling image "{container.image}"', container)
        container.due = at + timedelta(seconds=DEFAULT_PULL_SECONDS if seconds is None else seconds)

    def _finish_pull(self, container: Container, at: datetime) -> None:
        script = container.script
        if script.pull_error and container.pull_failures < script.pull_error_times:
            self._fail_pull(container, at)
            return
        self.host.keep_image(container.image)
        self.host.record("Normal", "Pulled", f'Successfully pulled image "{container.image}"', container)
        self._start(container, at)

    def _fail_pull(self, container: Container, at: datetime) -> None:
        container.stage, container.due = Stage.PULL_FAILED, at + PULL_FAILURE_SHOWN
        container.pull_failures += 1
        container.waiting_reason, container.waiting_message = "ErrImagePull", container.script.pull_error
        message = f'Failed to pull image "{container.image}": {container.script.pull_error}'
        self.host.record("Warning", "Failed", message, container)
        self.host.record("Warning", "Failed", "Error: ErrImagePull", container)

    def _back_off_from_pull(self, container: Container, at: datetime) -> None:
        delay = timedelta(seconds=_delay_seconds(container.pull_failures)) - PULL_FAILURE_SHOWN
        container.stage, container.due = Stage.PULL_BACK_OFF, at + delay
        message = f'Back-off pulling image "{container.image}"'
        container.waiting_reason = "ImagePullBackOff"
        container.waiting_message = f"{message}: ErrImagePull: {container.script.pull_error}"
        self.host.record("Normal", "BackOff", message, container)
        self.host.record("Warning", "Failed", "Error: ImagePullBackOff", container)

    def _start(self, container: Container, at: datetime) -> None:
        container.stage = Stage.STARTING
        container.due = at + timedelta(seconds=min(container.script.start_seconds, 1e9))

    def _run(self, container: Container, at: datetime) -> None:
        if container.finished_at is not None:
            container.restart_count += 1
            container.previous = terminated_state(container)
        container.stage, container.started_at, container.finished_at = Stage.RUNNING, at, None
        container.waiting_reason = container.waiting_message = ""
        container.due = end_of_run(container)
        self.host.record("Normal", "Created", f"Created container: {container.name}", container)
        self.host.record("Normal", "Started", f"Started container {container.name}", container)

    def _end(self, container: Container, at: datetime) -> None:
        container.finished_at = at
        if container.stopped_with is not None:
            container.exit_code = container.stopped_with
        elif container.script.fail_times is None:
            container.exit_code = container.script.exit_code
        else:
            fails_again = self.host.failures_before(container) < container.script.fail_times
            container.exit_code = (container.script.exit_code or 1) if fails_again else 0
        container.end_reason = "Completed" if container.exit_code == 0 else "Error"
        self.settle_after_end(container)

    def settle_after_end(self, container: Container) -> None:
        """Decide whether a container that ended starts again, and when."""
        if self.stopping or container.stopped_with is not None or not self._restarts(container):
            container.stage, container.due = Stage.ENDED, None
            return
        assert container.started_at is not None
        assert container.finished_at is not None
        if container.finished_at - container.started_at > FORGIVEN_AFTER:
            container.crashes = 0
        delay_seconds = _delay_seconds(container.crashes)
        container.crashes += 1
        container.stage = Stage.CRASHED
        container.due = container.finished_at + timedelta(seconds=delay_seconds)
        if delay_seconds:
            container.waiting_reason = "CrashLoopBackOff"
            container.waiting_message = (
                f"back-off {_spoken(delay_seconds)} restarting failed container={container.name}"
            )
            message = f"Back-off restarting failed container {container.name}"
            self.host.record("Warning", "BackOff", message, container)

    def _restarts(self, container: Container) -> bool:
        if container.role is Role.SIDECAR:
            return True
        if container.role is Role.INIT or self.restart_policy == "OnFailure":
            return container.exit_code != 0 and self.restart_policy != "Never"
        return self.restart_policy == "Always"


def _lets_next_begin(container: Container) -> bool:
    if container.role is Role.SIDECAR:
        return container.started_at is not None
    return container.is_done


def _delay_seconds(failures: int) -> float:
    if failures == 0:
        return 0.0
    return min(FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 10), LONGEST_DELAY_SECONDS)


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def new_machine(pod: Object, host: Host, now: datetime) -> PodMachine:
    """Return the machine of a pod that has just been admitted."""
    return PodMachine(_containers(pod), pod["spec"].get("restartPolicy", "Always"), host, now)


def _containers(pod: Object) -> list[Container]:
    spec = pod["spec"]
    roles = [(each, Role.SIDECAR if is_sidecar(each) else Role.INIT) for each in spec.get("initContainers", [])]
    roles += [(each, Role.MAIN) for each in spec["containers"]]
    return [Container(each, role, read_script(pod, each), uid_of(pod)) for each, role in roles]


def take_up(pod: Object, host: Host, now: datetime) -> PodMachine:
    """Return the machine of a pod that an earlier kubelet left as its status says.

    What was running goes on from when it started; what was in back-off waits out its delay, reckoned from the restart
    count; pulls begin anew.
    """
    machine = new_machine(pod, host, now)
    status = pod["status"]
    shown = {each["name"]: each for each in status.get("initContainerStatuses", [])}
    shown |= {each["name"]: each for each in status.get("containerStatuses", [])}
    for container in machine.containers:
        if container.name in shown:
            _take_up_container(machine, container, shown[container.name])
    return machine


def _take_up_container(machine: PodMachine, container: Container, shown: Mapping[str, Any]) -> None:
    state = shown["state"]
    container.restart_count = container.crashes = shown["restartCount"]
    container.previous = shown.get("lastState", {}).get("terminated")
    if "running" in state:
        container.stage, container.started_at = Stage.RUNNING, from_timestamp(state["running"]["startedAt"])
        container.due = end_of_run(container)
        return
    ended = state.get("terminated")
    if ended is None and state.get("waiting", {}).get("reason") == "CrashLoopBackOff":
        ended, container.previous = container.previous, None
    if ended is not None and ended.get("startedAt"):
        container.started_at, container.finished_at = (from_timestamp(ended[k]) for k in ("startedAt", "finishedAt"))
        container.exit_code, container.end_reason = ended["exitCode"], ended["reason"]
        machine.settle_after_end(container)
