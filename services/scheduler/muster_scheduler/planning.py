"""The planning loop: take a snapshot, plan, check, write the plan. The decision is in the journal before the deed.

One plan at a time, each based on a position at or after the one before. Who holds the lease takes the lead with a
`LeadershipTaken`; every plan is appended after the last message on the plan subject that this scheduler knows, so that
one that lost the lead, knowingly or not, cannot write any.

No group stops the planning of the others. When a plan cannot be made, or the checker finds it wrong, nothing of it is
carried out: the first group with which planning fails, all before it being well, is set aside (`core.aside`), and the
next plan is made without it. Where planning fails without any group nobody is to blame: all is drawn anew, and the loop
starts again.
"""

import asyncio
from collections import Counter
from uuid import UUID, uuid5

import structlog
from muster_chassis.following import Progress
from muster_chassis.health import Health
from muster_contracts.errors import Unavailable
from muster_contracts.events import (
    AnyEvent,
    DeadlinePassed,
    LeadershipTaken,
    OwnerObserved,
    PhaseChanged,
    PlanMade,
    PodObserved,
    PodScheduled,
)
from muster_contracts.values import PodFacts
from muster_journal.port import Batch, Conflict, Journal

from muster_scheduler.core.aside import set_aside
from muster_scheduler.core.check import wrong_decisions
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.check_reasons import wrong_reasons
from muster_scheduler.core.deadlines import Deadline, next_deadline
from muster_scheduler.core.decision import planner_version, written
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.pods import FINISHED, Pod
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import State
from muster_scheduler.leading import Leadership
from muster_scheduler.settings import SchedulerSettings
from muster_scheduler.telling import Telling

log = structlog.get_logger()

LOOP = "planning"


