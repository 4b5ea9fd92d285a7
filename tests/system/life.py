"""One object's life as two people see it: one who types `kubectl`, one who looks at Muster.

An example is created in the stack's cluster over its API, as `kubectl apply` does; everything else goes through
Muster's HTTP. A `Picture` is what a workload's one row and its pods come to. Waiting means listening to the live
stream and looking again at each change, so that nobody sleeps, and a picture that never comes is shown beside the last.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

if TYPE_CHECKING:
    from system.conftest import Running

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_SECONDS = 60
GPU = 1_000_000
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Picture:
    """What people see of a workload. `pods` is n of m; `held` are the GPUs that its pods have."""

    phase: str
    pods: str
    gpus: float
    held: float
    roles: Mapping[str, int] = field(default_factory=dict)


class World:
    """A stack's cluster and its Muster."""

    def __init__(self, cluster: httpx.AsyncClient, muster: httpx.AsyncClient) -> None:
        self.cluster, self.muster = cluster, muster

    async def create(self, example: str, name: str = "", **fields: Any) -> list["Thing"]:
        """Create all objects of an example, in their order; the last under another name, all with other fields.

        A field is where it is in the last object, or after a number in one before it: `**{"0.spec.suspend": True}`.
        """
        documents = list(yaml.safe_load_all((EXAMPLES / example).read_text(encoding="utf-8")))
        for path, value in {**({"metadata.name": name} if name else {}), **fields}.items():
            put(documents if path[0].isdecimal() else documents[-1], path, value)
        return [await self.create_object(document) for document in documents]

    async def create_object(self, body: Any) -> "Thing":
        """Create one object."""
        thing = Thing(self, f"{await self._collection(body)}/{body['metadata']['name']}")
        answer = await self.cluster.post(thing.path.rpartition("/")[0], json=body)
        assert answer.status_code == 201, answer.text
        return thing

    async def _collection(self, body: Any) -> str:
        """Return where objects of this kind are, as the API itself has it."""
        version = body["apiVersion"]
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        resources = (await self.cluster.get(prefix)).json()["resources"]
        [plural] = {each["name"] for each in resources if each["kind"] == body["kind"] and "/" not in each["name"]}
        return f"{prefix}/namespaces/{body['metadata']['namespace']}/{plural}"

    async def look(self, path: str, **query: Any) -> Any:
        """Ask Muster."""
        answer = await self.muster.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        """Look again whenever something changes, until there is something to see. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.muster.stream("GET", "/api/v1/stream", timeout=None) as told:
            async for line in told.aiter_lines():
                if line.startswith("data:") and (seen := await look()):
                    return seen
        raise AssertionError("the live stream ended")

    async def workload(self, name: str) -> "Life":
        """Wait for the one row that a name finds."""
        row = await self.until(lambda: self.only_row(name))
        return Life(self, row["id"], name)

    async def only_row(self, name: str, **query: Any) -> Any:
        """Return the row of a name, which a DAG run lengthens; None when there is none. There must not be two."""
        found = (await self.look("/workloads", search=name, **query))["workloads"]
        rows = [row for row in found if row["name"].partition("/")[0] == name]  # `lab` finds `labelled`, too
        assert len(rows) <= 1, [(row["kind"], row["name"]) for row in rows]
        return rows[0] if rows else None


def put(body: Any, path: str, value: Any) -> None:
    """Set the field at a path of names and, in lists, of numbers."""
    *above, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    for part in above:
        body = body.setdefault(part, {}) if isinstance(body, dict) else body[part]
    body[last] = value


@dataclass(frozen=True, slots=True)
class Thing:
    """An object in the cluster."""

    world: World
    path: str

    async def read(self) -> Any:
        """Return it, None when it is gone."""
        answer = await self.world.cluster.get(self.path)
        return None if answer.status_code == 404 else answer.json()

    async def put(self, path: str, value: Any) -> None:
        """Set the field at a path of its spec."""
        spec = (await self.read())["spec"]
        put(spec, path, value)
        await self.change(spec=spec)

    async def delete(self) -> None:
        """Delete it."""
        answer = await self.world.cluster.delete(self.path)
        assert answer.status_code == 200, answer.text

    async def change(self, **fields: Any) -> None:
        """Merge fields into it."""
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = await self.world.cluster.patch(self.path, json=fields, headers=headers)
        assert answer.status_code == 200, answer.text


@dataclass(frozen=True, slots=True)
class Life:
    """One workload, as Muster shows it."""

    world: World
    id: str
    name: str

    async def row(self) -> Any:
        """Return its row; the name must find it and nothing else."""
        row = await self.world.only_row(self.name)
        assert row is not None, f"{self.name} is not listed"
        assert row["id"] == self.id
        return row

    async def pods(self) -> list[Any]:
        """Return the pods that are there, those that have ended too."""
        pods = (await self.world.look(f"/workloads/{self.id}/pods"))["pods"]
        return [pod for pod in pods if pod["gone_at"] is None]

    async def picture(self) -> Picture:
        """Return what people see now. Pods that have ended are not counted among the roles."""
        return _picture(await self.row(), await self.living())

    async def living(self, role: str = "") -> list[Any]:
        """Return the pods that have not ended; those of one role, if it is named."""
        return [pod for pod in await self.pods() if pod["phase"] not in ENDED and role in ("", pod["role"])]

    async def shows(self, expected: Picture, without: Sequence[Any] = ()) -> None:
        """Wait until it looks as expected, and none of these pods lives."""
        gone = {pod["id"] for pod in without}

        async def fits() -> bool:
            row, pods = await self.row(), await self.living()  # one look at the pods: a second one sees other pods
            return _picture(row, pods) == expected and gone.isdisjoint(pod["id"] for pod in pods)

        await self._comes_to(fits, expected)

    async def reaches(self, phase: str) -> None:
        """Wait for a phase."""

        async def is_there() -> bool:
            return bool((await self.row())["phase"] == phase)

        await self._comes_to(is_there, phase)

    async def tells(self, **attributes: str) -> None:
        """Wait until its attributes say so."""

        async def is_told() -> bool:
            return attributes.items() <= (await self.row())["attributes"].items()

        await self._comes_to(is_told, attributes)

    async def _comes_to(self, holds: Callable[[], Awaitable[bool]], expected: object) -> None:
        try:
            await self.world.until(holds)
        except TimeoutError:
            seen = f"{await self.picture()} with {(await self.row())['attributes']}"
            raise AssertionError(f"{self.name} should come to {expected}, but is {seen}") from None

    async def phases(self) -> list[str]:
        """Return the phases it has been in."""
        records = (await self.world.look(f"/workloads/{self.id}/history", limit=500))["records"]
        return [record["current"] for record in records if record["type"] == "PhaseChanged"]

    async def ask(self, action: str) -> None:
        """Stop or activate it."""
        answer = await self.world.muster.post(f"/api/v1/workloads/{self.id}/{action}")
        assert answer.status_code == 202, answer.text

    async def refusal(self, action: str) -> str:
        """Return why it is not stopped or activated."""
        answer = await self.world.muster.post(f"/api/v1/workloads/{self.id}/{action}")
        assert answer.status_code == 409, answer.text
        return str(answer.json()["message"])

    async def end(self, role: str, exit_code: int = 0) -> None:
        """Let the containers of a role's pods end, those beside the one that counts too."""
        for pod in await self._things(role):
            containers = [each["name"] for each in (await pod.read())["spec"]["containers"]]
            ends = dict.fromkeys(("sim.run-seconds", *(f"sim.run-seconds.{each}" for each in containers)), "0")
            await pod.change(metadata={"annotations": ends | {"sim.exit-code": str(exit_code)}})

    async def lose(self, role: str) -> None:
        """Delete the pods of a role, as whoever drains a node does."""
        for pod in await self._things(role):
            await pod.delete()

    async def _things(self, role: str) -> list[Thing]:
        pods = await self.living(role)
        assert pods, f"no {role} of {self.name} lives"
        return [Thing(self.world, f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}") for pod in pods]

    async def delete(self) -> None:
        """Delete it, and wait until it is seen gone."""
        answer = await self.world.muster.delete(f"/api/v1/workloads/{self.id}")
        assert answer.status_code == 202, answer.text
        await self.goes()

    async def goes(self) -> None:
        """Wait until it is seen gone, with all its pods."""

        async def is_gone() -> bool:
            row = await self.world.look(f"/workloads/{self.id}")
            return row["deleted_at"] is not None and not await self.pods()

        await self.world.until(is_gone)


def _picture(row: Any, living: Sequence[Any]) -> Picture:
    return Picture(
        row["phase"],
        f"{row['running_pods']}/{row['desired_pods']}",
        row["requests"]["gpu_millionths"] / GPU,
        row["allocated"]["gpu_millionths"] / GPU,
        dict(Counter(pod["role"] for pod in living)),
    )


@contextlib.asynccontextmanager
async def world_of(running: "Running") -> AsyncIterator[World]:
    """Open a stack's cluster and its Muster."""
    cluster = f"http://127.0.0.1:{running.stack.ports['cluster']}"
    async with (
        httpx.AsyncClient(base_url=cluster, timeout=30) as kubernetes,
        httpx.AsyncClient(base_url=running.stack.url, timeout=30) as muster,
    ):
        yield World(kubernetes, muster)
