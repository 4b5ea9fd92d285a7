"""Folds of the journal as they are written down, squeezed, and read back: by their types, with pydantic.

A fold is a dataclass whose fields are all that the journal says to it; what is worked out from the fields is set in
`__post_init__` and is not written. `WrittenFold.code` names what folded (the fold's module, what brings old events up
to date before any fold is given them, and all that these import): what other code wrote is not this fold.

Neighbours: `muster_chassis.checkpointing` writes; it and the command line, for questions about the past, read.
"""

import gc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from muster_contracts.versions import code_version

F = TypeVar("F")


class NotReadable(ValueError):
    """What was written down is not a fold of this kind; the text says why."""


class WrittenFold(Generic[F]):
    """How folds of one kind are written down by the running code."""

    def __init__(self, kind: type[F]) -> None:
        self.code = "-".join(code_version(module, "muster_") for module in (kind.__module__, "muster_contracts.wire"))
        self._adapter: TypeAdapter[F] = TypeAdapter(kind)

    def json_of(self, fold: F) -> bytes:
        """Write a fold down, at once, so that it is whole; zlib squeezes it."""
        return self._adapter.dump_json(fold, exclude_defaults=True)

    def read(self, json: bytes) -> F:
        """Return the fold. Raises NotReadable."""
        try:
            with _no_collection():
                return self._adapter.validate_json(json)
        except (ValueError, TypeError, LookupError) as error:  # of pydantic, or of what works out the rest of a fold
            raise NotReadable(f"{type(error).__name__}: {error}") from error


def unsqueezed(body: bytes) -> bytes:
    """Return the JSON in a squeezed body. Raises NotReadable."""
    try:
        return zlib.decompress(body)
    except zlib.error as error:
        raise NotReadable(str(error)) from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let the garbage collector not look again and again at a million objects that are all there to stay.

    That takes half of the time. The switch is the process's: who finds it off (another thread reads) leaves it alone.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
