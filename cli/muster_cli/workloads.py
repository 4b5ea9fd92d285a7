"""Finding the workload a person means, by id, by `project/name`, or by name alone where that is clear; its history."""

from typing import Any
from uuid import UUID

from muster_cli.client import Client
from muster_cli.failure import Exit, Failure
from muster_cli.past import waiting_then

PAGE_RECORDS = 500


def find_workload(client: Client, reference: str, project: str = "", at: int | None = None) -> dict[str, Any]:
    """Return the workload, now or at a position. Raises Failure when there is none, or when several have the name.

    One that still exists is meant before one that was deleted; of deleted ones, the latest. A name may have a slash in
    it, as those of DAG runs do: what stands before it is a project only if no workload is called like that as a whole.
    """
    if _is_id(reference):
        found: dict[str, Any] = client.get(f"/workloads/{reference}", at=at)
        return found
    for place, name in _readings(reference, project):
        if (match := _one_named(client, name, place, at)) is not None:
            return match
    where = f" in project {project}" if project else ""
    if at is not None:
        raise Failure(Exit.NOT_FOUND, f"There was no workload {reference}{where} at position {at:,}.")
    raise Failure(Exit.NOT_FOUND, f"There is no workload {reference}{where}.", "`muster list` shows those there are.")


def _readings(reference: str, project: str) -> list[tuple[str, str]]:
    """Return the projects and names that a reference may mean."""
    before, slash, after = reference.partition("/")
    return [(project, reference), (before, after)] if slash and not project else [(project, reference)]


def _one_named(client: Client, reference: str, project: str, at: int | None) -> dict[str, Any] | None:
    for deleted in ("false", "true"):
        matches = _named(client, reference, project, deleted, at)
        if len({match["project"] for match in matches}) > 1:
            places = ", ".join(sorted({f"{match['project']}/{match['name']}" for match in matches}))
            raise Failure(Exit.INVALID, f"Several workloads are called {reference}.", f"Say which one: {places}.")
        if matches:
            return matches[0]
    return None


def read_history(client: Client, workload_id: str, *, after: int = 0, at: int | None = None) -> list[dict[str, Any]]:
    """Return what happened to a workload after a position, oldest first, page after page to the end."""
    records: list[dict[str, Any]] = []
    position: int | None = after
    while position is not None:
        page = client.get(f"/workloads/{workload_id}/history", after=position, limit=PAGE_RECORDS, at=at)
        records += page["records"]
        position = page["next"]
    return records


def read_waiting(client: Client, workload: dict[str, Any], at: int | None = None) -> list[dict[str, Any]] | None:
    """Return why pods of a workload wait, now or at a position; None when no scheduler is there to ask about now.

    What it waited for when it was last asked is in the workload's message and history all the same.
    """
    if at is not None:
        then: list[dict[str, Any]] = waiting_then(client, workload["id"], at)["groups"]
        return then
    try:
        with Client(client.settings, attempts=1) as once:  # a person waits, and there is much else to show
            found: list[dict[str, Any]] = once.get(f"/workloads/{workload['id']}/waiting")["groups"]
    except Failure as failure:
        if failure.code is Exit.UNAVAILABLE:
            return None
        raise
    return found


def _named(client: Client, name: str, project: str, deleted: str, at: int | None) -> list[dict[str, Any]]:
    answer = client.get(
        "/workloads",
        filter_by=f"name=={name}",
        project=project or None,
        deleted=deleted,
        sort_by="created_at",
        sort_order="desc",
        limit=100,
        at=at,
    )
    found: list[dict[str, Any]] = answer["workloads"]
    return found


def _is_id(reference: str) -> bool:
    try:
        UUID(reference)
    except ValueError:
        return False
    return True
