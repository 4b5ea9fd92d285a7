"""Everything that is watched, taken step by step, and what is seen of each workload and node at any moment.

`take` is told every step of every object, in the order its reflector gives them; reflectors of different kinds are in
no order among each other, so a pod may come before its owner. The `inventory` holds the objects, `places` which
workload each is in, `identities` which workload that is, `subjects` what it is made of; `agenda` says who is due since
it was last asked.

A change of owners, labels, projects or submissions settles the places of the objects concerned anew; any other change
only makes their workload due for comparison, or of that no more than the pod.
"""

from collections.abc import Container, Iterable, Iterator
from uuid import UUID

from muster_cluster.objects import Node, Pod
from muster_contracts.events import NodeObserved
from muster_contracts.values import PodFacts

from muster_integrations.core.seen import Departures, SeenWorkload
from muster_integrations.recognition.agenda import Agenda, Changes
from muster_integrations.recognition.endings import Endings
from muster_integrations.recognition.facts_made import FactsMade
from muster_integrations.recognition.identities import Identities
from muster_integrations.recognition.inventory import Inventory
from muster_integrations.recognition.kinds import KindName, Known, Name
from muster_integrations.recognition.knowledge import Knowledge
from muster_integrations.recognition.nodes import Nodes
from muster_integrations.recognition.places import Aside, Place, Places
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.resolution import Reading, Resolution, Trail
from muster_integrations.recognition.resolver import resolve
from muster_integrations.recognition.sighting import describe
from muster_integrations.recognition.storage import Storage, StorageObject
from muster_integrations.recognition.subjects import Subjects


