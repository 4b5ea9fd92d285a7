"""What to do when something is seen or folded: find the differences and append them.

Three things feed the recorder: the fold of the journal, the reflectors, and requests to look again. None of them
writes; they only say about whom (`Deeds`), and whoever's turn it is is compared as a whole. So nothing is lost when
the process dies: after a restart the same differences are found. Nothing is compared before the journal was read to
its end and every kind was listed once, for until then absence means nothing.

A label with a workload id that no submission has confirmed is neither believed nor disbelieved until the fold has
passed the end of the stream as it was when the label was seen: the submission was written before the object.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, assert_never
from uuid import UUID

import structlog
from muster_chassis.deeds import Deeds
from muster_chassis.following import Progress
from muster_cluster.metadata import HasMetadata
from muster_cluster.objects import NODES
from muster_cluster.port import Resource
from muster_cluster.reflector import Batch as SeenBatch
from muster_cluster.reflector import Delta
from muster_contracts.events import (
    ActivateRequested,
    AnyEvent,
    DeleteRequested,
    LimitReached,
    ObjectsRefused,
    PodGone,
    ProjectChanged,
    StopRequested,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_journal.port import Batch, Conflict, Journal

from muster_integrations.core.decide import decide_node, decide_pods, decide_workload
from muster_integrations.core.fold import Fold, FoldedWorkload
from muster_integrations.recognition import storage
from muster_integrations.recognition.kinds import KindName, Known
from muster_integrations.recognition.mirror import Mirror
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.subjects import kind_name
from muster_integrations.recognition.table import kind_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WorkloadDue:
    """Compare a workload."""

    workload_id: UUID


@dataclass(frozen=True, slots=True)
class NodeDue:
    """Compare a node, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class LabelDue:
    """Find out whether a workload id on an object is one of ours."""

    workload_id: UUID


Due = WorkloadDue | NodeDue | LabelDue


