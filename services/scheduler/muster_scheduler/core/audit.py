"""Proves that recorded plans are what the planner decides: fold to where a plan was based, plan again, compare.

A plan of the running planner version is made anew, with the settings it recorded, and must come out the same, byte for
byte. What another version made is judged by the checker alone, and is counted as such. Every plan is checked: a plan
may be repeatable and still wrong.

A proof needs the whole journal, whose positions have no gaps: what is missing, out of order, or done without a plan is
a difference too. That the end was cut off, nothing shows. A fold that was begun (a checkpoint) is believed, and whoever
asks must be told so; an audit from the beginning proves the checkpoints that it comes past.

Two passes over the journal, so that no more of it is held than the fold and the plans under way: the first says where
plans were based, the second folds and plans there.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from muster_contracts.events import PlacementReleased, PlanMade, PodPreempted, PodScheduled
from muster_contracts.findings import Findings
from muster_contracts.positions import Positions
from muster_contracts.values import Placement
from muster_contracts.wire import Recorded

from muster_scheduler.core.check import wrong_decisions
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.decision import limits_of, planner_version, written
from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.draft import Limits
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import State


@dataclass(frozen=True, slots=True)
class Header:
    """What a plan says of itself: how many parts it has, where it was based, what bounded it if it can be made anew.

    `own` is whether the running version made it, which knows all of its own settings.
    """

    plan_id: UUID
    based_on: int
    epoch: int
    cluster_id: UUID
    parts: int
    own: bool
    limits: Limits | None


@dataclass
class Report(Findings):
    """What an audit of decisions found."""

    plans: int = 0
    replanned: int = 0
    checked_only: int = 0
    incomplete: int = 0


def headers_of(events: Iterable[Recorded], last: int | None = None, *, since: int = 0) -> list[Header]:
    """Return the plans of a journal that are based at a position or later, in order, or the last so many.

    That is the first pass.
    """
    found: deque[Header] = deque(maxlen=last)
    for recorded in events:
        event = recorded.event
        if not isinstance(event, PlanMade) or event.based_on < since:
            continue
        if not (found and found[-1].plan_id == event.plan_id):
            found.append(_header(event))
    return list(found)


def _header(event: PlanMade) -> Header:
    own = event.planner_version == planner_version()
    limits = limits_of(event) if own else None
    return Header(event.plan_id, event.based_on, event.epoch, event.cluster_id, event.parts, own, limits)


@dataclass(slots=True)
class _Open:
    """A plan under way: where it was based, what was expected if it could be made anew, the parts that have come."""

    header: Header
    snapshot: Snapshot
    expected: list[PlanMade] | None
    parts: list[PlanMade] = field(default_factory=list)


class DecisionAudit:
    """The second pass: folds the journal once and judges the plans it is told of."""

    def __init__(self, headers: Iterable[Header], begun: State | None = None) -> None:
        self._state = begun or State()
        self._since = self._state.position
        self.report = Report(position=self._since)
        self._positions = Positions(self._since)
        self._coming = deque(sorted(headers, key=lambda header: header.based_on))
        self._open: dict[UUID, _Open] = {}
        self._made: set[UUID] = set()
        if begun is not None:
            self._plan_what_is_due()

    def apply(self, recorded: Recorded) -> None:
        """Fold the next event, plan where a plan was based, and judge what was recorded."""
        if broken := self._positions.meet(recorded.position):
            self.report.add(broken)
        self.report.events += 1
        self.report.position = recorded.position
        match recorded.event:
            case PlanMade() as event:
                self._meet(recorded.position, event)
            case PodScheduled(plan_id=plan_id) | PodPreempted(plan_id=plan_id) | PlacementReleased(plan_id=plan_id):
                self._judge_deed(recorded.position, plan_id)
            case _:
                pass
        self._state.apply(recorded)
        self._plan_what_is_due()

    def prove(self, checkpoint: State) -> None:
        """Judge a fold that was written down where this one stands."""
        if checkpoint != self._state:
            self.report.add(f"Position {self.report.position}: the checkpoint there is not what a fresh fold is.")

    def finish(self) -> Report:
        """Judge what only the end shows: positions that never came, plans whose writer died before the last part."""
        for header in self._coming:
            self._based_on_nothing(header)
        for one in list(self._open.values()):
            if one.parts:
                self._judge(one)
        self.report.add_first(self._positions.missing())
        return self.report

    def _plan_what_is_due(self) -> None:
        while self._coming and self._coming[0].based_on <= self._state.position:
            self._plan_again(self._coming.popleft())

    def _plan_again(self, header: Header) -> None:
        if header.based_on != self._state.position:
            self._based_on_nothing(header)
            return
        snapshot = take_snapshot(self._state)
        limits, expected = header.limits, None
        if limits is not None:
            expected = written(plan(snapshot, limits), limits, header.cluster_id, header.epoch)
        self._open[header.plan_id] = _Open(header, snapshot, expected)

    def _based_on_nothing(self, header: Header) -> None:
        self.report.add(f"Plan {header.plan_id} is based on position {header.based_on}, at which no event stands.")

    def _judge_deed(self, position: int, plan_id: UUID) -> None:
        if plan_id not in self._made and not self._since:  # else its plan may lie before
            self.report.add(f"Position {position}: the plan {plan_id}, which was carried out, is not recorded.")

    def _meet(self, position: int, event: PlanMade) -> None:
        self._made.add(event.plan_id)
        one = self._open.get(event.plan_id)
        if one is None:
            return  # not asked about, or based on nothing, which is noted
        one.parts.append(event)
        if one.expected is not None:
            self._compare(position, event, one.expected)
        if event.part == event.parts:
            self._judge(one)

    def _compare(self, position: int, event: PlanMade, expected: list[PlanMade]) -> None:
        place = f"Position {position}, plan {event.plan_id}"
        if event.part > len(expected):
            self.report.add(f"{place}: part {event.part} was recorded; planning again gives {len(expected)} parts.")
            return
        again = expected[event.part - 1]
        if again.model_dump_json() != event.model_dump_json():
            for sentence in _differences(event, again):
                self.report.add(f"{place}: {sentence}")

    def _judge(self, one: _Open) -> None:
        """Let the checker judge what was recorded, and close the plan."""
        del self._open[one.header.plan_id]
        report = self.report
        report.plans += 1
        if one.header.own and one.header.limits is None:
            report.add(f"Plan {one.header.plan_id}: its digest of settings is not that of the settings it records.")
        report.replanned += one.expected is not None
        report.checked_only += one.expected is None
        report.incomplete += len(one.parts) < one.header.parts
        facts = Facts(one.snapshot, _recorded_plan(one.parts))
        for fault in wrong_decisions(facts):
            report.add(f"Plan {one.header.plan_id}, based on position {one.header.based_on}: {fault}")


def _recorded_plan(parts: list[PlanMade]) -> Plan:
    return Plan(
        based_on=parts[0].based_on,
        placements=tuple(place for part in parts for place in part.placements),
        victims=tuple(victim for part in parts for victim in part.victims),
        nominations=tuple(place for part in parts for place in part.nominations),
        steps=parts[0].steps,
    )


def _differences(event: PlanMade, again: PlanMade) -> Iterator[str]:
    """Name what differs: every pod that was decided otherwise, else the fields."""
    named = False
    for what in ("placements", "nominations", "victims"):
        then = {one.pod_id: one for one in getattr(event, what)}
        now = {one.pod_id: one for one in getattr(again, what)}
        for pod_id in [*then, *(pod_id for pod_id in now if pod_id not in then)]:
            if then.get(pod_id) != now.get(pod_id):
                named = True
                name = (then.get(pod_id) or now[pod_id]).name
                before, after = _said(then.get(pod_id)), _said(now.get(pod_id))
                yield f"{what}: pod {name} has {before}; planning again gives {after}."
    if not named:
        recorded, planned = event.model_dump(), again.model_dump()
        fields = ", ".join(name for name in recorded if recorded[name] != planned[name])
        yield f"planning again gives another {fields or 'order'}."


def _said(entry: object) -> str:
    match entry:
        case None:
            return "nothing"
        case Placement():
            devices = f" with devices {format_devices(entry.devices)}" if entry.devices else ""
            return f"node {entry.node}{devices}"
        case _:
            return f"to go ({getattr(entry, 'rule', '')})"


def audit_decisions(first_pass: Iterable[Recorded], second_pass: Iterable[Recorded], last: int | None = None) -> Report:
    """Judge the plans of a journal that is read twice."""
    audit = DecisionAudit(headers_of(first_pass, last))
    for recorded in second_pass:
        audit.apply(recorded)
    return audit.finish()
