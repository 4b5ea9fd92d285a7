"""Several schedulers on one journal: the lease says who leads, and nothing breaks when two believe it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations
from typing import Any

import pytest
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import PODS
from muster_contracts import events as e
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_journal.jetstream_leases import JetStreamLeases
from muster_journal.memory_leases import MemoryLeases
from muster_scheduler import leading
from muster_scheduler.leading import Leadership
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings
from scheduler.scene import NAMESPACE, GatedTransport, Scene, of_type, scheduled
from scheduler.worlds import id_of
from servers import RunningNats


class Everybodys(MemoryLeases):
    """A lease that is given to whoever asks: what a network that is split in two can look like."""

    async def hold(self, name: str, holder: str) -> bool:
        return True


async def test_two_healthy_schedulers_do_not_take_the_lead_from_each_other(scene: Scene) -> None:
    scene.start_scheduler(instance="first")
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    standby = scene.start_scheduler(instance="second")
    for number in range(5):
        await scene.observe(f"gang-{number}", 2)
        await scene.until(scheduled(2 * number + 2))
    events = await scene.events()
    assert [taken.instance for taken in of_type(events, e.LeadershipTaken)] == ["first"]
    assert standby.health.loops["planning"].condition == "running"


async def test_a_standby_takes_over_as_soon_as_the_lease_is_given_back(scene: Scene) -> None:
    leader = scene.start_scheduler(instance="first")
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await scene.kill_schedulers()
    await leader.closers[0]()
    assert await scene.leases.hold("scheduler", "anybody")


class Late(MemoryLeases):
    """Leases that are not renewed until they have nearly run out, and then only after somebody saw that they did."""

    def __init__(self, lease_seconds: float) -> None:
        super().__init__()
        self.seen = asyncio.Event()
        self._nearly = asyncio.get_running_loop().time() + 0.8 * lease_seconds

    async def hold(self, name: str, holder: str) -> bool:
        if self._leases and asyncio.get_running_loop().time() < self._nearly:
            raise Unavailable("NATS does not answer.")
        if self._leases:
            await self.seen.wait()
        return await super().hold(name, holder)


async def test_a_lease_that_ran_out_while_it_was_renewed_is_held_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "LEASE_SECONDS", 0.5)
    leases = Late(0.5)
    leadership = Leadership(leases, "first", renewal_seconds=0.02)
    renewing = asyncio.create_task(leadership.run())
    await leadership.until_ours()
    async with asyncio.timeout(10):
        while leadership.is_ours:  # noqa: ASYNC110  # a clock is not to be awaited otherwise
            await asyncio.sleep(0.01)
        leases.seen.set()
        await leadership.until_ours()
    renewing.cancel()


class Interrupted(MemoryLeases):
    """Leases nobody answers for, when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = True

    async def hold(self, name: str, holder: str) -> bool:
        if not self.answers:
            raise Unavailable("NATS does not answer.")
        return await super().hold(name, holder)


async def test_a_deed_that_comes_while_the_lease_has_run_out_is_done_when_it_is_ours_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "LEASE_SECONDS", 0.2)
    leases = Interrupted()
    await scene.observe("gang", 1)
    scene.transport.gate.clear()
    scene.transport.broken["/binding"] = 1
    scene.start_scheduler(leases=leases, lease_renewal_seconds=0.02)
    await scene.transport.reached.wait()
    leases.answers = False
    await asyncio.sleep(0.3)
    scene.transport.gate.set()  # this one is lost, and tried again while nobody holds the lease
    await asyncio.sleep(0.5)
    leases.answers = True
    await scene.until(scheduled(1))


async def test_a_scheduler_that_lost_the_lead_unknowingly_cannot_write_a_plan(scene: Scene) -> None:
    first, second = _planning(scene, "first"), _planning(scene, "second")
    await scene.observe("gang", 1)
    await _lead(first, scene)
    await _lead(second, scene)
    with pytest.raises(Unavailable, match="took the lead"):
        await first.cycle()
    assert not of_type(await scene.events(), e.PlanMade)


async def test_a_scheduler_that_reads_of_another_leader_while_it_waits_to_write_its_plan_does_not_write_it(
    scene: Scene,
) -> None:
    first, second = _planning(scene, "first"), _planning(scene, "second")
    await scene.observe("gang", 1)
    await _lead(first, scene)
    async with first.telling.quiet:
        cycle = asyncio.create_task(first.cycle())
        await _lead(second, scene)
        await _read_on(first, scene)
    with pytest.raises(Unavailable, match="took the lead"):
        await cycle
    assert not of_type(await scene.events(), e.PlanMade)


