"""Katib: Experiments that search by Trials, each of which makes one object of some other kind.

None of them is a workload. What a Trial makes (a Job, a PyTorchJob, a Workflow …) is one, the Experiment is its parent
and the Trial an attribute. The Suggestion's service is a Deployment like any other, of the same parent.
"""

from collections.abc import Mapping
from typing import Final

from muster_cluster.metadata import Metadata
from muster_contracts.values import ParentRef

from muster_integrations.recognition.kinds import Kind, Sight, Standing, System, Watch, group_of

_LABELS: Final = "katib.kubeflow.org/"


def experiment_of(metadata: Metadata) -> ParentRef | None:
    """Name the Experiment by the label that Katib gives to trials and, where its webhook is on, to their pods."""
    name = metadata.labels.get(f"{_LABELS}experiment", "")
    return ParentRef(kind=EXPERIMENT.name, name=name) if name else None


def trial_of(sight: Sight) -> Mapping[str, str]:
    """Return the Trial that made the object: its owner, else what its pods say."""
    owners = sight.item.metadata.owner_references if sight.item is not None else ()
    owning = [one.name for one in owners if (group_of(one.api_version), one.kind) == TRIAL.key]
    labelled = [name for pod in sight.pods if (name := pod.metadata.labels.get(f"{_LABELS}trial"))]
    trial = next(iter([*owning, *labelled]), "")
    return {"trial": trial} if trial else {}


def _parent(name: str, made_by: str = "") -> Kind:
    return Kind(
        group="kubeflow.org",
        name=name,
        standing=Standing.PARENT,
        made_by=made_by,
        watch=Watch(f"{name.lower()}s", versions=("v1beta1",)),
    )


EXPERIMENT = _parent("Experiment")
TRIAL = _parent("Trial", made_by=EXPERIMENT.name)
SUGGESTION = _parent("Suggestion", made_by=EXPERIMENT.name)

SYSTEM = System(kinds=(EXPERIMENT, TRIAL, SUGGESTION), parents=(experiment_of,), attributes=(trial_of,))
