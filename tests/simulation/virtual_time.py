"""An event loop whose time is not the machine's: when nobody can run, it jumps to the next timer.

A world of a week takes seconds, and the same program with the same seed runs the same steps in the same order. No real
I/O may take part: whoever waits for a socket would wait for ever, and the loop says so instead.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")


class NothingToWaitFor(RuntimeError):
    """Every task waits for something that no timer and no task will bring."""


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: reports the time it was asked to wait instead."""

    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda _seconds: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingToWaitFor("no timer is set and no task can run")
        if not ready and timeout:
            self.jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop; `time()` begins at 0."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        super().__init__(selector)
        self._seconds = 0.0
        selector.jump = self._jump

    def time(self) -> float:
        return self._seconds

    def _jump(self, seconds: float) -> None:
        self._seconds += seconds


def run_in_virtual_time(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine to its end under virtual time."""
    loop = VirtualTimeLoop()
    failures: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert not failures, f"Something failed unseen: {failures[0]}"
    return result
