"""`spark-submit` in cluster mode makes a driver in the simulated cluster, follows it and ends as it ends.

The driver is not run: the simulated cluster makes the executors it would ask for, and ends it as its annotations say.
Nightly: Spark's jars are some hundred megabytes, and a Java (17 or later) must be there.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from clients.conftest import Api
from clients.environments import Ran, environment

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(shutil.which("java") is None, reason="spark-submit needs a Java, such as default-jre-headless"),
]


def submit(api: Api, home: Path, name: str, **annotations: str) -> Ran:
    """Submit an application and wait for its end; the annotations are its driver's."""
    url = api.kubeconfig.read_text().partition("server: ")[2].split()[0]
    settings = {
        "spark.kubernetes.namespace": api.namespace,
        "spark.kubernetes.container.image": "spark:1",
        "spark.kubernetes.driver.label.team": "vision",
        "spark.executor.instances": "2",
    }
    settings |= {f"spark.kubernetes.driver.annotation.sim.{key}": value for key, value in annotations.items()}
    options = [f"--conf={key}={value}" for key, value in settings.items()]
    command = ["--master", f"k8s://{url}", "--deploy-mode", "cluster", "--name", name, *options, "local:///opt/etl.py"]
    variables = {"KUBECONFIG": str(api.kubeconfig), "SPARK_LOCAL_IP": "127.0.0.1"}
    return environment("spark").run("spark-submit", *command, home=home, timeout_seconds=120, **variables)


def pods_of(api: Api, application: str, role: str) -> list[Any]:
    """Return the pods an application has had in a role."""
    wanted = {"spark-app-name": application, "spark-role": role}
    return [pod for pod in api.last_seen("pods") if wanted.items() <= pod["metadata"]["labels"].items()]


def test_spark_submit_ends_well_when_its_driver_does(api: Api, tmp_path: Path) -> None:
    ran = submit(api, tmp_path, "Daily ETL / Sales_Report (2026)", **{"run-seconds": "1"})
    assert ran.code == 0, ran.err
    assert "phase: Succeeded" in ran.err
    [driver] = [pod["metadata"] for pod in pods_of(api, "daily-etl-sales-report-2026", "driver")]
    assert re.fullmatch(r"daily-etl-sales-report-2026-[0-9a-f]{16}-driver", driver["name"])
    assert re.fullmatch(r"spark-[0-9a-f]{32}", driver["labels"].pop("spark-app-selector"))
    assert driver["labels"] == {
        "spark-app-name": "daily-etl-sales-report-2026",
        "spark-role": "driver",
        "spark-version": "4.3.0",
        "team": "vision",
    }
    assert "ownerReferences" not in driver
    owned = [*api.find("services"), *api.find("configmaps")]
    owned += pods_of(api, "daily-etl-sales-report-2026", "executor")
    owners = [each["metadata"]["ownerReferences"][0]["uid"] for each in owned]
    assert owners.count(driver["uid"]) == 4  # its Service, its ConfigMap and two executors


def test_spark_submit_tells_that_its_driver_failed(api: Api, tmp_path: Path) -> None:
    ran = submit(api, tmp_path, "broken", **{"run-seconds": "1", "exit-code": "3"})
    [driver] = pods_of(api, "broken", "driver")
    assert driver["status"]["phase"] == "Failed"
    assert "phase: Failed" in ran.err
    assert "exit code: 3" in ran.err  # of the container: spark-submit itself ends with 0 all the same


def test_muster_shows_each_submission_as_one_workload_to_its_end(api: Api, tmp_path: Path) -> None:
    ran = submit(api, tmp_path, "nightly report", **{"run-seconds": "1"})
    assert ran.code == 0, ran.err
    row = api.workload("nightly-report", "Completed")
    assert (row["kind"], row["class"]) == ("SparkApp", "third-party")
    assert api.roles(row) == ["driver", "executor", "executor"]
    assert row["actions_supported"] == {"stop": False, "activate": False, "delete": True}
    api.workload("broken", "Failed")
    assert api.listed() == {
        "daily-etl-sales-report-2026": "SparkApp Completed",
        "broken": "SparkApp Failed",
        "nightly-report": "SparkApp Completed",
    }
