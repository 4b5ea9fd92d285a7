"""The live stream: what changes in the tables, told to everybody who listens, each change rendered once.

A frame carries the position of the change as its id. Who comes back with the last id it saw gets the present rows of
everything that changed since, whatever happened in between, so nothing has to be kept for it. A node or project that
went away has no row: it is known by its absence from `nodes` and `projects`, the ids of all there are. Who was away too
long, or knows more than the tables (they were lost, or are of another journal), is told to load everything anew. A
listener that does not keep up is let go, and comes back.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muster_status.core.rows import Changes, values
from muster_status.core.views import node_view, phase_view, project_view, workload_view
from muster_status.handlers.ports import ReadModels, Record

QUEUE_FRAMES = 2000
"""What a listener may lag behind before it is let go."""

CATCH_UP_ROWS = 2000
"""Beyond this, loading lists anew is cheaper than being told."""

KEEP_ALIVE_SECONDS = 15.0
"""Shorter than any proxy's patience."""

KEEP_ALIVE = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event, rendered. `project` is empty for what is nobody's."""

    version: int
    project: str
    text: bytes


class Listener:
    """One client. `lost` when it did not keep up."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.queue: asyncio.Queue[Frame] = asyncio.Queue(QUEUE_FRAMES)
        self.lost = False

    def wants(self, frame: Frame) -> bool:
        """Whether a frame is for this client."""
        return not self.project or not frame.project or frame.project == self.project

    def offer(self, frame: Frame) -> None:
        """Queue a frame, or give the client up."""
        if self.lost or not self.wants(frame):
            return
        try:
            self.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.lost = True


class Live:
    """All who listen."""

    def __init__(self, tables: ReadModels) -> None:
        self._tables = tables
        self._listeners: set[Listener] = set()

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    def tell(self, changes: Changes, position: int) -> None:
        """Render what was written to the tables, once, and queue it for everybody."""
        if not self._listeners:
            return
        frames = sorted(_frames(changes, position), key=lambda frame: frame.version)
        for listener in list(self._listeners):
            for frame in frames:
                listener.offer(frame)
            if listener.lost:
                self._listeners.discard(listener)

    async def stream(self, *, project: str = "", last_id: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield frames for one client, first what it missed since the last one it saw."""
        listener = Listener(project)
        self._listeners.add(listener)
        try:
            seen = await self._tables.position()  # after listening began: what is written from now on is queued
            missed = await self._missed(last_id, seen)
            yield b"".join(frame.text for frame in missed if listener.wants(frame))
            while not (listener.lost and listener.queue.empty()):
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        frame = await listener.queue.get()
                except TimeoutError:
                    yield KEEP_ALIVE
                    continue
                yield b"".join(each.text for each in (frame, *_waiting(listener.queue)) if each.version > seen)
        finally:
            self._listeners.discard(listener)

    async def _missed(self, last_id: int | None, position: int) -> Sequence[Frame]:
        """Return what changed up to a position; at least one frame, so that the client knows its place."""
        ready = _frame("ready", position, "", {"position": position})
        if last_id is None:
            return [ready]
        rows = await self._tables.changed_since(last_id, CATCH_UP_ROWS + 1)
        if last_id > position or len(rows) > CATCH_UP_ROWS:
            return [_frame("reset", position, "", {"position": position})]
        projects, nodes = await self._tables.projects(), await self._tables.nodes()
        frames = [
            *(_frame("workload", row["version"], row["project"], workload_view(row)) for row in rows),
            *(_frame("project", row["version"], row["name"], project_view(row)) for row in projects),
            *(_frame("node", row["version"], "", node_view(row)) for row in nodes),
        ]
        # A row that is newer than the position was written while we read, and comes through the queue.
        changed = [frame for frame in frames if last_id < frame.version <= position]
        present = [_present("projects", projects, position), _present("nodes", nodes, position)]
        return [*sorted(changed, key=lambda frame: frame.version), *present, ready]


def _waiting(queue: "asyncio.Queue[Frame]") -> Iterator[Frame]:
    """Yield what else is there, so that one write carries many frames."""
    while not queue.empty():
        yield queue.get_nowait()


def _frames(changes: Changes, position: int) -> Iterator[Frame]:
    for row in changes.workloads.values():
        yield _frame("workload", row.version, row.project, workload_view(values(row)))
    projects = {row.workload_id: row.project for row in changes.history}
    for phase in changes.phases.values():
        yield _frame("phase", phase.version, projects.get(phase.id, ""), phase_view(values(phase)))
    for project in changes.projects.values():
        yield _frame("project", project.version, project.name, project_view(values(project)))
    for node_id, node in changes.nodes.items():
        if node is None:
            yield _frame("node-gone", position, "", {"id": str(node_id)})
        else:
            yield _frame("node", node.version, "", node_view(values(node)))


def _present(event: str, rows: Sequence[Record], position: int) -> Frame:
    """Say which there are; who knows others forgets them."""
    return _frame(event, position, "", {"ids": [str(row["id"]) for row in rows]})


def _frame(event: str, version: int, project: str, data: Mapping[str, Any]) -> Frame:
    text = f"event: {event}\nid: {version}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
    return Frame(version, project, text.encode())
