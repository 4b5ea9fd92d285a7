"""What follows in Kubernetes: on the simulated cluster, with integrations looking on, and killed in between."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import Any
from uuid import UUID

import pytest
from muster_chassis.service import run_loops
from muster_cluster.port import Forbidden, Rejected, Resource
from muster_contracts.errors import Unavailable
from muster_contracts.events import (
    AnyEvent,
    LimitReached,
    ObjectsApplied,
    ObjectsRefused,
    OwnerObserved,
    StopRequested,
    WorkloadDiscovered,
    WorkloadGone,
)
from muster_contracts.subjects import Writer
from muster_integrations.app import Ports as IntegrationsPorts
from muster_integrations.app import build as build_integrations
from muster_integrations.settings import IntegrationsSettings
from muster_journal.memory import MemoryJournal
from submitter.world import SECONDS, Submitter, World, new_world, running, until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as world:
        yield world


@contextlib.asynccontextmanager
async def integrations_look_on(world: World) -> AsyncIterator[None]:
    """Run the service that sees what became of the objects."""
    ports = IntegrationsPorts(world.journal(Writer.INTEGRATIONS), world.kubernetes, Random(3))
    loops = asyncio.create_task(run_loops(build_integrations(IntegrationsSettings(), ports)))
    try:
        yield
    finally:
        loops.cancel()
        await asyncio.gather(loops, return_exceptions=True)


@contextlib.asynccontextmanager
async def everything(world: World, **settings: Any) -> AsyncIterator[Submitter]:
    async with integrations_look_on(world), running(world.service(**settings)) as submitter:
        await submitter.create_project()
        yield submitter


async def until_told(world: World, kind: type[AnyEvent], count: int = 1) -> list[Any]:
    """Wait until the journal has so many events of a type."""
    async with asyncio.timeout(SECONDS):
        while True:
            if len(found := await world.events(kind)) >= count:
                return found
            await world.log.grown()


async def until_job(world: World, holds: Any = bool) -> Any:
    return await until(lambda: holds(world.job()) and world.job())


def suspended(job: Any) -> bool:
    return bool(job and job["spec"].get("suspend"))


def resumed(job: Any) -> bool:
    return bool(job and not job["spec"].get("suspend"))


async def bind_pods(world: World) -> None:
    """Be the scheduler, in the simplest way."""
    while True:
        for pod in world.simulated.client.list("pods", "muster-demo"):
            if not pod["spec"].get("nodeName"):
                world.simulated.client.bind("muster-demo", pod["metadata"]["name"], first_node(world))
        await asyncio.sleep(0.02)


def first_node(world: World) -> str:
    return str(world.simulated.client.list("nodes", None)[0]["metadata"]["name"])


@contextlib.asynccontextmanager
async def pods_get_nodes(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(bind_pods(world))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_workload_is_submitted_stopped_activated_and_deleted(world: World) -> None:
    async with everything(world) as submitter:
        workload = f"/api/v1/workloads/{(await submitter.submit()).json()['workload_id']}"
        (applied,) = await until_told(world, ObjectsApplied)
        job = await until_job(world)
        assert job["metadata"]["uid"] == str(applied.object_id)
        await until_told(world, WorkloadDiscovered)

        await submitter.client.post(f"{workload}/stop")
        await until_job(world, suspended)
        await until_told(world, OwnerObserved)
        assert (await submitter.client.post(f"{workload}/activate")).status_code == 202
        await until_job(world, resumed)

        await submitter.client.delete(workload)
        (gone,) = await until_told(world, WorkloadGone)
        assert str(gone.workload_id) == workload.rpartition("/")[2]
        assert world.job() is None
        assert (await submitter.client.get("/healthz")).json()["well"]


async def test_what_is_asked_at_once_comes_true_one_after_the_other(world: World) -> None:
    async with everything(world) as submitter:
        workload = f"/api/v1/workloads/{(await submitter.submit()).json()['workload_id']}"
        for _ in range(3):
            assert (await submitter.client.post(f"{workload}/stop")).status_code == 202
            assert (await submitter.client.post(f"{workload}/activate")).status_code == 202
        assert (await submitter.client.post(f"{workload}/stop")).status_code == 202
        await until_job(world, suspended)
        assert (await submitter.client.post(f"{workload}/activate")).status_code == 202
        await until_job(world, resumed)


async def test_what_was_stopped_before_it_was_made_is_made_suspended(world: World) -> None:
    gate = Gate(world.kubernetes)
    async with running(world.service(cluster=gate)) as submitter:
        await submitter.create_project()
        workload_id = (await submitter.submit()).json()["workload_id"]
        await submitter.client.post(f"/api/v1/workloads/{workload_id}/stop")
        gate.opened.set()
        assert suspended(await until_job(world))


async def test_what_was_deleted_before_it_was_made_comes_to_an_end_that_is_seen(world: World) -> None:
    gate = Gate(world.kubernetes)
    async with integrations_look_on(world), running(world.service(cluster=gate)) as submitter:
        await submitter.create_project()
        workload_id = (await submitter.submit()).json()["workload_id"]
        await submitter.client.delete(f"/api/v1/workloads/{workload_id}")
        gate.opened.set()
        (gone,) = await until_told(world, WorkloadGone)
        assert gone.workload_id == UUID(workload_id)
        assert not world.simulated.client.list("pods", "muster-demo")
        again = await submitter.submit()
        assert again.status_code == 202, "the name is free again"


async def test_what_vanished_before_anybody_saw_it_can_still_be_deleted(world: World) -> None:
    async with running(world.service()) as submitter:
        await submitter.create_project()
        workload_id = (await submitter.submit()).json()["workload_id"]
        await until_told(world, ObjectsApplied)
        world.simulated.client.delete("jobs.batch", "muster-demo", "hello")
    async with integrations_look_on(world), running(world.service()) as submitter:
        await submitter.client.delete(f"/api/v1/workloads/{workload_id}")
        await until_told(world, WorkloadGone)


async def test_a_killed_submitter_leaves_one_object_and_one_fact(world: World) -> None:
    """Kill it between the write in Kubernetes and the fact in the journal, at every such place there is."""
    dying = DiesBeforeItWrites(world)
    async with running(world.service(journal=dying)) as submitter:
        await submitter.create_project()
        await submitter.submit()
        await asyncio.wait_for(dying.reached.wait(), SECONDS)
        await submitter.kill()
    before = world.job()
    assert before is not None
    assert not await world.events(ObjectsApplied)
    async with running(world.service()):
        (applied,) = await until_told(world, ObjectsApplied)
    assert str(applied.object_id) == before["metadata"]["uid"]
    assert len(world.simulated.client.list("jobs.batch", "muster-demo")) == 1


@pytest.mark.parametrize("seed", range(5))
async def test_a_submitter_killed_at_random_moments_neither_loses_nor_repeats(world: World, seed: int) -> None:
    random = Random(seed)
    async with integrations_look_on(world):
        async with running(world.service()) as submitter:
            await submitter.create_project()
        for life in range(6):
            async with running(world.service()) as submitter:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(random.random() * 0.15):
                        await asyncio.gather(
                            *(submitter.submit(f"job-{n}", idempotency_key=f"{n}") for n in range(life * 2))
                        )
        async with running(world.service()) as submitter:
            answers = await asyncio.gather(*(submitter.submit(f"job-{n}", idempotency_key=f"{n}") for n in range(12)))
            assert {answer.status_code for answer in answers} == {202}
            await until_told(world, ObjectsApplied, 12)
            jobs = world.simulated.client.list("jobs.batch", "muster-demo")
            assert len(jobs) == 12
            applied = await world.events(ObjectsApplied)
            assert len({event.workload_id for event in applied}) == len(applied) == 12


async def test_a_strangers_job_of_the_same_name_is_left_alone_and_the_workload_told_so(world: World) -> None:
    gate = Gate(world.kubernetes)
    async with running(world.service(cluster=gate)) as submitter:
        await submitter.create_project()
        await until(world.namespace)
        stranger = world.simulated.client.create("jobs.batch", plain_job())
        await submitter.submit()
        gate.opened.set()
        (refused,) = await until_told(world, ObjectsRefused)
    assert refused.reason == "The namespace muster-demo already has a Job 'hello' that is not this workload's."
    job = world.job()
    assert job is not None
    assert job["metadata"]["uid"] == stranger["metadata"]["uid"]
    assert "muster.dev/workload-id" not in job["metadata"].get("labels", {})


async def test_what_kubernetes_will_never_take_is_said_in_its_own_words(world: World) -> None:
    async with running(world.service(cluster=Refusing(world.kubernetes))) as submitter:
        await submitter.create_project()
        await submitter.submit()
        (refused,) = await until_told(world, ObjectsRefused)
    assert refused.reason == "Kubernetes does not take it: spec.template: Invalid value."


@pytest.mark.parametrize("refusal", [Forbidden, Rejected])
async def test_what_is_refused_now_is_done_once_it_is_allowed(world: World, refusal: type[Rejected]) -> None:
    moody = Moody(world.kubernetes, refusal)
    async with integrations_look_on(world), running(world.service(cluster=moody)) as submitter:
        moody.refuse("apply", "Namespace")
        await submitter.create_project()
        await until(world.namespace)
        workload = f"/api/v1/workloads/{(await submitter.submit()).json()['workload_id']}"
        await until_told(world, WorkloadDiscovered)
        moody.refuse("patch", "Job")
        await submitter.client.post(f"{workload}/stop")
        await until_job(world, suspended)
        moody.refuse("patch", "Job")
        await submitter.client.post(f"{workload}/activate")
        await until_job(world, resumed)
        moody.refuse("delete", "Job")
        await submitter.client.delete(workload)
        await until_told(world, WorkloadGone)
        assert (await submitter.client.get("/healthz")).json()["well"]


async def test_a_job_we_may_not_make_yet_is_made_once_we_may(world: World) -> None:
    moody = Moody(world.kubernetes, Forbidden)
    async with running(world.service(cluster=moody)) as submitter:
        await submitter.create_project()
        moody.refuse("create", "Job")
        await submitter.submit()
        await until_told(world, ObjectsApplied)
    assert not await world.events(ObjectsRefused)


async def test_a_job_we_may_not_look_at_yet_is_recognised_once_we_may(world: World) -> None:
    dying = DiesBeforeItWrites(world)
    async with running(world.service(journal=dying)) as submitter:
        await submitter.create_project()
        await submitter.submit()
        await asyncio.wait_for(dying.reached.wait(), SECONDS)
    moody = Moody(world.kubernetes, Rejected)
    moody.refuse("get", "Job")
    async with running(world.service(cluster=moody)) as submitter:
        await until_told(world, ObjectsApplied)
        assert (await submitter.client.get("/healthz")).json()["well"]
    assert not await world.events(ObjectsRefused)


async def test_a_namespace_is_made_for_a_project_and_an_existing_one_adopted(world: World) -> None:
    world.simulated.client.create(
        "namespaces", {"metadata": {"name": "physics", "labels": {"team": "physics"}, "annotations": {"a": "b"}}}
    )
    async with running(world.service()) as submitter:
        await submitter.create_project()
        await submitter.create_project("physics", namespace="physics")
        await until(lambda: labels_of(world, "muster-demo") and "muster.dev/project" in labels_of(world, "physics"))
    assert labels_of(world, "muster-demo")["muster.dev/project"] == "demo"
    adopted = labels_of(world, "physics")
    assert (adopted["muster.dev/project"], adopted["team"]) == ("physics", "physics")


async def test_a_namespace_that_was_deleted_is_made_again_for_the_next_workload(world: World) -> None:
    async with running(world.service()) as submitter:
        await submitter.create_project()
        await submitter.submit()
        await until_job(world)
        world.simulated.client.delete("namespaces", None, "muster-demo")
        await until(lambda: world.namespace() is None)
        await submitter.submit("second")
        await until_told(world, ObjectsApplied, 2)
        assert world.job("second") is not None


async def test_a_stop_reaches_an_object_that_changed_since_it_was_seen(world: World) -> None:
    async with everything(world) as submitter:
        workload_id = (await submitter.submit()).json()["workload_id"]
        await until_told(world, WorkloadDiscovered)
        job = world.job()
        assert job is not None
        job["metadata"].setdefault("annotations", {})["note"] = "changed"
        world.simulated.client.update("jobs.batch", job)
        await submitter.client.post(f"/api/v1/workloads/{workload_id}/stop")
        await until_job(world, suspended)


async def test_an_image_that_cannot_be_pulled_fails_the_workload_and_frees_its_resources(world: World) -> None:
    async with everything(world, image_pull_limit_seconds=1) as submitter, pods_get_nodes(world):
        spec = {"image": "nowhere:1", "annotations": {"sim.pull-error": "ErrImagePull", "sim.pull-seconds": "0.1"}}
        workload_id = (await submitter.submit(spec=spec)).json()["workload_id"]
        (limit,) = await until_told(world, LimitReached)
        assert (str(limit.workload_id), limit.limit, limit.effect) == (workload_id, "image-pull", "fail")
        await until_job(world, suspended)
        answer = await submitter.client.post(f"/api/v1/workloads/{workload_id}/activate")
        assert "has failed and cannot run again" in answer.json()["message"]
    assert not await world.events(StopRequested), "nobody asked for it"


async def test_a_workload_that_asked_for_it_is_deleted_when_it_has_completed(world: World) -> None:
    async with everything(world) as submitter, pods_get_nodes(world):
        spec = {"image": "i", "auto_deletion_seconds": 0, "annotations": {"sim.run-seconds": "0.1"}}
        await submitter.submit(spec=spec)
        (limit,) = await until_told(world, LimitReached)
        assert (limit.limit, limit.effect) == ("auto-deletion", "delete")
        (gone,) = await until_told(world, WorkloadGone)
        assert gone.end_seen


def task_pod(name: str, number: int, **outcome: str) -> dict[str, Any]:
    """A pod of Airflow's KubernetesPodOperator, which soon ends."""
    labels = {"dag_id": "nightly", "run_id": "manual-1", "task_id": "train", "try_number": str(number)}
    annotations = {"sim.run-seconds": "0.1"} | outcome
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "muster-demo", "labels": labels, "annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": "i"}]},
    }


