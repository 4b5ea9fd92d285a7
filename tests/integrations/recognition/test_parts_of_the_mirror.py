"""The parts that the mirror is put together from, each by itself."""

from typing import Any
from uuid import UUID

import pytest
from integrations.kube import NAMESPACE, World, known, manifest, pod, project, uid
from muster_cluster.objects import JOBS
from muster_contracts.events import WorkloadGone
from muster_integrations.core.fold import Fold
from muster_integrations.recognition.agenda import Agenda
from muster_integrations.recognition.endings import Endings
from muster_integrations.recognition.identities import Identities
from muster_integrations.recognition.index import Index
from muster_integrations.recognition.inventory import Inventory
from muster_integrations.recognition.kinds import Known, Name
from muster_integrations.recognition.pod_facts import Membership, facts_of
from muster_integrations.recognition.resolution import Reading, Root
from muster_integrations.recognition.table import TABLE, written_resources

RESOURCES = {resource.kind: resource for resource in written_resources()}
JOB = manifest(JOBS, "train")
JOB_NAME: Name = (("batch", "Job"), NAMESPACE, "train")
WORKLOAD = UUID(uid("a workload"))


def shown(written: dict[str, Any]) -> Known:
    found = known(written)
    assert found is not None
    return found


def inventory(*manifests: dict[str, Any]) -> Inventory:
    found = Inventory(Fold(), discovers=False)
    for written in manifests:
        found.put(shown(written))
    return found


# ---------------------------------------------------------------- index


def test_a_key_under_which_nobody_is_left_is_forgotten() -> None:
    index: Index[str] = Index()
    assert [index.add("a", "1"), index.add("a", "2")] == [True, False]
    assert [index.discard("a", "1"), index.discard("a", "1"), index.discard("a", "2")] == [False, False, True]
    assert (list(index.under("a")), list(index.pop("a"))) == ([], [])


# ---------------------------------------------------------------- inventory


def test_a_name_leads_to_who_has_it_now() -> None:
    again = JOB | {"metadata": JOB["metadata"] | {"uid": uid("another of that name")}}
    there = inventory(JOB, again)
    there.remove(uid("Job/train"))
    found = there.by_name(JOB_NAME)
    assert found is not None
    assert found.metadata.uid == uid("another of that name")


def test_the_uid_of_an_object_that_is_not_there_is_known_while_somebody_names_it_as_the_owner() -> None:
    there = inventory()
    assert there.put(shown(pod("a", owner=JOB))) == [JOB_NAME]
    assert there.put(shown(pod("b", owner=JOB))) == []
    assert there.uid_of(JOB_NAME) == uid("Job/train")
    assert there.remove(uid("Pod/a")) == [(("", "Pod"), NAMESPACE, "a")]
    assert there.remove(uid("Pod/b")) == [(("", "Pod"), NAMESPACE, "b"), JOB_NAME]
    assert there.uid_of(JOB_NAME) == ""


def test_who_holds_an_object_is_known_by_what_he_says_now() -> None:
    job = manifest(RESOURCES["RayJob"], "sweep", status={"rayClusterName": "first"})
    there = inventory(job)
    first, second = ((("ray.io", "RayCluster"), NAMESPACE, name) for name in ("first", "second"))
    assert there.put(shown(job | {"status": {"rayClusterName": "second"}})) == [first, second]
    assert there.holder_of(first) is None
    assert there.holder_of(second) is there.by_uid(uid("RayJob/sweep"))


def test_a_state_that_links_to_the_same_is_no_news_and_is_the_one_that_is_shown() -> None:
    there = inventory(JOB)
    newer = shown(JOB | {"spec": {"suspend": True}})
    assert there.put(newer) == []
    assert there.by_uid(uid("Job/train")) is newer


