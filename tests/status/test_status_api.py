"""What the status service answers over HTTP: lists, one workload, history, pods, logs, stream, health, audit."""

import asyncio
import json
import re
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from muster_contracts.events import AnyEvent, NodeGone, NodeObserved, PhaseChanged
from muster_contracts.phases import Phase
from muster_contracts.subjects import Writer
from muster_contracts.values import Resources
from muster_journal.checkpoints import Checkpoint
from muster_status.adapters.neighbours import HttpNeighbours
from muster_status.core.rows import Changes
from muster_status.entrypoints import answers
from muster_status.handlers.live import QUEUE_FRAMES, Listener, Live
from status.service_bench import StatusBench, listening, serving
from status.stories import Story, department, node_pool, project
from status.test_projector import with_phases

SILENT = "http://127.0.0.1:9"


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[StatusBench]:
    async with serving(StatusBench(postgres_dsn, {"scheduler": SILENT})) as running:
        yield running


def named(answer: dict) -> list[str]:  # type: ignore[type-arg]
    return [workload["name"] for workload in answer["workloads"]]


# ---------------------------------------------------------------- workloads


async def test_a_client_reads_its_own_write(bench: StatusBench) -> None:
    story = Story()
    position = await bench.tell([story.submitted()])
    found = await bench.get(f"/workloads/{story.id}", at_least=position)
    assert (found["name"], found["phase"], found["class"]) == ("train", "Creating", "native")
    assert (found["requests"]["gpu_millionths"], found["requests"]["gpu_memory_bytes"]) == (1_000_000, 0)
    assert found["actions_supported"] == {"stop": True, "activate": True, "delete": True}


async def test_memory_of_gpus_is_asked_for_in_place_of_gpus(bench: StatusBench) -> None:
    story = Story()
    position = await bench.tell([story.submitted(parallelism=2, gpu_memory_bytes=20 * 2**30)])
    requests = (await bench.get(f"/workloads/{story.id}", at_least=position))["requests"]
    assert (requests["gpu_millionths"], requests["gpu_memory_bytes"]) == (0, 40 * 2**30)


async def test_a_workload_goes_through_its_phases_and_its_history_tells(bench: StatusBench) -> None:
    story = Story()
    await bench.tell(story.life(2))
    await bench.settle()
    assert (await bench.get(f"/workloads/{story.id}"))["phase"] == "Completed"
    records = (await bench.get(f"/workloads/{story.id}/history"))["records"]
    assert [each["current"] for each in records if each["type"] == "PhaseChanged"] == [
        "Creating",
        "Pending",
        "Initializing",
        "Running",
        "Completed",
    ]
    first = await bench.get(f"/workloads/{story.id}/history", limit=2)
    rest = await bench.get(f"/workloads/{story.id}/history", after=first["next"])
    assert first["records"] + rest["records"] == records
    assert rest["next"] is None


async def test_lists_are_filtered_sorted_and_paged(bench: StatusBench) -> None:
    events: list[AnyEvent] = [project(), project("vision")]
    for name in ("bert", "albert", "llama", "100%_sure"):
        events += [Story(name).submitted()]
    events += [*Story("gpt", project="vision").life(3)[:6]]
    await bench.tell(events)
    await bench.settle()

    async def names(**parameters: object) -> list[str]:
        return sorted(named(await bench.get("/workloads", **parameters)))

    assert await names(project="vision") == ["gpt"]
    assert await names(phase="Running") == ["gpt"]
    assert await names(search="BERT") == ["albert", "bert"]
    assert await names(search="%") == ["100%_sure"]
    assert await names(filter_by="name==bert") == ["bert"]
    assert await names(filter_by=["name=@bert", "name!=bert"]) == ["albert"]
    assert await names(filter_by="name!@bert") == ["100%_sure", "gpt", "llama"]
    assert await names(filter_by="name=^al") == ["albert"]
    assert await names(filter_by="name=$t") == ["albert", "bert", "gpt"]
    assert await names(filter_by="allocated_gpus>=2.5") == ["gpt"]
    assert await names(filter_by="running_pods<=0") == ["100%_sure", "albert", "bert", "llama"]
    assert await names(filter_by="created_at>=2027-01-01T00:00:00Z") == []
    assert await names(filter_by="nodes=@node-2") == ["gpt"]
    assert (await bench.get("/workloads/count", filter_by="name=@bert"))["count"] == 2
    by_name = {"sort_by": "name", "sort_order": "asc", "limit": 2}
    first = await bench.get("/workloads", **by_name)
    assert (named(first), first["next"]) == (["100%_sure", "albert"], 2)
    last = await bench.get("/workloads", offset=4, **by_name)
    assert (named(last), last["next"]) == (["llama"], None)