class Mirror:
    """All of it; pure, and without a clock.

    `discovers`: whoever feeds it reads the kinds it asks for, so an owner of a kind nobody knows may still come.
    """

    def __init__(self, knowledge: Knowledge, *, discovers: bool = False) -> None:
        self._knowledge = knowledge
        self._agenda = Agenda()
        self._inventory = Inventory(knowledge, discovers=discovers)
        self._identities = Identities(knowledge, self._agenda)
        self._nodes = Nodes(self._inventory, self._agenda)
        self._places = Places(knowledge, self._inventory, self._identities, self._nodes, self._agenda)
        self._endings = Endings()
        self._subjects = Subjects(knowledge, self._inventory, self._identities, self._places, self._endings)
        self._storage = Storage()
        self._facts = FactsMade(knowledge, self._storage, self._agenda)

    # ------------------------------------------------------------ what comes in

    def take(self, old: Known | None, new: Known | None, *, seen: bool = True) -> None:
        """Take one step of one object: added, changed, or gone (`seen`: we were told, and did not find out later)."""
        either = new or old
        assert either is not None, "a step has an object"
        news = self._remove(either, seen=seen) if new is None else self._put(new)
        if old is None or new is None or news or _moves(old, new):
            self._places.settle(either.metadata.uid, news)
        else:
            self._touch(new, old)

    def take_node(self, old: Node | None, new: Node | None) -> None:
        """Take one step of a node."""
        self._nodes.take(old, new)

    def take_storage(self, old: StorageObject | None, new: StorageObject | None) -> None:
        """Take one step of a claim, a volume or a storage class."""
        for uid in self._storage.take(old, new):
            if isinstance(place := self._places.place(uid), UUID):
                self._agenda.compare(place)

    def reads(self, kind: KindName, reading: Reading) -> bool:
        """Note whether objects of a kind are seen; from now on nobody waits for those that are not.

        Return whether that is news.
        """
        news = self._inventory.reads(kind, reading)
        if news:
            self._places.settle_all(self._places.waiting())
        return news

    def settle_anew(self) -> None:
        """Settle everything anew: what is known of projects, submissions and homes came all at once."""
        self._places.settle_all(self._inventory.uids)

    def namespace_changed(self, namespace: str) -> None:
        """Settle everything in a namespace anew: it became, or is no longer, a project's."""
        self._places.settle_all(self._inventory.in_namespace(namespace))

    def submission_changed(self, workload_id: UUID) -> None:
        """Settle anew whatever claims to be this workload."""
        self._places.settle_all(self._identities.claimants(workload_id))

    def doubt_is_over(self, workload_id: UUID) -> None:
        """Believe from here on that a label is unfounded, unless a submission of that id is known."""
        self._identities.disbelieve(workload_id)
        self.submission_changed(workload_id)

    def give_up_owner(self, uid: str) -> None:
        """Wait no longer for the owner of an object."""
        self._places.give_up_owner(uid)

    def written_gone(self, workload_id: UUID, pod_ids: Iterable[UUID]) -> None:
        """Forget how pods ended: it is written."""
        self._endings.written_pods(workload_id, pod_ids)

    def told(self, workload_id: UUID, passing: Iterable[UUID]) -> None:
        """Forget how pods ended that came and went between two looks, and a workload that did, or has its end."""
        self._endings.written_pods(workload_id, passing)
        folded = self._knowledge.workload(workload_id)
        if folded is None or folded.discovered is None:
            self._endings.written(workload_id)

    def written_end(self, workload_id: UUID) -> None:
        """Forget how a workload ended: it is written."""
        self._endings.written(workload_id)

    def _put(self, new: Known) -> list[Name]:
        """Take an object in; return the names of which something else is known now."""
        old = self._inventory.by_uid(new.metadata.uid)
        if old is not None:
            self._nodes.count(old, apart=False)
        news = self._inventory.put(new)
        if new.kind is POD:
            self._heed(new.item)
        return news

    def _heed(self, pod: Pod) -> None:
        """Note what the facts of others will depend on, now that a pod is there."""
        self._storage.uses(pod)
        if self._facts.heed(pod):
            for workload_id in self._places.workload_ids:
                self._agenda.compare(workload_id)

    def _remove(self, old: Known, *, seen: bool) -> list[Name]:
        """Forget an object; return the names of which something else is known now."""
        uid = old.metadata.uid
        if self._inventory.by_uid(uid) is None:
            return []
        self._nodes.count(old, apart=False)
        news = self._inventory.remove(uid)
        if old.kind is POD:
            self._storage.forget(old.item)
        self._places.forget(uid)
        self._facts.forget(uid)
        self._identities.forget(old)
        place = self._places.place(uid)
        if isinstance(place, UUID):
            self._end(old, place, seen=seen)
        return news

    def _end(self, old: Known, workload_id: UUID, *, seen: bool) -> None:
        """Remember how an object of a workload ended."""
        self._endings.end(workload_id, seen=seen)
        if old.kind is POD:
            self._endings.end_pod(workload_id, old.item)
        members = self._places.members(workload_id)
        if members is not None and members.anchor == old.metadata.uid:
            self._identities.deleted(old)

    def _touch(self, new: Known, old: Known) -> None:
        """Note a change that moves nothing."""
        place = self._places.place(new.metadata.uid)
        if place is Aside.APART:
            self._nodes.count(new, apart=True)
        elif isinstance(place, UUID) and new.kind is POD:
            self._facts.renew(place, new.item, old.item)
        elif isinstance(place, UUID):
            self._agenda.compare(place)
        else:
            self._places.settle_askers(new.full_name)

    # ------------------------------------------------------------ what is asked

    def changes(self) -> Changes:
        """Return who is due since this was last asked."""
        return self._agenda.hand_over()

    @property
    def workload_ids(self) -> Iterator[UUID]:
        """Every workload that has an object or a pod."""
        return self._places.workload_ids

    @property
    def node_names(self) -> Iterator[str]:
        """Every node that is there."""
        return self._nodes.names

    def by_uid(self, uid: str) -> Known | None:
        """Return a live object."""
        return self._inventory.by_uid(uid)

    def explain(self, uid: str) -> tuple[Resolution, Trail]:
        """Return where an object belongs and how that was found."""
        trail = Trail()
        known = self._inventory.by_uid(uid)
        assert known is not None, "only who is there can be explained"
        return resolve(known, self._inventory, trail), trail

    def place_of(self, uid: str) -> Place | None:
        """Return where an object belongs; None for one that is only a step on the way, or is not known."""
        return self._places.place(uid)

    def retold(self, workload_id: UUID) -> list[PodFacts] | None:
        """Return the pods that changed since a workload was told; None if it has to be compared as a whole."""
        return self._agenda.retold(workload_id)

    def tell(self, workload_id: UUID) -> None:
        """Take all that is seen of a workload as told; whoever then fails to tell it has to `distrust` that."""
        self._agenda.tell(workload_id)

    def distrust(self, workload_id: UUID) -> None:
        """Take nothing of a workload as told, so that it is compared as a whole."""
        self._agenda.distrust(workload_id)

    def seen_workload(self, workload_id: UUID) -> SeenWorkload | None:
        """Return what is seen of a workload; None when neither its object nor a pod is there."""
        subject = self._subjects.subject(workload_id)
        return None if subject is None else describe(subject, self._facts.facts)

    def departures_of(self, workload_id: UUID, staying: Container[UUID] = ()) -> Departures:
        """Return what is known of the pods that left a workload, which are not those that stay, and of its end."""
        return self._subjects.departures(workload_id, staying)

    def passing_pods(self, workload_id: UUID) -> list[UUID]:
        """Return the pods that came and went between two looks, so that nothing will ever be written of them."""
        return self._subjects.passing_pods(workload_id)

    def seen_node(self, name: str) -> NodeObserved | None:
        """Return what is seen of a node, with the sum of the pods on it that belong to no workload."""
        return self._nodes.seen(name)


def _moves(old: Known, new: Known) -> bool:
    """Say whether a change may move an object, or what belongs to it, to another workload."""
    before, after = old.metadata, new.metadata
    if (before.owner_references, before.labels) != (after.owner_references, after.labels):
        return True
    return new.kind.refers(old.item) != new.kind.refers(new.item)
