"""What each workload is made of at this moment, put together for its description, and what is no longer there of it."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from uuid import UUID

from muster_cluster.objects import Pod
from muster_contracts.events import WorkloadDiscovered

from muster_integrations.core.fold import FoldedWorkload
from muster_integrations.core.seen import Departures
from muster_integrations.recognition.endings import Endings
from muster_integrations.recognition.identities import Identities, attempt_id
from muster_integrations.recognition.inventory import Inventory
from muster_integrations.recognition.kinds import KindName, Known, group_of
from muster_integrations.recognition.knowledge import Knowledge
from muster_integrations.recognition.places import Members, Places
from muster_integrations.recognition.resolution import Reading, Root
from muster_integrations.recognition.sighting import Subject
from muster_integrations.recognition.table import kind_of


class Subjects:
    """Gathers the objects of a workload, and what is known of it beside them."""

    def __init__(
        self, knowledge: Knowledge, inventory: Inventory, identities: Identities, places: Places, endings: Endings
    ) -> None:
        self._knowledge = knowledge
        self._inventory = inventory
        self._identities = identities
        self._places = places
        self._endings = endings

    def subject(self, workload_id: UUID) -> Subject | None:
        """Return what a workload is made of; None when neither its object nor a pod is there."""
        members = self._places.members(workload_id)
        return self._remnant(workload_id) if members is None else self._gathered(workload_id, members)

    def departures(self, workload_id: UUID, staying: Container[UUID]) -> Departures:
        """Return what is known of the pods that left a workload, which are not those that stay, and of its end."""
        folded = self._knowledge.workload(workload_id)
        left = [pod_id for pod_id in (folded.pods if folded else ()) if pod_id not in staying]
        homes = ((pod_id, self._places.place(str(pod_id))) for pod_id in left)
        return Departures(
            moved={pod_id: home for pod_id, home in homes if isinstance(home, UUID) and home != workload_id},
            last_words=self._endings.last_words(workload_id),
            end_seen=self._endings.was_seen(workload_id),
            hidden=folded is not None and self._is_hidden(folded),
        )

    def passing_pods(self, workload_id: UUID) -> list[UUID]:
        """Return the pods that came and went between two looks, so that nothing will ever be written of them."""
        folded = self._knowledge.workload(workload_id)
        written = folded.pods if folded is not None else {}
        return [pod_id for pod_id in self._endings.last_words(workload_id) if pod_id not in written]

    def _is_hidden(self, folded: FoldedWorkload) -> bool:
        """Say whether its object may be there, where we may not look, and is no part of one that is there."""
        if folded.discovered is None:
            return False
        kind, found = kind_name(folded.discovered), folded.discovered
        held = self._inventory.holder_of((kind, found.namespace, found.name)) is not None
        return self._inventory.reading_of(kind) is Reading.FORBIDDEN and not held

    def _remnant(self, workload_id: UUID) -> Subject | None:
        """Return a workload that no object ends while the end of its last pods is not written: that tells of it."""
        folded, gone = self._knowledge.workload(workload_id), self._endings.pods(workload_id)
        if folded is None or not folded.may_go_on or not gone:
            return None
        assert folded.discovered is not None, "only what was discovered may go on"
        root = _keyed(folded.discovered)
        return Subject(
            workload_id,
            root,
            pods=(),
            parts=(),
            project=folded.discovered.project,
            submission=None,
            folded=folded,
            gone=gone,
            attempt=self._identities.attempt(workload_id, root),
            first_attempt_id=attempt_id(root, 1),
        )

    def _gathered(self, workload_id: UUID, members: Members) -> Subject:
        pods: list[Pod] = [known.item for known in self._live(members.pods)]
        pods.sort(key=lambda pod: pod.metadata.key)
        first = members.anchor or (pods[0].metadata.uid if pods else members.anybody)
        root = self._current(self._places.resolution(first).root)
        return Subject(
            workload_id,
            root,
            pods=pods,
            parts=[*sorted(self._live(members.parts), key=_kind_and_name), *self._consulted(root)],
            project=self._project(workload_id, root),
            submission=self._identities.believed(workload_id, root),
            folded=self._knowledge.workload(workload_id),
            gone=self._endings.pods(workload_id),
            reads=self._inventory.may_come(root.kind.key),
            conflict=self._conflict([first, *(pod.metadata.uid for pod in pods)]),
            attempt=self._identities.attempt(workload_id, root),
            first_attempt_id=attempt_id(root, 1),
        )

    def _live(self, uids: Iterable[str]) -> Iterator[Known]:
        return (known for known in map(self._inventory.by_uid, uids) if known is not None)

    def _consulted(self, root: Root) -> Iterator[Known]:
        names = root.kind.consults(root.item) if root.item is not None else ()
        return (known for known in map(self._inventory.by_name, names) if known is not None)

    def _current(self, root: Root) -> Root:
        """Return the root with its object as it is now: what was resolved was an earlier state of it."""
        live = self._inventory.by_uid(root.uid)
        return replace(root, item=live.item if live is not None else None)

    def _project(self, workload_id: UUID, root: Root) -> str:
        """Return whose namespace it is, else whose it was when the workload was discovered."""
        folded = self._knowledge.workload(workload_id)
        before = folded.discovered.project if folded is not None and folded.discovered is not None else ""
        project = self._knowledge.project_of(root.namespace)
        return before if project is None else project

    def _conflict(self, uids: Iterable[str]) -> str:
        """Return the controllers of the first of these objects that has several, or is below one that has."""
        return next((conflict for uid in uids if (conflict := self._places.resolution(uid).conflict)), "")


def _keyed(discovered: WorkloadDiscovered) -> Root:
    """Return the root of a workload that has no object, by what the journal says of it."""
    key, kind = discovered.identity.partition("/")[2], kind_of("", discovered.kind)
    return Root(kind, "", discovered.namespace, discovered.name, key=key, source=discovered.identity_source)


def _kind_and_name(known: Known) -> tuple[KindName, str]:
    return known.kind.key, known.metadata.name


def kind_name(discovered: WorkloadDiscovered) -> KindName:
    """Return the kind of the object behind a workload, which may have another name (a Job that is an MLflow run)."""
    behind = next((ref for ref in discovered.controls.delete if ref.uid == discovered.object_id), discovered)
    return group_of(behind.api_version), behind.kind