async def test_what_is_gone_is_in_another_list_and_is_still_found(bench: StatusBench) -> None:
    story = Story()
    await bench.tell([*story.life(), story.pods_gone(0), story.gone()])
    await bench.settle()
    assert named(await bench.get("/workloads")) == []
    assert named(await bench.get("/workloads", deleted=True)) == ["train"]
    assert (await bench.get(f"/workloads/{story.id}"))["phase"] == "Completed"
    assert (await bench.get(f"/workloads/{story.id}/pods"))["pods"] == []
    (pod,) = (await bench.get(f"/workloads/{story.id}/pods", gone=True))["pods"]
    assert (pod["name"], pod["phase"]) == ("train-0", "Succeeded")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"filter_by": "nmae==x"}, "there is no field 'nmae'"),
        ({"filter_by": "name"}, "is not a field, an operator"),
        ({"filter_by": "running_pods>=many"}, "running_pods is compared with a whole number, and 'many' is none"),
        ({"filter_by": "running_pods=@1"}, "=@ compares text"),
        ({"filter_by": "created_at>=yesterday"}, "a moment like"),
        ({"filter_by": "allocated_gpus>=NaN"}, "is none"),
        ({"filter_by": "allocated_gpus>=1e40"}, "is none"),
        ({"sort_by": "id; DROP TABLE workload"}, "sort_by must be one of"),
        ({"sort_order": "down"}, "sort_order must be asc or desc"),
        ({"phase": "Runing"}, "The phase must be one of Creating"),
        ({"limit": 501}, "limit"),
        ({"offset": -1}, "offset"),
    ],
)
async def test_a_question_that_makes_no_sense_gets_one_sentence(
    bench: StatusBench, parameters: dict[str, object], sentence: str
) -> None:
    problem = await bench.get("/workloads", 422, **parameters)
    assert sentence in problem["message"]
    assert problem["code"] == 422
    assert len(problem["compliance_issues"]) == 1


async def test_a_parameter_that_nobody_knows_is_refused_by_name(bench: StatusBench) -> None:
    problem = await bench.get("/workloads", 422, filterBy="name==x", phse="Running", limit=2, at_least=0)
    assert problem == {
        "code": 422,
        "message": "The request is not valid: filterBy is not a parameter we know; phse is not a parameter we know.",
        "details": "Invalid",
        "compliance_issues": [
            {"field": "filterBy", "details": "is not a parameter we know"},
            {"field": "phse", "details": "is not a parameter we know"},
        ],
    }


async def test_every_path_refuses_parameters_it_does_not_know_and_takes_its_own(bench: StatusBench) -> None:
    story = Story()
    await bench.tell(story.life())
    await bench.settle()
    document = (await bench.http.get(f"{bench.url}/api/v1/status/openapi.json")).json()
    paths = [
        path.removeprefix("/api/v1").format(workload_id=story.id, name="demo", position=1) for path in document["paths"]
    ]
    assert len(paths) == 23
    for path in paths:
        assert "phse is not a parameter we know" in (await bench.get(path, 422, phse="x", at_least=0))["message"], path
    whole = {"project": "demo", "class": "native", "filter_by": ["name=@t", "name==train"], "sort_order": "asc"}
    assert named(await bench.get("/workloads", at_least=1, offset=0, search="train", **whole)) == ["train"]


