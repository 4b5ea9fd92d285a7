"""How a plan is written down: as `PlanMade`, in one message or in parts, with everything it takes to plan it again.

A part holds whole bundles: what is done for one workload, with who moves or goes for its sake. The same plan gives the
same messages, byte for byte, which is what an audit compares.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from uuid import UUID, uuid5

from muster_contracts.events import PlanMade
from muster_contracts.values import Placement, Victim
from muster_contracts.versions import code_version

from muster_scheduler.core.draft import Limits
from muster_scheduler.core.plan import Plan

ENTRIES_PER_PART = 800
"""About 400 bytes each, so that a part stays under 500 kB."""


def planner_version() -> str:
    """Return the name of all the code that a plan and its messages follow from."""
    return code_version(__name__, "muster_")


def written(made: Plan, limits: Limits, cluster_id: UUID, epoch: int) -> list[PlanMade]:
    """Return the messages of a plan, in order."""
    parts = list(_parts(made))
    settings = asdict(limits)
    step_limit = settings.pop("step_limit")
    return [
        PlanMade(
            cluster_id=cluster_id,
            plan_id=uuid5(cluster_id, f"plan/{made.based_on}/{epoch}"),
            based_on=made.based_on,
            epoch=epoch,
            part=number,
            parts=len(parts),
            planner_version=planner_version(),
            settings_digest=digest_of(limits),
            step_limit=step_limit,
            settings=settings,
            placements=tuple(part.placements),
            victims=tuple(part.victims),
            nominations=tuple(part.nominations),
            steps=made.steps,
        )
        for number, part in enumerate(parts, start=1)
    ]


def limits_of(event: PlanMade) -> Limits | None:
    """Return what bounded a plan; None when it was bounded by settings that this version does not know.

    Plans from before the settings were recorded may have been made with those that nobody changed.
    """
    try:
        limits = Limits(**{"step_limit": event.step_limit, **event.settings})
    except TypeError:
        return None
    return limits if digest_of(limits) == event.settings_digest else None


def digest_of(limits: Limits) -> str:
    """Return a short name for everything in the settings that decides a plan."""
    return hashlib.sha256(repr(limits).encode()).hexdigest()[:16]


@dataclass(slots=True)
class _Part:
    """What belongs together in one message."""

    placements: list[Placement] = field(default_factory=list)
    victims: list[Victim] = field(default_factory=list)
    nominations: list[Placement] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.placements) + len(self.victims) + len(self.nominations)

    def add(self, other: "_Part") -> None:
        """Add another one's entries."""
        self.placements += other.placements
        self.victims += other.victims
        self.nominations += other.nominations


def _parts(made: Plan) -> Iterator[_Part]:
    """Cut a plan into messages, each of whole gangs with their victims."""
    part = _Part()
    for bundle in _bundles(made).values():
        if part and len(part) + len(bundle) > ENTRIES_PER_PART:
            yield part
            part = _Part()
        part.add(bundle)
    yield part


def _bundles(made: Plan) -> dict[UUID | None, _Part]:
    """Put together what is done for the same workload: its places, and who moves or goes for its sake."""
    bundles: dict[UUID | None, _Part] = {}
    causes = {victim.pod_id: victim.beneficiary_id for victim in made.victims}
    for placement in made.placements:
        bundles.setdefault(placement.workload_id, _Part()).placements.append(placement)
    for nomination in made.nominations:
        cause = causes.get(nomination.pod_id, nomination.workload_id)
        bundles.setdefault(cause, _Part()).nominations.append(nomination)
    for victim in made.victims:
        bundles.setdefault(victim.beneficiary_id, _Part()).victims.append(victim)
    return bundles
