"""The state machine of a workload: what each situation makes of each phase. `docs/lifecycle.md` is made from it.

A pair that is absent changes nothing, for facts repeat and come late. A table is applied until it has nothing more to
say, one transition at a time; none is skipped. A change of this table, of a situation, or of a sentence that goes into
a record is a new table with the next number; the old one stays, because what was recorded under it is judged by it.
"""

from collections.abc import Mapping

from muster_contracts.phases import TERMINAL_PHASES, Phase

from muster_status.core.situation import Situation

Table = Mapping[tuple[Phase, Situation], Phase]

_BEGINNING: Table = {
    (Phase.CREATING, Situation.QUEUED): Phase.PENDING,
    (Phase.CREATING, Situation.SHORT): Phase.PENDING,
    (Phase.CREATING, Situation.STARTING): Phase.PENDING,
    (Phase.CREATING, Situation.NEXT_WAVE): Phase.PENDING,
    (Phase.CREATING, Situation.UNHEALTHY): Phase.PENDING,
    (Phase.CREATING, Situation.READY): Phase.PENDING,
    (Phase.CREATING, Situation.IDLE): Phase.PENDING,
    (Phase.CREATING, Situation.BROKEN): Phase.PENDING,
    (Phase.PENDING, Situation.STARTING): Phase.INITIALIZING,
    (Phase.PENDING, Situation.NEXT_WAVE): Phase.INITIALIZING,
    (Phase.PENDING, Situation.READY): Phase.INITIALIZING,
    (Phase.PENDING, Situation.UNHEALTHY): Phase.DEGRADED,
    (Phase.PENDING, Situation.BROKEN): Phase.DEGRADED,
    (Phase.INITIALIZING, Situation.READY): Phase.RUNNING,
    (Phase.INITIALIZING, Situation.UNHEALTHY): Phase.DEGRADED,
    (Phase.INITIALIZING, Situation.BROKEN): Phase.DEGRADED,
    (Phase.INITIALIZING, Situation.SHORT): Phase.PENDING,
    (Phase.INITIALIZING, Situation.QUEUED): Phase.PENDING,
}
_MIDDLE: Table = {
    (Phase.RUNNING, Situation.SHORT): Phase.DEGRADED,
    (Phase.RUNNING, Situation.STARTING): Phase.DEGRADED,
    (Phase.RUNNING, Situation.UNHEALTHY): Phase.DEGRADED,
    (Phase.RUNNING, Situation.BROKEN): Phase.DEGRADED,
    (Phase.RUNNING, Situation.QUEUED): Phase.PENDING,
    (Phase.DEGRADED, Situation.READY): Phase.RUNNING,
    (Phase.DEGRADED, Situation.QUEUED): Phase.PENDING,
    (Phase.STOPPED, Situation.QUEUED): Phase.PENDING,
    (Phase.STOPPED, Situation.SHORT): Phase.PENDING,
    (Phase.STOPPED, Situation.STARTING): Phase.PENDING,
    (Phase.STOPPED, Situation.NEXT_WAVE): Phase.PENDING,
    (Phase.STOPPED, Situation.UNHEALTHY): Phase.PENDING,
    (Phase.STOPPED, Situation.BROKEN): Phase.PENDING,
    (Phase.STOPPED, Situation.READY): Phase.PENDING,
}
_LIVING = tuple(phase for phase in Phase if phase not in TERMINAL_PHASES | {Phase.DELETING})
_END: Table = {
    (phase, situation): then
    for phase in _LIVING
    for situation, then in (
        (Situation.SUSPENDED, Phase.STOPPED),
        (Situation.SUCCEEDED, Phase.COMPLETED),
        (Situation.FAILED, Phase.FAILED),
        (Situation.OWNER_DELETING, Phase.DELETING),
        (Situation.DELETED, Phase.DELETING),
    )
    if phase is not then
}
_DELETE: Table = {(phase, Situation.DELETE_ASKED): Phase.DELETING for phase in Phase if phase is not Phase.DELETING}

TABLES: Mapping[int, Table] = {1: {**_BEGINNING, **_MIDDLE, **_END, **_DELETE}}
"""Every table that was ever in force, by its number."""

CURRENT_TABLE = 1
"""The one this version of the service adopts."""

FIRST_PHASE = Phase.CREATING
"""Where a workload begins, whatever its situation."""


def next_phase(table: int, phase: Phase, situation: Situation) -> Phase | None:
    """Return the phase that follows, None when the situation changes nothing in this phase."""
    return TABLES[table].get((phase, situation))