async def test_an_unknown_workload_project_or_path_is_not_found_in_the_one_shape(bench: StatusBench) -> None:
    unknown = uuid4()
    for path in ("", "/history", "/pods", "/logs"):
        problem = await bench.get(f"/workloads/{unknown}{path}", 404)
        assert problem == {
            "code": 404,
            "message": f"There is no workload {unknown}.",
            "details": "NotFound",
            "compliance_issues": [],
        }
    assert (await bench.get("/projects/none", 404))["message"] == "There is no project 'none'."
    assert set(await bench.get("/nothing", 404)) == {"code", "message", "details", "compliance_issues"}
    assert (await bench.get("/workloads/not-an-id", 422))["details"] == "Invalid"


async def test_projects_and_nodes_tell_what_is_on_them(bench: StatusBench) -> None:
    story = Story()
    node = NodeObserved(
        node_id=story.id, name="node-0", ready=True, allocatable=Resources(cpu_milli=64_000), gpu_devices=8
    )
    await bench.tell([project(), node, *story.life()[:6]])
    await bench.settle()
    (found,) = (await bench.get("/projects"))["projects"]
    assert (found["name"], found["workloads"]) == ("demo", 1)
    assert (await bench.get("/projects/demo"))["namespace"] == "muster-demo"
    (held,) = (await bench.get("/nodes"))["nodes"]
    assert held["allocated"] == {"cpu_milli": 1000, "memory_bytes": 0, "gpu_millionths": 1_000_000, "pods": 1}


async def test_departments_and_node_pools_are_listed_until_they_are_removed(bench: StatusBench) -> None:
    await bench.tell([department(), node_pool(), node_pool("h100").model_copy(update={"removed": True})])
    await bench.settle()
    (found,) = (await bench.get("/departments"))["departments"]
    assert (found["name"], found["quotas"][0]["gpu_millionths"]) == ("research", 8_000_000)
    assert [pool["name"] for pool in (await bench.get("/node-pools"))["node_pools"]] == ["a100"]


async def test_answers_are_what_the_document_says(bench: StatusBench) -> None:
    story = Story()
    node = NodeObserved(node_id=story.id, name="node-0", ready=True, allocatable=Resources())
    await bench.tell([project(), department(), node_pool(), node, *story.life()])
    await bench.scheduler_checkpoints.save("scheduler", Checkpoint(1, UUID(int=1), "code", b""))
    await bench.settle()
    shapes = {
        "/workloads": answers.WorkloadList,
        "/workloads/count": answers.Counted,
        f"/workloads/{story.id}": answers.Workload,
        f"/workloads/{story.id}/history": answers.HistoryList,
        f"/workloads/{story.id}/pods": answers.PodList,
        "/projects": answers.ProjectList,
        "/projects/demo": answers.Project,
        "/departments": answers.DepartmentList,
        "/node-pools": answers.NodePoolList,
        "/nodes": answers.NodeList,
        "/system": answers.System,
        "/audit/verify": answers.Verified,
        "/journal": answers.EventList,
        "/scheduling/checkpoints": answers.CheckpointList,
        "/scheduling/checkpoints/1": answers.WrittenDown,
    }
    for path, shape in shapes.items():
        answer = await bench.get(path)
        read = shape.model_validate(answer, strict=False, extra="forbid")
        assert set(read.model_dump(by_alias=True)) == set(answer), path


# ---------------------------------------------------------------- logs


async def test_the_log_of_a_pod_comes_as_it_is(bench: StatusBench) -> None:
    story = Story()
    bench.cluster.texts["train-1"] = [b"one\n", b"two\n"]
    await bench.tell([*story.life(2)[:5], story.ready(1)])
    await bench.settle()
    log = await bench.get(f"/workloads/{story.id}/logs", pod="train-1", tail_lines=5, previous=True)
    assert log == "one\ntwo\n"
    asked = {"namespace": "muster-demo", "pod": "train-1", "container": "main", "follow": False}
    assert bench.cluster.asked == [{**asked, "tail_lines": 5, "previous": True}]
    assert await bench.get(f"/workloads/{story.id}/logs") != ""  # the pod that runs, not the one that waits