@pytest.mark.parametrize(("outcome", "effect"), [({}, "complete"), ({"sim.exit-code": "1"}, "fail")])
async def test_a_dag_run_ends_when_it_was_quiet_and_a_cleared_task_begins_another(
    world: World, outcome: dict[str, str], effect: str
) -> None:
    async with everything(world, quiet_seconds=1), pods_get_nodes(world):
        await until(lambda: world.namespace() is not None)
        pods = world.simulated.client
        pods.create("pods", task_pod("train-a", 1, **outcome))
        (limit,) = await until_told(world, LimitReached)
        assert (limit.limit, limit.effect) == ("quiet", effect)
        pods.delete("pods", "muster-demo", "train-a")
        (gone,) = await until_told(world, WorkloadGone)
        assert (gone.workload_id, gone.end_seen) == (limit.workload_id, True)
        pods.create("pods", task_pod("train-b", 2))
        first, second = await until_told(world, WorkloadDiscovered, 2)
        assert (first.workload_id, first.identity) == (limit.workload_id, second.identity)
        assert second.attributes["first_attempt"] == str(first.workload_id)
    assert not await world.events(StopRequested), "there was nothing to stop"


def dag_run(**task: Any) -> dict[str, Any]:
    """A run of one task that starts one pod, as the simulated Airflow takes it."""
    spec = {"restartPolicy": "Never", "containers": [{"name": "base", "image": "i"}]}
    train = {"task_id": "train", "pod": {"namespace": "muster-demo", "spec": spec}, "retry_delay": 0} | task
    run = {"dag_id": "nightly", "run_id": "manual__2026", "executor": "celery", "tasks": [train]}
    metadata = {"name": "nightly", "namespace": "muster-demo", "labels": {"sim.airflow/dag-run": "true"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"dag-run.yaml": json.dumps(run)}}


