"""Which workload a root is: the id on the object if that is believed, else the object's own, or one made of its key.

What has no object (a DAG run) may end and begin again, and so may an object that another took in and let go (decision
25): then it is the next *attempt*, under an id of its own.

A workload id on an object is a claim. It is believed if the submission of that id names the object; until the journal
was read as far as it was when the claim was seen it is in doubt, and then it is unfounded.
"""

from collections.abc import Collection
from uuid import UUID

from muster_cluster.metadata import Metadata
from muster_contracts import names
from muster_contracts.subjects import derived_id

from muster_integrations.core.fold import Submission
from muster_integrations.recognition.agenda import Agenda
from muster_integrations.recognition.index import Index
from muster_integrations.recognition.kinds import Known
from muster_integrations.recognition.knowledge import Knowledge
from muster_integrations.recognition.pod_facts import to_uuid
from muster_integrations.recognition.resolution import Root

REMEMBERED = 10_000
"""Deleted objects; what shows one again is a list that was under way, and comes within seconds."""


class Identities:
    """Gives every root its workload's id, and remembers who claims another."""

    def __init__(self, knowledge: Knowledge, agenda: Agenda) -> None:
        self._knowledge = knowledge
        self._agenda = agenda
        self._claimants: Index[UUID] = Index()
        self._claims: dict[str, UUID] = {}
        self._unfounded: set[UUID] = set()
        self._deleted: dict[str, None] = {}

    def identity(self, known: Known, root: Root, home: UUID | None) -> UUID | None:
        """Return which workload an object is in that is `root`'s; None while a claim is in doubt and it has no home."""
        claimed = _claimed(root.item.metadata if root.item is not None else known.metadata) if root.uid else None
        if claimed is None or claimed == to_uuid(root.uid):
            return self._open_attempt(root, home)[1]
        if self.believed(claimed, root) is not None:
            return claimed
        self._claim(known.metadata.uid, claimed)
        if self._knowledge.submission_of(claimed) is None and claimed not in self._unfounded:
            self._agenda.verify(claimed)
            return home
        return self._open_attempt(root, home)[1]

    def believed(self, workload_id: UUID, root: Root) -> Submission | None:
        """Return the submission of a workload if it names this root."""
        submission = self._knowledge.submission_of(workload_id)
        if submission is None or not submission.names(root.kind.name, root.namespace, root.name):
            return None
        return submission

    def attempt(self, workload_id: UUID, root: Root) -> int:
        """Return which attempt a workload is; 0 if the root is another's."""
        if root.uid and self.believed(workload_id, root) is not None:
            return 1
        number, identity = self._open_attempt(root, workload_id)
        return number if identity == workload_id else 0

    def claimants(self, workload_id: UUID) -> Collection[str]:
        """Return the objects that claimed to be this workload and were not believed, and forget that they did."""
        return self._claimants.pop(workload_id)

    def disbelieve(self, workload_id: UUID) -> None:
        """Take claims of this id as unfounded from here on, unless a submission of it is known, or nobody claims it."""
        if self._claimants.under(workload_id):
            self._unfounded.add(workload_id)

    def deleted(self, known: Known) -> None:
        """Note that an object was deleted that was a workload: what shows it again comes late."""
        self._deleted[known.metadata.uid] = None
        if len(self._deleted) > REMEMBERED:
            del self._deleted[next(iter(self._deleted))]

    def forget(self, known: Known) -> None:
        """Forget what an object that is gone claimed."""
        self._unclaim(known.metadata.uid)

    def _claim(self, uid: str, claimed: UUID) -> None:
        """Note whose an object says it is, or its root says, in the place of what was said before."""
        if self._claims.get(uid) != claimed:
            self._unclaim(uid)
        self._claims[uid] = claimed
        self._claimants.add(claimed, uid)

    def _unclaim(self, uid: str) -> None:
        claimed = self._claims.pop(uid, None)
        if claimed is not None:
            self._claimants.discard(claimed, uid)
            if not self._claimants.under(claimed):
                self._unfounded.discard(claimed)

    def _open_attempt(self, root: Root, wanted: UUID | None) -> tuple[int, UUID]:
        """Return number and id of the attempt that is open, or of the wanted one if it comes first."""
        number = 1
        while (identity := attempt_id(root, number)) != wanted and self._is_behind(root, identity):
            number += 1
        return number, identity

    def _is_behind(self, root: Root, identity: UUID) -> bool:
        """Say whether an attempt is over, and what is there now is the next.

        An object ends its workload, and may yet be there: when another object took it in, or its namespace was no
        project's for a while. What only references tell of an object that is gone is no attempt.
        """
        if not root.uid:
            return self._knowledge.is_over(identity)
        is_gone = self._knowledge.is_over(identity) and self._knowledge.workload(identity) is None
        return is_gone and root.item is not None and root.uid not in self._deleted


def attempt_id(root: Root, number: int) -> UUID:
    """Return the id of an attempt: of an object the first is its own."""
    if not root.uid:
        return derived_id("keyed", root.kind.name, root.namespace, root.key, str(number))
    own = to_uuid(root.uid)
    return own if number == 1 else derived_id("again", str(own), str(number))


def _claimed(metadata: Metadata) -> UUID | None:
    written = metadata.labels.get(names.WORKLOAD_ID, "")
    try:
        return UUID(written) if written else None
    except ValueError:
        return None