async def test_a_log_that_is_not_there_says_why(bench: StatusBench) -> None:
    story = Story()
    bench.cluster.refused["train-0"] = "container main is waiting to start: ContainerCreating"
    await bench.tell([story.submitted(), story.grouped()])
    await bench.settle()
    assert "no pods yet" in (await bench.get(f"/workloads/{story.id}/logs", 404))["message"]
    await bench.tell([story.scheduled(0)])
    await bench.settle()
    assert "waiting to start" in (await bench.get(f"/workloads/{story.id}/logs", 409))["message"]
    other = await bench.get(f"/workloads/{story.id}/logs", 404, pod="somebody-elses")
    assert other["message"] == "The workload has no pod 'somebody-elses'; it has train-0."
    del bench.cluster.refused["train-0"]
    assert "is gone" in (await bench.get(f"/workloads/{story.id}/logs", 404))["message"]


# ---------------------------------------------------------------- the live stream


async def test_what_changes_is_told_as_it_changes(bench: StatusBench) -> None:
    story = Story()
    async with listening(bench) as client:
        assert (await client.frame())[0] == "ready"
        await bench.tell([project(), *story.life()])
        frames = await client.until("workload", phase="Completed")
    ids = [frame[1] for frame in frames]
    assert ids == sorted(ids)
    assert ("project", "demo") in {(frame[0], frame[2].get("name")) for frame in frames}
    assert frames[-1][2] == await bench.get(f"/workloads/{story.id}")


async def test_who_comes_back_is_told_what_it_missed_and_nothing_twice(bench: StatusBench) -> None:
    seen, missed = Story("seen"), Story("missed")
    await bench.tell(seen.life())
    last_id = await bench.settle()
    await bench.tell([*missed.life(), missed.gone()])
    position = await bench.settle()
    async with listening(bench, last_id) as client:
        frame, *present = (await client.until("ready"))[:-1]
        assert [each[0] for each in present] == ["projects", "nodes"]
        assert (frame[0], frame[2]["name"], frame[2]["phase"]) == ("workload", "missed", "Completed")
        assert last_id < frame[1] <= position
        await bench.tell([seen.delete()])
        assert (await client.frame())[2]["name"] == "seen"


async def test_who_comes_back_learns_which_nodes_and_projects_are_left(bench: StatusBench) -> None:
    stays, goes, kept, removed = Story("stays"), Story("goes"), project(), project("vision")
    nodes = [
        NodeObserved(node_id=story.id, name=story.name, ready=True, allocatable=Resources()) for story in (stays, goes)
    ]
    await bench.tell([*nodes, kept, removed])
    last_id = await bench.settle()
    await bench.tell([NodeGone(node_id=goes.id, name="goes"), removed.model_copy(update={"removed": True})])
    position = await bench.settle()
    async with listening(bench, last_id) as client:
        frames = await client.until("ready")
    assert frames[:2] == [
        ("projects", position, {"ids": [str(kept.project_id)]}),
        ("nodes", position, {"ids": [str(stays.id)]}),
    ]


async def test_who_comes_back_after_a_restart_is_told_what_it_missed(bench: StatusBench) -> None:
    await bench.tell(Story("seen").life())
    last_id = await bench.settle()
    await bench.tell(Story("missed").life())
    position = await bench.settle()
    restarted = StatusBench(bench.dsn)
    restarted.log = bench.log
    async with serving(restarted), listening(restarted, last_id) as client:
        frames = await client.until("ready")
    assert (frames[0][0], frames[0][2]["name"], frames[-1][1]) == ("workload", "missed", position)


