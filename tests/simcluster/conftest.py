"""A whole simulated cluster: without its HTTP server, under a clock the test advances (`world`), or as the process
people start, on a free port (`server`, `api`)."""

import asyncio
import copy
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from simcluster.client import Client
from simcluster.clock import ManualClock
from simcluster.controllers import ControlPlane, build_machinery
from simcluster.nodes import DEFAULT_GROUPS, NodeGroup, register_nodes
from simcluster.operators import install_kinds, operators_of
from simcluster.registry import Registry
from simcluster.resources import Object
from simcluster.store import Store

NAMESPACE = "demo"


class World:
    """Store, kubelets and controllers, driven by `advance`."""

    def __init__(self, store: Store, clock: ManualClock, seed: int, systems: tuple[str, ...] = ()) -> None:
        self.store = store
        self.clock = clock
        self.may_park = False
        self.registry = Registry(store, clock, random.Random(seed))
        self.client = Client(self.registry)
        install_kinds(self.client, systems)
        operators = operators_of(systems)
        self.plane: ControlPlane = build_machinery(self.client, clock, self.registry.resources, operators)
        if self.client.get("namespaces", None, NAMESPACE) is None:
            self.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    async def advance(self, seconds: float = 0) -> None:
        await self.clock.advance(seconds)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
            if self.plane.idle and await self._stays_idle():
                return
        raise AssertionError("the controllers do not come to rest")

    async def _stays_idle(self) -> bool:
        for _ in range(10):
            await asyncio.sleep(0)
            if not self.plane.idle:
                return False
        return True

    async def advance_until(self, holds: Callable[[], bool], most_seconds: int = 3600) -> None:
        for _ in range(most_seconds):
            await self.settle()
            if holds():
                return
            await self.clock.advance(1)
        raise AssertionError(f"not within {most_seconds} s of the cluster's time")

    def pod(self, name: str) -> Object:
        found = self.client.get("pods", NAMESPACE, name)
        assert found is not None, f"there is no pod {name}"
        return found

    def pods(self, **labels: str) -> list[Object]:
        return self.client.list(
            "pods", NAMESPACE, labels={key.replace("_", "-"): value for key, value in labels.items()}
        )

    def found(self, kind: str, name: str) -> Object:
        found = self.client.get(kind, NAMESPACE, name)
        assert found is not None, f"there is no {name} among {kind}"
        return found

    def conditions(self, kind: str, name: str) -> dict[str, str]:
        conditions = self.found(kind, name).get("status", {}).get("conditions", [])
        return {each["type"]: each["status"] for each in conditions}

    def change_spec(self, kind: str, name: str, change: Callable[[Any], Any]) -> None:
        spec = copy.deepcopy(self.found(kind, name)["spec"])
        change(spec)
        self.change(kind, self.found(kind, name), **spec)

    def job(self, name: str) -> Object:
        found = self.client.get("jobs.batch", NAMESPACE, name)
        assert found is not None, f"there is no job {name}"
        return found

    def phase(self, name: str) -> str:
        return str(self.pod(name)["status"]["phase"])

    def condition(self, obj: Object, kind: str) -> Mapping[str, Any]:
        conditions = obj.get("status", {}).get("conditions", [])
        found: Mapping[str, Any] = next((each for each in conditions if each["type"] == kind), {})
        return found

    def events(self, name: str) -> list[tuple[str, str]]:
        told = [each for each in self.client.list("events") if each["involvedObject"]["name"] == name]
        return [(each["reason"], each["message"]) for each in told]

    def create_pod(self, name: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> Object:
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {f"sim.{k}": v for k, v in (annotations or {}).items()},
        }
        spec = {"restartPolicy": "Never", "containers": [container()], **spec}
        return self.client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def create_job(
        self, name: str, annotations: Mapping[str, str] | None = None, pod: Mapping[str, Any] | None = None, **spec: Any
    ) -> Object:
        template = {
            "metadata": {"annotations": {f"sim.{key}": value for key, value in (annotations or {}).items()}},
            "spec": {"restartPolicy": "Never", "containers": [container()], **(pod or {})},
        }
        metadata = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template, **spec}}
        return self.client.create("jobs.batch", body)

    def change(self, kind: str, obj: Object, **spec: Any) -> Object:
        return self.client.update(kind, {**obj, "spec": {**obj["spec"], **spec}})

    def annotate_node(self, name: str, **annotations: str) -> None:
        node = self.client.get("nodes", None, name)
        assert node is not None
        named = {f"sim.{key}": value for key, value in annotations.items()}
        self.client.update("nodes", {**node, "metadata": {**node["metadata"], "annotations": named}})


