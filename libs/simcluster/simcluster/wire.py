"""Requests and responses as `ApiServer` sees them: no sockets, so that a whole world can be driven in-process."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import yaml

from simcluster import protobuf
from simcluster.admission import Caller
from simcluster.errors import ApiError, bad_option, bad_request, unsupported_media_type
from simcluster.resources import Object

JSON = "application/json"
_READABLE = ("json", "yaml")  # with all that patches put before them; and protobuf
_ACCEPTED = "accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}
Talk = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
"""What is said to what the other side says, message by message."""


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are in lower case, a repeated query parameter counts once."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    command: Sequence[str] = ()  # of `exec`: its words are the one parameter that is given many times
    caller: Caller | None = None

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def accept(self) -> str:
        """The media types the client takes."""
        return self.headers.get("accept", "")

    @property
    def dry_run(self) -> bool:
        """Whether nothing shall be stored."""
        asked = self.query.get("dryRun", "")
        if asked not in ("", "All"):
            raise bad_option(_OPTIONS[self.method], "dryRun", f'Unsupported value: "{asked}": supported values: "All"')
        return asked == "All"

    @property
    def manager(self) -> str:
        """The name under which the client owns fields."""
        return self.query.get("fieldManager") or self.headers.get("user-agent", "").partition("/")[0] or "unknown"

    def flag(self, name: str) -> bool:
        """Read a boolean parameter, spelt in any of the ways clients spell it."""
        return self.query.get(name, "").lower() in ("true", "1", "t")

    def number(self, name: str) -> int | None:
        """Read a number, or None; ApiError 400 when it is none."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f'invalid value "{text}" for {name}: not an integer') from None

    def parse(self) -> Any:
        """Return the body as data, from JSON, YAML or (for a few kinds) protobuf."""
        if "protobuf" in self.content_type:
            return protobuf.decode(self.body)
        if self.content_type and not self.content_type.endswith(_READABLE):
            raise unsupported_media_type(f"the body of the request was in an unknown format - {_ACCEPTED}")
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            if "yaml" not in self.content_type:
                raise bad_request(f"the body is not JSON: {error}") from None
        try:
            return yaml.safe_load(self.body)
        except yaml.YAMLError as error:
            raise bad_request(f"the body is not YAML: {error}") from None

    def parse_object(self) -> Object:
        """Return the body as an object; ApiError 400 when it is none."""
        body = self.parse()
        if not isinstance(body, dict):
            raise bad_request("the body is not an object")
        if body.get("metadata") is None:
            body["metadata"] = {}
        if not isinstance(body["metadata"], dict):
            raise bad_request("metadata is not an object")
        return body


@dataclass(frozen=True)
class Response:
    """One HTTP answer: bytes, a stream of them that ends when the server or the client ends it, or a conversation."""

    status: int
    body: bytes | AsyncIterator[bytes] | Talk
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def to_response(body: Any, status: int = 200) -> Response:
    """Answer with data as JSON."""
    return Response(status, orjson.dumps(body))


def with_warnings(response: Response, warnings: Iterable[str]) -> Response:
    """Add warnings for the person at the client, in the one header clients read them from."""
    quoted = [" ".join(each.split()).replace("\\", "\\\\").replace('"', '\\"') for each in dict.fromkeys(warnings)]
    if not quoted:
        return response
    header = ", ".join(f'299 - "{each}"' for each in quoted)
    return replace(response, headers={**response.headers, "Warning": header})


def to_failure(error: ApiError) -> Response:
    """Answer with a `Status`."""
    retry_seconds = (error.details or {}).get("retryAfterSeconds", 10 if error.code == 429 else None)
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    return Response(error.code, orjson.dumps(error.to_status()), headers=headers)
