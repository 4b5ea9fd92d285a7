"""MLflow: a run of a project on Kubernetes is a Job, known by what is in the environment of its container.

MLflow writes no labels and has no objects of its own, so this looks into what others have found: a plain Job whose
containers name a run is an `MLflowRun`; of anything else the run is an attribute, as is that a served model is one of
MLflow's. A tracking URI alone means nothing, for anybody may talk to a server.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Job, Pod, PodSpec
from muster_contracts import names
from muster_contracts.phases import WorkloadClass

from muster_integrations.recognition.argo import WORKFLOW
from muster_integrations.recognition.fields import entries, field, mapping, text
from muster_integrations.recognition.jobs import JOB
from muster_integrations.recognition.kinds import Kind, Sight, System, group_of

RUN_ID: Final = "MLFLOW_RUN_ID"
EXPERIMENT_ID: Final = "MLFLOW_EXPERIMENT_ID"
_ATTRIBUTES: Final = {
    RUN_ID: "mlflow_run_id",
    EXPERIMENT_ID: "mlflow_experiment_id",
}  # a tracking URI may hold a password
_FRAMEWORK: Final = {"framework": "mlflow"}


def run_of_project(kind: Kind, sight: Sight) -> Kind | None:
    """Return the kind of a Job that is a run of an MLflow project. What Muster or a Workflow made stays what it is."""
    if kind is not JOB or not _run_facts(sight):
        return None
    return None if sight.item is not None and _is_made_otherwise(sight.item.metadata) else MLFLOW_RUN


def _is_made_otherwise(metadata: Metadata) -> bool:
    owners = {(group_of(owner.api_version), owner.kind) for owner in metadata.owner_references}
    return names.WORKLOAD_ID in metadata.labels or WORKFLOW.key in owners


def facts(sight: Sight) -> Mapping[str, str]:
    """Return the run that the containers of any workload name, and whether a model that is served is MLflow's."""
    return _run_facts(sight) | (_FRAMEWORK if _serves_mlflow(sight) else {})


def _run_facts(sight: Sight) -> dict[str, str]:
    """Return the run as the first that names one has it. Values that come from secrets are not seen."""
    for spec in _specs(sight):
        for container in spec.containers:
            if any(variable.name == RUN_ID and variable.value for variable in container.env):
                found = {variable.name: variable.value for variable in container.env}
                return {label: found[name] for name, label in _ATTRIBUTES.items() if found.get(name)}
    return {}


def _specs(sight: Sight) -> Iterator[PodSpec]:
    if isinstance(sight.item, Job):
        yield sight.item.spec.template.spec
    yield from (pod.spec for pod in sight.pods)


def _serves_mlflow(sight: Sight) -> bool:
    """Say whether one of the formats in which KServe or Seldon name a model is MLflow's."""
    models = (model.spec for model in sight.parts_of("Model"))
    return any("mlflow" in said.lower() for spec in (sight.spec, *models) for said in _formats(spec))


def _formats(spec: Any) -> Iterator[str]:
    yield text(spec, "predictor", "model", "modelFormat", "name")
    for predictor in entries(spec, "predictors"):
        yield from _implementations(mapping(predictor, "graph"))
    requirements = field(spec, "requirements")
    yield from (one for one in (requirements if isinstance(requirements, list) else ()) if isinstance(one, str))


def _implementations(node: Any) -> Iterator[str]:
    yield text(node, "implementation")
    for child in entries(node, "children"):
        yield from _implementations(child)


def _role(_pod: Pod, _sight: Sight) -> str:
    return "main"


MLFLOW_RUN = replace(JOB, name="MLflowRun", workload_class=WorkloadClass.THIRD_PARTY, role=_role)

SYSTEM = System(variants=(run_of_project,), attributes=(facts,))
