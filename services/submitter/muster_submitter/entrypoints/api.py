"""The commands over HTTP: decode, call the desk, answer 202 with an id and a position.

What is wrong with a request is said in one shape by the chassis; here is only what one can ask. A query that is given
the position as `at_least` sees what was asked.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Path
from muster_chassis.http import API, caller_of
from muster_contracts.commands import Command, CreateProject, Key, Name, SubmittedSpec, SubmitWorkload
from muster_contracts.errors import Complaint, RefusalCode, Refused
from muster_contracts.phases import WorkloadKind
from muster_contracts.values import Caller
from pydantic import BaseModel, Field

from muster_submitter.handlers import Desk, Origin, Receipt


class Submission(Command):
    """A new workload: its name, its project, and what it runs and needs."""

    name: Name
    project: Name
    spec: SubmittedSpec
    idempotency_key: Key | None = Field(
        None, description="The same key from the same caller is the same workload, however often it is sent."
    )


class Accepted(BaseModel):
    """A workload was accepted. It exists from `position` on: ask for it with `at_least=<position>`."""

    workload_id: UUID
    name: str
    project: str
    position: int


class Noted(BaseModel):
    """What was asked stands in the journal at `position`. `warning` is what to know of it, where there is something."""

    workload_id: UUID
    position: int
    warning: str = ""


class ProjectAccepted(BaseModel):
    """A project was created. Workloads may be submitted to it at once."""

    project_id: UUID
    name: str
    namespace: str
    position: int


class Issue(BaseModel):
    """What is wrong with one field."""

    field: str
    details: str


class Problem(BaseModel):
    """Every error has this shape; `message` is one sentence for people."""

    code: int
    message: str
    details: str
    compliance_issues: list[Issue]


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not JSON."},
    404: {"model": Problem, "description": "There is no such project or workload."},
    409: {"model": Problem, "description": "It cannot be done as things stand; the message says why."},
    413: {"model": Problem, "description": "The body is too large."},
    422: {"model": Problem, "description": "Some fields are not valid: `compliance_issues` has one entry per field."},
    503: {"model": Problem, "description": "The journal does not answer; try again."},
}

EXAMPLES: dict[str, Any] = {
    "smallest": {
        "summary": "One GPU, one command",
        "value": {
            "name": "hello",
            "project": "demo",
            "spec": {"image": "python:3.12", "command": ["python", "train.py"], "compute": {"gpu_devices": 1}},
        },
    },
    "gang": {
        "summary": "Four pods that start together or not at all",
        "value": {
            "name": "pretrain",
            "project": "demo",
            "idempotency_key": "pretrain-2026-03-02",
            "spec": {
                "image": "registry.example/pretrain:7",
                "compute": {"gpu_devices": 8, "cpu_cores": 32, "memory_bytes": 274877906944},
                "parallelism": 4,
                "min_members": 4,
                "environment": [{"name": "LEARNING_RATE", "value": "3e-4"}],
            },
        },
    },
}

SubmissionBody = Annotated[Submission, Body(openapi_examples=EXAMPLES)]
KeyHeader = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, description="As `idempotency_key` in the body."),
]
Calling = Annotated[Caller, Depends(caller_of)]


async def trace_of(traceparent: Annotated[str, Header(include_in_schema=False)] = "") -> Origin:
    """Return the trace the request is a part of, so that it goes on in the journal."""
    return Origin(trace_parent=traceparent)


Traced = Annotated[Origin, Depends(trace_of)]
WorkloadId = Annotated[UUID, Path(description="The id that a submission answered, or a list shows.")]


def command_routes(desk: Desk) -> APIRouter:
    """Return the routes of everything that can be asked for."""
    routes = APIRouter(prefix=API, responses=PROBLEMS)

    async def submit(
        kind: WorkloadKind, body: Submission, header: str | None, caller: Caller, origin: Origin
    ) -> Accepted:
        command = SubmitWorkload(
            name=body.name, project=body.project, kind=kind, spec=body.spec, idempotency_key=_key(body, header)
        )
        receipt = await desk.submit(command, caller, origin)
        return Accepted(workload_id=receipt.id, name=body.name, project=body.project, position=receipt.position)

    @routes.post("/workloads/trainings", status_code=202, tags=["Workloads"], summary="Submit a training")
    async def submit_training(
        body: SubmissionBody, caller: Calling, origin: Traced, idempotency_key: KeyHeader = None
    ) -> Accepted:
        """Run something until it ends. It becomes a Job that waits for its turn and may be preempted."""
        return await submit(WorkloadKind.TRAINING, body, idempotency_key, caller, origin)

    @routes.post("/workloads/workspaces", status_code=202, tags=["Workloads"], summary="Submit a workspace")
    async def submit_workspace(
        body: SubmissionBody, caller: Calling, origin: Traced, idempotency_key: KeyHeader = None
    ) -> Accepted:
        """Run something to work in. It is not preempted unless its priority class says so."""
        return await submit(WorkloadKind.WORKSPACE, body, idempotency_key, caller, origin)

    @routes.post("/workloads/{workload_id}/stop", status_code=202, tags=["Workloads"], summary="Stop a workload")
    async def stop(workload_id: WorkloadId, caller: Calling, origin: Traced) -> Noted:
        """Release its resources and keep its objects, so that it can be activated again."""
        return _asked(await desk.stop(workload_id, caller, origin))

    @routes.post("/workloads/{workload_id}/activate", status_code=202, tags=["Workloads"], summary="Activate it again")
    async def activate(workload_id: WorkloadId, caller: Calling, origin: Traced) -> Noted:
        """Let a stopped workload run again, with new pods and the same spec."""
        return _asked(await desk.activate(workload_id, caller, origin))

    @routes.delete("/workloads/{workload_id}", status_code=202, tags=["Workloads"], summary="Delete a workload")
    async def delete(workload_id: WorkloadId, caller: Calling, origin: Traced) -> Noted:
        """Delete its objects. Its history stays."""
        return _asked(await desk.delete(workload_id, caller, origin))

    @routes.post("/projects", status_code=202, tags=["Projects"], summary="Create a project")
    async def create_project(body: CreateProject, caller: Calling, origin: Traced) -> ProjectAccepted:
        """Create a project, and its namespace unless an existing one is named."""
        receipt = await desk.create_project(body, caller, origin)
        namespace = desk.state.projects[body.name].event.namespace
        return ProjectAccepted(project_id=receipt.id, name=body.name, namespace=namespace, position=receipt.position)

    return routes


def _asked(receipt: Receipt) -> Noted:
    return Noted(workload_id=receipt.id, position=receipt.position, warning=receipt.warning)


def _key(body: Submission, header: str | None) -> str | None:
    """Return the idempotency key, wherever it was written."""
    if body.idempotency_key is not None and header is not None and body.idempotency_key != header:
        details = "differs from the header Idempotency-Key"
        complaint = Complaint(field="idempotency_key", details=details)
        raise Refused(RefusalCode.INVALID, f"The request is not valid: idempotency_key {details}.", [complaint])
    return body.idempotency_key if body.idempotency_key is not None else header