async def test_who_knows_more_than_the_tables_is_told_to_load_anew(bench: StatusBench) -> None:
    await bench.tell([project()])
    last_id = await bench.settle() + 1000
    async with listening(bench, last_id) as client:
        assert (await client.frame())[0] == "reset"


async def test_a_client_sees_only_the_project_it_asked_for(bench: StatusBench) -> None:
    mine, other = Story("mine"), Story("other", project="vision")
    async with listening(bench, project="demo") as client:
        await client.until("ready")
        await bench.tell([*other.life(), *mine.life()])
        frames = await client.until("workload", phase="Completed")
    assert {frame[2]["project"] for frame in frames} == {"demo"}


async def test_a_client_that_does_not_keep_up_is_let_go_and_nobody_waits_for_it() -> None:
    class NoTables:
        pass

    live, changes = Live(NoTables()), Changes()  # type: ignore[arg-type]
    slow = Listener("")
    live._listeners.add(slow)
    story = Story()
    from status.test_projector import fold

    changes.workloads.update(fold(with_phases(story.life())).workload)
    for position in range(QUEUE_FRAMES + 1):
        live.tell(changes, position)
    assert slow.lost
    assert live.listeners == 0


async def test_a_client_that_was_away_too_long_is_told_to_load_anew(
    bench: StatusBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster_status.handlers.live.CATCH_UP_ROWS", 2)
    await bench.tell([Story(f"train-{number}").submitted() for number in range(4)])
    await bench.settle()
    async with listening(bench, last_id=0) as client:
        assert (await client.frame())[0] == "reset"


# ---------------------------------------------------------------- the system


async def test_the_health_of_every_service_is_told_also_of_one_that_is_silent(bench: StatusBench) -> None:
    system = await bench.get("/system")
    silent, own = system["services"]
    assert (silent["service"], silent["well"], own["service"], own["well"]) == ("scheduler", False, "status", True)
    assert not system["well"]
    assert {"deriver", "projector", "publisher"} <= set(own["loops"])


async def test_a_service_that_hangs_is_said_to_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster_status.adapters.neighbours.PATIENCE_SECONDS", 0.1)

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (report,) = await HttpNeighbours({"scheduler": f"http://127.0.0.1:{port}"}).health()
    assert report["loops"]["http"]["reason"] == "It does not answer within 0.1 s."


async def test_the_journal_is_shown_as_it_stands(bench: StatusBench) -> None:
    story = Story()
    await bench.tell([project(), *story.life()])
    end = await bench.settle()
    first = await bench.get("/journal", limit=3)
    assert first["next"] == 3
    events = first["events"] + (await bench.get("/journal", after=3, limit=500))["events"]
    assert [event["position"] for event in events] == list(range(1, end + 1))
    assert events[-1]["type"] == "PhaseChanged.v1"
    assert await bench.get("/journal", after=end) == {"events": [], "next": None}


async def test_the_journal_is_read_in_one_stream_of_lines(bench: StatusBench) -> None:
    story = Story()
    await bench.tell([project(), *story.life()])
    end = await bench.settle()
    paged = (await bench.get("/journal", limit=500))["events"]

    async def lines(**asked: int) -> list[Any]:
        answer = await bench.http.get(f"{bench.url}/api/v1/journal/lines", params=asked)
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.text.splitlines()]

    assert await lines() == paged
    assert await lines(after=2, until=5) == paged[2:5]
    assert await lines(after=2, until=end + 100) == paged[2:]
    assert await lines(after=5, until=5) == await lines(after=end) == []


