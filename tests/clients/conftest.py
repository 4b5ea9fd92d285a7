"""The local stack for foreign clients, as people start it: what they did in its cluster, and what Muster makes of it.

The clients run as they are published, in processes and environments of their own (`environments.py`), and know nothing
of Muster. A test looks at what arrived in the API, at what the client says came of it, and at the workloads in Muster.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from servers import free_port

_projects = count(1)


PATIENCE_SECONDS = 60
MUSTER = Path(sys.executable).parent / "muster"


@dataclass(frozen=True, slots=True)
class Api:
    """The API of a running cluster, seen from the namespace of one project, and the Muster that watches it."""

    url: str
    kubeconfig: Path
    namespace: str
    since: str  # the version of the cluster when the namespace was new
    muster: str
    project: str

    def workloads(self) -> list[Any]:
        """List the project's workloads, oldest first."""
        query = urllib.parse.urlencode({"project": self.project, "sort_by": "created_at"})
        rows: list[Any] = json.loads(_call(f"{self.muster}/api/v1/workloads?{query}"))["workloads"]
        return rows

    def listed(self) -> dict[str, str]:
        """Return what `muster list` prints of the project: the kind of each workload, and its phase."""
        command = [str(MUSTER), "list", "--project", self.project, "--output", "json"]
        settings = {**os.environ, "MUSTER_URL": self.muster}
        ran = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=True)
        return {row["name"]: f"{row['kind']} {row['phase']}" for row in json.loads(ran.stdout)["workloads"]}

    def workload(self, name: str, *phases: str) -> Any:
        """Wait until the one workload whose name begins so is in one of the phases; return its row.

        Raises AssertionError when that takes too long.
        """
        with urllib.request.urlopen(f"{self.muster}/api/v1/stream", timeout=PATIENCE_SECONDS) as changes:
            for line in changes:
                rows = [row for row in self.workloads() if row["name"].startswith(name)] if line == b"\n" else []
                assert len(rows) < 2, [row["name"] for row in rows]
                if rows and rows[0]["phase"] in phases:
                    return rows[0]
        raise AssertionError("the live stream ended")

    def roles(self, row: Any) -> list[str]:
        """Return the roles of all pods that a workload has had."""
        pods = json.loads(_call(f"{self.muster}/api/v1/workloads/{row['id']}/pods?gone=true"))["pods"]
        return sorted(pod["role"] for pod in pods)

    def find(self, resource: str) -> list[Any]:
        """List the objects of the namespace: `pods`, `jobs.batch/v1`."""
        items: list[Any] = json.loads(self._get(resource))["items"]
        return items

    def last_seen(self, resource: str) -> list[Any]:
        """Return all there ever was in the namespace, oldest first, each as it was last: also what is gone by now."""
        lines = self._get(resource, watch="true", resourceVersion=self.since, timeoutSeconds="1")
        states = (json.loads(line)["object"] for line in lines.splitlines())
        return list({state["metadata"]["uid"]: state for state in states}.values())

    def _get(self, resource: str, **query: str) -> bytes:
        plural, _, group = resource.partition(".")
        prefix = f"/apis/{group}" if group else "/api/v1"
        return _call(f"{self.url}{prefix}/namespaces/{self.namespace}/{plural}?{urllib.parse.urlencode(query)}")


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a running stack is reached."""

    muster: str
    kubeconfig: Path


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One local stack for all tests of this folder."""
    with tempfile.TemporaryDirectory(prefix="muster-clients-") as folder:
        port = free_port()
        command = [str(MUSTER), "up", "--state", folder, "--port", str(port)]
        at_once = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=at_once
        ) as running:
            try:
                assert running.stdout is not None
                assert any(line.startswith("Muster is up") for line in running.stdout), "the stack did not start"
                yield Stack(f"http://127.0.0.1:{port}", Path(folder) / "kubeconfig")
            finally:
                running.terminate()
                running.wait(30)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Api:
    """The cluster's API and Muster, in a project of these tests alone."""
    url = stack.kubeconfig.read_text().partition("server: ")[2].split()[0]
    project = f"client-{next(_projects)}"
    _call(f"{stack.muster}/api/v1/projects", {"name": project})
    namespace = f"muster-{project}"
    made = _appeared(f"{url}/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3D{namespace}")
    return Api(url, stack.kubeconfig, namespace, made["metadata"]["resourceVersion"], stack.muster, project)


def _appeared(watch: str) -> Any:
    """Wait for the first object of a watch."""
    with urllib.request.urlopen(watch, timeout=PATIENCE_SECONDS) as events:
        return json.loads(events.readline())["object"]


def _call(url: str, body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        read: bytes = answer.read()
        return read
