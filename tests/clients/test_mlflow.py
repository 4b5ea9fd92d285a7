"""`mlflow run -b kubernetes` starts a Job in the simulated cluster and takes the run's end from the Job's.

MLflow builds and pushes an image first; a stand-in of ours (`docker_engine.py`) takes it. MLflow also types `docker
info`, so a command of that name that does nothing comes first in its path.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from clients.conftest import Api
from clients.docker_engine import DockerEngine, docker_engine
from clients.environments import Environment, Ran, environment

PROJECT = """
name: digits
docker_env: {image: train:1}
entry_points:
  main:
    parameters: {alpha: float}
    command: python train.py --alpha {alpha}
"""


@dataclass(frozen=True)
class Mlflow:
    """MLflow with its runs in a folder, and a project to run."""

    installed: Environment
    home: Path
    api: Api
    engine: DockerEngine

    def type(self, *arguments: str) -> Ran:
        """Type an `mlflow` command."""
        return self.installed.run(
            "mlflow",
            *arguments,
            home=self.home,
            PATH=os.pathsep.join((str(self.home / "commands"), self.installed.path)),
            DOCKER_HOST=self.engine.address,
            KUBECONFIG=str(self.api.kubeconfig),
            MLFLOW_TRACKING_URI=str(self.home / "runs"),
            MLFLOW_ALLOW_FILE_STORE="true",
            KUBE_MLFLOW_TRACKING_URI="http://mlflow.example:5000",
            MLFLOW_DISABLE_TELEMETRY="true",
        )

    def run_project(self, **annotations: str) -> "ProjectRun":
        """Run the project to its end, as a Job whose pod has the annotations."""
        (self.home / "job.yaml").write_text(yaml.safe_dump(job_template(self.api.namespace, annotations)))
        backend = {"repository-uri": "registry.example/digits", "kube-job-template-path": str(self.home / "job.yaml")}
        (self.home / "backend.json").write_text(json.dumps(backend))
        where = ("--backend", "kubernetes", "--backend-config", "backend.json", "--build-image")
        ran = self.type("run", "project", *where, "-P", "alpha=0.5", "--experiment-name", "vision")
        job = self.api.last_seen("jobs.batch/v1")[-1]
        kept = json.loads(self.type("runs", "describe", "--run-id", variables_of(job)["MLFLOW_RUN_ID"]).out)
        return ProjectRun(ran.code, job, kept["info"])


@dataclass(frozen=True)
class ProjectRun:
    """What came of a run: the exit code of `mlflow run`, the Job it made, what MLflow keeps of the run."""

    code: int
    job: Any
    info: Any


@pytest.fixture(scope="module")
def mlflow(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    home = tmp_path_factory.mktemp("mlflow")
    for name, text in {"project/MLproject": PROJECT, "commands/docker": "#!/bin/sh\n"}.items():
        (home / name).parent.mkdir()
        (home / name).write_text(text)
    (home / "commands" / "docker").chmod(0o755)
    with docker_engine() as engine:
        yield Mlflow(environment("mlflow"), home, api, engine)


@pytest.fixture(scope="module")
def finished(mlflow: Mlflow) -> ProjectRun:
    """A run that succeeded."""
    return mlflow.run_project(**{"sim.run-seconds": "1"})


def job_template(namespace: str, annotations: Mapping[str, str]) -> Any:
    container = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    pod = {"metadata": {"annotations": annotations}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"namespace": namespace, "labels": {"team": "vision"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"backoffLimit": 0, "template": pod}}


def variables_of(job: Any) -> Mapping[str, str]:
    [container] = job["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def pod_of(api: Api, job: Any) -> Any:
    [pod] = [each for each in api.find("pods") if each["metadata"]["labels"]["job-name"] == job["metadata"]["name"]]
    return pod


def test_mlflow_finishes_its_run_when_its_job_is_complete(finished: ProjectRun) -> None:
    assert (finished.code, finished.info["status"]) == (0, "FINISHED")
    assert [condition["type"] for condition in finished.job["status"]["conditions"]] == [
        "SuccessCriteriaMet",
        "Complete",
    ]


@pytest.mark.nightly  # MLflow looks at its Job every five seconds
def test_mlflow_fails_its_run_when_its_job_fails(mlflow: Mlflow) -> None:
    failed = mlflow.run_project(**{"sim.run-seconds": "1", "sim.exit-code": "1"})
    assert (failed.code, failed.info["status"]) == (1, "FAILED")


def test_only_the_variables_of_the_container_tell_the_run(mlflow: Mlflow, finished: ProjectRun) -> None:
    job, pod = finished.job, pod_of(mlflow.api, finished.job)
    assert re.fullmatch(r"digits-\d{4}(-\d\d){5}-\d{6}", job["metadata"]["name"])
    assert job["metadata"]["labels"] == {"team": "vision"}
    [container] = pod["spec"]["containers"]
    assert (container["name"], container["command"]) == ("digits", ["python", "train.py", "--alpha", "0.5"])
    assert variables_of(job) == {
        "MLFLOW_RUN_ID": finished.info["run_id"],
        "MLFLOW_EXPERIMENT_ID": finished.info["experiment_id"],
        "MLFLOW_TRACKING_URI": "http://mlflow.example:5000",
    }
    assert {key.rpartition("/")[2] for key in pod["metadata"]["labels"]} == {"controller-uid", "job-name"}


def test_the_image_is_named_by_the_digest_it_was_pushed_under(mlflow: Mlflow, finished: ProjectRun) -> None:
    [container] = pod_of(mlflow.api, finished.job)["spec"]["containers"]
    name, _, digest = container["image"].partition("@")
    assert mlflow.engine.pushed == {name: digest}


def test_muster_shows_the_job_as_the_run_it_is(mlflow: Mlflow, finished: ProjectRun) -> None:
    row = mlflow.api.workload(finished.job["metadata"]["name"], "Completed")
    assert (row["kind"], row["class"], row["desired_pods"]) == ("MLflowRun", "third-party", 1)
    assert row["attributes"]["mlflow_run_id"] == finished.info["run_id"]
    assert row["attributes"]["mlflow_experiment_id"] == finished.info["experiment_id"]
    assert row["requests"]["gpu_millionths"] == 1_000_000
    assert mlflow.api.listed()[row["name"]] == "MLflowRun Completed"
