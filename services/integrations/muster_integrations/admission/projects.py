"""To which project a pod counts: that of its namespace; in a namespace that is no project's, the one its labels name.

A label that names no project there is says nothing: `project` is a word that many people label their pods with.
"""

from muster_cluster.metadata import Metadata
from muster_contracts.names import PROJECT_LABELS

from muster_integrations.admission.answers import Context


def project_of(metadata: Metadata, context: Context) -> str:
    """Return the project a pod counts for; empty when it is none of Muster's business."""
    return context.project or named_project(metadata, context)


def named_project(metadata: Metadata, context: Context) -> str:
    """Return the project that labels name, under Muster's name or another; empty when they name none there is."""
    named = (metadata.labels.get(label, "") for label in PROJECT_LABELS)
    return next((project for project in named if project in context.projects), "")
