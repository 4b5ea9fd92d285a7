"""Where every object belongs: in a workload, or aside, and then what it waits for.

Objects are *settled* one by one, each with all that belong to it; who asked for another by name is settled again when
something else is known of that name. An object whose owner is not there stays where it was, or where the journal has
it, for owners are deleted before their pods. If it was nowhere yet it waits until somebody gives the owner up; then
what its reference or its labels say has to do.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from muster_integrations.recognition.agenda import Agenda
from muster_integrations.recognition.identities import Identities
from muster_integrations.recognition.index import Index
from muster_integrations.recognition.inventory import Inventory
from muster_integrations.recognition.kinds import Known, Name, Standing
from muster_integrations.recognition.knowledge import Knowledge
from muster_integrations.recognition.nodes import Nodes
from muster_integrations.recognition.pod_facts import to_uuid
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.resolution import Resolution, Root
from muster_integrations.recognition.resolver import resolve
from muster_integrations.recognition.sighting import OBJECT
from muster_integrations.recognition.table import TABLE


class Aside(StrEnum):
    """Places outside every workload: for good, until the owner appears, until a label is proved or disproved."""

    APART = "apart"
    WAITING = "waiting"
    DOUBTFUL = "doubtful"


Place = UUID | Aside


@dataclass(slots=True)
class Members:
    """The objects of one workload, by UID. `anchor` is the object that it is, while that is there."""

    anchor: str = ""
    pods: dict[str, None] = field(default_factory=dict)
    parts: dict[str, None] = field(default_factory=dict)

    @property
    def anybody(self) -> str:
        """Return an object that leads to the workload; empty when none is left."""
        return self.anchor or next(iter((*self.pods, *self.parts)), "")


class Places:
    """The place of every object, and the members of every workload."""

    def __init__(
        self, knowledge: Knowledge, inventory: Inventory, identities: Identities, nodes: Nodes, agenda: Agenda
    ) -> None:
        self._knowledge = knowledge
        self._inventory = inventory
        self._identities = identities
        self._nodes = nodes
        self._agenda = agenda
        self._resolved: dict[str, Resolution] = {}
        self._names_asked: dict[str, tuple[Name, ...]] = {}
        self._askers: Index[Name] = Index()
        self._places: dict[str, Place] = {}
        self._members: dict[UUID, Members] = {}
        self._given_up: set[str] = set()

    # ------------------------------------------------------------ what is asked

    @property
    def workload_ids(self) -> Iterator[UUID]:
        """Every workload that has an object or a pod."""
        return iter(self._members)

    def place(self, uid: str) -> Place | None:
        """Return where an object belongs; None for one that is only a step on the way, or is not known."""
        return self._places.get(uid)

    def members(self, workload_id: UUID) -> Members | None:
        """Return the objects of a workload; None when there is none."""
        return self._members.get(workload_id)

    def resolution(self, uid: str) -> Resolution:
        """Return how the place of an object in a workload was found."""
        return self._resolved[uid]

    def waiting(self) -> list[str]:
        """Return the objects that wait for an owner."""
        return [uid for uid, place in self._places.items() if place is Aside.WAITING]

    # ------------------------------------------------------------ what changes them

    def settle(self, uid: str, news: Iterable[Name]) -> None:
        """Settle an object that came, moved or went, and whoever asks for a name of which something else is known."""
        self.settle_all([uid, *(asker for name in news for asker in self._askers.under(name))])

    def settle_askers(self, name: Name) -> None:
        """Settle whoever asks for an object by its name, which has changed."""
        self.settle_all(self._askers.under(name))

    def settle_all(self, uids: Iterable[str]) -> None:
        """Settle objects and all that belong to them or ask for them by name, each once."""
        open_uids = list(uids)
        passed: set[str] = set()
        while open_uids:
            uid = open_uids.pop()
            if uid not in passed:
                passed.add(uid)
                self._settle(uid)
                open_uids.extend(self._inventory.owned_by(uid))
                open_uids.extend(self._askers_of(uid))

    def _askers_of(self, uid: str) -> Collection[str]:
        known = self._inventory.by_uid(uid)
        return () if known is None else self._askers.under(known.full_name)

    def give_up_owner(self, uid: str) -> None:
        """Wait no longer for the owner of an object."""
        if self._places.get(uid) is Aside.WAITING:
            self._given_up.add(uid)
            self.settle_all([uid])

    def forget(self, uid: str) -> None:
        """Forget how the place of an object was found that is gone; `settle` takes it from its place."""
        self._given_up.discard(uid)
        self._forget_resolution(uid)

    def _settle(self, uid: str) -> None:
        known = self._inventory.by_uid(uid)
        old = self._places.get(uid)
        new = self._place(known, old) if known is not None else None
        if new != old:
            self._leave(uid, old)
        if new is None:
            self._places.pop(uid, None)
        else:
            self._places[uid] = new
        if known is not None:
            self._enter(known, new)

    def _leave(self, uid: str, place: Place | None) -> None:
        if not isinstance(place, UUID):
            return
        self._agenda.compare(place)
        members = self._members[place]
        members.pods.pop(uid, None)
        members.parts.pop(uid, None)
        if members.anchor == uid:
            members.anchor = ""
        if not members.anybody:
            del self._members[place]

    def _enter(self, known: Known, place: Place | None) -> None:
        uid = known.metadata.uid
        self._nodes.count(known, apart=place is Aside.APART)
        if place is Aside.WAITING:
            self._agenda.wait(uid)
        if not isinstance(place, UUID):
            return
        self._agenda.compare(place)
        members = self._members.setdefault(place, Members())
        if known.kind is POD:
            members.pods[uid] = None
        if self._resolved[uid].root.uid == uid:
            members.anchor = uid
        elif known.kind is not POD:
            members.parts[uid] = None

    # ------------------------------------------------------------ how a place is found

    def _place(self, known: Known, before: Place | None) -> Place | None:
        if not _has_place(known):
            return None
        found = self._resolve(known)
        if found is None or _leads_to_a_step(known, found.root):
            return None
        home = self._home(known, before)
        if found.apart or (self._knowledge.project_of(known.metadata.namespace) is None and home is None):
            return Aside.APART
        if found.missing and home is None:
            home = self._written(found.root)
        if home is not None and (found.missing or (found.root.item is None and self._was_read(home))):
            return home
        if found.missing and known.metadata.uid not in self._given_up:
            return Aside.WAITING
        return self._identities.identity(known, found.root, home) or Aside.DOUBTFUL

    def _written(self, root: Root) -> UUID | None:
        """Return the workload that an owner is which is not there, if it is written: then nobody need wait for it."""
        own_id = to_uuid(root.uid) if root.uid else None
        return own_id if own_id is not None and self._knowledge.workload(own_id) is not None else None

    def _was_read(self, workload_id: UUID) -> bool:
        """Say whether the object of a workload was read when it was told of, which is more than can be known now."""
        folded = self._knowledge.workload(workload_id)
        said = folded.discovered if folded is not None else None
        return said is not None and said.object_id is not None and OBJECT not in said.attributes

    def _resolve(self, known: Known) -> Resolution | None:
        """Resolve an object, and remember for whose coming it has to be done again; None: it is shown with nobody."""
        uid = known.metadata.uid
        asked, found = self._look_up(known)
        self._forget_resolution(uid)
        self._names_asked[uid] = asked
        for name in asked:
            self._askers.add(name, uid)
        if found is not None:
            self._resolved[uid] = found
            self._agenda.meet(kind for kind in found.kinds if self._inventory.reading_of(kind) is None)
        return found

    def _look_up(self, known: Known) -> tuple[tuple[Name, ...], Resolution | None]:
        """Return the names that were asked for, and where an object belongs: where it is shown, if it says so."""
        refers = known.kind.refers(known.item)
        if refers is None:
            found = resolve(known, self._inventory)
            return (*found.names, *known.kind.consults(known.item)), found
        name = (refers[0], known.metadata.namespace, refers[1])
        shown_with = self._inventory.by_name(name)
        return (name,), resolve(shown_with, self._inventory) if shown_with is not None else None

    def _forget_resolution(self, uid: str) -> None:
        self._resolved.pop(uid, None)
        for name in self._names_asked.pop(uid, ()):
            self._askers.discard(name, uid)

    def _home(self, known: Known, before: Place | None) -> UUID | None:
        """Return where an object belongs as far as we know without its owners."""
        if isinstance(before, UUID):
            return before
        own_id = to_uuid(known.metadata.uid)
        if known.kind is POD:
            return self._knowledge.home_of(own_id)
        return own_id if self._knowledge.workload(own_id) is not None else None


def _has_place(known: Known) -> bool:
    """Say whether an object can belong to a workload by itself: a pod, and what is a workload or a part of one.

    Steps lead to workloads and say nothing of their own, unless nobody owns them; of a kind nobody knows only pods
    make a workload.
    """
    if known.kind is POD:
        return True
    alone = known.kind.standing is Standing.STEP and not known.metadata.owner_references
    return known.kind.key in TABLE and (known.kind.standing is Standing.WORKLOAD or alone)


def _leads_to_a_step(known: Known, root: Root) -> bool:
    """Say whether above an object is only something that stands between and cannot be read: pods alone tell of whom."""
    return known.kind is not POD and root.item is None and root.kind.standing is Standing.STEP
