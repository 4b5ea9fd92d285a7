"""Objects that are only written down: who is meant by a reference, what is added to them, and what is left out."""

from typing import Any

import pytest
from integrations.kube import manifest, owned_by, pod, pod_spec, running, template
from muster_cli.recognised import phase_of, recognised
from muster_cluster.objects import DEPLOYMENTS, JOBS, NODES, REPLICA_SETS
from muster_cluster.port import Resource
from muster_contracts import names
from muster_contracts.values import ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.manifests import Document, Ignored
from muster_integrations.recognition.offline import Picture

Manifest = dict[str, Any]
DAEMON_SETS: Resource[Any] = Resource("apps", "v1", "daemonsets", "DaemonSet", dict)
CRON_JOBS: Resource[Any] = Resource("batch", "v1", "cronjobs", "CronJob", dict)
SERVICES: Resource[Any] = Resource("", "v1", "services", "Service", dict)
NOTEBOOKS: Resource[Any] = Resource("kubeflow.org", "v1", "notebooks", "Notebook", dict)
ROLLOUTS: Resource[Any] = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout", dict)


def picture(*manifests: Any) -> Picture:
    return Picture(Document("picture.yaml", one) for one in manifests)


def only(found: Picture) -> SeenWorkload:
    (workload,) = found.workloads
    return workload


def job(name: str = "train", **parts: Any) -> Manifest:
    return manifest(JOBS, name, spec={"template": template()}, **parts)


def unadmitted(written: Manifest) -> Manifest:
    """The same without anything that an API server adds."""
    added = {"uid", "resourceVersion", "creationTimestamp"}
    metadata = {name: value for name, value in written["metadata"].items() if name not in added}
    references = [dict(reference, uid="") for reference in metadata.get("ownerReferences", [])]
    return written | {"metadata": metadata | ({"ownerReferences": references} if references else {})}


def test_a_uid_is_the_identity_and_a_name_where_there_is_none() -> None:
    admitted = only(picture(job()))
    assert (admitted.identity, admitted.identity_source) == (job()["metadata"]["uid"], "owner")
    written = only(picture(unadmitted(job())))
    assert (written.identity, written.identity_source) == ("muster-demo/train", "name")


def test_an_owner_without_a_uid_is_who_is_called_so_whatever_uid_the_reference_has() -> None:
    one, other = pod("train-a", owner=job()), unadmitted(pod("train-b", owner=job()))
    found = only(picture(one, other, unadmitted(job())))
    assert sorted(facts.name for facts in found.pods.values()) == ["train-a", "train-b"]
    assert found.identity == "muster-demo/train"


def test_a_namesake_with_another_uid_is_not_the_owner() -> None:
    found = picture(pod("train-a", owner=job()), job(uid="11111111-1111-4111-8111-111111111111"))
    assert [(seen.identity, len(seen.pods)) for seen in found.workloads] == [
        ("11111111-1111-4111-8111-111111111111", 0),
        (job()["metadata"]["uid"], 1),
    ]


def test_pods_that_name_an_owner_nobody_wrote_down_are_one_workload() -> None:
    pods = [unadmitted(pod(name, owner=job())) for name in ("train-a", "train-b")]
    found = only(picture(*pods))
    assert (found.kind, found.name, found.identity, len(found.pods)) == ("Job", "train", "muster-demo/train", 2)


def test_a_reference_with_the_uid_of_something_in_another_namespace_counts_for_nothing() -> None:
    intruder = pod("intruder", namespace="elsewhere", owner=job())
    found = picture(job(), intruder)
    assert [(seen.kind, seen.name, seen.namespace) for seen in found.workloads] == [
        ("Pod", "intruder", "elsewhere"),
        ("Job", "train", "muster-demo"),
    ]


def test_the_same_object_written_twice_is_one() -> None:
    again = job() | {"spec": {"parallelism": 3, "template": template(gpus=1)}}
    found = only(picture(job(), unadmitted(job()), again))
    assert found.owner.desired_pods == 3


def test_two_objects_with_one_uid_are_not_mixed_up() -> None:
    found = picture(job("one"), job("two", uid=job("one")["metadata"]["uid"]))
    assert only(found).name == "one"
    assert found.ignored == [Ignored("Job", "two", "Its UID is that of Job one.")]


def test_an_object_without_a_namespace_is_where_kubectl_would_put_it() -> None:
    written = unadmitted(job())
    del written["metadata"]["namespace"]
    assert only(picture(written)).identity == "default/train"


def test_an_object_that_is_named_when_it_is_created_has_the_beginning_of_its_name() -> None:
    written = unadmitted(job())
    written["metadata"]["generateName"] = f"{written['metadata'].pop('name')}-"
    assert only(picture(written)).name == "train-"


def test_objects_that_are_named_when_they_are_created_are_as_many_as_were_written() -> None:
    one, other, named = (
        unadmitted(job() | {"spec": {"parallelism": size, "template": template()}}) for size in (3, 2, 1)
    )
    for written in (one, other):
        written["metadata"]["generateName"] = f"{written['metadata'].pop('name')}-"
    named["metadata"] |= {"name": "train-2", "generateName": "train-"}
    found = picture(one, other, named).workloads
    assert [(seen.name, seen.owner.desired_pods) for seen in found] == [("train-", 3), ("train-#2", 2), ("train-2", 1)]


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ({}, "Pending"),
        ({"phase": "Pending"}, "Pending"),
        ({"phase": "Running"}, "Running"),
        (running(), "Running"),
        ({"phase": "Running", "containerStatuses": []}, "Initializing"),
        ({"phase": "Succeeded"}, "Completed"),
        ({"phase": "Failed"}, "Failed"),
    ],
)
def test_a_pod_that_runs_is_ready_unless_it_says_otherwise(status: Manifest, phase: str) -> None:
    assert phase_of(only(picture(pod("lonely", status=status)))) == phase