@pytest.mark.parametrize(
    ("reading", "discovers", "known_kind", "comes"),
    [
        (None, False, True, True),
        (None, False, False, False),
        (None, True, False, True),
        (Reading.READ, False, False, True),
        (Reading.FORBIDDEN, True, True, False),
        (Reading.ABSENT, True, True, False),
    ],
)
def test_who_may_come_is_who_is_read_or_will_be(
    reading: Reading | None, discovers: bool, known_kind: bool, comes: bool
) -> None:
    there = Inventory(Fold(), discovers=discovers)
    kind = ("batch", "Job") if known_kind else ("odd.example", "Thing")
    if reading is not None:
        assert there.reads(kind, reading)
        assert not there.reads(kind, reading)
    assert there.may_come(kind) is comes


# ---------------------------------------------------------------- agenda, endings


def test_single_pods_are_told_of_a_workload_that_was_told_until_anything_else_changes() -> None:
    agenda, facts = Agenda(), facts_of(shown(pod("a")).item, Membership(WORKLOAD, "pod"))
    agenda.retell(WORKLOAD, facts)
    assert agenda.retold(WORKLOAD) is None
    agenda.tell(WORKLOAD)
    agenda.retell(WORKLOAD, facts)
    assert agenda.retold(WORKLOAD) == [facts]
    agenda.compare(WORKLOAD)
    agenda.retell(WORKLOAD, facts)
    assert agenda.retold(WORKLOAD) is None


def test_who_is_due_is_said_once() -> None:
    agenda = Agenda()
    agenda.compare(WORKLOAD)
    agenda.compare_node("n1")
    changes = agenda.hand_over()
    assert (list(changes.workloads), list(changes.nodes)) == ([WORKLOAD], ["n1"])
    assert agenda.hand_over().workloads == {}


def test_how_a_pod_ended_is_remembered_until_it_is_written() -> None:
    endings = Endings()
    endings.end(WORKLOAD, seen=True)
    endings.end_pod(WORKLOAD, shown(pod("a", status={"phase": "Failed"})).item)
    [(pod_id, mark)] = endings.last_words(WORKLOAD).items()
    assert (mark.name, mark.exit_seen, endings.was_seen(WORKLOAD)) == ("a", True, True)
    endings.written_pods(WORKLOAD, [pod_id])
    assert endings.last_words(WORKLOAD) == {}
    endings.written(WORKLOAD)
    assert not endings.was_seen(WORKLOAD)


# ---------------------------------------------------------------- identities


def root_of(one: Known) -> Root:
    return Root(one.kind, one.api_version, NAMESPACE, one.metadata.name, one.metadata.uid, item=one.item)


def ended(fold: Fold, workload_id: UUID) -> None:
    fold.apply(1, WorkloadGone(workload_id=workload_id, end_seen=True))


def test_an_object_whose_workload_is_over_is_the_next_attempt_unless_it_was_deleted() -> None:
    fold, job = Fold(), shown(JOB)
    identities = Identities(fold, Agenda())
    own = UUID(job.metadata.uid)
    assert identities.identity(job, root_of(job), None) == own
    ended(fold, own)
    again = identities.identity(job, root_of(job), None)
    assert again is not None
    assert (again != own, identities.attempt(again, root_of(job))) == (True, 2)
    identities.deleted(job)
    assert identities.identity(job, root_of(job), None) == own


def test_a_key_whose_workload_is_over_is_the_next_attempt() -> None:
    fold = Fold()
    identities = Identities(fold, Agenda())
    root = Root(TABLE["batch", "Job"], "batch/v1", NAMESPACE, "train", key="train")
    first = identities.identity(shown(JOB), root, None)
    assert first is not None
    ended(fold, first)
    assert identities.identity(shown(JOB), root, None) != first


# ---------------------------------------------------------------- who asks by name


def test_a_job_hears_of_its_runtime_when_that_changes() -> None:
    spec = {"runtimeRef": {"kind": "TrainingRuntime", "name": "torch"}}
    job = manifest(RESOURCES["TrainJob"], "llama", spec=spec)
    small, large = (
        manifest(RESOURCES["TrainingRuntime"], "torch", spec={"mlPolicy": {"numNodes": nodes}}) for nodes in (2, 5)
    )
    world = World(project())
    world.show(small, job)
    world.write()
    world.step(small, large)
    world.write()
    [only] = world.fold.workloads.values()
    assert only.discovered is not None
    assert only.discovered.owner.desired_pods == 5
