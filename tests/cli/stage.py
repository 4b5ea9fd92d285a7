"""What the tests of the command line play with: a server that answers as told, and the shapes of the API."""

import json
import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from muster_contracts.wire import Recorded, format_time
from muster_contracts.written import WrittenFold
from muster_scheduler.core.state import State

HANG_UP = "hang up"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer: a value as JSON, or text as it is."""

    body: Any
    status: int = 200


Responder = Callable[[Asked], Any]

PAGE = 3


@dataclass
class Log:
    """A journal as the status service serves it: events as the API gives them, and checkpoints by their positions."""

    events: list[dict[str, Any]]
    checkpoints: dict[int, dict[str, Any]] = field(default_factory=dict)

    def page(self, asked: Asked) -> dict[str, Any]:
        after = int(asked.query["after"][0])
        events = [event for event in self.events if event["position"] > after][:PAGE]
        return {"events": events, "next": events[-1]["position"] if events else None}

    def lines(self, asked: Asked) -> Answer:
        after, (until,) = int(asked.query["after"][0]), asked.query.get("until", [None])
        wanted = [one for one in self.events if after < one["position"] <= int(until or one["position"])]
        return Answer("".join(json.dumps(one) + "\n" for one in wanted))

    def moment(self, asked: Asked) -> Any:
        """Return a position and its time, or the last up to a time, as the service does."""
        (at,) = asked.query["at"]
        upto = [one for one in self.events if not at.isdecimal() and one["time"] <= at.replace("+00:00", "Z")]
        position = int(at) if at.isdecimal() else len(upto)
        if position > len(self.events):
            message = f"There is no position {position} yet: the event log ends at {len(self.events)}."
            return Answer(error(422, message), 422)
        return {"position": position, "time": self.events[position - 1]["time"] if position else None}

    def serve(self, muster: "Muster") -> None:
        muster.answers["GET", "/api/v1/journal"] = self.page
        muster.answers["GET", "/api/v1/journal/lines"] = self.lines
        muster.answers["GET", "/api/v1/journal/moment"] = self.moment
        muster.answers["GET", "/api/v1/scheduling/checkpoints"] = {"positions": sorted(self.checkpoints)}
        for position, checkpoint in self.checkpoints.items():
            muster.answers["GET", f"/api/v1/scheduling/checkpoints/{position}"] = checkpoint

    def keep(self, state: State) -> dict[str, Any]:
        """Let a fold be kept as it stands; return what the API gives of it."""
        position, written = state.position, WrittenFold(State)
        body = zlib.compress(written.json_of(state))
        event_id, digest = self.events[position - 1]["id"], sha256(body).hexdigest()
        known = {"position": position, "event_id": event_id, "code": written.code, "digest": digest}
        self.checkpoints[position] = {**known, "body": b64encode(body).decode()}
        return known


def shown(one: Recorded) -> dict[str, Any]:
    """Return an event as the API gives it."""
    return {
        "position": one.position,
        "id": str(one.envelope.id),
        "type": one.event.type,
        "time": format_time(one.envelope.time),
        "cause": None,
        "data": one.event.model_dump(mode="json", exclude={"type"}),
    }


@dataclass
class Muster:
    """The server. `answers[method, path]` is a value, an `Answer`, `HANG_UP`, a function, or a list of these."""

    url: str = ""
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def asked_at(self, method: str, path: str) -> list[Asked]:
        return [each for each in self.asked if (each.method, each.path) == (method, path)]

    def answer(self, asked: Asked) -> Any:
        self.asked.append(asked)
        told = self.answers.get(
            (asked.method, asked.path), Answer(error(404, f"There is nothing at {asked.path}."), 404)
        )
        if isinstance(told, list):
            told = told.pop(0) if len(told) > 1 else told[0]
        return told(asked) if callable(told) else told


def error(code: int, message: str, *issues: tuple[str, str]) -> dict[str, Any]:
    """Return an error in the one shape."""
    listed = [{"field": name, "details": details} for name, details in issues]
    return {"code": code, "message": message, "details": "", "compliance_issues": listed}


def handler_of(muster: Muster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(text) if text else None
            told = muster.answer(Asked(self.command, parts.path, parse_qs(parts.query), headers, body))
            if told != HANG_UP:
                self.reply(told if isinstance(told, Answer) else Answer(told))

        def reply(self, told: Answer) -> None:
            raw = told.body if isinstance(told.body, str) else json.dumps(told.body)
            self.send_response(told.status)
            self.send_header("content-length", str(len(raw.encode())))
            self.end_headers()
            self.wfile.write(raw.encode())

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 the names are the library's

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@dataclass(frozen=True, slots=True)
class Typed:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Type = Callable[..., Typed]


WORKLOAD_ID = "0f9a3c1e-0000-5000-8000-000000000001"


def workload(name: str = "hello", **different: Any) -> dict[str, Any]:
    """Return a workload as the API shows it."""
    shown: dict[str, Any] = {
        "id": WORKLOAD_ID,
        "name": name,
        "project": "demo",
        "namespace": "muster-demo",
        "kind": "Job",
        "class": "native",
        "workload_kind": "training",
        "phase": "Running",
        "phase_reason": "1 of 1 pod ready.",
        "phase_since": "2026-03-01T10:00:05Z",
        "message": "",
        "submitted_by": "ada",
        "source": "cli",
        "created_at": "2026-03-01T10:00:00.123456Z",
        "completed_at": None,
        "deleted_at": None,
        "running_pods": 1,
        "desired_pods": 1,
        "requests": {"cpu_milli": 1500, "memory_bytes": 2**30, "gpu_millionths": 500_000, "gpu_memory_bytes": 0},
        "allocated": {"cpu_milli": 1500, "memory_bytes": 2**30, "gpu_millionths": 500_000},
        "nodes": ["pool-a-0"],
        "priority_class": "train",
        "actions_supported": {"stop": True, "activate": True, "delete": True},
        "parent": None,
        "attributes": {},
        "end_seen": False,
        "version": 17,
    }
    return shown | different


def record(position: int, kind: str = "PhaseChanged", previous: str | None = None, current: str | None = None) -> Any:
    """Return a record of a history."""
    time = f"2026-03-01T10:00:{position:02}Z"
    return {
        "position": position,
        "time": time,
        "type": kind,
        "previous": previous,
        "current": current,
        "reason": f"Reason {position}.",
        "cause": None,
    }


def _standing(asked: Asked) -> dict[str, Any]:
    (position,) = asked.query.get("at", ["17"])
    return {"position": int(position), "time": None if "at" not in asked.query else "2026-03-01T10:00:17Z"}


def show(muster: Muster, *workloads: dict[str, Any], deleted: tuple[dict[str, Any], ...] = ()) -> None:
    """Let the server know these workloads, by name and by id."""

    def listed(asked: Asked) -> dict[str, Any]:
        chosen = deleted if asked.query.get("deleted") == ["true"] else workloads
        name = asked.query.get("filter_by", [""])[0].removeprefix("name==")
        project = asked.query.get("project", [""])[0]
        found = [w for w in chosen if name in {"", w["name"]} and project in {"", w["project"]}]
        return {"workloads": found, "next": None, **_standing(asked)}

    muster.answers["GET", "/api/v1/workloads"] = listed
    for each in (*workloads, *deleted):
        muster.answers["GET", f"/api/v1/workloads/{each['id']}"] = each
        muster.answers["GET", f"/api/v1/workloads/{each['id']}/history"] = {"records": [], "next": None}
        muster.answers["GET", f"/api/v1/workloads/{each['id']}/pods"] = {"pods": []}
        muster.answers["GET", f"/api/v1/workloads/{each['id']}/waiting"] = {"position": 17, "groups": []}
