"""The names a shell offers while somebody types: of workloads and of projects.

Whatever goes wrong here stays silent, for there is no place to say it; an answer that takes long is no answer.
"""

from typing import Any

LONGEST_SECONDS = 1.0
MOST_NAMES = 100


def workload_names(incomplete: str) -> list[str]:
    """Return names of workloads that begin like this."""
    answer = _ask("/workloads", filter_by=f"name=^{incomplete}" if incomplete else None, limit=MOST_NAMES)
    return sorted({workload["name"] for workload in answer.get("workloads", [])})


def project_names(incomplete: str) -> list[str]:
    """Return names of projects that begin like this."""
    projects = _ask("/projects").get("projects", [])
    return [project["name"] for project in projects if project["name"].startswith(incomplete)]


def _ask(path: str, **parameters: Any) -> dict[str, Any]:
    from muster_cli.client import Client
    from muster_cli.failure import Failure
    from muster_cli.settings import CommandLineSettings

    try:
        with Client(CommandLineSettings.read(), timeout_seconds=LONGEST_SECONDS, attempts=1) as client:
            answer: dict[str, Any] = client.get(path, **parameters)
    except Failure:
        return {}
    return answer
