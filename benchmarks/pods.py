"""Pods on the simulated cluster and on its ceiling: how both benchmarks of the cluster make them.

They name a scheduler that does not exist, so that nothing follows from them and the API alone is measured.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from benchmarks import http_client
from benchmarks.http_client import Connection, Load, request
from benchmarks.servers import Servers, free_port

PODS = "/api/v1/namespaces/default/pods"
CONNECTIONS = 64
_numbers = count()


@dataclass(frozen=True, slots=True)
class Clusters:
    """The URLs of a simulated cluster and of the bare server beside it."""

    simulated: str
    bare: str

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Clusters"]:
        """Start both; the bare one is given a pod and a watch's frame as the simulated one writes them."""
        async with Servers.open() as servers:
            port = free_port()
            simulated = await servers.cluster()
            bare = await servers.http("benchmarks.bare_cluster_server", port, [str(port)])
            async with Connection.open(simulated) as connection, Connection.open(bare) as given:
                pod = json.loads((await connection.ask(next(requests(1)))).body)
                await given.ask(request("PUT", "/pod", pod))
                await given.ask(_raw("PUT", "/frame", frame(pod)))
            yield cls(simulated, bare)


def frame(pod: object) -> bytes:
    """Return the line that tells a watch of the end of a pod."""
    return json.dumps({"type": "DELETED", "object": pod}, separators=(",", ":")).encode() + b"\n"


def _raw(method: str, path: str, body: bytes) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: benchmark\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def requests(amount: int) -> Iterator[bytes]:
    """Yield requests that create so many pods."""
    for _ in range(amount):
        yield request("POST", PODS, _pod(f"train-{next(_numbers)}"))


def _pod(name: str) -> dict[str, Any]:
    resources = {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"nvidia.com/gpu": "1"}}
    container: dict[str, Any] = {"name": "main", "image": "registry.example/pretrain:7", "resources": resources}
    container |= {"command": ["python", "train.py"], "env": [{"name": "LEARNING_RATE", "value": "3e-4"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "pretrain", "team": "language"}},
        "spec": {"schedulerName": "nobody", "restartPolicy": "Never", "containers": [container]},
    }


async def create(url: str, amount: int) -> Load:
    """Create so many pods over 64 connections."""
    return await http_client.load(url, list(requests(amount)), connections=CONNECTIONS, status=201)


async def delete_all(url: str) -> None:
    """Delete all pods in one request."""
    async with Connection.open(url) as connection:
        await connection.ask(request("DELETE", PODS))
