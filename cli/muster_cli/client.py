"""The client of Muster's HTTP API: one origin, errors as `Failure`, repeats that cannot do harm.

Requests that change something carry an idempotency key, or are harmless to repeat, so a broken connection and a
service that is away for a moment (503) are tried again. Where nobody listens at all, that is told at once. `httpx` is
imported when it is needed, for it takes longer than printing the help.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from muster_cli.failure import Exit, Failure
from muster_cli.output import say
from muster_cli.settings import CommandLineSettings

if TYPE_CHECKING:
    import httpx

API = "/api/v1"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
ATTEMPTS = 6  # six seconds in all: a service that is started again is back by then
FIRST_PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 15.0  # no further attempt after so long, when the answers themselves take their time

EXIT_BY_STATUS = {400: Exit.INVALID, 404: Exit.NOT_FOUND, 413: Exit.INVALID, 422: Exit.INVALID, 503: Exit.UNAVAILABLE}


class Client:
    """A connection to Muster."""

    def __init__(self, settings: CommandLineSettings, *, timeout_seconds: float = 30, attempts: int = ATTEMPTS) -> None:
        import httpx

        self.settings = settings
        self._attempts = attempts
        self._http = httpx.Client(
            base_url=f"{settings.url}{API}",
            headers={"x-muster-user": settings.user, "x-muster-source": "cli"},
            timeout=httpx.Timeout(timeout_seconds, connect=min(5, timeout_seconds)),
            trust_env=httpx.URL(settings.url).host not in LOOPBACK,  # a proxy does not lead to this machine
        )

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """Ask; parameters that are None are left out."""
        return self._request("GET", path, params={k: v for k, v in parameters.items() if v is not None})

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Command."""
        return self._request("POST", path, json=body or {})

    def put(self, path: str, body: dict[str, Any], **parameters: Any) -> Any:
        """Command that something be as the body says."""
        known = {k: v for k, v in parameters.items() if v is not None}
        return self._request("PUT", path, json=body, params=known)

    def delete(self, path: str) -> Any:
        """Command that something go away."""
        return self._request("DELETE", path)

    def settle(self, path: str, position: int) -> None:
        """Wait until queries have come as far as a command that was accepted, so that the next one sees it.

        It is only a courtesy: the command stands whether or not the queries follow soon, and that is said.
        """
        try:
            self.get(path, at_least=position)
        except Failure:
            say("It is accepted, but the lists are behind and will show it later.")

    @contextmanager
    def stream(self, path: str, **parameters: Any) -> Iterator[Iterator[bytes]]:
        """Read an answer as it comes, for as long as it takes."""
        import httpx

        known = {k: v for k, v in parameters.items() if v is not None}
        try:
            with self._http.stream("GET", path, params=known, timeout=httpx.Timeout(None, connect=5)) as answer:
                if answer.is_error:
                    answer.read()
                    raise _failure(answer)
                yield answer.iter_raw()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        import httpx

        began = time.monotonic()
        for attempt in range(self._attempts):
            last = attempt == self._attempts - 1 or time.monotonic() - began > PATIENCE_SECONDS
            try:
                answer = self._http.request(method, path, **arguments)
            except (httpx.TransportError, httpx.DecodingError) as error:
                if last or isinstance(error, httpx.ConnectError):
                    raise self._unreachable(error) from error
            else:
                if answer.status_code != 503 or last:
                    return _read(answer)
            time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _unreachable(self, error: Exception) -> Failure:
        import httpx

        said = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            next_step = "Start it with `muster up`, or set MUSTER_URL to where it runs."
            return Failure(Exit.UNAVAILABLE, f"Muster does not answer at {self.settings.url}: {said}.", next_step)
        next_step = "Look with `muster status`, and try again."
        return Failure(Exit.UNAVAILABLE, f"The connection to {self.settings.url} broke: {said}.", next_step)


def client_for(at: str | None) -> Client:
    """Return a client with the patience that a question takes: about the past it may be folded for a while."""
    from muster_cli.moments import PAST_SECONDS

    settings = CommandLineSettings.read()
    return Client(settings) if at is None else Client(settings, timeout_seconds=PAST_SECONDS)


def _read(answer: "httpx.Response") -> Any:
    if answer.is_error:
        raise _failure(answer)
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        message = f"What answered at {answer.url} ({answer.status_code}) is not Muster."
        raise Failure(Exit.UNAVAILABLE, message, "Set MUSTER_URL to where Muster runs.")
    return body


def _failure(answer: "httpx.Response") -> Failure:
    """Turn the API's error into ours; whoever answered something else gets a sentence too."""
    code = EXIT_BY_STATUS.get(answer.status_code, Exit.REFUSED if answer.status_code < 500 else Exit.UNAVAILABLE)
    try:
        body = answer.json()
        message, issues = str(body["message"]), body.get("compliance_issues", [])
    except (ValueError, KeyError, TypeError):
        message = f"{answer.url} answered {answer.status_code} {answer.reason_phrase}".rstrip()
        return Failure(code, f"{message}.", "Is it Muster? Set MUSTER_URL to where Muster runs.")
    lines = [f"  {issue['field']}: {issue['details']}" for issue in issues]
    return Failure(code, message if len(lines) < 2 else "\n".join(["The request is not valid:", *lines]))
