"""Muster's own labels: the submitter writes them, and what controllers make of its objects inherits them.

Whoever could write them would put a pod into somebody else's workload, or a namespace into a project. A controller
passes the labels of a template on to its pods; that is allowed where the object it controls carries the very same, for
then it was the submitter who wrote them there.
"""

from collections.abc import Mapping

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Described, Raw
from muster_contracts.names import OWN_LABELS

from muster_integrations.admission.answers import NOTHING, Answer, Context, read


def guard_marks(written: Raw, context: Context) -> Answer:
    """Refuse that anyone but the submitter sets, changes or takes away one of Muster's own labels."""
    changed = changed_marks(written, context)
    if not changed or _inherited(changed, context.owner_labels):
        return NOTHING
    return Answer(
        refusal=f"The label {min(changed)} is written by Muster alone, and not by {context.user}: "
        "leave it as it is; the project of a pod is named by the label project."
    )


def changed_marks(written: Raw, context: Context) -> Mapping[str, str]:
    """Return which of Muster's labels somebody else is about to change, with their new values (empty: taken away)."""
    if context.user == context.submitter:
        return {}
    before, now = _labels(context.old or {}), _labels(written)
    return {name: now.get(name, "") for name in OWN_LABELS if before.get(name) != now.get(name)}


def _inherited(changed: Mapping[str, str], owner_labels: Mapping[str, str]) -> bool:
    return all(value and owner_labels.get(name) == value for name, value in changed.items())


def _labels(written: Raw) -> Mapping[str, str]:
    found = read(written, Described) or Described(metadata=Metadata())
    return found.metadata.labels
