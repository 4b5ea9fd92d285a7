"""The parts of the local stack and the order they start in: NATS, PostgreSQL, the cluster, the four services, the edge.

`LocalStack` is what `muster up`, the system tests and the benchmarks share. Only the edge has a port that people know;
everything else takes free ones, which stay the same while the stack runs, so that a restarted process is found again.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import ClusterError
from muster_contracts.errors import RefusalCode, Refused, Unavailable
from muster_contracts.subjects import Writer
from muster_journal.permissions import Application, ServerSettings
from muster_journal.provision import provision
from simcluster.nodes import NodesFileError, read_node_groups

from muster_local.edge import edge
from muster_local.folder import Folder, open_folder
from muster_local.nats_server import NatsServer
from muster_local.postgres_server import PostgresServer
from muster_local.supervisor import Program, Supervised

LOOPBACK = "127.0.0.1"
CLUSTER_SECONDS = 10.0
SERVICES = tuple(writer.value for writer in Writer)
ADMISSION = "admission"
SUBMITTER_USER = "system:serviceaccount:muster:submitter"


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What `muster up` may be told. Without a kubeconfig the cluster is simulated."""

    state: Path
    host: str = LOOPBACK
    port: int = 8080
    kubeconfig: Path | None = None
    nodes: Path | None = None
    durable: bool = True  # False: do not wait for the disk; for tests, whose data die with them
    applications: tuple[Application, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # further settings of the services, as variables


@dataclass
class LocalStack:
    """A running stack: where it is reached, and its processes by name."""

    folder: Folder
    settings: StackSettings
    url: str = ""
    nats: NatsServer | None = None
    postgres: PostgresServer | None = None
    kubeconfig: Path = Path()
    processes: dict[str, Supervised] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)


Report = Callable[[str], None]


@asynccontextmanager
async def local_stack(settings: StackSettings, report: Report) -> AsyncIterator[LocalStack]:
    """Start everything, yield the running stack, stop everything. `report` hears what is being done.

    Raises Refused when it cannot start as told (port taken, folder of another version, unusable kubeconfig or nodes).
    """
    _refuse_taken_port(settings.host, settings.port)
    _refuse_unusable_nodes(settings.nodes)
    await _refuse_unusable_cluster(settings.kubeconfig)
    folder = open_folder(settings.state)
    async with AsyncExitStack() as cleanup:
        cleanup.enter_context(contextlib.closing(folder.lock()))
        stack = LocalStack(folder, settings)
        await _start_servers(stack, cleanup, report)
        await _start_services(stack, cleanup, report)
        addresses = {name: f"http://{LOOPBACK}:{stack.ports[name]}" for name in ("submitter", "status")}
        stack.url = await cleanup.enter_async_context(edge(settings.host, settings.port, **addresses))
        cleanup.callback(report, "Stopping …")
        yield stack


async def _start_servers(stack: LocalStack, cleanup: AsyncExitStack, report: Report) -> None:
    """Start NATS, PostgreSQL and the cluster side by side."""
    secrets, directory = stack.folder.secrets(), stack.folder.path
    nats_port, postgres_port, stack.ports["cluster"] = free_ports(3)
    stack.nats = NatsServer(
        directory / "nats",
        ServerSettings(
            port=nats_port,
            store_directory=str(directory / "nats" / "store"),
            administrator_password=secrets.administrator,
            service_passwords=secrets.services,
            applications=stack.settings.applications,
            sync_always=stack.settings.durable,
        ),
    )
    stack.postgres = PostgresServer(directory / "postgres", postgres_port, secrets.postgres, stack.settings.durable)
    stack.nats.prepare()
    report("Starting NATS, PostgreSQL and the cluster …")
    await asyncio.to_thread(stack.postgres.prepare)
    keep(stack, cleanup, Program("nats", stack.nats.command(), stack.nats.is_ready))
    keep(stack, cleanup, Program("postgres", stack.postgres.command(), stack.postgres.is_ready))
    if stack.settings.kubeconfig is None:
        stack.kubeconfig = stack.folder.kubeconfig
        keep(stack, cleanup, _simulated_cluster(stack))
    else:
        stack.kubeconfig = stack.settings.kubeconfig.resolve()
    await asyncio.gather(*(process.ready() for process in stack.processes.values()))
    await provision([stack.nats.url], secrets.administrator)
    await stack.postgres.create_database()


def _simulated_cluster(stack: LocalStack) -> Program:
    address = f"{LOOPBACK}:{stack.ports['cluster']}"
    command = [sys.executable, "-m", "simcluster", "--listen", address, "--data", str(stack.folder.path / "cluster")]
    command += ["--kubeconfig", str(stack.kubeconfig)]
    if stack.settings.nodes is not None:
        command += ["--nodes", str(stack.settings.nodes.resolve())]
    return Program("cluster", command, _answers(f"http://{address}/readyz"))


async def _start_services(stack: LocalStack, cleanup: AsyncExitStack, report: Report) -> None:
    report("Starting submitter, scheduler, status and integrations …")
    names = (*SERVICES, ADMISSION)
    stack.ports |= dict(zip(names, free_ports(len(names)), strict=True))
    for name in SERVICES:
        ready = has_come_up(name, f"http://{LOOPBACK}:{stack.ports[name]}/healthz")
        command = [sys.executable, "-m", f"muster_{name}"]
        keep(stack, cleanup, Program(name, command, ready, service_environment(stack, name)))
    await asyncio.gather(*(stack.processes[name].ready() for name in SERVICES))


