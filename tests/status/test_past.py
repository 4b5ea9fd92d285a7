"""The past as the journal tells it, also by a server that has not yet heard of its end."""

from collections.abc import AsyncIterator

from muster_contracts.subjects import Writer, subject_of
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Batch
from muster_status.handlers.past import Past
from status.stories import EPOCH, Story


class Behind(MemoryJournal):
    """A journal whose reader is at first told that nothing is there, though its end says otherwise."""

    async def follow(self, after: int, *, limit: int = 500) -> AsyncIterator[Batch]:
        yield Batch((), after)
        async for batch in super().follow(after, limit=limit):
            yield batch


async def test_a_page_is_empty_at_the_end_alone() -> None:
    log = MemoryLog()
    for event in Story().life():
        await MemoryJournal(log, subject_of(event).writer, lambda: EPOCH).append(event)
    past = Past(Behind(log, Writer.STATUS, lambda: EPOCH), MemoryCheckpoints())
    assert [recorded.position for recorded in await past.page(after=1, limit=2)] == [2, 3]
    assert await past.page(after=log.end, limit=2) == ()
