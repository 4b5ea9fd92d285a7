"""The client against a real server: repeats that do no harm, and a sentence whatever is answered."""

from typing import Any

import pytest
from cli.stage import HANG_UP, Answer, Muster, error
from muster_cli import client as module
from muster_cli.client import ATTEMPTS, Client
from muster_cli.failure import Exit, Failure
from muster_cli.settings import CommandLineSettings
from servers import free_port

PATH = "/api/v1/projects"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)


def failure_of(client: Client) -> Failure:
    with pytest.raises(Failure) as raised:
        client.get("/projects")
    return raised.value


def test_who_asks_is_said_with_every_request(muster: Muster, client: Client) -> None:
    muster.answers["GET", PATH] = {"projects": []}
    assert client.get("/projects", at_least=None, limit=3) == {"projects": []}
    (asked,) = muster.asked
    assert (asked.headers["x-muster-user"], asked.headers["x-muster-source"]) == ("ada", "cli")
    assert asked.query == {"limit": ["3"]}


def test_a_broken_connection_is_tried_again_with_the_same_request(muster: Muster, client: Client) -> None:
    muster.answers["POST", PATH] = [HANG_UP, HANG_UP, {"position": 3}]
    assert client.post("/projects", {"name": "demo", "idempotency_key": "once"}) == {"position": 3}
    assert [asked.body for asked in muster.asked] == [{"name": "demo", "idempotency_key": "once"}] * 3


def test_a_service_that_is_away_for_a_moment_is_asked_again(muster: Muster, client: Client) -> None:
    muster.answers["GET", PATH] = [Answer(error(503, "Starting."), 503), {"projects": []}]
    assert client.get("/projects") == {"projects": []}


def test_a_service_that_stays_away_is_unavailable_in_its_own_words(muster: Muster, client: Client) -> None:
    muster.answers["GET", PATH] = Answer(error(503, "The journal does not answer. Please try again."), 503)
    failure = failure_of(client)
    assert (failure.code, failure.message) == (Exit.UNAVAILABLE, "The journal does not answer. Please try again.")
    assert len(muster.asked) == ATTEMPTS


def test_a_connection_that_always_breaks_is_unavailable(muster: Muster, client: Client) -> None:
    muster.answers["GET", PATH] = HANG_UP
    failure = failure_of(client)
    assert failure.code is Exit.UNAVAILABLE
    assert failure.message.startswith(f"The connection to {muster.url} broke: ")


def test_where_nobody_listens_is_told_with_what_to_do() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(CommandLineSettings(url, "", "ada")) as client:
        failure = failure_of(client)
    assert failure.code is Exit.UNAVAILABLE
    assert failure.message == f"Muster does not answer at {url}: Connection refused."
    assert "muster up" in failure.next_step


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Exit.INVALID),
        (403, Exit.REFUSED),
        (404, Exit.NOT_FOUND),
        (409, Exit.REFUSED),
        (413, Exit.INVALID),
        (422, Exit.INVALID),
        (500, Exit.UNAVAILABLE),
        (502, Exit.UNAVAILABLE),
    ],
)
def test_an_error_keeps_its_sentence_and_gets_its_exit_code(
    muster: Muster, client: Client, status: int, code: Exit
) -> None:
    muster.answers["GET", PATH] = Answer(error(status, "It is so."), status)
    failure = failure_of(client)
    assert (failure.code, failure.message) == (code, "It is so.")


def test_several_issues_are_listed_one_by_one(muster: Muster, client: Client) -> None:
    issues = [("spec.gpu", "should be positive"), ("name", "is missing")]
    muster.answers["GET", PATH] = Answer(error(422, "Both are wrong.", *issues), 422)
    assert failure_of(client).message.splitlines() == [
        "The request is not valid:",
        "  spec.gpu: should be positive",
        "  name: is missing",
    ]


@pytest.mark.parametrize("status", [400, 404, 500])
@pytest.mark.parametrize("body", ["<html>nginx</html>", "[]", '"no"', "null", '{"error": "x"}', ""])
def test_an_error_of_somebody_else_gets_a_sentence_too(muster: Muster, client: Client, body: str, status: int) -> None:
    muster.answers["GET", PATH] = Answer(body, status)
    failure = failure_of(client)
    assert f"answered {status}" in failure.message
    assert "MUSTER_URL" in failure.next_step


@pytest.mark.parametrize("body", ["<html>Welcome to nginx!</html>", "[]", "7", "", "{"])
def test_an_answer_that_is_not_ours_is_told_apart(muster: Muster, client: Client, body: str) -> None:
    muster.answers["GET", PATH] = Answer(body)
    failure = failure_of(client)
    assert failure.code is Exit.UNAVAILABLE
    assert "is not Muster" in failure.message


@pytest.mark.parametrize("queries", [Answer(error(503, "Behind."), 503), HANG_UP])
def test_a_command_that_was_accepted_stands_although_the_queries_are_behind(
    muster: Muster, client: Client, capsys: pytest.CaptureFixture[str], queries: Any
) -> None:
    muster.answers["GET", PATH] = queries
    client.settle("/projects", 9)
    assert muster.asked[0].query == {"at_least": ["9"]}
    assert "It is accepted" in capsys.readouterr().err


def test_a_stream_that_is_refused_is_refused_with_its_sentence(muster: Muster, client: Client) -> None:
    muster.answers["GET", PATH] = Answer(error(409, "There is no log yet."), 409)
    with pytest.raises(Failure, match=r"There is no log yet\."), client.stream("/projects"):
        raise AssertionError("it was opened")


def test_a_proxy_is_not_asked_for_this_machine(muster: Muster, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    muster.answers["GET", PATH] = {"projects": []}
    with Client(client.settings) as other:
        assert other.get("/projects") == {"projects": []}


def test_answers_that_take_their_time_are_not_waited_for_again_and_again(
    muster: Muster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", -1.0)
    muster.answers["GET", PATH] = Answer(error(503, "The journal does not answer."), 503)
    assert failure_of(client).code is Exit.UNAVAILABLE
    assert len(muster.asked) == 1
