"""Proves that what is shown is what happened: one fold of everything, compared with every record and every row.

Three claims are judged. Every `PhaseChanged` in the journal is the one that follows from the events before its cause,
by the table in force there, in its turn, and none is missing; nor is a position of the journal. And the read models at
their position are, column by column, what a fresh fold of the journal up to that position gives. And the checkpoints,
from which the service begins when it starts again, become what a fresh fold is, when the events after them are folded
into both. A file of events is enough for the first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from muster_contracts.events import PhaseChanged
from muster_contracts.findings import Findings
from muster_contracts.positions import Positions
from muster_contracts.wire import Recorded

from muster_status.core.deriver import Derivation, Difference, transition_id
from muster_status.core.phase_table import CURRENT_TABLE
from muster_status.core.projection import Projection
from muster_status.core.rows import Tables, values

Rows = Mapping[str, Mapping[Any, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Restored:
    """The folds as their checkpoints have them, where there is one that would be believed."""

    derivation: Derivation | None = None
    projection: Projection | None = None


@dataclass
class Report(Findings):
    """What an audit of phases, rows and checkpoints found."""

    phases_checked: int = 0
    rows_checked: int = 0
    checkpoints_checked: int = 0


class Audit:
    """Folds the journal once. `table` is the first table that was adopted; rows are folded up to `rows_until`."""

    def __init__(self, table: int = CURRENT_TABLE, *, rows_until: int = 0, restored: Restored | None = None) -> None:
        self.report = Report()
        self._positions = Positions()
        self.tables = Tables()
        self._rows_until = rows_until
        self._derivation = Derivation(table=table)
        self._projection = Projection()
        self._restored = restored or Restored()

    def apply(self, recorded: Recorded) -> None:
        """Fold and judge the next event."""
        if broken := self._positions.meet(recorded.position):
            self.report.add(broken)
        self.report.events += 1
        self.report.position = recorded.position
        if (difference := self._derivation.apply(recorded)) is not None:
            self.report.add(_say(difference))
        if isinstance(recorded.event, PhaseChanged):
            self._judge_id(recorded, recorded.event)
        if recorded.position <= self._rows_until:
            self._projection.apply(recorded)
        self._continue_restored(recorded)

    def _continue_restored(self, recorded: Recorded) -> None:
        """Fold what comes after a checkpoint into it; it passes over what came before."""
        if self._restored.derivation is not None:
            self._restored.derivation.apply(recorded)
        if self._restored.projection is not None and recorded.position <= self._rows_until:
            self._restored.projection.apply(recorded)

    def _judge_id(self, recorded: Recorded, event: PhaseChanged) -> None:
        self.report.phases_checked += 1
        if recorded.envelope.id != transition_id(event):
            difference = Difference(
                recorded.position, event.workload_id, f"The record has the id {recorded.envelope.id}, not its own."
            )
            self.report.add(_say(difference))

    def flush(self) -> None:
        """Bring the tables up to the events folded so far; often enough, it keeps what waits for it small."""
        self.tables.apply(self._projection.take())
        if self._restored.projection is not None:
            self._restored.projection.take()

    def is_open(self, until: int) -> bool:
        """Say whether a transition caused at or before a position is not recorded yet."""
        return any(queue[0].cause <= until for queue in self._derivation.open.values())

    def judge_missing(self, until: int) -> None:
        """Note every position that never came, and every transition caused up to one that is not recorded."""
        for queue in self._derivation.open.values():
            for transition in queue:
                if transition.cause <= until:
                    sentence = f"{transition.previous or 'nothing'} → {transition.current} is not recorded."
                    self.report.add(_say(Difference(transition.cause, transition.workload_id, sentence)))
        self.report.add_first(self._positions.missing())

    def judge_checkpoints(self) -> None:
        """Compare what became of the checkpoints with the fresh folds; one ahead of the tables is not looked at."""
        derivation, projection = self._restored.derivation, self._restored.projection
        if derivation is not None and derivation.position == self._derivation.position:
            self._judge_checkpoint("deriver", derivation == self._derivation)
        if projection is not None and projection.position == self._projection.position:
            self.flush()
            self._judge_checkpoint("projector", projection == self._projection)

    def _judge_checkpoint(self, name: str, is_equal: bool) -> None:
        self.report.checkpoints_checked += 1
        if not is_equal:
            self.report.add(
                f"Position {self.report.position}: the {name} that begins at its checkpoint knows something else than "
                "a fresh fold."
            )

    def judge_rows(self, found: Rows) -> None:
        """Compare rows of the read models with those that were folded."""
        self.flush()
        for table, expected in self.tables.by_name():
            rows = found.get(table, {})
            for key in expected.keys() | rows.keys():
                self.report.rows_checked += 1
                self._judge_row(table, key, expected.get(key), rows.get(key))

    def _judge_row(self, table: str, key: object, expected: Any, found: Mapping[str, Any] | None) -> None:
        at = f"Position {self._rows_until}, {table} {key}"
        if expected is None:
            self.report.add(f"{at}: the row follows from no event.")
        elif found is None:
            self.report.add(f"{at}: the row is missing.")
        elif wrong := [name for name, value in values(expected).items() if found.get(name) != value]:
            said = (f"{name} is {found.get(name)!r}, not {getattr(expected, name)!r}" for name in wrong)
            self.report.add(f"{at}: {'; '.join(said)}.")


def audit_events(events: Iterable[Recorded], table: int = CURRENT_TABLE) -> Report:
    """Judge the phases of a whole journal at hand, for example of a file."""
    audit = Audit(table)
    for recorded in events:
        audit.apply(recorded)
    audit.judge_missing(audit.report.position)
    return audit.report


def _say(difference: Difference) -> str:
    return f"Position {difference.position}, workload {difference.workload_id}: {difference.sentence}"
