"""The ceiling of the simulated cluster: aiohttp that reads and writes bodies of the same size, and knows nothing.

POST reads a JSON body and answers with the pod it was given before (`PUT /pod`), written as JSON each time. GET /watch
is a stream; DELETE /?count=N writes the frame it was given (`PUT /frame`) so often to every watcher. Started by
`pod_creates` and `watch_fanout`: `python -m benchmarks.bare_cluster_server PORT`.
"""

import asyncio
import gc
import sys

import orjson
import uvloop
from aiohttp import web


class Bare:
    """What was given, and who watches."""

    def __init__(self) -> None:
        self._pod: object = {}
        self._frame = b""
        self._watchers: set[asyncio.Queue[bytes]] = set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        match request.method, request.path:
            case "POST", _:
                orjson.loads(await request.read())
                return web.Response(status=201, body=orjson.dumps(self._pod), content_type="application/json")
            case "PUT", "/pod":
                self._pod = orjson.loads(await request.read())
            case "PUT", "/frame":
                self._frame = await request.read()
            case "DELETE", _:
                frames = self._frame * int(request.query["count"])
                for watcher in self._watchers:
                    watcher.put_nowait(frames)
            case "GET", "/watch":
                return await self._watch(request)
        return web.Response()

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        stream.enable_chunked_encoding()
        await stream.prepare(request)
        await stream.write(b"")
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            while True:
                await stream.write(await queue.get())
        finally:
            self._watchers.discard(queue)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = web.Server(Bare().answer, access_log=None)
    runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    gc.set_threshold(50_000, 50, 100)
    uvloop.run(serve(int(sys.argv[1])))
