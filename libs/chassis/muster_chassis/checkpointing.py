"""Starts a fold where its last checkpoint stood, and makes the next one now and then.

`muster_contracts.written` says how a fold is written down. A checkpoint is believed only if the same code made it out
of this journal (the event at its position is the one that stood there) and can be read; otherwise the one before it is
tried, and at last the journal is folded from its beginning, which is always right and only slower.

A fold that is asked about the past keeps old checkpoints too (`most`), and makes some on its way when it is folded from
the beginning, as it is after a release: what other code wrote before can no longer be read.

Neighbours: `following` restores before it reads and notes every batch; `muster_journal.checkpoints` stores.

Pitfall. Writing a fold down happens at once, between two batches, so that it is whole: some 6 µs a pod or workload
during which the process does nothing else. Squeezing and storing it happen beside everything else.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

import structlog
from muster_contracts.wire import Recorded
from muster_contracts.written import NotReadable, WrittenFold, unsqueezed
from muster_journal.checkpoints import Checkpoint, Checkpoints
from muster_journal.port import Batch, Journal

log = structlog.get_logger()

BYTES_AN_EVENT = 1000
"""So many bytes of a checkpoint are worth writing for each event since the last one: a large one is made less often, or
writing would take longer than the folding that it spares."""

ON_THE_WAY = 16
"""So many checkpoints at most are made while a past is folded of which old ones are kept: each takes a while."""

SQUEEZED_AT_ONCE = 256 * 1024
"""Bytes, squeezed in a few milliseconds."""


class Folded(Protocol):
    """A fold of the journal up to a position."""

    position: int


F = TypeVar("F", bound=Folded)
Run = Callable[[Callable[[bytes], Any], bytes], Awaitable[Any]]
"""Runs a function: at once or elsewhere."""


class _NotBelieved(Exception):
    """A checkpoint is not what the fold of this journal by this code would be; the text says why."""


class _OtherCode(_NotBelieved):
    """Other code made it, so it cannot be read here."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A fold as it was written down, at which event."""

    last: Recorded
    json: bytes


@dataclass(frozen=True, slots=True)
class _Read(Generic[F]):
    """A fold as a checkpoint has it, and how many bytes it was written down in."""

    fold: F
    bytes: int


