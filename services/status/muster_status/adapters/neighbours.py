"""Asks the other services over HTTP how they are."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

PATIENCE_SECONDS = 2.0
"""A healthy service answers within milliseconds, and a person waits for the slowest."""


class HttpNeighbours:
    """See `handlers.ports.Neighbours`."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses

    async def health(self) -> list[dict[str, Any]]:
        """Return what each says of itself, or that it does not answer."""
        if not self._addresses:
            return []
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            asked = (_ask(session, name, address) for name, address in self._addresses.items())
            return list(await asyncio.gather(*asked))


async def _ask(session: aiohttp.ClientSession, name: str, address: str) -> dict[str, Any]:
    try:
        async with session.get(f"{address}/healthz") as answer:
            report: dict[str, Any] = await answer.json(content_type=None)
    except TimeoutError:  # also aiohttp's own; its text is empty
        return _silent(name, f"It does not answer within {PATIENCE_SECONDS:g} s.")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _silent(name, f"It does not answer: {error or type(error).__name__}.")
    if not isinstance(report, dict) or not isinstance(report.get("loops"), dict):
        return _silent(name, "It answered something that is no health.")
    return report


def _silent(name: str, reason: str) -> dict[str, Any]:
    return {"service": name, "well": False, "loops": {"http": {"condition": "stopped", "reason": reason}}}
