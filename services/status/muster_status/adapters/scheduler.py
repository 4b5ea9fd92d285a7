"""Asks the scheduler of the cluster over NATS, on a connection of its own."""

from uuid import UUID

from muster_contracts.errors import Unavailable
from muster_contracts.questions import Answer, Question, answer
from muster_contracts.subjects import scheduler_subject
from muster_journal.connection import Connection, Login
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

CONNECT_SECONDS = 10.0
PATIENCE_SECONDS = 5.0
"""A plan of a large cluster takes half a second, and a question may come while one is being made."""


class NatsScheduler:
    """See `handlers.ports.Scheduler`."""

    def __init__(self, connection: Connection, cluster_id: UUID, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._connection = connection
        self._subject = scheduler_subject(cluster_id)
        self._patience_seconds = patience_seconds

    @classmethod
    async def connect(cls, login: Login, cluster_id: UUID) -> "NatsScheduler":
        """Connect. Raises Unavailable when the server does not let us in."""
        return cls(await Connection.open(login, CONNECT_SECONDS), cluster_id)

    async def ask(self, question: Question) -> Answer:
        """Send a question and return the answer."""
        body = question.model_dump_json().encode()
        try:
            reply = await self._connection.client.request(self._subject, body, timeout=self._patience_seconds)
        except NoRespondersError as error:
            raise Unavailable("No scheduler is there to answer.") from error
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"The scheduler does not answer within {self._patience_seconds:g} s.") from error
        return answer.validate_json(reply.data)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()
