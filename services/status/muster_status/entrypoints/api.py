"""The queries over HTTP: decode, ask a handler, answer in snake case.

Every query takes `at_least`, a position of the journal, and then answers from tables that have come that far. What is
asked of workloads takes `at`, a position or a time, and is then answered as it would have been there. Errors have the
chassis' one shape. A filter that makes no sense is 422 with a sentence, and so is a parameter we do not know: whoever
mistypes `phase` must not take everything for what runs.
"""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.responses import StreamingResponse
from muster_chassis.http import API, summary
from muster_contracts.errors import Complaint, RefusalCode, Refused

from muster_status.core.query import WorkloadQuery, equal_to, read_filters, read_sort
from muster_status.core.views import (
    department_view,
    history_view,
    moment_view,
    node_pool_view,
    node_view,
    pod_view,
    project_view,
    workload_view,
)
from muster_status.entrypoints.answers import (
    Counted,
    DepartmentList,
    HistoryList,
    NodeList,
    NodePoolList,
    PodList,
    Problem,
    Project,
    ProjectList,
    System,
    Verified,
    Workload,
    WorkloadList,
)
from muster_status.entrypoints.json_answer import JsonAnswer
from muster_status.entrypoints.parameters import LARGEST, MOST_ROWS, At, Limit, Position, Text, read_at
from muster_status.entrypoints.past import past_routes
from muster_status.entrypoints.scheduling import scheduling_routes
from muster_status.handlers.auditor import Auditor
from muster_status.handlers.live import Live
from muster_status.handlers.past import Moment, Past
from muster_status.handlers.questions import LogWish, Questions, after_the_first

PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such thing."},
    422: {"model": Problem, "description": "The question makes no sense; the message says why."},
    503: {
        "model": Problem,
        "description": "The database or the journal does not answer, or is not that far yet.",
    },
}


def asked_workloads(
    project: Text = "",
    phase: Text = "",
    kind: Text = "",
    class_: Annotated[str, Query(alias="class")] = "",
    search: Annotated[str, Query(max_length=200, description="Part of a name.")] = "",
    filter_by: Annotated[
        list[str] | None,
        Query(max_length=20, description="A field, an operator (== != <= >= =@ !@ =^ =$) and a value; all must hold."),
    ] = None,
    sort_by: str = "created_at",
    sort_order: str = "desc",
    limit: Limit = 50,
    offset: Position = 0,
    deleted: Annotated[bool, Query(description="Those that are gone, instead of those that exist.")] = False,
) -> WorkloadQuery:
    """Read what is asked of a list of workloads. Raises Refused."""
    named = {"project": project, "phase": phase, "kind": kind, "class": class_}
    sort, descending = read_sort(sort_by, sort_order)
    return WorkloadQuery(
        conditions=[*(equal_to(name, value) for name, value in named.items() if value), *read_filters(filter_by or [])],
        search=search.replace("\x00", ""),
        deleted=deleted,
        sort=sort,
        descending=descending,
        limit=limit,
        offset=offset,
    )


async def known_parameters(request: Request) -> None:
    """Raise Refused when the query has parameters that the route does not take."""
    asked = dict.fromkeys(request.query_params)
    known = _parameters(request.scope["route"].dependant) if asked else set()
    complaints = tuple(
        Complaint(field=name, details="is not a parameter we know") for name in asked if name not in known
    )
    if complaints:
        raise Refused(RefusalCode.INVALID, summary(complaints), complaints)


def _parameters(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_parameters(each) for each in dependant.dependencies))


def query_routes(questions: Questions, live: Live, auditor: Auditor, past: Past) -> APIRouter:
    """Return all routes of the status service."""

    async def own_writes(at_least: Position = 0) -> None:
        await questions.reach(at_least)

    async def asked_moment(at: At = None) -> Moment | None:
        if at is None:
            return None
        found = await past.moment(read_at(at))
        await questions.reach(found.position)
        return found

    then = Depends(asked_moment)
    first = [Depends(known_parameters), Depends(own_writes)]
    routes = APIRouter(prefix=API, dependencies=first, responses=PROBLEMS)
    _workload_routes(routes, questions, then)
    _workload_detail_routes(routes, questions, then)
    _cluster_routes(routes, questions)
    scheduling_routes(routes, questions)
    _system_routes(routes, questions, auditor)
    past_routes(routes, past)
    _stream_route(routes, live)
    return routes


