"""Every promise ends, in whatever order plans, bindings, releases, ends of pods and of groups come, whoever leads.

Two schedulers, both of which may believe to lead, sleep over their deeds, lose answers and are killed. The test is what
integrations is: it tells late, and in any order that integrations may tell in, what becomes of pods and their groups.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from muster_contracts import events as e
from muster_contracts.names import GPUS
from muster_contracts.subjects import Writer
from muster_contracts.values import PodFacts, PodMark
from muster_journal.memory import MemoryJournal
from scheduler.scene import manifest
from scheduler.worlds import id_of, node, pod
from simulation import laws
from simulation.virtual_time import run_in_virtual_time
from simulation.world import NAMESPACE, World, play

GANGS = 16
SECONDS = 120.0
SCHEDULERS = ("scheduler", "standby")


@dataclass
class Gang:
    """A workload of one group: how many pods it ever had, who is told of, whether it has ended; told of in turn."""

    name: str
    minimum: int
    pods: int = 0
    told: dict[UUID, PodFacts] = field(default_factory=dict)
    has_group: bool = True
    ended: bool = False
    end_told: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def ids(self) -> dict[str, UUID]:
        return {"workload_id": id_of(f"workload/{self.name}"), "pod_group_id": id_of(f"group/{self.name}")}


class Story:
    """What happens to some gangs, and what is told of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        self.client = world.simulated.client
        self.journal = MemoryJournal(world.log, Writer.INTEGRATIONS, world.clock.now)
        self.gangs = [Gang(f"gang-{number}", self.random.randint(1, 3)) for number in range(GANGS)]

    async def happen(self) -> None:
        """Let everything happen, then let the weather clear, and go on telling until nothing happens any more."""
        self.client.create("namespaces", {"metadata": {"name": NAMESPACE}})
        for seen in self.client.list("nodes"):
            await self.journal.append(node(seen["metadata"]["name"]))
        self._disturb()
        killing = asyncio.create_task(self._kill())
        await asyncio.gather(*map(self._live, self.gangs))
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        self.world.weather.clears()
        for name in SCHEDULERS:
            if name not in self.world.tasks:
                self.world.start(name)
        telling = asyncio.create_task(self._tell_on())
        await laws.settle(self.world)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)

    def _disturb(self) -> None:
        weather, random = self.world.weather, self.random
        weather.trouble = random.choice([0.0, 0.02, 0.1])
        weather.longest_delay_seconds = random.choice([0.0, 0.2, 2.0])
        weather.pauses = random.choice([0.0, 0.1, 0.3])
        weather.anybody_leads = random.random() < 0.5

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self.random.random() * SECONDS / 6)
            name = self.random.choice(sorted(self.world.tasks))
            await self.world.kill(name)
            await asyncio.sleep(self.random.random() * 5)
            self.world.start(name)

    async def _live(self, gang: Gang) -> None:
        random = self.random
        await asyncio.sleep(random.random() * SECONDS / 2)
        for _ in range(random.randint(gang.minimum, 4)):
            self._grow(gang)
        formed = {**gang.ids, "name": gang.name, "min_members": gang.minimum, "priority_class": "train"}
        happenings = [self.journal.append(e.PodGroupFormed.model_validate(formed)), self._tell(gang)]
        random.shuffle(happenings)
        for happening in happenings:
            await happening
        for _ in range(random.randint(0, 8)):
            await asyncio.sleep(random.random() ** 3 * SECONDS / 8)
            await self._befall(gang)
            if random.random() < 0.8:
                await self._tell(gang)

    async def _befall(self, gang: Gang) -> None:
        """Let something happen to a gang."""
        pods = self._pods(gang)
        match self.random.choice(["touched", "grown", "grown", "lost", "reshaped", "dissolved", "ended"]):
            case "touched" if pods:
                one = self.random.choice(pods)
                labels = {"touched": str(self.random.random())}
                self.client.update("pods", {**one, "metadata": {**one["metadata"], "labels": labels}})
            case "grown" if not gang.ended:
                self._grow(gang)
            case "lost" if pods:
                self.client.delete("pods", NAMESPACE, self.random.choice(pods)["metadata"]["name"])
            case "reshaped" if not gang.end_told:
                gang.minimum = self.random.randint(1, 3)
                await self._change(gang)
            case "dissolved" if not gang.end_told:
                gang.has_group = False
                await self._change(gang)
            case "ended":
                gang.ended = True
                for one in pods:
                    self.client.delete("pods", NAMESPACE, one["metadata"]["name"])

    def _grow(self, gang: Gang) -> None:
        """Add a pod that will run for a while, or for long enough to be in the way."""
        gang.pods += 1
        one = manifest(f"{gang.name}-{gang.pods}", self.random.choice([1, 1, 4, 8]))
        runs = {"sim.run-seconds": str(self.random.choice([5, 60, 300]))}
        self.client.create("pods", {**one, "metadata": {**one["metadata"], "annotations": runs}})

    async def _change(self, gang: Gang) -> None:
        shape = {"min_members": gang.minimum, "dissolved": not gang.has_group}
        await self.journal.append(e.PodGroupChanged.model_validate({**gang.ids, **shape}))

    async def _tell(self, gang: Gang) -> None:
        """Look, and some time later tell what was new then."""
        async with gang.turn:
            seen = {facts.pod_id: facts for facts in map(self._facts_of(gang), self._pods(gang))}
            ends = gang.ended and not seen and not gang.end_told
            await self.world.weather.delay()
            news = self._news(gang, seen)
            if ends:
                gang.end_told = True
                news.append(e.WorkloadGone(workload_id=gang.ids["workload_id"], end_seen=True))
                self.random.shuffle(news)
            for event in news:
                await self.journal.append(event)
                await self.world.weather.delay()

    def _news(self, gang: Gang, seen: dict[UUID, PodFacts]) -> list[e.AnyEvent]:
        workload_id = gang.ids["workload_id"]
        gone = [facts for pod_id, facts in gang.told.items() if pod_id not in seen]
        changed = [facts for pod_id, facts in seen.items() if gang.told.get(pod_id) != facts]
        gang.told = seen
        news: list[e.AnyEvent] = []
        if gone:
            marks = tuple(PodMark(pod_id=one.pod_id, name=one.name, last_phase=one.phase) for one in gone)
            news.append(e.PodGone(workload_id=workload_id, pods=marks))
        if changed:
            news.append(e.PodObserved(workload_id=workload_id, pods=tuple(changed)))
        return news

    async def _tell_on(self) -> None:
        while True:
            for gang in self.gangs:
                await self._tell(gang)
            await asyncio.sleep(5)

    def _pods(self, gang: Gang) -> list[dict[str, Any]]:
        pods = self.client.list("pods", NAMESPACE)
        return [one for one in pods if one["metadata"]["name"].startswith(f"{gang.name}-")]

    def _facts_of(self, gang: Gang) -> Any:
        def facts(seen: dict[str, Any]) -> PodFacts:
            metadata, (container,) = seen["metadata"], seen["spec"]["containers"]
            gpus = int(container["resources"]["limits"]["nvidia.com/gpu"])
            return pod(
                metadata["name"],
                gang.name,
                gpus=gpus,
                pod_id=UUID(metadata["uid"]),
                pod_group_id=gang.ids["pod_group_id"] if gang.has_group else None,
                resource_version=metadata["resourceVersion"],
                phase=seen["status"]["phase"],
                node=seen["spec"].get("nodeName", ""),
                terminating="deletionTimestamp" in metadata,
            ).model_copy(update={"gpus": metadata.get("annotations", {}).get(GPUS, "")})

        return facts

    def who_waits_in_vain(self) -> list[str]:
        """Return the pods that are not bound although their gang is whole, and nothing is in the way of it."""
        whole = [gang for gang in self.gangs if gang.has_group and len(self._pods(gang)) >= gang.minimum]
        pods = [one for gang in whole for one in self._pods(gang)]
        return [one["metadata"]["name"] for one in pods if not one["spec"].get("nodeName")]


async def _everything_ends(world: World) -> None:
    story = Story(world)
    await story.happen()
    events = await world.events()
    laws.no_promise_is_left_open(events)
    assert story.who_waits_in_vain() == []
    laws.no_kubelet_refused_a_pod(world)  # what is told late of a pod that went may look like over-commitment
    laws.every_gang_is_promised_whole(events)
    laws.no_pod_is_bound_twice(events)
    laws.every_plan_follows_from_the_journal(events)


def test_every_promise_ends(seed: int) -> None:
    world = run_in_virtual_time(lambda: play(seed, _everything_ends, SCHEDULERS))
    assert world.log.end > GANGS
