"""Reads the messages of one aggregate by direct gets of many messages at a time, without a consumer.

For tools and audits. A stream of very many subjects answers this from its index of subjects, where a filtered consumer
would search.
"""

import asyncio
import json

from muster_contracts.subjects import STREAM
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from muster_journal.connection import STATUS, Connection
from muster_journal.reading import Message

PAGE = 500
PAGE_SECONDS = 5.0
END_OF_BATCH = "204"
NOT_FOUND = "404"


async def read_all(connection: Connection, pattern: str) -> list[Message]:
    """Return every message whose subject matches, in order. Raises TimeoutError when the server does not answer."""
    messages: list[Message] = []
    while True:
        page = Page()
        await page.fetch(connection, pattern, messages[-1].position + 1 if messages else 1)
        messages.extend(page.messages)
        if not page.more:
            return messages


class Page:
    """The answer to one direct get: messages, then a status that says how many are left."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.more = False
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fetch(self, connection: Connection, pattern: str, start: int) -> None:
        """Ask for the messages from a sequence on and wait until the answer is complete."""
        client = connection.client
        inbox = client.new_inbox()
        unsubscribe = await connection.subscribe(inbox, self._on_message)
        request = json.dumps({"batch": PAGE, "seq": start, "next_by_subj": pattern}).encode()
        try:
            await client.publish(f"$JS.API.DIRECT.GET.{STREAM}", request, reply=inbox)
            async with asyncio.timeout(PAGE_SECONDS):
                await self._complete
        except NatsError as error:
            raise TimeoutError(str(error)) from error
        finally:
            await unsubscribe()

    async def _on_message(self, message: Msg) -> None:
        headers = message.headers or {}
        if STATUS not in headers:
            position = int(headers["Nats-Sequence"])
            self.messages.append(Message(position, headers["Nats-Subject"], headers, message.data))
        elif not self._complete.done():
            self._finish(headers)

    def _finish(self, headers: dict[str, str]) -> None:
        if headers[STATUS] in {END_OF_BATCH, NOT_FOUND}:
            self.more = int(headers.get("Nats-Num-Pending", "0")) > 0
            self._complete.set_result(None)
        else:
            self._complete.set_exception(TimeoutError(f"{headers[STATUS]} {headers.get('Description', '')}"))
