"""`python -m simcluster`: a cluster in a process of its own, until SIGTERM or SIGINT."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
import yaml

from simcluster.cluster import Cluster
from simcluster.disk import DataFileError
from simcluster.http import HttpServer
from simcluster.nodes import NodesFileError
from simcluster.settings import Settings, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a cluster and return the process's exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Objects are many and live long: looking for garbage among them at the usual pace costs more than it frees.
    gc.set_threshold(50_000, 50, 100)
    settings = read_settings(arguments)
    try:
        uvloop.run(_serve(settings))
    except (NodesFileError, DataFileError) as error:
        sys.stderr.write(f"simcluster: {error}\n")
        return 2
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Cluster(settings) as cluster:
        server = HttpServer(cluster.api, settings.host, settings.port)
        url = await server.start()
        try:
            if settings.kubeconfig is not None:
                _write_kubeconfig(settings.kubeconfig, url)
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
            await _first_of(stop, cluster)
        finally:
            cluster.store.end_subscriptions()  # watches end by themselves, before the sockets close under them
            await server.stop()


async def _first_of(stop: asyncio.Event, cluster: Cluster) -> None:
    """Wait for the signal, or for a fault of the controllers, which is raised."""
    stopped, failed = asyncio.create_task(stop.wait()), asyncio.create_task(cluster.run())
    done, pending = await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    for task in done:
        task.result()


def _write_kubeconfig(path: Path, url: str) -> None:
    """Write the file at once or not at all: whoever waits for it may read it as soon as it is there."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "simcluster", "cluster": {"server": url}}],
        "users": [{"name": "simcluster", "user": {}}],
        "contexts": [
            {"name": "simcluster", "context": {"cluster": "simcluster", "user": "simcluster", "namespace": "default"}}
        ],
        "current-context": "simcluster",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
