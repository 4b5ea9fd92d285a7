"""Doing several things at once and going on when all have ended, also those that others' failures might leave behind.

Neighbours: `telling` writes reasons by it, `execution.deeds` binds and evicts.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


async def all_ended(deeds: Iterable[Awaitable[Result]]) -> tuple[list[Result], BaseException | None]:
    """Wait until all have ended; return what those that succeeded returned, and the first error of the others.

    Raises the error of one that is alone: nobody is to be waited for. Most workloads are one pod, and the tasks for it
    would cost as much as its report.
    """
    under_way = list(deeds)
    if len(under_way) == 1:
        return [await under_way[0]], None
    results = await asyncio.gather(*under_way, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    return [result for result in results if not isinstance(result, BaseException)], errors[0] if errors else None
