"""Creates the streams of Muster, or checks that those that exist are what they must be.

Run by the administrator (`muster up`, a job of the chart) before any service starts. Nothing is ever changed: a stream
that exists with other settings is refused, because settings such as `deny_delete` are the promise of the whole log.
"""

from collections.abc import Sequence

from muster_contracts.errors import RefusalCode, Refused, Unavailable
from muster_contracts.subjects import EVERY_EVENT, EVERY_INTAKE, INTAKE_STREAM, STREAM
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from muster_journal.connection import Connection, Login
from muster_journal.leases import LEASE_SECONDS
from muster_journal.permissions import (
    ADMINISTRATOR,
    CHECKPOINTS_STREAM,
    EVERY_CHECKPOINT,
    EVERY_PARKED,
    INTAKE_CONSUMER,
    LEASES_BUCKET,
    PARKED_STREAM,
)

DUPLICATE_WINDOW_SECONDS = 120.0


def events_stream(replicas: int = 1) -> StreamConfig:
    """Return the log itself: nothing is deleted, purged, aged out or pushed out of it."""
    return StreamConfig(
        name=STREAM,
        subjects=[EVERY_EVENT],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_age=0,
        max_msgs=-1,
        max_bytes=-1,
        max_msgs_per_subject=-1,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
    )


def intake_stream(replicas: int = 1) -> StreamConfig:
    """Return the queue of commands from other systems; a command leaves it when it was judged or parked."""
    return StreamConfig(
        name=INTAKE_STREAM,
        subjects=[EVERY_INTAKE],
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_age=0,
        max_bytes=1024**3,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
        deny_purge=True,
        allow_direct=True,
    )


def parked_stream(replicas: int = 1) -> StreamConfig:
    """Return the parking lot: commands that could not be judged, until a person replays or drops them."""
    return StreamConfig(
        name=PARKED_STREAM,
        subjects=[EVERY_PARKED],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_age=0,
        max_bytes=1024**3,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
        allow_direct=True,
    )


def checkpoints_stream(replicas: int = 1) -> StreamConfig:
    """Return where folds keep their checkpoints: of every subject the last message."""
    return StreamConfig(
        name=CHECKPOINTS_STREAM,
        subjects=[EVERY_CHECKPOINT],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        storage=StorageType.FILE,
        max_age=0,
        max_msgs_per_subject=1,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
    )


def intake_consumer() -> ConsumerConfig:
    """Return how the submitter takes commands.

    `max_deliver` has no bound here because the server merely stops delivering at it, and the command would be stuck
    unseen; the submitter parks a command whose delivery count says that it was tried often enough.
    """
    return ConsumerConfig(
        durable_name=INTAKE_CONSUMER,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=30,
        max_deliver=-1,
        max_ack_pending=1000,
    )


async def provision(
    servers: Sequence[str],
    password: str,
    *,
    user: str = ADMINISTRATOR,
    replicas: int = 1,
    patience_seconds: float = 10.0,
) -> None:
    """Create what is missing. Raises Refused when something has other settings, Unavailable without a server."""
    connection = await Connection.open(Login(tuple(servers), user, password, "muster-provision"), patience_seconds)
    try:
        await _provision(connection.client, replicas)
    except NatsError as error:
        raise Unavailable(f"NATS at {', '.join(servers)} did not create the streams: {error}") from error
    finally:
        await connection.close()


async def _provision(client: Client, replicas: int) -> None:
    context = client.jetstream(timeout=10)
    for stream in (events_stream, intake_stream, parked_stream, checkpoints_stream):
        await _ensure_stream(context, stream(replicas))
    await _ensure_consumer(context, intake_consumer())
    await _ensure_leases(context, replicas)


async def _ensure_stream(context: JetStreamContext, wanted: StreamConfig) -> None:
    assert wanted.name is not None
    try:
        present = (await context.stream_info(wanted.name)).config
    except NotFoundError:
        await context.add_stream(wanted)
    else:
        _refuse_differences(f"The stream {wanted.name}", wanted, present)


async def _ensure_consumer(context: JetStreamContext, wanted: ConsumerConfig) -> None:
    try:
        present = (await context.consumer_info(INTAKE_STREAM, INTAKE_CONSUMER)).config
    except NotFoundError:
        await context.add_consumer(INTAKE_STREAM, wanted)
    else:
        _refuse_differences(f"The consumer {INTAKE_CONSUMER} of {INTAKE_STREAM}", wanted, present)


async def _ensure_leases(context: JetStreamContext, replicas: int) -> None:
    """Create the bucket of leases, in a file: one in memory would be gone with a restart of the server."""
    wanted = KeyValueConfig(
        bucket=LEASES_BUCKET, history=1, ttl=LEASE_SECONDS, storage=StorageType.FILE, replicas=replicas
    )
    try:
        await context.stream_info(f"KV_{LEASES_BUCKET}")
    except NotFoundError:
        await context.create_key_value(wanted)


def _refuse_differences(
    what: str, wanted: StreamConfig | ConsumerConfig, present: StreamConfig | ConsumerConfig
) -> None:
    """Raise Refused naming every setting of ours that is another there; settings we leave open are the server's."""
    differences = [
        f"{name} is {_shown(getattr(present, name))} and must be {_shown(value)}"
        for name, value in vars(wanted).items()
        if value is not None and value != getattr(present, name)
    ]
    if differences:
        raise Refused(RefusalCode.CONFLICT, f"{what} exists with other settings: {'; '.join(differences)}.")


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