@pytest.mark.parametrize(("retries", "effect"), [(0, "fail"), (1, "complete")])
async def test_only_the_last_try_of_a_task_counts_though_airflow_deletes_the_pods(
    world: World, retries: int, effect: str
) -> None:
    async with everything(world, quiet_seconds=1), pods_get_nodes(world):
        await until(lambda: world.namespace() is not None)
        task = dag_run(retries=retries, annotations={"sim.run-seconds": "0.2", "sim.fail-times": "1"})
        world.simulated.client.create("configmaps", task)
        (limit,) = await until_told(world, LimitReached)
        assert (limit.limit, limit.effect) == ("quiet", effect)
        (discovered,) = await until_told(world, WorkloadDiscovered)
        assert (discovered.kind, discovered.name) == ("AirflowDagRun", "nightly/manual__2026")
        assert not world.simulated.client.list("pods", "muster-demo")


def labels_of(world: World, namespace: str) -> dict[str, str]:
    found = world.namespace(namespace)
    labels: dict[str, str] = (found or {}).get("metadata", {}).get("labels", {})
    return labels


def plain_job() -> dict[str, Any]:
    container = {"name": "main", "image": "i"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "hello", "namespace": "muster-demo"},
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


class Around:
    """A cluster around another one, for a subclass to change one thing."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Gate(Around):
    """Does not answer to a new Job before `opened` is set."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.opened = asyncio.Event()

    async def create(self, resource: Resource[Any], manifest: Mapping[str, Any]) -> Any:
        if not self.opened.is_set():
            raise Unavailable("Kubernetes does not answer.")
        return await self.inner.create(resource, manifest)