def service_environment(stack: LocalStack, name: str) -> dict[str, str]:
    """Return the settings of one service in this stack, as its environment."""
    assert stack.nats is not None
    assert stack.postgres is not None
    environment = {
        **stack.settings.environment,
        "MUSTER_NATS_URL": stack.nats.url,
        "MUSTER_NATS_PASSWORD": stack.folder.secrets().services[Writer(name)],
        "MUSTER_KUBECONFIG": str(stack.kubeconfig),
        "MUSTER_LISTEN_HOST": LOOPBACK,
        "MUSTER_LISTEN_PORT": str(stack.ports[name]),
    }
    if name == Writer.STATUS:
        others = (other for other in SERVICES if other != Writer.STATUS)
        environment["MUSTER_POSTGRES_DSN"] = stack.postgres.dsn("muster")
        environment["MUSTER_NEIGHBOURS"] = ",".join(f"{o}=http://{LOOPBACK}:{stack.ports[o]}" for o in others)
    if stack.settings.kubeconfig is None:
        environment |= _admission(stack, name)
    return environment


def _admission(stack: LocalStack, name: str) -> dict[str, str]:
    """Return what lets the simulated cluster ask us and know the submitter; a real one could not reach us here."""
    if name == Writer.SUBMITTER:
        server = f"http://{LOOPBACK}:{stack.ports['cluster']}"
        return {"MUSTER_KUBECONFIG": str(stack.folder.write_kubeconfig_of(SUBMITTER_USER, server))}
    if name == Writer.INTEGRATIONS:
        port = stack.ports[ADMISSION]
        return {
            "MUSTER_ADMISSION_TARGET": f"https://{LOOPBACK}:{port}",
            "MUSTER_ADMISSION_HOST": LOOPBACK,
            "MUSTER_ADMISSION_PORT": str(port),
            "MUSTER_SUBMITTER_USER": SUBMITTER_USER,
        }
    return {}


def keep(stack: LocalStack, cleanup: AsyncExitStack, program: Program) -> None:
    """Run a program until the stack stops."""
    supervised = Supervised(program, stack.folder.logs / f"{program.name}.log")
    stack.processes[program.name] = supervised
    supervised.start()
    cleanup.push_async_callback(supervised.stop)


def _answers(url: str) -> Callable[[], Awaitable[bool]]:
    """Return a check that an HTTP server says it is well."""

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    return answers


def has_come_up(name: str, url: str) -> Callable[[], Awaitable[bool]]:
    """Return a check that this service, and none in its place, is well or will not become so by waiting longer."""

    async def is_up() -> bool:
        health = await health_of(url)
        return health is not None and health["service"] == name and (health["well"] or bool(stopped_loops(health)))

    return is_up


async def health_of(url: str) -> dict[str, Any] | None:
    """Return what a service says of itself; None when it does not answer."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            health: dict[str, Any] = await answer.json()
    except (aiohttp.ClientError, OSError, ValueError):
        return None
    return health


def stopped_loops(health: dict[str, Any]) -> list[str]:
    """Return a sentence for each loop of a service that has stopped for good."""
    loops = health["loops"].items()
    return [f"{health['service']}, {name}: {loop['reason']}" for name, loop in loops if loop["condition"] == "stopped"]


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, all different: each is kept until the last is found."""
    with ExitStack() as kept:
        listeners = [kept.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind((LOOPBACK, 0))
        return [int(listener.getsockname()[1]) for listener in listeners]


def _refuse_taken_port(host: str, port: int) -> None:
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise Refused(
            RefusalCode.CONFLICT,
            f"Port {port} of {host} cannot be opened ({os.strerror(error.errno or 0)}); choose another with --port.",
        ) from error


def _refuse_unusable_nodes(nodes: Path | None) -> None:
    """Read the nodes as the simulated cluster will, which could only end and be started again, over and over."""
    try:
        read_node_groups(nodes)
    except NodesFileError as error:
        said = " ".join(str(error).split())
        raise Refused(RefusalCode.INVALID, f"The file of --nodes does not describe nodes: {said}.") from error


async def _refuse_unusable_cluster(kubeconfig: Path | None) -> None:
    """Ask a real cluster what the services will ask it, before anything is started for it."""
    if kubeconfig is None:
        return
    if not kubeconfig.is_file():  # noqa: ASYNC240  (a local file, looked at once)
        raise Refused(RefusalCode.INVALID, f"There is no kubeconfig at {kubeconfig}.")
    cluster = await KubernetesCluster.connect(kubeconfig)
    try:
        async with asyncio.timeout(CLUSTER_SECONDS):
            await cluster.cluster_id()
    except ClusterError as error:
        raise Refused(RefusalCode.INVALID, f"The cluster of {kubeconfig} cannot be used: {error}") from error
    except Unavailable as error:
        raise Unavailable(f"The cluster of {kubeconfig} does not answer: {error}") from error
    except TimeoutError:
        raise Unavailable(f"The cluster of {kubeconfig} did not answer in {CLUSTER_SECONDS:g} seconds.") from None
    finally:
        await cluster.close()
