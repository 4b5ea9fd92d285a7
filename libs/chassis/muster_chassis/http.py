"""The HTTP manners of every service: errors of one shape, a limit on bodies, who is calling, how healthy we are.

An error is `{"code", "message", "details", "compliance_issues": [{"field", "details"}]}` whatever went wrong, unknown
paths included (docs/decisions/0003). A body over the limit is refused before it is read.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from muster_contracts.commands import MAXIMUM_BODY_BYTES, complaints_of
from muster_contracts.errors import HTTP_STATUS, Complaint, RefusalCode, Refused, Unavailable
from muster_contracts.values import Caller, Source
from muster_journal.port import Damaged
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from muster_chassis.health import Health
from muster_chassis.metrics import CONTENT_TYPE, metrics_text

API = "/api/v1"


def make_api(title: str, health: Health) -> FastAPI:
    """Return an application with these manners, `/healthz` and `/metrics`; other routes are the service's own."""
    api = FastAPI(
        title=title, version="1", openapi_url=f"{API}/{health.service}/openapi.json", docs_url=None, redoc_url=None
    )
    api.add_middleware(BodyLimit, maximum_bytes=MAXIMUM_BODY_BYTES)
    api.add_exception_handler(Refused, _refused)
    api.add_exception_handler(Unavailable, _unavailable)
    api.add_exception_handler(RequestValidationError, _not_valid)
    api.add_exception_handler(HTTPException, _http_exception)
    api.add_exception_handler(Damaged, _damaged)
    api.add_exception_handler(Exception, _ours)

    @api.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return JSONResponse(health.report(), status_code=200 if health.well else 503)

    @api.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(metrics_text(health), media_type=CONTENT_TYPE)

    return api


def error_body(status: int, message: str, code: str = "", complaints: tuple[Complaint, ...] = ()) -> dict[str, Any]:
    """Return the one shape of an error."""
    return {
        "code": status,
        "message": message,
        "details": code,
        "compliance_issues": [complaint.model_dump() for complaint in complaints],
    }


def _answer(status: int, message: str, code: str = "", complaints: tuple[Complaint, ...] = ()) -> Response:
    return JSONResponse(error_body(status, message, code, complaints), status_code=status)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _answer(HTTP_STATUS[error.code], error.message, error.code, error.complaints)


async def _unavailable(_request: Request, error: Exception) -> Response:
    return _answer(503, f"{error} Please try again.", "Unavailable")


async def _damaged(_request: Request, error: Exception) -> Response:
    return _answer(500, str(error), "Damaged")


async def _ours(_request: Request, _error: Exception) -> Response:
    """Answer in our shape; the server writes the error to the log after that."""
    return _answer(500, "This is a defect of Muster; the log of the service says more.", "Defect")


async def _not_valid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    raw = error.errors()
    if any(entry["type"] == "json_invalid" for entry in raw):
        return _answer(400, f"The body is not valid JSON: {raw[0]['ctx']['error']}.", RefusalCode.UNREADABLE)
    problems = complaints_of(raw)
    return _answer(422, summary(problems), RefusalCode.INVALID, problems)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Refused):  # FastAPI wraps what goes wrong while it reads the body
        return await _refused(request, error.__cause__)
    if isinstance(error.__cause__, ValueError | RecursionError):  # no UTF-8, a number without end, nesting without end
        return _answer(400, "The body cannot be read as JSON.", RefusalCode.UNREADABLE)
    if error.status_code == 404:
        return _answer(404, f"There is nothing at {request.url.path}.", RefusalCode.NOT_FOUND)
    if error.status_code == 405:
        return _answer(405, f"{request.method} is not possible at {request.url.path}.")
    return _answer(error.status_code, str(error.detail))


def summary(complaints: tuple[Complaint, ...]) -> str:
    """Return one sentence for all complaints, the first ones in full."""
    shown = "; ".join(f"{complaint.field} {complaint.details}" for complaint in complaints[:3])
    more = f" (and {len(complaints) - 3} more)" if len(complaints) > 3 else ""
    return f"The request is not valid: {shown}{more}."


def refused_as_invalid(error: ValidationError) -> Refused:
    """Turn what pydantic found in a command into a refusal with one complaint per field."""
    complaints = complaints_of(error.errors(include_url=False))
    return Refused(RefusalCode.INVALID, summary(complaints), complaints)


async def caller_of(request: Request) -> Caller:
    """Return who is calling; the local stack trusts its loopback clients to say who they are.

    Asynchronous, or FastAPI would take it to a thread.
    """
    source = request.headers.get("x-muster-source", Source.API)
    return Caller(
        name=request.headers.get("x-muster-user", "anonymous"),
        source=Source(source) if source in set(Source) else Source.API,
    )


class BodyLimit:
    """Refuses bodies over a limit, by their announced length or as they arrive."""

    def __init__(self, app: ASGIApp, maximum_bytes: int) -> None:
        self._app = app
        self._maximum_bytes = maximum_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counting reader."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced) > self._maximum_bytes:
            await self._refuse(scope, receive, send)
            return
        received = 0

        async def counting() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._maximum_bytes:
                raise Refused(RefusalCode.TOO_LARGE, self._sentence())
            return message

        await self._app(scope, counting, send)

    def _sentence(self) -> str:
        return f"The body is larger than {self._maximum_bytes:,} bytes."

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(413, self._sentence(), RefusalCode.TOO_LARGE)(scope, receive, send)
