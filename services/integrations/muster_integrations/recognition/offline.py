"""What the service would say of objects that are only written down: no cluster, no journal, no clock.

The objects go through the very mirror that watches feed. What is not among them is taken as what may not be read, so
nobody waits for an owner that never comes. Every namespace is a project's, and nothing was ever written before.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from muster_integrations.core.fold import FoldedWorkload, Submission
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.kinds import Known, Standing
from muster_integrations.recognition.manifests import Document, Ignored, Objects, read_objects
from muster_integrations.recognition.mirror import Mirror
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import TABLE
from muster_integrations.recognition.walk import followed, is_meant

_BY_THEIR_STANDING: Final[Mapping[Standing, str]] = {
    Standing.PARENT: "It makes workloads, and is none itself.",
    Standing.APART: "It belongs to the nodes, and is no workload.",
    Standing.STEP: "It stands between a workload and its pods, and the workload is not here.",
}
_NOBODYS: Final = "It is no workload, and no pod leads to it."
_ABOVE: Final = "It stands above a workload, and is no part of it."


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a pod is where it is: the rule that won, and what was looked at before, a sentence each."""

    pod: str
    workload: SeenWorkload | None
    apart: str
    rule: str
    tried: tuple[str, ...]


class _NothingWritten:
    """The journal of a cluster in which every namespace is a project's, and nothing has happened yet."""

    def project_of(self, namespace: str) -> str | None:
        return namespace

    def airflow_unit_of(self, _namespace: str) -> str:
        return "dag-run"

    def is_over(self, _workload_id: UUID) -> bool:
        return False

    def submission_of(self, _workload_id: UUID) -> Submission | None:
        return None

    def home_of(self, _pod_id: UUID) -> UUID | None:
        return None

    def workload(self, _workload_id: UUID) -> FoldedWorkload | None:
        return None


class Picture:
    """All that is recognised in some documents. `invented` are UIDs that no object had: they mean nothing outside."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._objects = read_objects(documents)
        self._mirror = _mirror_of(self._objects)
        self.invented: frozenset[str] = frozenset(self._objects.invented)
        self.workloads = sorted(map(self._seen, self._mirror.workload_ids), key=_by_name)
        self.ignored = sorted(
            (*self._objects.ignored, *self._apart()), key=lambda one: (one.name, one.kind, one.reason)
        )

    def explain(self, pod: str) -> list[Explanation]:
        """Say where pods belong, and why: those of this name, or the one of this `namespace/name`."""
        namespace, _, name = pod.rpartition("/")
        meant = [
            known
            for known in self._objects.known.values()
            if known.kind is POD and known.metadata.name == name and namespace in {"", known.metadata.namespace}
        ]
        return [self._explained(known) for known in sorted(meant, key=lambda known: known.metadata.key)]

    def _explained(self, known: Known) -> Explanation:
        found, trail = self._mirror.explain(known.metadata.uid)
        place = self._mirror.place_of(known.metadata.uid)
        workload = self._seen(place) if isinstance(place, UUID) else None
        return Explanation("/".join(known.metadata.key), workload, found.apart, trail.rule, tuple(trail.tried))

    def _seen(self, workload_id: UUID) -> SeenWorkload:
        """Return a workload; one whose UID was invented is known by its name."""
        seen = self._mirror.seen_workload(workload_id)
        assert seen is not None, "the mirror named it"
        if seen.identity not in self.invented:
            return seen
        source = "name" if seen.identity_source in {"owner", "pod"} else seen.identity_source
        return replace(seen, identity=f"{seen.namespace}/{seen.name}", identity_source=source)

    def _apart(self) -> Iterable[Ignored]:
        """Yield what is in no workload."""
        pods = [known for known in self._objects.known.values() if known.kind is POD]
        walked = {uid for pod in pods for uid in self._mirror.explain(pod.metadata.uid)[1].passed}
        above = self._above(pods)
        for known in self._objects.known.values():
            if reason := self._reason(known, walked, above):
                yield Ignored(known.kind.name, known.metadata.name, reason)

    def _reason(self, known: Known, walked: Container[str], above: Container[str]) -> str:
        """Return why an object is in no workload; empty for one that is."""
        kind, uid = known.kind, known.metadata.uid
        if isinstance(self._mirror.place_of(uid), UUID):
            return ""
        found, _ = self._mirror.explain(uid)
        if found.apart:
            return found.apart
        if (shown_with := kind.refers(known.item)) is not None:
            return f"It is shown with the {shown_with[0][1]} {shown_with[1]}, which is not here."
        if kind.standing in {Standing.PARENT, Standing.APART}:
            return _BY_THEIR_STANDING[kind.standing]
        leads = kind.key in TABLE and isinstance(self._mirror.place_of(found.root.uid), UUID)
        if leads or uid in walked:
            return ""
        return _BY_THEIR_STANDING.get(kind.standing, _ABOVE if uid in above else _NOBODYS)

    def _above(self, pods: Iterable[Known]) -> set[str]:
        """Return everything that owns pods, or what owns them, also where no walk comes."""
        found: set[str] = set()
        for pod in pods:
            current = self._owner(pod)
            while current is not None and current.metadata.uid not in found:
                found.add(current.metadata.uid)
                current = self._owner(current)
        return found

    def _owner(self, owned: Known) -> Known | None:
        reference = followed(owned.metadata)
        owner = self._objects.known.get(reference.uid) if reference is not None else None
        if reference is None or owner is None or not is_meant(owner, reference, owned.metadata.namespace):
            return None
        return owner


def _mirror_of(objects: Objects) -> Mirror:
    mirror = Mirror(_NothingWritten())
    for kind in TABLE:
        mirror.reads(kind, Reading.FORBIDDEN)
    for known in objects.known.values():
        mirror.take(None, known)
    for workload_id in mirror.changes().doubts:
        mirror.doubt_is_over(workload_id)  # there is no journal that could prove a label
    return mirror


def _by_name(seen: SeenWorkload) -> tuple[str, ...]:
    return seen.name, seen.namespace, seen.kind, str(seen.workload_id)
