"""The organisation over HTTP: settings of projects, departments and node pools, each put whole.

The answer names the position from which queries show it (`at_least`). With `version`, as a query showed it, a change
is refused (409) when somebody else was faster.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from muster_chassis.http import API
from muster_contracts.commands import DNS_LABEL, DepartmentSettings, NodePoolSettings, ProjectSettings
from pydantic import BaseModel

from muster_submitter.entrypoints.api import PROBLEMS, Calling, Traced
from muster_submitter.handlers import Desk, Receipt

Named = Annotated[str, Path(max_length=52, pattern=DNS_LABEL.pattern)]
Version = Annotated[
    int | None, Query(ge=0, description="The version that was read, 0 for what is new: refuse if it is another now.")
]


class Changed(BaseModel):
    """It is as asked from `position` on."""

    id: UUID
    name: str
    position: int


def organisation_routes(desk: Desk) -> APIRouter:
    """Return the routes that change the organisation."""
    routes = APIRouter(prefix=API, responses=PROBLEMS)

    @routes.put("/projects/{name}", status_code=202, tags=["Projects"], summary="Change a project")
    async def set_project(
        name: Named, body: ProjectSettings, caller: Calling, origin: Traced, version: Version = None
    ) -> Changed:
        """Set department, quotas and everything else that may change of a project, as it shall be."""
        return _changed(name, await desk.set_project(name, body, version, caller, origin))

    @routes.delete("/projects/{name}", status_code=202, tags=["Projects"], summary="Remove a project")
    async def remove_project(name: Named, caller: Calling, origin: Traced) -> Changed:
        """Remove a project in which no workload is. Its namespace stays."""
        return _changed(name, await desk.remove_project(name, caller, origin))

    @routes.put("/departments/{name}", status_code=202, tags=["Departments"], summary="Create or change a department")
    async def set_department(
        name: Named, body: DepartmentSettings, caller: Calling, origin: Traced, version: Version = None
    ) -> Changed:
        """Set what a department is. Its quotas bound those of the projects in it."""
        return _changed(name, await desk.set_department(name, body, version, caller, origin))

    @routes.delete("/departments/{name}", status_code=202, tags=["Departments"], summary="Remove a department")
    async def remove_department(name: Named, caller: Calling, origin: Traced) -> Changed:
        """Remove a department in which nothing is."""
        return _changed(name, await desk.remove_department(name, caller, origin))

    @routes.put("/node-pools/{name}", status_code=202, tags=["Node pools"], summary="Create or change a node pool")
    async def set_node_pool(
        name: Named, body: NodePoolSettings, caller: Calling, origin: Traced, version: Version = None
    ) -> Changed:
        """Say which nodes belong to a pool, and how pods are placed on them."""
        return _changed(name, await desk.set_node_pool(name, body, version, caller, origin))

    @routes.delete("/node-pools/{name}", status_code=202, tags=["Node pools"], summary="Remove a node pool")
    async def remove_node_pool(name: Named, caller: Calling, origin: Traced) -> Changed:
        """Remove a node pool that nobody names; its nodes belong to `default` then."""
        return _changed(name, await desk.remove_node_pool(name, caller, origin))

    return routes


def _changed(name: str, receipt: Receipt) -> Changed:
    return Changed(id=receipt.id, name=name, position=receipt.position)
