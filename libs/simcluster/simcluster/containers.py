"""A container of a pod: where it is in its course, and what its status shows. `pod_machine` moves it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from simcluster.clock import to_timestamp
from simcluster.script import FOR_EVER, Script


class Stage(StrEnum):
    """Where a container is; `ENDED` is for good."""

    WAITING = "waiting"
    PULLING = "pulling"
    PULL_FAILED = "pull failed"
    PULL_BACK_OFF = "pull back-off"
    STARTING = "starting"
    RUNNING = "running"
    CRASHED = "crashed"
    ENDED = "ended"


class Role(StrEnum):
    """What a container is to its pod."""

    INIT = "init"
    SIDECAR = "sidecar"
    MAIN = "main"


@dataclass(slots=True)
class Container:
    """One container: its stage, when the stage ends by itself, and what its status shows."""

    spec: Mapping[str, Any]
    role: Role
    script: Script
    pod_uid: str = ""
    stage: Stage = Stage.WAITING
    due: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int = 0
    end_reason: str = ""
    previous: dict[str, Any] | None = None  # `lastState.terminated`
    restart_count: int = 0
    crashes: int = 0
    pull_failures: int = 0
    waiting_reason: str = ""
    waiting_message: str = ""
    stopped_with: int | None = None  # the exit code it gets if it does not end by itself before

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    @property
    def image(self) -> str:
        """The image as the pod names it."""
        return str(self.spec.get("image", ""))

    @property
    def is_done(self) -> bool:
        """Whether it ended for good and well."""
        return self.stage is Stage.ENDED and self.exit_code == 0

    @property
    def ready_at(self) -> datetime | None:
        """When it becomes ready, if it runs and ever does."""
        if self.stage is not Stage.RUNNING or self.script.ready_seconds == FOR_EVER:
            return None
        assert self.started_at is not None
        return self.started_at + timedelta(seconds=self.script.ready_seconds)

    def is_ready(self, now: datetime) -> bool:
        """Say whether it may be sent traffic; an init container is ready once it is done."""
        if self.role is Role.INIT:
            return self.is_done
        return self.ready_at is not None and self.ready_at <= now


def end_of_run(container: Container) -> datetime | None:
    """Return when a running container exits by itself."""
    if container.script.run_seconds == FOR_EVER:
        return None
    assert container.started_at is not None
    return container.started_at + timedelta(seconds=container.script.run_seconds)


def terminated_state(container: Container) -> dict[str, Any]:
    """Return the `terminated` state of the run that ended last."""
    state: dict[str, Any] = {"exitCode": container.exit_code, "reason": container.end_reason}
    if container.started_at is None or container.finished_at is None:
        message = "The container could not be located when the pod was terminated"
        return state | {"message": message, "startedAt": None, "finishedAt": None}
    instants = {
        "startedAt": to_timestamp(container.started_at),
        "finishedAt": to_timestamp(container.finished_at),
    }
    return state | instants | {"containerID": container_id(container)}


def container_id(container: Container) -> str:
    """Return the identity of the run at hand; a restart is another container to the runtime."""
    text = f"{container.pod_uid}/{container.name}/{container.restart_count}"
    return "containerd://" + hashlib.sha256(text.encode()).hexdigest()