class Recorder:
    """Holds the fold and the mirror, and writes what the second has and the first has not."""

    def __init__(
        self,
        journal: Journal,
        *,
        random: Random,
        owner_wait_seconds: float,
        append_concurrency: int,
    ) -> None:
        self.fold = Fold()
        self.mirror = Mirror(self.fold, discovers=True)
        self.progress = Progress()
        self.unknown_kinds: dict[KindName, None] = {}
        """Owners' kinds that are not in the table, for whoever watches."""
        self.unknown_kind_met = asyncio.Event()
        self._journal = journal
        self._unlisted: set[KindName] | None = None
        self._listed = asyncio.Event()
        self._owner_wait_seconds = owner_wait_seconds
        self._deeds: Deeds[Due] = Deeds(self._look_at, random=random, concurrency=append_concurrency)

    # ------------------------------------------------------------ what feeds it

    async def follow(self, batch: Batch) -> None:
        """Fold what the journal says next, and look again at whom it concerns."""
        for recorded in batch.events:
            self.fold.follow(recorded.position, recorded.event)
            self._heed(recorded.event)
        self._pass_on()

    def begin_at_checkpoint(self) -> None:
        """Look anew at what was seen before the fold knew anything."""
        self.mirror.settle_anew()
        self._pass_on()

    def must_list(self, kinds: Collection[Resource[Any]]) -> None:
        """Wait, before anything is compared, until these kinds were listed once, or cannot be."""
        self._unlisted = {(kind.group, kind.kind) for kind in kinds}

    def take(self, resource: Resource[Any], batch: SeenBatch[Any]) -> None:
        """Take what a reflector found together."""
        for delta in batch.deltas:
            self._take(resource, delta)
        if batch.synced:
            self.reads((resource.group, resource.kind), Reading.READ)
        else:
            self._pass_on()

    def reads(self, kind: KindName, reading: Reading) -> None:
        """Note whether objects of a kind are seen."""
        if self.mirror.reads(kind, reading):
            self._compare_again(kind)
        if self._unlisted is not None:
            self._unlisted.discard(kind)
            if not self._unlisted:
                self._listed.set()
        self._pass_on()

    def _compare_again(self, kind: KindName) -> None:
        """Compare what is written of a kind: what could not be seen may have gone meanwhile."""
        for workload in self.fold.workloads.values():
            if workload.discovered is not None and kind_name(workload.discovered) == kind:
                self._want_whole(workload.workload_id)

    async def know_the_ground(self) -> None:
        """Wait until the journal was read to its end and every kind was listed."""
        await self.progress.catch_up()
        await self._listed.wait()

    async def write(self) -> None:
        """Compare everybody once the ground is known, then whoever is due, until cancelled."""
        await self.know_the_ground()
        for workload_id in dict.fromkeys((*self.fold.workloads, *self.mirror.workload_ids)):
            self._deeds.want(WorkloadDue(workload_id))
        for name in dict.fromkeys((*self.fold.nodes, *self.mirror.node_names)):
            self._deeds.want(NodeDue(name))
        self._pass_on()
        await self._deeds.run()

    @property
    def open(self) -> int:
        """How many comparisons are due or under way."""
        return self._deeds.open

    def _take(self, resource: Resource[Any], delta: Delta[Any]) -> None:
        if resource is NODES:
            self.mirror.take_node(delta.old, delta.new)
        elif resource in storage.KINDS:
            self.mirror.take_storage(delta.old, delta.new)
        else:
            self.mirror.take(_known(resource, delta.old), _known(resource, delta.new), seen=delta.seen)

    def _heed(self, event: AnyEvent) -> None:
        """Look again at what an event of somebody else concerns; our own tell us nothing new."""
        match event:
            case ProjectChanged():
                self.mirror.namespace_changed(event.namespace)
            case WorkloadSubmitted():
                self.mirror.submission_changed(event.workload_id)
            case StopRequested() | ActivateRequested() | DeleteRequested() | LimitReached() | ObjectsRefused():
                self._want_whole(event.workload_id)
            case _:
                pass

    def _want_whole(self, workload_id: UUID) -> None:
        self.mirror.distrust(workload_id)
        self._deeds.want(WorkloadDue(workload_id))

    def _pass_on(self) -> None:
        """Make due whomever the mirror names. Before everything was listed nobody is: owners may come later."""
        if not self._listed.is_set():
            return
        changes = self.mirror.changes()
        for workload_id in changes.workloads:
            self._deeds.want(WorkloadDue(workload_id))
        for name in changes.nodes:
            self._deeds.want(NodeDue(name))
        for workload_id in changes.doubts:
            self._deeds.want(LabelDue(workload_id))
        for kind in changes.kinds:
            self.unknown_kinds[kind] = None
            self.unknown_kind_met.set()
        for uid in changes.orphans:
            asyncio.get_running_loop().call_later(self._owner_wait_seconds, self._give_up_owner, uid)

    def _give_up_owner(self, uid: str) -> None:
        self.mirror.give_up_owner(uid)
        self._pass_on()

    # ------------------------------------------------------------ what it does

    async def _look_at(self, due: Due) -> None:
        match due:
            case WorkloadDue():
                await self._compare(due)
            case NodeDue():
                await self._append(due, decide_node(self.fold.nodes.get(due.name), self.mirror.seen_node(due.name)))
            case LabelDue():
                await self._verify(due.workload_id)
            case _:
                assert_never(due)

    async def _compare(self, due: WorkloadDue) -> None:
        """Tell what is missing of a workload; when that fails, nobody knows how much of it is told."""
        told, passing = False, self.mirror.passing_pods(due.workload_id)
        try:
            told = await self._append(due, missing_events(self.fold, self.mirror, due.workload_id))
        finally:
            if told:
                self.mirror.told(due.workload_id, passing)
            else:
                self.mirror.distrust(due.workload_id)

    async def _append(self, due: Due, events: Sequence[AnyEvent]) -> bool:
        """Append in order, each on what the last one left; after a lost race read on and decide anew.

        Return whether all were appended.
        """
        try:
            for event in events:
                position = await self._journal.append(event, expected=self.fold.version_for(event))
                self.fold.apply(position, event)
                self._heed_written(event)
        except Conflict as lost:
            log.info("Another append came first; deciding anew.", subject=lost.subject, position=lost.actual)
            await self.progress.reach(lost.actual)
            self._deeds.want(due)
            return False
        return True

    def _heed_written(self, event: AnyEvent) -> None:
        match event:
            case PodGone():
                self.mirror.written_gone(event.workload_id, [mark.pod_id for mark in event.pods])
            case WorkloadGone():
                self.mirror.written_end(event.workload_id)
            case _:
                pass

    async def _verify(self, workload_id: UUID) -> None:
        await self.progress.reach(await self._journal.end())
        self.mirror.doubt_is_over(workload_id)
        self._pass_on()


def missing_events(fold: Fold, mirror: Mirror, workload_id: UUID) -> Sequence[AnyEvent]:
    """Return what is seen of a workload and not written, and take it as told; nothing once its end is written."""
    if workload_id in fold.gone:
        return []
    folded = fold.workload(workload_id) or FoldedWorkload(workload_id)
    retold = mirror.retold(workload_id)
    if retold is not None:
        mirror.tell(workload_id)
        return decide_pods(folded, retold)
    seen = mirror.seen_workload(workload_id)
    if seen is not None:
        mirror.tell(workload_id)
    return decide_workload(folded, seen, mirror.departures_of(workload_id, seen.pods if seen is not None else ()))


def _known(resource: Resource[Any], item: HasMetadata | None) -> Known | None:
    if item is None:
        return None
    return Known(kind_of(resource.group, resource.kind), resource.api_version, item)