class Planning:
    """The fold, and the loop that plans from it."""

    def __init__(
        self,
        journal: Journal,
        settings: SchedulerSettings,
        cluster_id: UUID,
        leadership: Leadership,
        health: Health,
    ) -> None:
        planner_version()  # named now: its sources may be replaced while we run
        self.state = State()
        self.progress = Progress()
        self.epoch = 0
        self._journal = journal
        self._settings = settings
        self._cluster_id = cluster_id
        self._leadership = leadership
        self._health = health
        self.telling = Telling(journal, self.state, self.progress, settings.telling_pause_seconds)
        self._changed = asyncio.Event()
        self._deadline: Deadline | None = None
        self._lost_to: dict[UUID, int] = {}  # by workload: the fold forgets the version of one that goes and comes back
        self._somebody_waits = True
        self.led = asyncio.Event()
        """Set whenever we take the lead; whoever keeps promises then looks at all that are open, and clears it."""

    @property
    def leads(self) -> bool:
        """Whether we lead, as far as we have read, and have not been asleep since we last could be sure."""
        return self.is_our_epoch and self._leadership.is_ours

    @property
    def is_our_epoch(self) -> bool:
        """Whether nobody took the lead after us, as far as we have read."""
        return self.epoch > 0 and self.epoch == self.state.epoch

    async def fold(self, batch: Batch) -> None:
        """Apply a batch of the journal, and wake the loop when another plan might come of it."""
        is_news = self._somebody_waits
        for recorded in batch.events:
            is_news = is_news or _may_need_room(recorded.event, self.state)
            self.state.apply(recorded)
        if is_news and self.state.changes:
            self._changed.set()

    async def take_leadership(self) -> None:
        """Write our epoch on the plan subject, after folding to the end of the journal."""
        await self.progress.catch_up()
        taken = LeadershipTaken(
            cluster_id=self._cluster_id, epoch=self.state.epoch + 1, instance=self._leadership.holder
        )
        try:
            position = await self._journal.append(taken, expected=self.state.plan_version)
        except Conflict as lost:
            await self.progress.reach(lost.actual)
            raise Unavailable("Another scheduler took the lead.") from lost
        await self.progress.reach(position)
        self.epoch = taken.epoch
        self._changed.set()
        self.led.set()
        log.info("The scheduler leads.", epoch=self.epoch, position=position)

    async def run(self) -> None:
        """Wait for the lease, take the lead and plan while it is ours; then wait for it again."""
        while True:
            await self._leadership.until_ours()
            await self.take_leadership()
            await self._lead()

    async def _lead(self) -> None:
        """Plan whenever the fold has changed. Raises Unavailable when another one leads although the lease is ours."""
        while True:
            passed = await self._wait_for_news()
            if self.state.changes.land:  # nodes come in flocks, and each plan looks at everything anew
                await asyncio.sleep(self._settings.cycle_pause_seconds)
            if not self._leadership.is_ours:
                self.telling.take(())
                return
            if not self.is_our_epoch:
                raise Unavailable("Another scheduler took the lead.")
            if passed is not None:
                await self._pass_deadline(passed)
            self._changed.clear()
            await self.cycle()
            await asyncio.sleep(self._settings.cycle_pause_seconds)

    async def _wait_for_news(self) -> Deadline | None:
        """Wait until the fold has changed, or a deadline comes first, which is returned."""
        deadline = self._deadline
        if deadline is None or self.state.now is None:
            await self._changed.wait()
            return None
        try:
            async with asyncio.timeout((deadline.at - self.state.now).total_seconds()):
                await self._changed.wait()
        except TimeoutError:
            return deadline
        return None

    async def _pass_deadline(self, deadline: Deadline) -> None:
        """Write that a deadline has passed, or read what was written of the workload meanwhile and look again."""
        workload_id = deadline.workload_id
        event = DeadlinePassed(
            workload_id=workload_id,
            pod_group_id=deadline.pod_group_id,
            deadline=deadline.deadline,
            at=deadline.at,
        )
        event_id = uuid5(deadline.pod_group_id, f"{deadline.deadline} {deadline.at.isoformat()}")
        expected = max(self.state.version_of(workload_id), self._lost_to.pop(workload_id, 0))
        try:
            await self.progress.reach(await self._journal.append(event, expected=expected, event_id=event_id))
        except Conflict as lost:
            self._lost_to[workload_id] = lost.actual
            await self.progress.reach(lost.actual)

    async def cycle(self) -> Plan:
        """Make one plan; write what it promises, and let it be told why the others wait."""
        snapshot, version = self._look(), self.state.plan_version
        made = self._attempt(snapshot)
        if isinstance(made, Exception):
            return await self._set_aside(snapshot, made)
        self._health.runs(LOOP, _remark(snapshot))
        left = _left_by(made, snapshot)
        self._deadline = next_deadline(left, self._settings.limits)
        self._somebody_waits = bool(left.groups or left.nominations or left.short or left.aside)
        if made.decides:
            async with self.telling.quiet:
                await self._write(made, version)
                self.telling.take(made.blocked)
        else:
            self.telling.take(made.blocked)
        return made

    def _look(self) -> Snapshot:
        """Take a snapshot. Raises Unavailable when that fails."""
        try:
            return take_snapshot(self.state)
        except Exception as fault:
            raise self._out_of_order("The cluster cannot be drawn", fault) from fault

    def _out_of_order(self, what: str, fault: Exception) -> Unavailable:
        """Return what to raise for a fault that is no group's: all is drawn anew, and an event may mend it."""
        self.state.redraw()
        log.error(f"{what}.", position=self.state.position, exc_info=fault)
        return Unavailable(f"{what}: {_said(fault)}")

    def _attempt(self, snapshot: Snapshot) -> Plan | Exception:
        """Make a plan and check it; return what is wrong with it, or was with the planning, instead."""
        try:
            made = plan(snapshot, self._settings.limits)
            self._check(Facts(snapshot, made))
        except Exception as fault:  # noqa: BLE001  # ours; nothing was done yet, and whoever it is about is set aside
            return fault
        return made

    async def _set_aside(self, snapshot: Snapshot, fault: Exception) -> Plan:
        """Set aside the group with which planning fails; return a plan that decides nothing.

        Raises Unavailable when nobody can be blamed, for planning fails without any group as well.
        """
        groups = snapshot.undecided
        if not groups or isinstance(self._attempt(snapshot.without(frozenset(groups))), Exception):
            raise self._out_of_order("No plan can be made", fault) from fault
        view = snapshot.views[await self._first_faulty(snapshot)]
        log.error("Planning failed; a pod group is set aside.", group=str(view.id), name=view.name, exc_info=fault)
        group = self.state.groups.get(view.id)
        told = set_aside(view, _said(fault), group.aside if group is not None else None)
        await self.telling.tell_at_once(told)
        self._health.runs(LOOP, told.reason)
        self._changed.set()
        return Plan(snapshot.position)

    async def _first_faulty(self, snapshot: Snapshot) -> UUID:
        """Halve the groups until one is left with which planning fails, and without which it does not.

        With all of them it is known to fail, and without any not to.
        """
        groups = snapshot.undecided
        well, faulty = 0, len(groups)
        while faulty - well > 1:
            await asyncio.sleep(0)  # the lease is renewed meanwhile
            middle = (well + faulty) // 2
            if isinstance(self._attempt(snapshot.without(frozenset(groups[middle:]))), Exception):
                faulty = middle
            else:
                well = middle
        return groups[well]

    def _check(self, facts: Facts) -> None:
        """Stop at a wrong decision; of a reason that is not true only complain."""
        position = facts.snapshot.position
        wrong = list(wrong_decisions(facts))
        assert not wrong, f"The plan based on {position} is wrong: {'; '.join(wrong[:5])}"
        for sentence in wrong_reasons(facts):
            log.error("A reason to wait is not true.", based_on=position, fault=sentence)

    async def _write(self, made: Plan, version: int) -> None:
        """Write a plan under the version its snapshot was taken at: others may have written, and we read it, since."""
        for event in written(made, self._settings.limits, self._cluster_id, self.epoch):
            try:
                event_id = uuid5(event.plan_id, str(event.part))
                version = await self._journal.append(event, expected=version, event_id=event_id)
            except Conflict as lost:
                raise Unavailable("Another scheduler took the lead.") from lost
        await self.progress.reach(version)