class Checkpointing(Generic[F]):
    """The checkpoints of one fold.

    `most` is how many are kept. `active` says whether it is on us to save any: one process does so at a time.
    `restored` is called when the fold began at one, for whoever would have heeded the events before it.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        name: str,
        fold: F,
        *,
        events_between: int,
        most: int = 1,
        active: Callable[[], bool] = lambda: True,
        restored: Callable[[], None] = lambda: None,
    ) -> None:
        self.fold = fold
        self._written = WrittenFold(type(fold))
        self.code = self._written.code  # now: sources may be replaced while we run
        self._checkpoints = checkpoints
        self._name = name
        self._events_between = events_between
        self._most = most
        self._active = active
        self._restored = restored
        self._saved = 0
        self._bytes = 0
        self._made: _Made | None = None
        self._due = asyncio.Event()

    async def restore(self, journal: Journal) -> int:
        """Bring the fold to where its last checkpoint stood, if that can be believed; return its position.

        Raises Unavailable when journal or checkpoints do not answer.
        """
        found = await self._load(journal, _at_once)
        if found is not None:
            vars(self.fold).update(vars(found.fold))
            self._bytes = found.bytes
            log.info("A fold begins at its checkpoint.", fold=self._name, position=self.fold.position)
            self._restored()
        self._saved = self.fold.position
        return self._saved

    async def load(self, journal: Journal, until: int | None = None) -> F | None:
        """Return the fold as its last checkpoint, or the last up to a position, has it; None when none is believed.

        It is read in a thread, so that a service goes on answering.
        """
        found = await self._load(journal, asyncio.to_thread, until)
        return found.fold if found is not None else None

    async def _load(self, journal: Journal, run: Run, until: int | None = None) -> _Read[F] | None:
        """Try one after the other, the latest first; what lies before one that is damaged may be whole."""
        kept = await self._checkpoints.positions(self._name)
        for position in reversed([one for one in kept if until is None or one <= until]):
            try:
                checkpoint = await self._believed(position, journal)
                return cast(_Read[F], await run(self._read, checkpoint.body))
            except _OtherCode:
                log.info("Checkpoints of other code are passed over.", fold=self._name)
                return None  # so are all: whoever saves lets those of other code go
            except _NotBelieved as error:
                log.warning("A checkpoint is passed over.", fold=self._name, position=position, reason=str(error))
        return None

    def begin_anew(self, fold: F) -> None:
        """Fold something else, from the beginning."""
        self.fold, self._saved = fold, 0

    async def _believed(self, position: int, journal: Journal) -> Checkpoint:
        checkpoint = await self._checkpoints.load(self._name, position)
        if checkpoint is None or checkpoint.position != position:
            raise _NotBelieved("It is not whole.")
        if checkpoint.code != self.code:
            raise _OtherCode
        event = await event_at(journal, position)
        if event is None or event.envelope.id != checkpoint.event_id:
            raise _NotBelieved("It is of another journal.")
        return checkpoint

    def _read(self, body: bytes) -> _Read[F]:
        """Read a checkpoint, perhaps in a thread, and perhaps of long ago: it touches nothing of ours."""
        try:
            json = unsqueezed(body)
            return _Read(self._written.read(json), len(json))
        except NotReadable as error:
            raise _NotBelieved(str(error)) from error

    def note(self, batch: Batch, *, behind: bool = False) -> None:
        """Write the fold down, at the end of a batch, when enough was folded since the last checkpoint.

        `behind` says that it was never at the end of the journal since it started.
        """
        if behind and self._most == 1:
            return  # whoever starts again soon begins at a later one
        if batch.events and self._active() and batch.events[-1].position >= self._due_at(batch.end if behind else 0):
            last = batch.events[-1]
            assert self.fold.position == last.position, "a checkpoint is made when the batch was folded"
            self._saved = last.position
            self._made = _Made(last, self._written.json_of(self.fold))
            self._bytes = len(self._made.json)
            self._due.set()

    def _due_at(self, past: int) -> int:
        return self._saved + max(self._events_between, self._bytes // BYTES_AN_EVENT, past // ON_THE_WAY)

    async def run(self) -> None:
        """Save whatever is written down, for ever. Raises Unavailable when that fails; the next one may do."""
        while True:
            await self._due.wait()
            self._due.clear()
            made, self._made = self._made, None
            if made is not None:
                await self._save(made)

    async def _save(self, made: _Made) -> None:
        body = await _squeezed(made.json)
        checkpoint = Checkpoint(made.last.position, made.last.envelope.id, self.code, body)
        await self._checkpoints.save(self._name, checkpoint, most=self._most)
        log.info("A checkpoint is saved.", fold=self._name, position=checkpoint.position, bytes=len(body))


async def _at_once(read: Callable[[bytes], Any], body: bytes) -> Any:
    return read(body)


async def event_at(journal: Journal, position: int) -> Recorded | None:
    """Return the event at a position; None when the journal ends before it."""
    if position > await journal.end():
        return None
    async with aclosing(cast(Any, journal.follow(position - 1, limit=1))) as batches:
        async for batch in batches:
            if batch.events:
                found: Recorded = batch.events[0]
                return found
    return None


async def _squeezed(body: bytes) -> bytes:
    """Compress, letting others work after every piece."""
    compressor = zlib.compressobj(level=1)
    pieces = []
    for start in range(0, len(body), SQUEEZED_AT_ONCE):
        pieces.append(compressor.compress(body[start : start + SQUEEZED_AT_ONCE]))
        await asyncio.sleep(0)
    return b"".join((*pieces, compressor.flush()))
