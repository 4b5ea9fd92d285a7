"""What happens to a workload by time alone: which deadline comes next, and what its passing is called.

Deadlines are worked out from the fold, whose times are those of events; only the loop that waits for them reads a
clock (`timers`). What has passed is appended as `LimitReached` and takes effect when it is folded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from muster_contracts.events import LimitReached
from muster_contracts.values import Outcome

from muster_submitter.core.workload import Workload


@dataclass(frozen=True, slots=True)
class Deadline:
    """When something is due, and the fact to append then."""

    due: datetime
    event: LimitReached


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is borne what the service's settings say."""

    image_pull_seconds: int
    quiet_seconds: int


def next_deadline(workload: Workload, limits: Limits) -> Deadline | None:
    """Return the deadline of a workload that passes first; None when nothing of it is a matter of time."""
    deadlines = (
        _image_pull(workload, limits.image_pull_seconds),
        _quiet(workload, limits.quiet_seconds),
        _auto_deletion(workload),
    )
    return min(filter(None, deadlines), key=lambda deadline: deadline.due, default=None)


def _image_pull(workload: Workload, limit_seconds: int) -> Deadline | None:
    """An image that cannot be had fails the workload after a while, for registries come back. Ours alone are judged."""
    if workload.unpullable_since is None or workload.submission is None or workload.outcome is not Outcome.NONE:
        return None
    event = LimitReached(
        workload_id=workload.id,
        limit="image-pull",
        limit_seconds=limit_seconds,
        effect="fail",
        reason=f"The image could not be pulled for {limit_seconds} seconds.",
    )
    return Deadline(workload.unpullable_since + timedelta(seconds=limit_seconds), event)


def _quiet(workload: Workload, limit_seconds: int) -> Deadline | None:
    """What no object ends has ended when no pod of it has lived for long: well, unless what went before was not."""
    if workload.quiet_since is None or workload.seen is None or workload.delete_at:
        return None
    if workload.outcome is not Outcome.NONE:
        return None
    owner = workload.seen.owner
    failed = owner.quiet_outcome is Outcome.FAILED
    why = f"{owner.reason} " if failed and owner.reason else ""
    event = LimitReached(
        workload_id=workload.id,
        limit="quiet",
        limit_seconds=limit_seconds,
        effect="fail" if failed else "complete",
        reason=f"{why}It has had no living pod for {limit_seconds} seconds.",
    )
    return Deadline(workload.quiet_since + timedelta(seconds=limit_seconds), event)


def _auto_deletion(workload: Workload) -> Deadline | None:
    if workload.finished_at is None or workload.delete_at or workload.gone_at or workload.submission is None:
        return None
    submitted = workload.submission.event
    if submitted is None or submitted.spec.auto_deletion_seconds is None:
        return None
    seconds = submitted.spec.auto_deletion_seconds
    event = LimitReached(
        workload_id=workload.id,
        limit="auto-deletion",
        limit_seconds=seconds,
        effect="delete",
        reason=f"It ended {seconds} seconds ago and is deleted as it asked.",
    )
    return Deadline(workload.finished_at + timedelta(seconds=seconds), event)
