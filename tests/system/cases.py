"""The examples of foreign systems, and what Muster shows of each while it runs, when it is stopped and at its end."""

from collections.abc import Mapping
from dataclasses import dataclass

from system.life import Picture

STARTED = ["Creating", "Pending", "Initializing", "Running"]


@dataclass(frozen=True, slots=True)
class Case:
    """An example and what Muster shows of it. `ends` is the role whose end is the end of it; a service has none."""

    example: str
    name: str
    kind: str
    gpus: float
    roles: Mapping[str, int]
    ends: str = ""
    last: str = "Completed"
    priority: str = "train"
    sized_by_stop: bool = False  # it is stopped by its size, so that nothing is asked for then
    left: int = 0  # pods at its end, where nothing says how many it wants and those that are there count

    @property
    def wanted(self) -> int:
        return sum(self.roles.values())

    @property
    def running(self) -> Picture:
        return Picture("Running", f"{self.wanted}/{self.wanted}", self.gpus, self.gpus, self.roles)

    def at_rest(self, phase: str) -> Picture:
        if self.left:
            return Picture(phase, f"0/{self.left}", 0, 0)
        return Picture(phase, f"0/{self.wanted}", self.gpus, 0)

    @property
    def stopped(self) -> Picture:
        return Picture("Stopped", "0/0", 0, 0) if self.sized_by_stop else self.at_rest("Stopped")


CASES = (
    Case("pytorchjob.yaml", "resnet", "PyTorchJob", 3, {"master": 1, "worker": 2}, ends="master"),
    Case("tfjob.yaml", "recommender", "TFJob", 3, {"chief": 1, "ps": 1, "worker": 2}, ends="chief"),
    Case("mpijob.yaml", "horovod", "MPIJob", 2, {"launcher": 1, "worker": 2}, ends="launcher"),
    Case("trainjob.yaml", "llama", "TrainJob", 4, {"node": 2}, ends="node"),
    Case("notebook.yaml", "ada", "Notebook", 1, {"notebook": 1}, priority="build"),
    Case("raycluster.yaml", "lab", "RayCluster", 2, {"head": 1, "worker:gpu": 2}),
    Case("rayjob.yaml", "tune", "RayJob", 2, {"head": 1, "worker:gpu": 2, "submitter": 1}, ends="submitter"),
    Case("rayservice.yaml", "translate", "RayService", 1, {"head": 1, "worker:gpu": 1}, priority="inference"),
    Case("sparkapplication.yaml", "daily-etl", "SparkApplication", 2, {"driver": 1, "executor": 2}, ends="driver"),
    Case(
        "seldondeployment.yaml", "fraud", "SeldonDeployment", 2, {"model": 2}, priority="inference", sized_by_stop=True
    ),
    Case(
        "inferenceservice.yaml",
        "classifier",
        "InferenceService",
        2,
        {"predictor": 2, "transformer": 1},
        priority="inference",
    ),
    Case(
        "virtualmachine.yaml",
        "desktop",
        "VirtualMachine",
        1,
        {"virt-launcher": 1},
        ends="virt-launcher",
        last="Stopped",
    ),
    Case("mlflow-job.yaml", "digits-2026-11-22-09-30-00-123456", "MLflowRun", 1, {"main": 1}, ends="main"),
)


FINAL_CASES = (
    Case("workflow.yaml", "digits-7mxkz", "Workflow", 1, {"step": 1}, ends="step", left=2),
    Case(
        "spark-submit.yaml",
        "sales-report",
        "SparkApp",
        2,
        {"driver": 1, "executor": 2},
        ends="driver",
        left=1,
    ),
)
"""What is not stopped and resumed. A pipeline run is seen here when its driver has planned and its step trains."""


def case_of(kind: str) -> Case:
    """Return the case of a kind."""
    return next(case for case in CASES + FINAL_CASES if case.kind == kind)
