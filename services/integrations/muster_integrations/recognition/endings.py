"""How pods and workloads ended that are no longer there, until it is written."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from muster_cluster.objects import Pod
from muster_contracts.values import PodMark

from muster_integrations.recognition.pod_facts import mark_of


class Endings:
    """The last words of pods, and whether the end of what is gone was told to us or found out after a gap."""

    def __init__(self) -> None:
        self._last_words: dict[UUID, dict[UUID, PodMark]] = {}
        self._seen: dict[UUID, bool] = {}

    def end(self, workload_id: UUID, *, seen: bool) -> None:
        """Note that an object of a workload is gone, which may have been the last."""
        self._seen[workload_id] = seen

    def end_pod(self, workload_id: UUID, pod: Pod) -> None:
        """Note how a pod of a workload stood when it went."""
        mark = mark_of(pod)
        self._last_words.setdefault(workload_id, {})[mark.pod_id] = mark

    def was_seen(self, workload_id: UUID) -> bool:
        """Say whether the end of a workload was told to us."""
        return self._seen.get(workload_id, False)

    def last_words(self, workload_id: UUID) -> Mapping[UUID, PodMark]:
        """Return how the pods of a workload stood that are gone and not written as gone."""
        return dict(self._last_words.get(workload_id, {}))

    def written_pods(self, workload_id: UUID, pod_ids: Iterable[UUID]) -> None:
        """Forget how pods ended: it is written."""
        words = self._last_words.get(workload_id, {})
        for pod_id in pod_ids:
            words.pop(pod_id, None)
        if not words:
            self._last_words.pop(workload_id, None)

    def written(self, workload_id: UUID) -> None:
        """Forget how a workload ended: it is written."""
        self._last_words.pop(workload_id, None)
        self._seen.pop(workload_id, None)
