"""What we wrote ourselves is folded as soon as it is stored, ahead of the stream: the fold is the same in the end."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from integrations.kube import SOMEBODY, World, manifest, project, uid
from muster_cluster.objects import JOBS
from muster_contracts.events import ActivateRequested, AnyEvent, OwnerObserved, StopRequested, WorkloadDiscovered
from muster_contracts.subjects import Writer, subject_of
from muster_integrations.core.fold import Fold, FoldedWorkload

JOB_ID = UUID(uid("Job/train"))
STEPS = ("stop", "activate", "suspended", "running")


def discovered() -> WorkloadDiscovered:
    world = World(project())
    world.show(manifest(JOBS, "train"))
    return next(event for event in world.write() if isinstance(event, WorkloadDiscovered))


DISCOVERED = discovered()


def event_of(step: str) -> AnyEvent:
    match step:
        case "stop":
            return StopRequested(workload_id=JOB_ID, requested_by=SOMEBODY)
        case "activate":
            return ActivateRequested(workload_id=JOB_ID, requested_by=SOMEBODY)
        case _:
            owner = DISCOVERED.owner.model_copy(update={"suspended": step == "suspended"})
            return OwnerObserved(workload_id=JOB_ID, owner=owner)


def folded(events: list[AnyEvent], *, ahead: int) -> FoldedWorkload:
    """Fold the stream while we know of our own events so many positions earlier."""
    fold, stream = Fold(), list(enumerate(events, start=1))
    ours = [(position, event) for position, event in stream if subject_of(event).writer is Writer.INTEGRATIONS]
    for position, event in stream:
        while ours and ours[0][0] <= position + ahead:
            fold.apply(*ours.pop(0))
        fold.follow(position, event)
    return fold.workloads[JOB_ID]


def test_a_stop_that_is_read_after_we_saw_it_done_is_done() -> None:
    events = [DISCOVERED, *map(event_of, ("stop", "suspended", "running"))]
    assert folded(events, ahead=2).asked_to_suspend is None


@given(st.lists(st.sampled_from(STEPS), max_size=8), st.integers(1, 8))
def test_requests_and_what_we_saw_come_to_the_same_in_either_order(steps: list[str], ahead: int) -> None:
    events = [DISCOVERED, *map(event_of, steps)]
    assert folded(events, ahead=ahead) == folded(events, ahead=0)
