"""Questions about the past begin at a checkpoint that can be believed, answer as from the beginning, and say so."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cli.stage import Answer, Asked, Log, Muster, Type, show, shown, workload
from muster_cli.journal import told
from muster_cli.output import moment
from muster_contracts.events import AnyEvent
from muster_contracts.questions import WhatNodesHold
from muster_contracts.wire import Recorded
from muster_scheduler.core.decision import written
from muster_scheduler.core.holdings import holdings, node_holdings
from muster_scheduler.core.plan import Limits, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.worlds import gang, id_of, node, recorded

NAME = "late"
ROUNDS = 3
LINES = "/api/v1/journal/lines"


class Past:
    """A journal as a scheduler wrote it: after each round of events it planned."""

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []
        self.state = State()
        self.plans: list[int] = []
        self._happens(node("a"), node("b"))
        for number in range(ROUNDS):
            self._happens(*gang(f"train-{number}", 2))
            self._happens(*written(plan(take_snapshot(self.state), Limits()), Limits(), id_of("cluster"), 1))
            self.plans.append(self.state.position)
        self._happens(*gang(NAME, 1, gpus=9))
        self._happens(*written(plan(take_snapshot(self.state), Limits()), Limits(), id_of("cluster"), 1))
        self.end = self.state.position
        self.log = Log([shown(one) for one in self.recorded])

    def _happens(self, *events: AnyEvent) -> None:
        for one in recorded(events, first=len(self.recorded) + 1):
            self.recorded.append(one)
            self.state.apply(one)

    def fold_at(self, position: int) -> State:
        state = State()
        for one in self.recorded[:position]:
            state.apply(one)
        return state

    def keep(self, *positions: int) -> list[dict[str, Any]]:
        return [self.log.keep(self.fold_at(position)) for position in positions]


@pytest.fixture
def past() -> Past:
    return Past()


@pytest.fixture
def served(muster: Muster, past: Past) -> Muster:
    past.log.serve(muster)
    show(muster, workload(NAME, id=str(id_of(f"workload/{NAME}")), phase="Pending"))
    return muster


def read_from(muster: Muster) -> list[int]:
    """Return after which positions the journal was read."""
    return [int(asked.query["after"][0]) for asked in muster.asked_at("GET", LINES)]


def why(types: Type, at: int) -> Any:
    return types("why", NAME, "--at", str(at), "-o", "json").data


def test_why_begins_at_the_last_checkpoint_before_the_moment_and_answers_the_same(
    served: Muster, past: Past, types: Type
) -> None:
    expected = {at: why(types, at) for at in range(past.plans[1] + 1, past.end + 1)}
    past.keep(*past.plans[:2])
    past.log.serve(served)
    for at, answer in expected.items():
        served.asked.clear()
        assert why(types, at) == answer
        assert read_from(served)[0] == past.plans[1]
    assert expected[past.end]["groups"][0]["code"] == "NoFittingNode"


def test_who_held_what_is_told_as_the_scheduler_would_have_told_it_then(
    served: Muster, past: Past, types: Type
) -> None:
    past.keep(past.plans[0])
    past.log.serve(served)
    for position, placed in ((past.plans[1], 2 * 2), (past.end, 2 * ROUNDS)):
        snapshot, moment = take_snapshot(past.fold_at(position)), {"position": position}
        held = types("top", "--at", str(position), "-o", "json").data
        times = {"time": held["time"], "as_of": held["time"]}
        assert held | moment == holdings(snapshot, Limits()).model_dump(mode="json") | times
        on_nodes = types("top", "nodes", "--at", str(position), "-o", "json").data
        assert on_nodes["position"] == position
        assert on_nodes["nodes"] == node_holdings(snapshot, WhatNodesHold()).model_dump(mode="json")["nodes"]
        assert sum(len(one["pods"]) for one in on_nodes["nodes"]) == placed
    for command in (("top",), ("top", "nodes")):
        printed = types(*command, "--at", str(past.plans[1])).out
        assert re.match(rf"At [-: \d]+ \(position {past.plans[1]}\)\n", printed), command
    assert {tuple(asked.path.split("/")[-2:]) for asked in served.asked}.isdisjoint(
        {("scheduling", "queues"), ("scheduling", "nodes")}
    )


def test_options_of_top_may_stand_before_what_is_shown(served: Muster, past: Past, types: Type) -> None:
    at = ("--at", str(past.plans[0]))
    for shown_part in ("nodes", "projects"):
        told_last = types("top", shown_part, *at, "-o", "json").out
        assert json.loads(told_last)["position"] == past.plans[0]
        assert types("top", *at, "-o", "json", shown_part).out == told_last
        assert types("top", *at, shown_part).out == types("top", shown_part, *at).out


def test_nodes_of_the_past_are_told_however_many_they_are(served: Muster, types: Type) -> None:
    names = [f"node-{number:03}" for number in range(150)]  # more than one answer holds
    Log([shown(one) for one in recorded(map(node, names))]).serve(served)
    found = types("top", "nodes", "--at", str(len(names)), "-o", "json").data
    assert [one["name"] for one in found["nodes"]] == names


def test_without_a_plan_since_the_checkpoint_its_settings_are_looked_for_from_the_beginning(
    served: Muster, past: Past, types: Type
) -> None:
    past.keep(past.plans[-1])
    past.log.serve(served)
    why(types, past.plans[-1] + 1)
    assert read_from(served) == [past.plans[-1], 0]


Spoil = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: one | {"code": "other"},
        lambda one: one | {"event_id": str(uuid4())},
        lambda one: one | {"body": one["body"][:-40]},
        lambda one: one | {"body": ""},
        lambda one: one | {"body": b64encode(b"no zlib").decode()},
    ],
    ids=["other code", "other journal", "cut", "empty", "no body"],
)
def test_a_checkpoint_that_cannot_be_believed_is_passed_over(
    served: Muster, past: Past, types: Type, spoil: Spoil
) -> None:
    expected = why(types, past.end)
    served.asked.clear()
    past.keep(past.plans[1])
    past.log.checkpoints[past.plans[1]] = spoil(past.log.checkpoints[past.plans[1]])
    past.log.serve(served)
    assert why(types, past.end) == expected
    assert read_from(served) == [0]


def test_a_checkpoint_that_went_meanwhile_and_services_without_any_are_no_trouble(
    served: Muster, past: Past, types: Type
) -> None:
    expected = why(types, past.end)
    served.answers["GET", "/api/v1/scheduling/checkpoints"] = {"positions": [past.plans[0]]}
    assert why(types, past.end) == expected
    del served.answers["GET", "/api/v1/scheduling/checkpoints"]
    assert why(types, past.end) == expected
    assert set(read_from(served)) == {0}


def test_the_last_plans_are_judged_from_a_checkpoint_which_is_named(served: Muster, past: Past, types: Type) -> None:
    kept = past.keep(*past.plans)
    past.log.serve(served)
    for wanted, plans, begun in (
        (("--last", "1"), 1, kept[2]),
        (("--last", "2"), 2, kept[1]),
        (("--since", str(past.plans[1] + 1)), 2, kept[1]),
        (("--since", str(past.plans[0])), 3, kept[0]),
        (("--last", "4"), 4, None),
    ):
        found = types("audit", "verify", "--decisions", *wanted, "-o", "json").data
        assert (found["ok"], found["replanned"], found["checkpoint_trusted"]) == (True, plans, begun), wanted
        assert found["events"] == past.end - (begun["position"] if begun else 0)
    trusts = f"This trusts the checkpoint at position {past.plans[2]} (SHA-256 {kept[2]['digest']}); nothing before it"
    assert trusts in types("audit", "verify", "--decisions", "--last", "1").out


def test_from_the_beginning_nothing_is_trusted_and_every_checkpoint_is_proven(
    served: Muster, past: Past, types: Type
) -> None:
    kept = past.keep(*past.plans)
    past.log.serve(served)
    found = types("audit", "verify", "--decisions", "-o", "json").data
    assert (found["ok"], found["checkpoint_trusted"], found["checkpoints_proven"]) == (True, None, kept)
    assert types("audit", "verify", "--decisions").out.endswith(" 3 checkpoints are what a fresh fold is.\n")


def test_a_checkpoint_that_says_something_else_is_named(served: Muster, past: Past, types: Type) -> None:
    state = past.fold_at(past.plans[1])
    state.pods.clear()
    past.log.keep(state)
    past.log.serve(served)
    typed = types("audit", "verify", "--decisions")
    assert typed.code == 1
    assert f"Position {past.plans[1]}: the checkpoint there is not what a fresh fold is." in typed.out


def test_a_changed_plan_is_named_from_a_checkpoint_too(served: Muster, past: Past, types: Type) -> None:
    past.keep(past.plans[0])
    past.log.events[past.plans[1] - 1]["data"]["placements"][0]["node"] = "b"
    past.log.serve(served)
    typed = types("audit", "verify", "--decisions", "--since", str(past.plans[0]))
    assert typed.code == 1
    assert f"Position {past.plans[1]}, plan" in typed.out


def test_a_stream_that_breaks_off_is_read_on_from_there(served: Muster, past: Past, types: Type) -> None:
    whole = past.log.lines

    def breaks_off(asked: Asked) -> Any:
        text = whole(asked).body
        lines = text.splitlines(keepends=True)
        return Answer("".join(lines[:2]) + lines[2][:10]) if len(lines) > 2 else Answer(text)

    served.answers["GET", LINES] = breaks_off
    exported = [json.loads(line) for line in types("audit", "export").out.splitlines()]
    assert exported == past.log.events
    assert read_from(served) == list(range(0, past.end, 2))


def test_a_stream_that_never_goes_on_is_given_up(served: Muster, types: Type) -> None:
    served.answers["GET", LINES] = Answer('{"position": ')
    typed = types("audit", "export")
    assert (typed.code, typed.out) == (5, "")
    assert typed.err.startswith("The event log broke off in the middle of an event.")


def test_everything_shown_of_a_workload_is_asked_for_at_one_moment_which_is_named(
    served: Muster, past: Past, types: Type
) -> None:
    time, position = past.log.events[past.end - 1]["time"], str(past.end)
    for command in (("list",), ("describe", NAME), ("history", NAME)):
        served.asked.clear()
        found = types(*command, "--at", time, "-o", "json").data
        assert (found["position"], bool(found["time"])) == (past.end, True), command
        asked = [one for one in served.asked if one.path.startswith("/api/v1/workloads")]
        assert asked
        assert all(one.query["at"] == [position] for one in asked), command
        assert f" (position {position})\n" in types(*command, "--at", position).out, command


def test_why_it_waited_is_a_part_of_the_description_of_then(served: Muster, past: Past, types: Type) -> None:
    waiting = types("describe", NAME, "--at", str(past.end), "-o", "json").data["waiting"]
    assert waiting == why(types, past.end)["groups"]
    assert not served.asked_at("GET", f"/api/v1/workloads/{id_of(f'workload/{NAME}')}/waiting")


def test_ages_are_those_of_then(served: Muster, past: Past, types: Type) -> None:
    then = datetime.fromisoformat(past.log.events[-1]["time"])
    show(served, workload(NAME, created_at=(then - timedelta(hours=3)).isoformat()))
    assert " 3h" in types("list", "--at", str(past.end)).out
    assert "(3h ago)" in types("describe", NAME, "--at", str(past.end)).out


def test_a_quiet_hour_after_the_last_event_counts(served: Muster, past: Past, types: Type) -> None:
    last = datetime.fromisoformat(past.log.events[-1]["time"])
    asked = last + timedelta(hours=2)
    show(served, workload(NAME, id=str(id_of(f"workload/{NAME}")), phase="Pending", created_at=last.isoformat()))
    heading = f"At {moment(asked.isoformat())} (position {past.end})\n"
    for command, age in (
        (("list",), " 2h"),
        (("describe", NAME), "(2h ago)"),
        (("history", NAME), ""),
        (("why", NAME), ""),
    ):
        printed = types(*command, "--at", asked.isoformat()).out
        assert printed.startswith(heading), command
        assert age in printed, command
        found = types(*command, "--at", asked.isoformat(), "-o", "json").data
        assert found["position"] == past.end, command
        assert datetime.fromisoformat(found["time"]) == last, command
        assert datetime.fromisoformat(found["as_of"]) - asked < timedelta(seconds=1), command


def test_before_the_first_event_there_is_a_time_asked_for_and_no_other(types: Type, served: Muster) -> None:
    show(served)
    found = types("list", "--at", "2020-01-01T00:00:00.5Z", "-o", "json").data
    assert {name: found[name] for name in ("position", "time", "as_of")} == {
        "position": 0,
        "time": None,
        "as_of": "2020-01-01T00:00:00.500000Z",
    }
    assert types("list", "--at", "0").out == "At position 0\n"


def test_who_was_not_there_then_is_not_found(served: Muster, types: Type) -> None:
    typed = types("history", "nobody", "--at", "2")
    assert (typed.code, typed.err) == (3, "There was no workload nobody at position 2.\n")
    assert types("list", "--at", "-1").code == 2


def test_whoever_reads_long_is_told_how_far_and_how_fast(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster_cli.journal.TOLD_EVERY", 4)
    said: list[str] = []
    assert list(told(past.recorded, "Reading …", past.end, said.append)) == past.recorded
    assert len(said) == past.end // 4
    assert said[1].startswith(f"Reading … Position 8 of {past.end}, ")
    assert said[1].endswith(" events a second.")