def container(name: str = "main", gpu: int = 0, **more: Any) -> dict[str, Any]:
    wanted = {"resources": {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": gpu} if gpu else {}}}
    return {"name": name, "image": "registry.example/train:1", **wanted, **more}


@asynccontextmanager
async def open_world(
    groups: tuple[NodeGroup, ...] = DEFAULT_GROUPS,
    path: Path | None = None,
    clock: ManualClock | None = None,
    seed: int = 1,
    systems: tuple[str, ...] = (),
) -> AsyncIterator[World]:
    world = World(Store(path), clock or ManualClock(), seed, systems)
    register_nodes(world.client, groups, world.clock)
    running = asyncio.create_task(world.plane.run())
    try:
        yield world
    finally:
        broke = running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=not broke)
        assert world.may_park or world.plane.machinery.parked == {}
        world.store.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


RECORDED = Path(__file__).parent / "recorded"


class Recording:
    """Objects of a real operator, from `recorded/`: a custom resource first, then what the operator made of it."""

    def __init__(self, name: str) -> None:
        read = json.loads((RECORDED / name).read_text(encoding="utf-8"))
        self.items: list[Object] = read["items"] if read["kind"] == "List" else [read]

    def of_kind(self, kind: str) -> list[Object]:
        return [item for item in self.items if item["kind"] == kind]

    def played(self, **spec: Any) -> Object:
        """Return the custom resource to be created anew, with fields the recording left out."""
        first = self.items[0]
        metadata = {
            key: first["metadata"][key] for key in ("name", "labels", "annotations") if key in first["metadata"]
        }
        body = {"apiVersion": first["apiVersion"], "kind": first["kind"]}
        return {**body, "metadata": {**metadata, "namespace": NAMESPACE}, "spec": {**first.get("spec", {}), **spec}}


def traits(obj: Object) -> dict[str, Any]:
    """Return what a recording and a play must have in common: name, labels, owners and containers."""
    metadata, spec = obj["metadata"], obj.get("spec", {})
    owner_fields = ("apiVersion", "kind", "name", "controller", "blockOwnerDeletion")
    return {
        "name": metadata["name"],
        "labels": metadata.get("labels") or {},
        "owners": [{key: owner.get(key) for key in owner_fields} for owner in metadata.get("ownerReferences") or []],
        "containers": [each["name"] for each in spec.get("containers", [])],
    }


@pytest.fixture
def recording() -> Any:
    return Recording


@pytest.fixture
def traits_of() -> Any:
    return traits


@pytest.fixture
def opener() -> Any:
    """Open further worlds: other nodes, another seed, the same file after a restart."""
    return open_world


class ServerProcess:
    """`python -m simcluster` on a free port, its state in one folder across restarts."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self._command = [sys.executable, "-m", "simcluster", "--data", str(folder / "data")]
        self._command += ["--kubeconfig", str(self.kubeconfig), *arguments]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http://"), "the server did not say where it listens"

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    body: Any

    @property
    def version(self) -> str:
        version: str = self.body["metadata"]["resourceVersion"]
        return version


class Api:
    """Speaks to a server in a namespace of its own."""

    def __init__(self, session: aiohttp.ClientSession, url: str, namespace: str) -> None:
        self.session, self.url, self.namespace = session, url, namespace

    def path(self, kind: str, *parts: str) -> str:
        plural, _, group = kind.partition(".")
        prefix = f"/apis/{group}/v1" if group else "/api/v1"
        return "/".join([prefix, "namespaces", self.namespace, plural, *parts])

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        media_type: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Answer:
        headers = {"Content-Type": media_type, "Accept": accept, "User-Agent": "test/1"}
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=headers, params=query) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text)

    async def create(self, kind: str, body: Any, **query: str) -> Answer:
        return await self.call("POST", self.path(kind), body, **query)

    async def get(self, kind: str, name: str) -> Answer:
        return await self.call("GET", self.path(kind, name))

    async def find(self, kind: str, **query: str) -> Answer:
        return await self.call("GET", self.path(kind), **query)

    async def replace(self, kind: str, body: Any, *subresource: str) -> Answer:
        return await self.call("PUT", self.path(kind, body["metadata"]["name"], *subresource), body)

    async def patch(self, kind: str, name: str, body: Any, form: str = "merge", *subresource: str) -> Answer:
        media_type = f"application/{form}-patch+json"
        return await self.call("PATCH", self.path(kind, name, *subresource), body, media_type)

    async def apply(self, kind: str, body: Any, manager: str = "test", **query: str) -> Answer:
        path = self.path(kind, body["metadata"]["name"])
        media_type = "application/apply-patch+yaml"
        return await self.call("PATCH", path, body, media_type, fieldManager=manager, **query)

    async def delete(self, kind: str, name: str, body: Any = None, **query: str) -> Answer:
        return await self.call("DELETE", self.path(kind, name), body, **query)

    async def watch(self, kind: str, count: int, **query: str) -> list[Any]:
        """Return the first events of a watch, or all until it ends."""
        events = []
        async with asyncio.timeout(20), self.session.get(self.url + self.path(kind), params=query) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                events.append(json.loads(line))
                if len(events) == count:
                    break
        return events


def idle_pod(name: str, **metadata: Any) -> dict[str, Any]:
    """A pod nobody schedules, so that only the test changes it."""
    spec = {"schedulerName": "nobody", "containers": [{"name": "main", "image": "train:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def config_map(name: str, data: Any = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data or {}}


@pytest.fixture
def make_pod() -> Callable[..., dict[str, Any]]:
    return idle_pod


@pytest.fixture
def make_config_map() -> Callable[..., dict[str, Any]]:
    return config_map


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """The server of a module's tests; each test has a namespace of its own in it (`api`)."""
    with tempfile.TemporaryDirectory() as folder:
        process = ServerProcess(Path(folder))
        process.start()
        yield process
        assert process.end() == 0


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers of a test alone, to be ended and started again by it."""
    started: list[ServerProcess] = []

    def start(*arguments: str) -> ServerProcess:
        process = ServerProcess(tmp_path / str(len(started)), *arguments)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.end()


_namespaces = itertools.count()


@asynccontextmanager
async def speak_to(server: ServerProcess) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        api = Api(session, server.url, f"test-{os.getpid()}-{next(_namespaces)}")
        made = await api.call("POST", "/api/v1/namespaces", {"metadata": {"name": api.namespace}})
        assert made.status == 201
        yield api


@pytest.fixture
async def api(server: ServerProcess) -> AsyncIterator[Api]:
    async with speak_to(server) as api:
        yield api


@pytest.fixture
def speaker() -> Any:
    """Speak to a server of one's own: `async with speaker(server) as api`."""
    return speak_to
