"""How pods and workloads ended that are no longer there, until it is written."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from muster_cluster.objects import Pod
from muster_contracts.values import PodMark

from muster_integrations.recognition.pod_facts import mark_of, to_uuid


class Endings:
    """The last words of pods, and whether the end of what is gone was told to us or found out after a gap."""

    def __init__(self) -> None:
        self._gone: dict[UUID, dict[UUID, Pod]] = {}
        self._seen: dict[UUID, bool] = {}

    def end(self, workload_id: UUID, *, seen: bool) -> None:
        """Note that an object of a workload is gone, which may have been the last."""
        self._seen[workload_id] = seen

    def end_pod(self, workload_id: UUID, pod: Pod) -> None:
        """Note how a pod of a workload stood when it went."""
        self._gone.setdefault(workload_id, {})[to_uuid(pod.metadata.uid)] = pod

    def was_seen(self, workload_id: UUID) -> bool:
        """Say whether the end of a workload was told to us."""
        return self._seen.get(workload_id, False)

    def pods(self, workload_id: UUID) -> Sequence[Pod]:
        """Return the pods of a workload that are gone and not written as gone, as they stood."""
        return tuple(self._gone.get(workload_id, {}).values())

    def last_words(self, workload_id: UUID) -> Mapping[UUID, PodMark]:
        """Return how the pods of a workload stood that are gone and not written as gone."""
        return {pod_id: mark_of(pod) for pod_id, pod in self._gone.get(workload_id, {}).items()}

    def written_pods(self, workload_id: UUID, pod_ids: Iterable[UUID]) -> None:
        """Forget how pods ended: it is written."""
        gone = self._gone.get(workload_id, {})
        for pod_id in pod_ids:
            gone.pop(pod_id, None)
        if not gone:
            self._gone.pop(workload_id, None)

    def written(self, workload_id: UUID) -> None:
        """Forget how a workload ended: it is written."""
        self._gone.pop(workload_id, None)
        self._seen.pop(workload_id, None)
