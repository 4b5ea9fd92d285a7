"""The reflector's promise: no object is missed, left stale, or told of twice, whatever the network does."""

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from cluster.history_server import BREAKS, CODES, PASSING, Fault, History, HistoryServer, Turn, kubeconfig, over_http
from hypothesis import given, settings
from hypothesis import strategies as st
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.metadata import Key
from muster_cluster.objects import AnyObject
from muster_cluster.port import NotFound, Resource
from muster_cluster.reflector import Batch, Delta, Patience, Reflector

THINGS = Resource("example.org", "v1", "things", "Thing", AnyObject)
AT_ONCE = Patience(0.0, 0.0)
SECONDS = 20.0

steps = st.tuples(st.sampled_from(["put", "put", "delete"]), st.sampled_from("abcde"))


def turns(*faults: Fault) -> st.SearchStrategy[list[Turn]]:
    one = st.builds(
        Turn, st.sampled_from(faults), st.integers(0, 4), st.integers(0, 12), st.sampled_from([7, 150, 10_000])
    )
    return st.lists(one, max_size=12)


@dataclass
class Told:
    """A consumer: applies every delta and notes what it was told, checking that the chain is unbroken."""

    items: dict[Key, AnyObject] = field(default_factory=dict)
    added: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    versions: list[int] = field(default_factory=list)
    synced: int = 0

    def take(self, batch: Batch[AnyObject]) -> None:
        for delta in batch.deltas:
            self._take(delta)
        self.synced += batch.synced

    def _take(self, delta: Delta[AnyObject]) -> None:
        known = delta.new or delta.old
        assert known is not None
        assert self.items.pop(known.metadata.key, None) is delta.old
        if delta.new is None:
            self.gone[known.metadata.uid] += 1
            self.unseen[known.metadata.uid] += not delta.seen
            return
        self.items[known.metadata.key] = known
        self.versions.append(int(known.metadata.resource_version))
        self.added[known.metadata.uid] += delta.old is None

    def state(self) -> dict[str, str]:
        return {item.metadata.uid: item.metadata.resource_version for item in self.items.values()}


def reflect(server: HistoryServer, page_size: int = 2) -> Reflector[AnyObject]:
    cluster = KubernetesCluster(server)
    return Reflector(cluster, THINGS, random=Random(1), page_size=page_size, patience=AT_ONCE)


