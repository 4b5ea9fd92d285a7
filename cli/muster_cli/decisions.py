"""Judges recorded plans: reads the journal twice, from its beginning or from a checkpoint, and plans again.

From the beginning nothing is trusted, and the checkpoints that are kept are proven on the way: each must be what the
fold is where it stands. From a checkpoint, for the last plans or those since a position, nothing before it is proven;
the report names the checkpoint by its digest, which a report from the beginning may have proven.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster_cli.client import Client
from muster_cli.failure import Exit, Failure
from muster_cli.journal import end_of, journal_in, journal_of, told
from muster_cli.output import progress
from muster_cli.past import Beginning, beginning_at, beginning_before, checkpoints_kept

if TYPE_CHECKING:
    from muster_contracts.wire import Recorded

Read = Callable[[int, int | None], "Iterator[Recorded]"]
"""Reads the journal after a position, up to another or to its end."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which plans are to be judged: the last so many, and none that was based before a position; else all."""

    last: int | None = None
    since: int | None = None


def judge_copy(file: Path, wanted: Wanted) -> dict[str, Any]:
    """Judge the plans of a copy. There are no checkpoints in it."""
    return _judge(lambda _after, _until: journal_in(file), wanted, None)


def judge_journal(client: Client, wanted: Wanted) -> dict[str, Any]:
    """Judge the plans of the living journal."""

    def read(after: int, until: int | None) -> "Iterator[Recorded]":
        return journal_of(client, after=after, until=until)

    with progress("Looking for a checkpoint …"):
        begun, now = _beginning(client, read, wanted), end_of(client)
        kept = checkpoints_kept(client) if begun is None else ()
    return _judge(read, wanted, begun, kept, lambda position: beginning_at(client, position), now)


def _beginning(client: Client, read: Read, wanted: Wanted) -> Beginning | None:
    if wanted.since is not None:
        return beginning_before(client, wanted.since)
    return None if wanted.last is None else _before_the_last(client, read, wanted.last)


def _before_the_last(client: Client, read: Read, last: int) -> Beginning | None:
    """Return the latest checkpoint on which, or after which, so many plans were based."""
    from muster_scheduler.core.audit import headers_of

    plans, end = 0, None
    for position in reversed(checkpoints_kept(client)):
        plans += len(headers_of(read(position, end), since=position))
        if plans >= last:
            return beginning_before(client, position)
        end = position
    return None


def _judge(
    read: Read,
    wanted: Wanted,
    begun: Beginning | None,
    kept: Collection[int] = (),
    checkpoint_at: Callable[[int], Beginning | None] = lambda _: None,
    now: int | None = None,
) -> dict[str, Any]:
    """Read twice, the second time as far as the first: a living journal grows meanwhile."""
    from muster_scheduler.core.audit import DecisionAudit, headers_of

    began = end = begun.position if begun is not None else 0

    def first_pass() -> "Iterator[Recorded]":
        nonlocal end
        for recorded in read(began, None):
            end = recorded.position
            yield recorded

    proven: list[dict[str, Any]] = []
    with progress("Looking for plans …") as tell:
        headers = headers_of(
            told(first_pass(), "Looking for plans …", now, tell), wanted.last, since=max(began, wanted.since or 0)
        )
        if wanted.since is not None and wanted.since > end:
            raise Failure(Exit.INVALID, f"There is no position {wanted.since:,} yet: the event log ends at {end:,}.")
        audit = DecisionAudit(headers, begun.state if begun is not None else None)
        for recorded in told(read(began, end), "Planning again …", end, tell):
            audit.apply(recorded)
            if recorded.position in kept and (found := checkpoint_at(recorded.position)) is not None:
                audit.prove(found.state)
                proven.append(found.shown)
        report = audit.finish()
    shown = begun.shown if begun is not None else None
    return {"ok": report.ok, **asdict(report), "checkpoint_trusted": shown, "checkpoints_proven": proven}
