"""Questions over NATS: request and reply on `muster.ask.scheduler.<cluster>`.

No queue group: every scheduler hears a question, and the one that leads answers. Whoever asks gets nothing while nobody
leads, and tells so after its patience. The subscription hands over one message after the other, so every question is
answered by a task of its own.
"""

import asyncio
from uuid import UUID

import structlog
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import scheduler_subject
from muster_journal.connection import Connection, EndListening, Login
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from muster_scheduler.answering import Answering

log = structlog.get_logger()

CONNECT_SECONDS = 10.0


class Asking:
    """Listens for as long as it runs, on a connection of its own."""

    def __init__(self, login: Login, cluster_id: UUID, answering: Answering) -> None:
        self._login = login
        self._subject = scheduler_subject(cluster_id)
        self._answering = answering

    async def run(self) -> None:
        """Answer for ever. Raises Unavailable when there is no connection."""
        connection = await Connection.open(self._login, CONNECT_SECONDS)
        returned = asyncio.Event()
        connection.on_return(returned.set)
        try:
            async with asyncio.TaskGroup() as replies:
                while True:  # a client that was dialled anew has no subscriptions
                    returned.clear()
                    end = await self._listen(connection, replies)
                    await returned.wait()
                    await end()
        finally:
            await connection.close()

    async def _listen(self, connection: Connection, replies: asyncio.TaskGroup) -> EndListening:
        async def hear(message: Msg) -> None:
            if message.reply:
                replies.create_task(self._reply(message))

        try:
            return await connection.subscribe(self._subject, hear)
        except TimeoutError as error:
            raise Unavailable(f"NATS does not let us listen: {error}.") from error

    async def _reply(self, message: Msg) -> None:
        answer = await self._answering.answer(message.data)
        if answer is None:
            return
        try:
            await message.respond(answer.model_dump_json().encode())
        except NatsError as error:
            log.warning("An answer could not be sent.", reason=str(error) or type(error).__name__)