class Refusing(Around):
    """Takes no Job."""

    async def create(self, resource: Resource[Any], manifest: Mapping[str, Any]) -> Any:
        raise Rejected("spec.template: Invalid value.")


class Moody(Around):
    """Refuses what it is told to refuse, twice, before it does it."""

    def __init__(self, inner: Any, error: type[Rejected]) -> None:
        super().__init__(inner)
        self._error = error
        self._refusals_left: dict[tuple[str, str], int] = {}

    def refuse(self, verb: str, kind: str) -> None:
        self._refusals_left[verb, kind] = 2

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self.inner, name)

        async def perhaps(resource: Resource[Any], *arguments: Any, **options: Any) -> Any:
            self._check(name, resource.kind)
            return await asked(resource, *arguments, **options)

        return perhaps if name in {"get", "create", "apply", "patch", "delete"} else asked

    def _check(self, verb: str, kind: str) -> None:
        left = self._refusals_left.get((verb, kind), 0)
        if left:
            self._refusals_left[verb, kind] = left - 1
            raise self._error("not yours")


class DiesBeforeItWrites(MemoryJournal):
    """Never comes back from writing that objects were applied."""

    def __init__(self, world: World) -> None:
        super().__init__(world.log, Writer.SUBMITTER, world.clock.now)
        self.reached = asyncio.Event()

    async def append(self, event: AnyEvent, **options: Any) -> int:
        if isinstance(event, ObjectsApplied):
            self.reached.set()
            await asyncio.Event().wait()
        return await super().append(event, **options)
