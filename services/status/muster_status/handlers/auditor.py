"""Runs an audit against the living system: it must hold while everything goes on.

The tables are read first, at one moment, and the journal is folded up to exactly their position for the rows. Phases
are judged up to where the journal ended when the audit began; the deriver gets a while to record what was caused just
before that. Whatever the checkpoints say, the audit folds from the beginning, and judges them as well.
"""

import asyncio
import contextlib
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID

from muster_chassis.checkpointing import Checkpointing
from muster_journal.port import Damaged, Journal

from muster_status.core.audit import Audit, Report, Restored
from muster_status.core.deriver import Derivation
from muster_status.core.projection import Projection
from muster_status.handlers.deriver import first_table
from muster_status.handlers.ports import ReadModels

GRACE_SECONDS = 10.0
"""How long a transition that was just caused may take to be recorded."""


class Auditor:
    """One audit at a time: each folds the whole journal."""

    def __init__(
        self,
        journal: Journal,
        tables: ReadModels,
        cluster_id: UUID,
        derivation: Checkpointing[Derivation],
        projection: Checkpointing[Projection],
    ) -> None:
        self._journal = journal
        self._checkpoints = derivation, projection
        self._tables = tables
        self._cluster_id = cluster_id
        self._one_at_a_time = asyncio.Lock()

    async def verify(self) -> Report:
        """Fold everything anew and compare. Raises Unavailable when journal or tables do not answer."""
        async with self._one_at_a_time:
            snapshot, restored = await self._tables.snapshot(), await self._restored()
            end = max(snapshot.position, await self._journal.end())
            table = await first_table(self._journal, self._cluster_id)
            audit = Audit(table, rows_until=snapshot.position, restored=restored)
            try:
                await self._fold(audit, end)
            except Damaged as damage:
                audit.report.add(str(damage))
            audit.judge_missing(end)
            audit.judge_rows(snapshot.tables)
            audit.judge_checkpoints()
            return audit.report

    async def _restored(self) -> Restored:
        derivation, projection = self._checkpoints
        return Restored(await derivation.load(self._journal), await projection.load(self._journal))

    async def _fold(self, audit: Audit, end: int) -> None:
        """Fold to the end, and on while something caused before it is not recorded and patience lasts."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as patience, aclosing(cast(Any, self._journal.follow(0))) as batches:
                async for batch in batches:
                    for recorded in batch.events:
                        audit.apply(recorded)
                    audit.flush()
                    if audit.report.position >= end:
                        if not audit.is_open(end):
                            return
                        if patience.when() is None:
                            patience.reschedule(asyncio.get_running_loop().time() + GRACE_SECONDS)
