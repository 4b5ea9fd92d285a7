"""Publishes the transitions that follow from the journal, each once, however often this process dies.

Two loops. `fold` reads everything and works out what follows; `publish` begins when the end of the journal was seen
once, adopts the phase table if another one holds, and then appends what is open: per workload one record at a time in
order, many workloads at once. A record that comes by in the stream closes a transition whoever appended it; a lost race
means that our fold is behind, so it reads on and looks again.

Pitfall. Nothing may be published before the end was seen: what looks open in the middle of the journal is recorded
further on.
"""

from random import Random
from uuid import UUID

import structlog
from muster_chassis.checkpointing import Checkpointing
from muster_chassis.deeds import Deeds
from muster_chassis.following import Progress, follow_into
from muster_chassis.health import Health
from muster_contracts.errors import Unavailable
from muster_contracts.events import PhaseTableAdopted
from muster_contracts.subjects import Aggregate
from muster_journal.port import Batch, Conflict, Journal

from muster_status.core.deriver import Derivation, Difference, transition_id
from muster_status.core.phase_table import CURRENT_TABLE

log = structlog.get_logger()


async def first_table(journal: Journal, cluster_id: UUID) -> int:
    """Return the number of the table that holds from the beginning: the first one adopted, or ours if none was."""
    for recorded in await journal.read(Aggregate.PHASE_TABLE, cluster_id):
        if isinstance(recorded.event, PhaseTableAdopted):
            return recorded.event.table
    return CURRENT_TABLE


class Deriver:
    """The fold and the two loops around it."""

    def __init__(
        self,
        journal: Journal,
        health: Health,
        cluster_id: UUID,
        random: Random,
        checkpointing: Checkpointing[Derivation],
        *,
        publish_concurrency: int,
    ) -> None:
        self._journal = journal
        self._health = health
        self._cluster_id = cluster_id
        self.derivation = checkpointing.fold
        self.progress = Progress()
        self._checkpointing = checkpointing
        self._deeds: Deeds[UUID] = Deeds(self._publish_open, random=random, concurrency=publish_concurrency)

    async def fold(self) -> None:
        """Read everything, for ever."""
        if not self.derivation.position:
            self.derivation.table = await first_table(self._journal, self._cluster_id)
        await follow_into(self._journal, self._apply, self.progress, self._health, "deriver", self._checkpointing)

    async def _apply(self, batch: Batch) -> None:
        derivation = self.derivation
        for recorded in batch.events:
            difference = derivation.apply(recorded)
            if difference is not None:
                log.error("A record in the journal does not follow from it.", **_fields(difference))
        if self.progress.caught_up:
            touched = {getattr(recorded.event, "workload_id", None) for recorded in batch.events}
            for workload_id in derivation.open.keys() & touched:
                self._deeds.want(workload_id)

    async def publish(self) -> None:
        """Append what is open, for ever, once the end of the journal was seen."""
        await self.progress.catch_up()
        await self._adopt()
        for workload_id in list(self.derivation.open):
            self._deeds.want(workload_id)
        await self._deeds.run()

    async def _adopt(self) -> None:
        derivation = self.derivation
        if derivation.adopted and derivation.table == CURRENT_TABLE:
            return
        event = PhaseTableAdopted(cluster_id=self._cluster_id, table=CURRENT_TABLE)
        try:
            position = await self._journal.append(event, expected=derivation.table_version)
        except Conflict as lost:
            await self.progress.reach(lost.actual)
            raise Unavailable("Another status service adopted a phase table.") from lost
        await self.progress.reach(position)
        log.info("The phase table is adopted.", table=CURRENT_TABLE, position=position)

    async def _publish_open(self, workload_id: UUID) -> None:
        """Append the open transitions of one workload, oldest first, until none is left."""
        derivation = self.derivation
        while (queue := derivation.open.get(workload_id)) is not None:
            transition, expected = queue[0], derivation.of(workload_id).version
            try:
                position = await self._journal.append(transition, expected=expected, event_id=transition_id(transition))
            except Conflict as lost:
                await self.progress.reach(lost.actual)
                continue
            derivation.stored(transition, position)


def _fields(difference: Difference) -> dict[str, str]:
    return {name: str(getattr(difference, name)) for name in ("position", "workload_id", "sentence")}
