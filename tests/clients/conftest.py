"""A simulated cluster for foreign clients: the process people start, and one reader of what the clients did in it.

The clients run as they are published, in processes and environments of their own (`environments.py`); a test looks at
what arrived in the API and at what the client says came of it.
"""

import json
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

_namespaces = count(1)


@dataclass(frozen=True, slots=True)
class Api:
    """The API of a running cluster, seen from one namespace."""

    url: str
    kubeconfig: Path
    namespace: str
    since: str  # the version of the cluster when the namespace was new

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


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """The kubeconfig of one simulated cluster for all tests of this folder."""
    with tempfile.TemporaryDirectory(prefix="muster-clients-") as folder:
        path = Path(folder) / "kubeconfig"
        command = [sys.executable, "-m", "simcluster", "--kubeconfig", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout is not None
                assert running.stdout.readline().startswith("http://"), "the simulated cluster did not start"
                yield path
            finally:
                running.terminate()
                running.wait(20)


@pytest.fixture(scope="module")
def api(kubeconfig: Path) -> Api:
    """The cluster's API, in a namespace of these tests alone."""
    url = kubeconfig.read_text().partition("server: ")[2].split()[0]
    name = f"client-{next(_namespaces)}"
    made = json.loads(_call(f"{url}/api/v1/namespaces", {"metadata": {"name": name}}))
    return Api(url, kubeconfig, name, made["metadata"]["resourceVersion"])


def _call(url: str, body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        read: bytes = answer.read()
        return read
