"""The table of kinds: one line each. Whatever is not here is recognised from references, kind as it is."""

from collections.abc import Mapping
from typing import Any, Final

from muster_cluster.port import Resource

from muster_integrations.recognition.jobs import CRON_JOB, JOB
from muster_integrations.recognition.kinds import Kind, KindName, Standing
from muster_integrations.recognition.pods import POD, unknown
from muster_integrations.recognition.replicas import DEPLOYMENT, REPLICA_SET, STATEFUL_SET

KINDS: Final = (
    JOB,
    DEPLOYMENT,
    STATEFUL_SET,
    REPLICA_SET,
    POD,
    CRON_JOB,
    Kind(group="apps", name="DaemonSet", standing=Standing.APART),
    Kind(group="", name="Node", standing=Standing.APART),  # owns the mirrors of its static pods
)

TABLE: Final[Mapping[KindName, Kind]] = {kind.key: kind for kind in KINDS}
RANKS: Final[Mapping[KindName, int]] = {kind.key: rank for rank, kind in enumerate(KINDS)}
WATCHED: Final[tuple[Resource[Any], ...]] = tuple(kind.resource for kind in KINDS if kind.resource is not None)


def kind_of(group: str, name: str) -> Kind:
    """Return what is known of a kind; for one that is not in the table, what can be said of any."""
    return TABLE.get((group, name)) or unknown(group, name)
