"""What has to be known beside the live objects: what the journal says, as far as recognition asks it.

The service gives the fold of the journal; offline, where nothing was ever written, `offline` stands for it.
"""

from typing import Protocol
from uuid import UUID

from muster_integrations.core.fold import FoldedWorkload, Submission


class Knowledge(Protocol):
    """The fold of the journal, or what stands for it."""

    def project_of(self, namespace: str) -> str | None:
        """Return the project whose namespace this is."""
        ...

    def airflow_unit_of(self, namespace: str) -> str:
        """Return what of Airflow is one workload there: `dag-run` or `task`."""
        ...

    def is_over(self, workload_id: UUID) -> bool:
        """Say whether a workload is gone or closed, so that what comes now is another attempt."""
        ...

    def submission_of(self, workload_id: UUID) -> Submission | None:
        """Return what an accepted submission names."""
        ...

    def home_of(self, pod_id: UUID) -> UUID | None:
        """Return the workload that a pod belongs to as far as is written."""
        ...

    def workload(self, workload_id: UUID) -> FoldedWorkload | None:
        """Return what is written of a workload."""
        ...