async def test_what_the_scheduler_wrote_down_is_read_as_it_stands(bench: StatusBench) -> None:
    written = [Checkpoint(position, UUID(int=position), "code", b"%d" % position) for position in (3, 7)]
    assert await bench.get("/scheduling/checkpoints") == {"positions": []}
    for one in written:
        await bench.scheduler_checkpoints.save("scheduler", one, most=2)
    assert await bench.get("/scheduling/checkpoints") == {"positions": [3, 7]}
    assert await bench.get("/scheduling/checkpoints/3") == {
        "position": 3,
        "event_id": str(UUID(int=3)),
        "code": "code",
        "digest": sha256(b"3").hexdigest(),
        "body": b64encode(b"3").decode(),
    }
    assert (await bench.get("/scheduling/checkpoints/5", 404))["details"] == "NotFound"
    assert (await bench.get("/scheduling/checkpoints/0", 422))["details"] == "Invalid"


async def test_a_position_that_does_not_come_is_a_try_again(
    bench: StatusBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(15):
        problem = await bench.get("/workloads", 503, at_least=1_000_000)
    assert "Position 1000000 is not read yet" in problem["message"]


# ---------------------------------------------------------------- the audit


async def test_an_audit_holds_while_everything_goes_on(bench: StatusBench) -> None:
    stories = [Story(f"train-{number}") for number in range(15)]

    async def live_on() -> None:
        for chapter in zip(*(story.life(2) for story in stories), strict=True):
            await bench.tell(chapter)

    living = asyncio.create_task(live_on())
    while not living.done():
        assert (await bench.get("/audit/verify"))["ok"]
    await living
    await bench.settle()
    report = await bench.get("/audit/verify")
    assert (report["ok"], report["phases_checked"], report["events"]) == (True, 15 * 5, bench.log.end)


async def test_an_audit_names_a_checkpoint_that_is_not_what_a_fold_gives(bench: StatusBench) -> None:
    await bench.tell([event for number in range(3) for event in Story(f"train-{number}").life()])
    await bench.settle()
    assert (await bench.get("/audit/verify"))["checkpoints_checked"] == 2
    for name, fact in (("deriver", "phase"), ("projector", "phase_reason")):
        saved = await bench.checkpoints.load(name)
        assert saved is not None
        body = re.sub(rb'"%s":"[^"]+"' % fact.encode(), b'"%s":"Failed"' % fact.encode(), zlib.decompress(saved.body))
        await bench.checkpoints.save(name, replace(saved, body=zlib.compress(body)))
        report = await bench.get("/audit/verify")
        assert [name in sentence for sentence in report["differences"]] == [True]
        await bench.checkpoints.save(name, saved)


async def test_an_audit_names_a_row_that_was_changed_added_or_lost(bench: StatusBench) -> None:
    stories = [Story(f"train-{number}") for number in range(3)]
    await bench.tell([event for story in stories for event in story.life()])
    await bench.settle()
    connection = await asyncpg.connect(bench.dsn)
    await connection.execute("UPDATE muster.workload SET phase = 'Failed' WHERE id = $1", stories[0].id)
    await connection.execute("DELETE FROM muster.workload WHERE id = $1", stories[1].id)
    await connection.execute("UPDATE muster.pod SET pod_id = $1 WHERE workload_id = $2", uuid4(), stories[2].id)
    await connection.close()
    report = await bench.get("/audit/verify")
    assert not report["ok"]
    text = "\n".join(report["differences"])
    assert f"workload {stories[0].id}: phase is 'Failed', not 'Completed'." in text
    assert f"workload {stories[1].id}: the row is missing." in text
    assert "the row follows from no event." in text
    assert report["differences_found"] == len(report["differences"]) == 4


async def test_an_audit_names_a_record_that_nobody_derived(bench: StatusBench) -> None:
    story = Story()
    await bench.tell(story.life())
    await bench.settle()
    invented = PhaseChanged(
        workload_id=story.id,
        previous=Phase.COMPLETED,
        current=Phase.RUNNING,
        reason="It runs.",
        cause=3,
        step=9,
        table=1,
    )
    position = await bench.journal(Writer.STATUS).append(invented)
    await bench.get("/workloads", at_least=position)
    report = await bench.get("/audit/verify")
    assert not report["ok"]
    assert f"Position {position}, workload {story.id}" in report["differences"][0]
