"""The examples of the pages on Ray, Seldon, KServe, Spark and KubeVirt are recognised as the pages say."""

import re
from pathlib import Path

import pytest
import yaml
from muster_integrations.recognition.manifests import Document
from muster_integrations.recognition.offline import Picture

PAGES = Path(__file__).parents[3] / "docs" / "integrations"


@pytest.mark.parametrize(
    ("page", "kind", "name", "pods", "gpus"),
    [
        ("ray", "RayJob", "tune", 5, 3),
        ("seldon", "SeldonDeployment", "fraud", 3, 0),
        ("kserve", "InferenceService", "iris", 3, 2),
        ("spark", "SparkApplication", "etl", 3, 2),
        ("kubevirt", "VirtualMachine", "desk", 1, 1),
    ],
)
def test_an_example_is_recognised_as_its_page_says(page: str, kind: str, name: str, pods: int, gpus: int) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL)
    (found,) = Picture([Document(page, yaml.safe_load(example))]).workloads
    assert (found.kind, found.name, found.owner.desired_pods) == (kind, name, pods)
    assert found.requests.gpu_millionths == gpus * 1_000_000
    assert len(found.controls.stop) == 1