def _said(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"


def _remark(snapshot: Snapshot) -> str:
    """Say what the planning leaves out; empty when that is nothing."""
    told = [aside.told.reason for aside in snapshot.aside.values()]
    if len(told) > 1:
        return f"{len(told)} pod groups are set aside; one of them: {told[0]}"
    return "".join(told)


def _left_by(made: Plan, snapshot: Snapshot) -> Snapshot:
    """Return what the next plan would be about if nothing happened: not the groups whose pods were all placed.

    One that runs without being whole stays: it may lack pods that are not there yet.
    """
    placed = Counter(placement.pod_group_id for placement in made.placements)
    content = {view.id for view in snapshot.groups if placed[view.id] == len(view.waiting)}
    return snapshot.without(content.difference(snapshot.short))


def _may_need_room(event: AnyEvent, before: State) -> bool:
    """Say whether an event can lead to a plan while nobody waits.

    A plan that placed everybody cannot, nor can a promise that was kept.
    """
    match event:
        case PlanMade() | PodScheduled() | PhaseChanged() | OwnerObserved():
            return False
        case PodObserved():
            return not all(_goes_on(facts, before.pods.get(facts.pod_id)) for facts in event.pods)
    return True


def _goes_on(seen: PodFacts, before: Pod | None) -> bool:
    """Say whether a pod that has its place keeps it, in the same group."""
    if before is None or before.assignment is None or before.facts.pod_group_id != seen.pod_group_id:
        return False
    return seen.phase not in FINISHED and not seen.terminating