def _workload_routes(routes: APIRouter, questions: Questions, then: Any) -> None:
    @routes.get("/workloads", response_model=WorkloadList, tags=["workloads"])
    async def list_workloads(
        query: Annotated[WorkloadQuery, Depends(asked_workloads)], at: Annotated[Moment | None, then]
    ) -> Response:
        """List workloads, newest first unless asked otherwise."""
        page = await questions.workloads(query, _position(at))
        shown = {"workloads": [workload_view(row) for row in page.rows], "next": page.next}
        return JsonAnswer(shown | moment_view(page.position, at.time if at else None))

    @routes.get("/workloads/count", response_model=Counted, tags=["workloads"])
    async def count_workloads(
        query: Annotated[WorkloadQuery, Depends(asked_workloads)], at: Annotated[Moment | None, then]
    ) -> Response:
        """Count workloads."""
        return JsonAnswer({"count": await questions.count(query, _position(at))})

    @routes.get("/workloads/{workload_id}", response_model=Workload, tags=["workloads"])
    async def get_workload(workload_id: UUID, at: Annotated[Moment | None, then]) -> Response:
        """Return one workload, also one that is gone."""
        return JsonAnswer(workload_view(await questions.workload(workload_id, _position(at))))


def _position(at: Moment | None) -> int | None:
    return None if at is None else at.position


def _workload_detail_routes(routes: APIRouter, questions: Questions, then: Any) -> None:
    @routes.get("/workloads/{workload_id}/history", response_model=HistoryList, tags=["workloads"])
    async def get_history(
        workload_id: UUID, at: Annotated[Moment | None, then], after: Position = 0, limit: Limit = MOST_ROWS
    ) -> Response:
        """Return every change of phase and what else happened, oldest first; `next` is the `after` to go on with."""
        page = await questions.history(workload_id, after=after, limit=limit, at=_position(at))
        return JsonAnswer({"records": [history_view(row) for row in page.rows], "next": page.next})

    @routes.get("/workloads/{workload_id}/pods", response_model=PodList, tags=["workloads"])
    async def get_pods(workload_id: UUID, at: Annotated[Moment | None, then], gone: bool = False) -> Response:
        """Return its pods; with `gone`, also those that are not there any more."""
        rows = await questions.pods(workload_id, gone=gone, at=_position(at))
        return JsonAnswer({"pods": [pod_view(row) for row in rows]})

    @routes.get("/workloads/{workload_id}/logs", response_class=StreamingResponse, tags=["workloads"])
    async def get_logs(
        workload_id: UUID,
        pod: Text = "",
        container: Text = "",
        follow: bool = False,
        tail_lines: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
        previous: bool = False,
    ) -> Response:
        """Return the log of a container as it comes."""
        wish = LogWish(pod=pod, container=container, follow=follow, tail_lines=tail_lines, previous=previous)
        chunks = await questions.logs(workload_id, wish)
        return StreamingResponse(chunks, media_type="text/plain; charset=utf-8", headers={"x-accel-buffering": "no"})


def _cluster_routes(routes: APIRouter, questions: Questions) -> None:
    @routes.get("/projects", response_model=ProjectList, tags=["cluster"])
    async def list_projects() -> Response:
        """List projects by name."""
        return JsonAnswer({"projects": [project_view(row) for row in await questions.projects()]})

    @routes.get("/projects/{name}", response_model=Project, tags=["cluster"])
    async def get_project(name: str) -> Response:
        """Return one project."""
        return JsonAnswer(project_view(await questions.project(name)))

    @routes.get("/departments", response_model=DepartmentList, tags=["cluster"])
    async def list_departments() -> Response:
        """List departments by name."""
        return JsonAnswer({"departments": [department_view(row) for row in await questions.departments()]})

    @routes.get("/node-pools", response_model=NodePoolList, tags=["cluster"])
    async def list_node_pools() -> Response:
        """List node pools by name."""
        return JsonAnswer({"node_pools": [node_pool_view(row) for row in await questions.node_pools()]})

    @routes.get("/nodes", response_model=NodeList, tags=["cluster"])
    async def list_nodes() -> Response:
        """List nodes by name, with what pods of workloads hold of each."""
        return JsonAnswer({"nodes": [node_view(row) for row in await questions.nodes()]})


def _system_routes(routes: APIRouter, questions: Questions, auditor: Auditor) -> None:
    @routes.get("/system", response_model=System, tags=["system"])
    async def get_system() -> Response:
        """Return how every service is doing, loop by loop."""
        return JsonAnswer(await questions.system())

    @routes.get("/audit/verify", response_model=Verified, tags=["system"])
    async def verify() -> Response:
        """Fold the whole journal anew and compare: every recorded phase, every row."""
        report = await auditor.verify()
        return JsonAnswer({"ok": report.ok, **asdict(report)})


def _stream_route(routes: APIRouter, live: Live) -> None:
    @routes.get("/stream", response_class=StreamingResponse, tags=["system"])
    async def stream(
        project: Text = "",
        last_event_id: Annotated[int | None, Header(ge=0, le=LARGEST)] = None,
    ) -> Response:
        """Send what changes as server-sent events: `workload`, `phase`, `project`, `node`, `node-gone`.

        The first is `ready` with the position reached (or `reset`: load everything anew). An id is a position.
        `Last-Event-ID` brings what changed since before `ready`, and with `projects` and `nodes` the `ids` of all there
        are: others that the client knows went away.
        """
        frames = live.stream(project=project, last_id=last_event_id)
        frames = after_the_first(await anext(frames), frames)
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(frames, media_type="text/event-stream", headers=headers)