async def follow(reflector: Reflector[AnyObject], server: HistoryServer, told: Told) -> None:
    """Run a reflector until the history is over and it has reached its end."""

    async def consume() -> None:
        async with aclosing(reflector.run()) as batches:
            async for batch in batches:
                told.take(batch)
                assert dict(reflector.items) == told.items

    async def until_settled() -> None:
        while not (server.settled and reflector.resource_version == str(server.history.version)):  # noqa: ASYNC110
            await asyncio.sleep(0)

    consuming = asyncio.create_task(consume())
    waiting = asyncio.create_task(until_settled())
    try:
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({consuming, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if consuming.done():
            consuming.result()  # it never ends by itself, so this raises what was wrong
    finally:
        for task in (consuming, waiting):
            task.cancel()
        await asyncio.gather(consuming, waiting, return_exceptions=True)


@settings(max_examples=400, deadline=None)
@given(
    history=st.builds(History, st.lists(steps, min_size=1, max_size=40)),
    script=turns(*PASSING),
    moments=st.booleans(),
)
def test_no_object_is_missed_or_left_stale_and_every_deletion_is_told_once(
    history: History, script: list[Turn], moments: bool
) -> None:
    told = Told()
    server = HistoryServer(history, script, moments=moments)
    asyncio.run(follow(reflect(server), server, told))

    assert told.state() == history.state()
    assert set(told.added.values()) <= {1}
    assert told.gone == Counter(told.added.keys() - history.state().keys())
    assert told.synced >= 1


@settings(max_examples=200, deadline=None)
@given(history=st.builds(History, st.lists(steps, min_size=1, max_size=40)), script=turns(*BREAKS))
def test_through_broken_connections_every_single_change_is_told_once_and_every_end_is_seen(
    history: History, script: list[Turn]
) -> None:
    told = Told()
    asyncio.run(follow(reflect(server := HistoryServer(history, script), page_size=500), server, told))

    first = next(int(request.query["resourceVersion"]) for request in server.requests if "watch" in request.query)
    after_the_list = [version for version in told.versions if version > first]
    assert after_the_list == list(range(first + 1, history.version + 1))
    assert told.unseen.total() == 0


async def test_an_object_that_vanished_while_nobody_looked_is_told_as_unseen() -> None:
    history = History([("put", "a"), ("put", "b"), ("delete", "a"), ("put", "c")])
    script = [Turn(steps=2), Turn(Fault.EXPIRED_LATER), Turn(Fault.NONE, steps=2)]
    told = Told()
    await follow(reflect(server := HistoryServer(history, script)), server, told)

    assert told.unseen == Counter({"a-11": 1})
    assert told.synced == 2
    assert told.state() == history.state()


async def test_the_same_name_with_another_uid_is_another_object() -> None:
    history = History([("put", "a"), ("delete", "a"), ("put", "a")])
    script = [Turn(steps=1), Turn(Fault.COMPACTED, steps=2)]
    told = Told()
    await follow(reflect(server := HistoryServer(history, script)), server, told)

    assert told.gone == Counter({"a-11": 1})
    assert told.unseen == Counter({"a-11": 1})
    assert told.state() == {"a-13": "13"}


async def test_what_happens_between_the_pages_of_a_list_is_not_lost() -> None:
    history = History([("put", "a"), ("put", "b"), ("put", "c"), ("delete", "a"), ("put", "b")])
    told = Told()
    server = HistoryServer(history, [Turn(steps=3), Turn(steps=2)], moments=False)
    await follow(reflect(server), server, told)

    assert told.state() == history.state() == {"b-12": "15", "c-13": "13"}
    assert (told.gone, told.unseen.total()) == (Counter({"a-11": 1}), 0)


async def test_an_end_between_the_pages_of_a_relist_is_told_once() -> None:
    history = History([("put", "a"), ("put", "c"), ("put", "b"), ("put", "c"), ("delete", "c")])
    script = [Turn(steps=2), Turn(Fault.EXPIRED), Turn(steps=1), Turn(steps=2)]
    told = Told()
    server = HistoryServer(history, script, moments=False)
    await follow(reflect(server), server, told)

    assert told.state() == history.state() == {"a-11": "11", "b-13": "13"}
    assert told.gone == told.unseen == Counter({"c-12": 1})
    assert told.added["c-12"] == 1


async def test_a_relist_tells_nothing_of_what_has_not_changed() -> None:
    history = History([("put", "a"), ("put", "b"), ("put", "b")])
    script = [Turn(steps=2), Turn(Fault.EXPIRED), Turn(steps=1)]
    told = Told()
    await follow(reflect(server := HistoryServer(history, script)), server, told)

    assert told.versions == [11, 12, 13]


async def test_a_reflector_resumes_from_where_it_was_when_the_connection_breaks() -> None:
    history = History([("put", name) for name in "abc"])
    script = [Turn(steps=1), Turn(Fault.CUT, steps=1, cut=0), Turn(Fault.UNREACHABLE), Turn(steps=1)]
    told = Told()
    await follow(reflect(server := HistoryServer(history, script)), server, told)

    watched_from = [request.query["resourceVersion"] for request in server.requests if "watch" in request.query]
    assert watched_from == ["11", "11", "11", "13"]
    assert told.synced == 1


@pytest.mark.parametrize("refusal", [Fault.FORBIDDEN, Fault.NOT_VALID])
async def test_what_is_refused_is_asked_again_until_it_is_allowed(refusal: Fault) -> None:
    server = HistoryServer(History([("put", "a")]), [Turn(refusal), Turn(refusal), Turn()])
    reflector = reflect(server)
    told = Told()
    async with aclosing(reflector.run()) as batches:
        if refusal is Fault.FORBIDDEN:  # whoever reads the mirror is told that it may be out of date
            assert [(await anext(batches)).unreadable for _ in range(2)] == [True, True]
        told.take(await anext(batches))
        assert (reflector.failures, reflector.trouble) == (2, f"refused with {CODES[refusal]}")
        told.take(await anext(batches))
        assert (reflector.failures, reflector.trouble) == (0, "")
    assert told.state() == server.history.state()


async def test_a_kind_that_is_not_there_ends_the_reflector() -> None:
    server = HistoryServer(History([]), [Turn(Fault.BUSY), Turn(Fault.MISSING)])
    with pytest.raises(NotFound, match="refused with 404"):
        async for _ in reflect(server).run():
            pass


async def test_a_reflector_says_what_troubles_it_until_it_hears_again() -> None:
    server = HistoryServer(History([("put", "a")]), [Turn(Fault.BUSY), Turn(Fault.UNREACHABLE), Turn()])
    reflector = reflect(server)
    told = Told()
    async with aclosing(reflector.run()) as batches:
        told.take(await anext(batches))
        assert (reflector.failures, reflector.trouble) == (2, "no route")
        told.take(await anext(batches))
        assert (reflector.failures, reflector.trouble) == (0, "")
    assert told.state() == server.history.state()


def test_patience_grows_within_bounds_and_is_never_the_same_for_all() -> None:
    patience = Patience(0.2, 30.0)
    waits = [patience.after(failures, Random(failures)) for failures in range(1, 50)]
    assert all(0.1 <= wait <= 30.0 for wait in waits)
    assert waits[0] <= 0.2
    assert min(waits[12:]) >= 15.0
    assert len(set(waits)) == len(waits)


async def test_a_mirror_survives_real_connections_that_break(tmp_path: Path) -> None:
    names = [f"thing-{number}" for number in range(40)]
    history = History([("put", name) for name in names * 3] + [("delete", name) for name in names[::2]])
    script = [Turn(steps=20), Turn(), Turn(), Turn(), Turn(), Turn(), Turn(), Turn(), Turn(), Turn()]
    script += [Turn(Fault.CUT, steps=9, cut=number * 7, piece=100) for number in range(8)]
    script += [Turn(Fault.BUSY), Turn(Fault.UNREACHABLE), Turn(Fault.EXPIRED_LATER, steps=5), Turn(Fault.CUT, cut=1)]
    server, told = HistoryServer(history, script), Told()
    async with over_http(server) as url:
        cluster = await KubernetesCluster.connect(kubeconfig(tmp_path, url))
        reflector = Reflector(cluster, THINGS, random=Random(2), page_size=7, patience=AT_ONCE)
        await follow(reflector, server, told)
        await cluster.close()

    assert told.state() == history.state()
    assert told.gone == Counter(told.added.keys() - history.state().keys())
