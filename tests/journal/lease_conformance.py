"""What all leases must do, whatever stands behind them. A subclass gives them an `open_leases`."""

import asyncio
from collections.abc import Awaitable, Callable

from muster_journal.leases import Leases

OpenLeases = Callable[[], Awaitable[Leases]]
DEADLINE_SECONDS = 20


async def until_held(leases: Leases, holder: str) -> None:
    """Ask again and again, as who waits for a lease does."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await leases.hold("scheduler", holder):  # noqa: ASYNC110  # nobody tells that a lease has run out
            await asyncio.sleep(0.2)


class LeaseConformance:
    """The suite."""

    async def test_a_lease_has_one_holder(self, open_leases: OpenLeases) -> None:
        one, other = await open_leases(), await open_leases()
        assert await one.hold("scheduler", "first")
        assert not await other.hold("scheduler", "second")
        assert await one.hold("scheduler", "first")

    async def test_leases_of_other_names_are_others(self, open_leases: OpenLeases) -> None:
        leases = await open_leases()
        assert await leases.hold("scheduler", "first")
        assert await leases.hold("reporter", "second")

    async def test_who_starts_again_has_what_he_had(self, open_leases: OpenLeases) -> None:
        assert await (await open_leases()).hold("scheduler", "first")
        assert await (await open_leases()).hold("scheduler", "first")

    async def test_of_many_who_ask_at_once_one_gets_it(self, open_leases: OpenLeases) -> None:
        everybody = [await open_leases() for _ in range(5)]
        answers = await asyncio.gather(
            *(leases.hold("scheduler", f"scheduler-{number}") for number, leases in enumerate(everybody))
        )
        assert sum(answers) == 1

    async def test_a_lease_that_is_given_back_is_free_at_once(self, open_leases: OpenLeases) -> None:
        leases = await open_leases()
        assert await leases.hold("scheduler", "first")
        await leases.let_go("scheduler", "first")
        assert await leases.hold("scheduler", "second")

    async def test_nobody_gives_back_what_another_holds(self, open_leases: OpenLeases) -> None:
        leases = await open_leases()
        assert await leases.hold("scheduler", "first")
        await leases.let_go("scheduler", "second")
        assert not await leases.hold("scheduler", "second")

    async def test_a_lease_that_is_not_renewed_runs_out(self, open_leases: OpenLeases) -> None:
        leases = await open_leases()
        assert await leases.hold("scheduler", "first")
        assert not await leases.hold("scheduler", "second")
        await until_held(leases, "second")
        assert not await leases.hold("scheduler", "first")