def _planning(scene: Scene, holder: str) -> Planning:
    leadership = Leadership(Everybodys(), holder, renewal_seconds=0.5)
    return Planning(
        scene.journal(Writer.SCHEDULER), SchedulerSettings(), id_of("cluster"), leadership, Health("scheduler")
    )


async def test_of_two_that_take_the_lead_at_the_same_moment_one_gets_it(scene: Scene) -> None:
    first, second = _planning(scene, "first"), _planning(scene, "second")
    outcomes = await asyncio.gather(_lead(first, scene), _lead(second, scene), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [Unavailable]
    assert [taken.epoch for taken in of_type(await scene.events(), e.LeadershipTaken)] == [1]


async def _lead(planning: Planning, scene: Scene) -> None:
    """Take the lead, and then read no further."""
    async with _reading(planning, scene):
        await planning.take_leadership()


async def _read_on(planning: Planning, scene: Scene) -> None:
    """Read what is in the journal by now."""
    async with _reading(planning, scene):
        await planning.progress.reach(len(await scene.events()))


@asynccontextmanager
async def _reading(planning: Planning, scene: Scene) -> AsyncIterator[None]:
    fold = follow_into(scene.journal(Writer.SCHEDULER), planning.fold, planning.progress, Health("scheduler"), "fold")
    reading = asyncio.ensure_future(fold)
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_a_standby_takes_over_when_the_lease_of_a_dead_leader_has_run_out(
    on_nats: Scene, nats_server: RunningNats
) -> None:
    user = Writer.SCHEDULER.value
    password = nats_server.password_of(user)
    leases = await JetStreamLeases.connect([nats_server.url], user=user, password=password, name="test")
    on_nats.start_scheduler(instance="first", leases=leases)
    await on_nats.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await on_nats.kill_schedulers()
    on_nats.start_scheduler(instance="second", leases=leases)
    events = await on_nats.until(lambda events: len(of_type(events, e.LeadershipTaken)) == 2)
    assert [taken.instance for taken in of_type(events, e.LeadershipTaken)] == ["first", "second"]
    await leases.close()


@pytest.mark.parametrize("disturbance", ["nothing", "a label", "a new pod of the same name"])
async def test_a_leader_that_slept_between_plan_and_bind_neither_binds_twice_nor_over_commits(
    on_nats: Scene, disturbance: str
) -> None:
    scene, sleeper = on_nats, GatedTransport(on_nats.simulated.api)
    sleeper.gate.clear()
    asleep = scene.start_scheduler(instance="first", leases=Everybodys(), cluster=KubernetesCluster(sleeper))
    await scene.observe("early", 4, gpus=2, minimum=1)
    async with asyncio.timeout(20):
        await sleeper.reached.wait()
    await _disturb(scene, disturbance)
    awake = scene.start_scheduler(instance="second", leases=Everybodys())
    expected = 4 if disturbance == "nothing" else 3
    await scene.until(scheduled(expected))
    await scene.observe("late", 2, gpus=4 if disturbance == "nothing" else 2)
    sleeper.gate.set()
    events = await scene.until(scheduled(expected + 2))
    _nobody_has_what_another_has(events)
    for service in (asleep, awake):
        assert not [loop for loop in service.health.loops.values() if loop.condition == "stopped"]


async def _disturb(scene: Scene, disturbance: str) -> None:
    """Do something to a promised pod, so that the new leader has to give its promise up."""
    client = scene.simulated.client
    if disturbance == "a label":
        await scene.cluster.patch(PODS, NAMESPACE, "early-0", {"metadata": {"labels": {"touched": "yes"}}})
    elif disturbance == "a new pod of the same name":
        manifest = client.get("pods", NAMESPACE, "early-0")
        assert manifest is not None
        client.delete("pods", NAMESPACE, "early-0")
        client.create("pods", {"metadata": {"name": "early-0", "namespace": NAMESPACE}, "spec": manifest["spec"]})


def _nobody_has_what_another_has(events: list[e.AnyEvent]) -> None:
    bound = [pod for event in of_type(events, e.PodScheduled) for pod in event.pods]
    for one, other in combinations(bound, 2):
        assert one.pod_id != other.pod_id, f"{one.name} is bound twice"
        shared = {share.index for share in one.devices} & {share.index for share in other.devices}
        assert one.node != other.node or not shared, f"{one.name} and {other.name} share {shared} of {one.node}"


def test_the_lease_is_renewed_often_enough_to_lose_two_renewals() -> None:
    wrong: Any = {"lease_renewal_seconds": 1.1}
    with pytest.raises(ValueError, match="less than or equal to 1"):
        SchedulerSettings.model_validate(wrong)