def test_fields_that_are_null_are_not_there() -> None:
    written = pod("lonely", spec=pod_spec() | {"nodeSelector": None, "tolerations": None}, status=None)
    written["metadata"]["creationTimestamp"] = None
    assert only(picture(written)).kind == "Pod"


def test_what_makes_no_workload_is_told_with_the_reason() -> None:
    nightly = manifest(CRON_JOBS, "nightly")
    agents = manifest(DAEMON_SETS, "agents")
    found = picture(
        nightly,
        job(owner=nightly),
        agents,
        pod("agents-a", owner=agents),
        manifest(NODES, "node-1"),
        manifest(SERVICES, "web", owner=pod("lonely")),
        pod("lonely"),
        manifest(REPLICA_SETS, "left-over", owner=manifest(DEPLOYMENTS, "deleted")),
        manifest(ROLLOUTS, "canary"),
    )
    assert [(seen.kind, seen.name) for seen in found.workloads] == [("Pod", "lonely"), ("Job", "train")]
    assert {(one.kind, one.name): one.reason for one in found.ignored} == {
        ("CronJob", "nightly"): "It makes workloads, and is none itself.",
        ("DaemonSet", "agents"): "It belongs to the nodes, and is no workload.",
        ("Node", "node-1"): "It belongs to the nodes, and is no workload.",
        ("Pod", "agents-a"): "It belongs to the DaemonSet agents.",
        ("ReplicaSet", "left-over"): "It stands between a workload and its pods, and the workload is not here.",
        ("Rollout", "canary"): "It is no workload, and no pod leads to it.",
        ("Service", "web"): "It is no workload, and no pod leads to it.",
    }


def test_what_a_pod_leads_through_is_not_ignored() -> None:
    rollout = manifest(ROLLOUTS, "canary")
    replicas = manifest(REPLICA_SETS, "canary-1", owner=rollout)
    found = picture(rollout, replicas, pod("canary-1-a", owner=replicas))
    assert (only(found).kind, found.ignored) == ("Rollout", [])


def chain(length: int, **top: Any) -> list[Manifest]:
    """Rollouts, the topmost first, and a pod below them."""
    links = [manifest(ROLLOUTS, f"link-{length}", **top)]
    for number in range(length - 1, 0, -1):
        links.append(manifest(ROLLOUTS, f"link-{number}", owner=links[-1]))
    return [*links, pod("lonely", owner=links[-1])]


def test_what_a_pod_leads_round_is_not_ignored() -> None:
    assert picture(*chain(3, owner=manifest(ROLLOUTS, "link-1"))).ignored == []


def test_what_is_too_far_above_a_pod_to_be_walked_to_is_told_as_that() -> None:
    found = picture(*chain(13))
    assert only(found).name == "link-10"
    above = "It stands above a workload, and is no part of it."
    assert found.ignored == [Ignored("Rollout", f"link-{number}", above) for number in (11, 12, 13)]


def test_who_owns_a_workload_that_he_does_not_take_in_is_told_as_that() -> None:
    rollout = manifest(ROLLOUTS, "tests")
    notebook = manifest(NOTEBOOKS, "desk", owner=rollout)
    found = picture(rollout, notebook, pod("desk-0", owner=notebook))
    assert only(found).parent == ParentRef(kind="Rollout", name="tests")
    assert found.ignored == [Ignored("Rollout", "tests", "It stands above a workload, and is no part of it.")]


def test_a_label_of_ours_proves_nothing_without_the_journal() -> None:
    labelled = job(labels={names.WORKLOAD_ID: "22222222-2222-4222-8222-222222222222"})
    assert only(picture(labelled)).identity == labelled["metadata"]["uid"]


def test_uids_that_were_invented_are_not_shown() -> None:
    written = unadmitted(job())
    (workload,) = recognised(picture(written))["workloads"]
    assert workload["controls"]["delete"] == [
        {"api_version": "batch/v1", "kind": "Job", "resource": "jobs", "namespace": "muster-demo", "name": "train"}
    ]


def test_the_way_up_is_explained_with_what_was_tried() -> None:
    foreign = owned_by(manifest(ROLLOUTS, "gone"))
    (explanation,) = picture(pod("canary-a", references=[foreign])).explain("canary-a")
    assert explanation.workload is not None
    assert (explanation.workload.kind, explanation.rule) == ("Rollout", "owner: Rollout")
    assert explanation.tried[-1].endswith("is not there, or may not be read.")


def test_what_labels_name_before_the_owners_is_explained_with_the_way_to_its_parent() -> None:
    notebook = manifest(NOTEBOOKS, "desk")
    labels = {"spark-role": "executor", "spark-app-selector": "spark-1", "spark-app-name": "etl"}
    desk = pod("desk-0", owner=notebook)
    (explanation,) = picture(notebook, desk, pod("etl-exec-1", owner=desk, labels=labels)).explain("etl-exec-1")
    assert explanation.workload is not None
    assert explanation.workload.parent == ParentRef(kind="Notebook", name="desk")
    assert explanation.rule == "label: SparkApp"
    tried = [sentence.partition(" (")[0] for sentence in explanation.tried]
    assert tried[0] == "Its labels name the SparkApp etl; its owners are at most its parent."
    assert tried[1:3] == ["Pod etl-exec-1 is owned by Pod desk-0", "Pod desk-0 is owned by Notebook desk"]
