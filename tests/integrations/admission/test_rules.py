"""What the rules of admission say, each by a table: what is written, and the answer."""

from typing import Any

import pytest
from muster_integrations.admission.answers import Answer, Context
from muster_integrations.admission.review import review

SUBMITTER = "system:serviceaccount:muster:submitter"
GPU = "nvidia.com/gpu"
HALF = {"muster.dev/gpu-fraction": "0.5"}
SCHEDULED = {"op": "add", "path": "/spec/schedulerName", "value": "muster-scheduler"}


def context(**more: Any) -> Context:
    """A pod that alice makes in the namespace of the project demo."""
    known: dict[str, Any] = {"user": "alice", "submitter": SUBMITTER, "project": "demo"}
    return Context(**(known | {"projects": frozenset({"demo", "vision"})} | more))


def pod(
    labels: Any = None, annotations: Any = None, scheduler: str = "default-scheduler", **container: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "a", "namespace": "muster-demo"}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    spec = {"schedulerName": scheduler, "containers": [{"name": "main", "image": "i", **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def limited(amount: str, **requests: str) -> dict[str, Any]:
    return {"limits": {GPU: amount, "cpu": "1"}, "requests": {GPU: amount, **requests}}


def annotated(answer: Answer) -> dict[str, str]:
    """The annotations that an answer adds."""
    found: dict[str, str] = {}
    for patch in answer.patches:
        if patch["path"] == "/metadata/annotations":
            found |= patch["value"]
        elif patch["path"].startswith("/metadata/annotations/"):
            found[patch["path"].removeprefix("/metadata/annotations/").replace("~1", "/")] = patch["value"]
    return found


def removed(answer: Answer) -> list[str]:
    return [patch["path"] for patch in answer.patches if patch["op"] == "remove"]


def test_a_new_pod_has_no_gpus_whatever_it_says() -> None:
    answer = review(pod(annotations={"muster.dev/gpus": "0,1", "note": "mine"}), context())
    assert (removed(answer), answer.refusal) == (["/metadata/annotations/muster.dev~1gpus"], "")
    assert "muster.dev/gpus is written by Muster's scheduler alone" in answer.warnings[0]


@pytest.mark.parametrize("known", [{"project": ""}, {"old": pod(annotations={"muster.dev/gpus": "0"})}])
def test_what_the_scheduler_wrote_and_what_is_nobody_s_is_left(known: dict[str, Any]) -> None:
    assert review(pod(annotations={"muster.dev/gpus": "0"}), context(**known)) == Answer()


# ---------------------------------------------------------------- who schedules


@pytest.mark.parametrize(
    ("written", "known", "scheduled"),
    [
        pytest.param(pod(), {}, False, id="a pod that asks for nothing"),
        pytest.param(pod(), {"enforced": True}, True, id="a namespace that asks for all its pods"),
        pytest.param(pod(scheduler="volcano"), {"enforced": True}, True, id="a namespace that insists"),
        pytest.param(pod({"project": "demo"}), {}, True, id="the label project"),
        pytest.param(pod({"runai/queue": "demo"}), {}, True, id="the label runai/queue"),
        pytest.param(pod({"project": "website"}), {}, False, id="a label that names no project of Muster"),
        pytest.param(pod({"project": "demo"}, scheduler="volcano"), {}, False, id="a scheduler of the author's choice"),
        pytest.param(pod({"project": "demo"}, scheduler="runai-scheduler"), {}, False, id="a scheduler that is ours"),
        pytest.param(pod({"project": "vision"}), {"project": ""}, False, id="a label, in nobody's namespace"),
        pytest.param(pod(), {"project": "", "enforced": True}, False, id="no project at all"),
        pytest.param(pod(annotations={"gpu-fraction": "0.5"}), {}, True, id="a portion of a GPU"),
        pytest.param(pod({"project": "demo"}), {"old": pod()}, False, id="a pod that is there already"),
    ],
)
def test_muster_schedules_whoever_asks(written: Any, known: Any, scheduled: bool) -> None:
    answer = review(written, context(**known))
    assert (SCHEDULED in answer.patches, answer.refusal) == (scheduled, "")


@pytest.mark.parametrize("controller", ["DaemonSet", "Node"])
def test_pods_that_belong_to_nodes_are_left_alone(controller: str) -> None:
    written = pod({"project": "demo"})
    reference = {"apiVersion": "v1", "kind": controller, "name": "x", "uid": "u", "controller": True}
    written["metadata"]["ownerReferences"] = [reference]
    assert review(written, context(enforced=True)).patches == ()


def test_a_pod_that_has_its_node_already_is_left_alone() -> None:
    written = pod({"project": "demo"})
    written["spec"]["nodeName"] = "node-1"
    assert review(written, context(enforced=True)).patches == ()


def test_a_label_that_names_another_project_than_the_namespace_has_is_warned_about() -> None:
    answer = review(pod({"project": "vision"}), context())
    assert answer.patches == (SCHEDULED,)
    assert answer.warnings == (
        "This namespace belongs to the project demo: the pod counts for it, whatever its labels say of the project "
        "vision.",
    )


def test_a_label_in_a_namespace_of_no_project_is_answered_by_a_warning() -> None:
    answer = review(pod({"project": "vision"}), context(project=""))
    assert answer.warnings == (
        "This namespace belongs to no project, so Muster does not schedule the pod: make it in the namespace of the "
        "project vision.",
    )


@pytest.mark.parametrize("scheduler", ["muster-scheduler", "runai-scheduler"])
def test_a_pod_for_our_scheduler_in_a_namespace_of_no_project_would_wait_for_ever_and_is_refused(
    scheduler: str,
) -> None:
    answer = review(pod({"project": "vision"}, scheduler=scheduler), context(project=""))
    assert answer == Answer(
        refusal="This namespace belongs to no project, so nobody would ever schedule the pod: make it in the namespace "
        f"of the project vision, or name another scheduler than {scheduler}."
    )


@pytest.mark.parametrize(
    ("written", "refused"),
    [
        pytest.param(pod({"project": "demo"}), True, id="that Muster would schedule"),
        pytest.param(pod(scheduler="muster-scheduler"), True, id="that names our scheduler"),
        pytest.param(pod(), False, id="that another scheduler takes"),
    ],
)
def test_a_pod_with_resource_claims_is_refused(written: Any, refused: bool) -> None:
    written["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    answer = review(written, context())
    assert answer.refusal.startswith("Muster allocates no resource claims") is refused


# ---------------------------------------------------------------- portions of GPUs


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        pytest.param(pod(resources=limited("0.5")), HALF, id="a quoted limit"),
        pytest.param(pod(resources=limited("500m")), HALF, id="a limit as the API server spells it"),
        pytest.param(pod(resources={"requests": {GPU: "0.5"}}), HALF, id="a request without a limit"),
        pytest.param(pod(resources=limited("0.333333")), {"muster.dev/gpu-fraction": "0.333333"}, id="six digits"),
        pytest.param(pod(annotations={"gpu-fraction": "0.5"}), HALF, id="gpu-fraction"),
        pytest.param(pod(annotations={"gpu-fraction": ".50"}), HALF, id="another spelling"),
        pytest.param(pod(annotations={"gpu-memory": "2048"}), {"muster.dev/gpu-memory": "2048"}, id="gpu-memory"),
        pytest.param(
            pod(annotations={"gpu-fraction": "0.5", "gpu-fraction-num-devices": "2"}),
            HALF | {"muster.dev/gpu-devices": "2"},
            id="a portion of each of two",
        ),
        pytest.param(pod(env=[{"name": "RUNAI_GPU_FRACTION", "value": "0.5"}]), HALF, id="the variable of PodDefaults"),
        pytest.param(
            pod(annotations={"gpu-fraction": "0.5"}, resources=limited("0.5")), HALF, id="the same said twice"
        ),
        pytest.param(pod(annotations=HALF), {}, id="Muster's own way"),
        pytest.param(pod(resources=limited("1")), {}, id="a whole GPU"),
    ],
)
def test_a_portion_is_written_in_the_one_way_that_muster_reads(written: Any, wanted: Any) -> None:
    answer = review(written, context())
    assert (annotated(answer), answer.refusal) == (wanted, "")


def test_a_limit_that_is_no_whole_number_is_taken_away_and_nothing_else() -> None:
    answer = review(pod(resources=limited("0.5", memory="1Gi")), context())
    assert removed(answer) == [
        "/spec/containers/0/resources/limits/nvidia.com~1gpu",
        "/spec/containers/0/resources/requests/nvidia.com~1gpu",
    ]


def test_what_was_changed_once_is_not_changed_again() -> None:
    written = pod({"project": "demo"}, HALF | {"gpu-fraction": "0.5"}, "muster-scheduler")
    assert review(written, context()) == Answer()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (pod(annotations={"gpu-fraction": "1.5"}), "'1.5' is no portion of a GPU (the annotation gpu-fraction)"),
        (pod(annotations={"gpu-fraction": "0"}), "'0' is no portion of a GPU"),
        (pod(annotations={"gpu-fraction": "-0.5"}), "'-0.5' is no portion of a GPU"),
        (pod(annotations={"gpu-fraction": "half"}), "'half' is no portion of a GPU"),
        (pod(annotations={"gpu-fraction": "0.0000001"}), "'0.0000001' is no portion of a GPU"),
        (pod(annotations={"muster.dev/gpu-fraction": "1"}), "(the annotation muster.dev/gpu-fraction)"),
        (
            pod(env=[{"name": "RUNAI_GPU_FRACTION", "value": "2"}]),
            "(the variable RUNAI_GPU_FRACTION of the container main)",
        ),
        (pod(annotations={"gpu-memory": "2Gi"}), "'2Gi' is not a number of MiB (the annotation gpu-memory)"),
        (pod(annotations={"gpu-memory": "0"}), "'0' is not a number of MiB"),
        (
            pod(annotations={"gpu-fraction": "0.5", "gpu-fraction-num-devices": "many"}),
            "'many' is not a number of GPUs",
        ),
        (
            pod(annotations={"gpu-memory": "100", "muster.dev/gpu-memory": "200"}),
            "200 (the annotation muster.dev/gpu-memory) and 100 (the annotation gpu-memory): leave one.",
        ),
        (pod(annotations={"gpu-fraction": "9" * 5000}), f"'{'9' * 40}…' is no portion of a GPU"),
        (pod(annotations={"gpu-fraction-num-devices": "2"}), "2 GPUs are asked for, but no portion of them"),
        (pod(annotations={"gpu-fraction": "0.5", "gpu-memory": "100"}), "not both at once"),
        (pod(annotations={"gpu-fraction": "0.5"}, resources=limited("0.25")), "0.25 (nvidia.com/gpu of the container"),
        (pod(annotations={"gpu-fraction": "0.5"}, resources=limited("1")), "asks for whole GPUs"),
        (pod(resources=limited("1500m")), "1.5 GPUs cannot be given"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(written: Any, said: str) -> None:
    answer = review(written, context())
    assert said in answer.refusal
    assert answer.refusal.endswith(".")
    assert "\n" not in answer.refusal
    assert answer.patches == ()


def test_two_containers_do_not_share_a_pod_s_portion() -> None:
    written = pod(resources=limited("0.5"))
    written["spec"]["containers"].append({"name": "second", "resources": limited("0.5")})
    assert review(written, context()).refusal.startswith("One container of a pod gets a portion of a GPU, not 2")


def test_an_init_container_gets_no_portion() -> None:
    written = pod()
    written["spec"]["initContainers"] = [{"name": "first", "resources": limited("0.5")}]
    assert review(written, context()).refusal.startswith("An init container gets no portion of a GPU")


def test_nonsense_where_muster_has_no_business_is_not_its_business() -> None:
    written = pod(annotations={"gpu-fraction": "seven"}, resources=limited("0.5"))
    assert review(written, context(project="")) == Answer()


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet", "Job"])
@pytest.mark.parametrize("metadata", [{}, {"metadata": {}}, {"metadata": {"annotations": {"a": "b"}}}])
def test_templates_of_kinds_that_kubernetes_checks_itself_are_changed_too(kind: str, metadata: Any) -> None:
    template = metadata | {"spec": pod(resources=limited("0.5"))["spec"]}
    api_version = "batch/v1" if kind == "Job" else "apps/v1"
    written = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": {"template": template}}
    answer = review(written, context())
    added = [patch for patch in answer.patches if patch["op"] == "add"]
    assert "/spec/template/spec/containers/0/resources/limits/nvidia.com~1gpu" in removed(answer)
    assert [patch["path"] for patch in added] == {
        0: ["/spec/template/metadata"],
        1: ["/spec/template/metadata/annotations"],
        2: ["/spec/template/metadata/annotations/muster.dev~1gpu-fraction"],
    }[len(metadata) + len(metadata.get("metadata", {}))]


def test_the_template_of_a_cron_job_is_changed_where_it_is() -> None:
    template = {"metadata": {}, "spec": pod(resources=limited("0.5"))["spec"]}
    spec = {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}
    answer = review({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a"}, "spec": spec}, context())
    assert [patch["path"] for patch in answer.patches] == [
        "/spec/jobTemplate/spec/template/metadata/annotations",
        "/spec/jobTemplate/spec/template/spec/containers/0/resources/limits/nvidia.com~1gpu",
        "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/nvidia.com~1gpu",
    ]


# ---------------------------------------------------------------- virtual machines


def test_a_launcher_of_kubevirt_gets_no_portion() -> None:
    answer = review(pod({"kubevirt.io": "virt-launcher"}, {"gpu-fraction": "0.5"}), context())
    assert answer.refusal == (
        "A virtual machine of KubeVirt gets whole GPUs: take away what asks for a portion of one "
        "(the annotation gpu-fraction)."
    )


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "VirtualMachine", "spec": {"template": {"metadata": {"annotations": {"gpu-fraction": "0.5"}}}}},
        {"kind": "VirtualMachineInstance", "metadata": {"annotations": {"gpu-memory": "100"}}},
    ],
)
def test_a_virtual_machine_is_refused_a_portion_before_it_has_a_pod(written: Any) -> None:
    machine = {"apiVersion": "kubevirt.io/v1", **written}
    assert review(machine, context()).refusal.startswith("A virtual machine of KubeVirt gets whole GPUs")
    assert review(machine, context(project="")) == Answer()


# ---------------------------------------------------------------- Muster's own labels

MINE = {"muster.dev/workload-id": "7f0c", "muster.dev/project": "demo"}
FOREIGN = "The label muster.dev/project is written by Muster alone, and not by alice: leave it as it is; "


@pytest.mark.parametrize(
    ("labels", "known", "refused"),
    [
        pytest.param(MINE, {}, True, id="somebody"),
        pytest.param(MINE, {"user": SUBMITTER}, False, id="the submitter"),
        pytest.param(MINE, {"owner_labels": MINE}, False, id="inherited from the controller"),
        pytest.param(MINE, {"owner_labels": {**MINE, "muster.dev/project": "vision"}}, True, id="half inherited"),
        pytest.param(MINE, {"old": pod(MINE)}, False, id="unchanged"),
        pytest.param({}, {"old": pod(MINE)}, True, id="taken away"),
        pytest.param({}, {"old": pod(MINE), "owner_labels": MINE}, True, id="taken away from what has an owner"),
        pytest.param({"muster.dev/node-pool": "fast"}, {}, False, id="a label that everybody may set"),
    ],
)
def test_muster_s_own_labels_are_written_by_the_submitter_alone(labels: Any, known: Any, refused: bool) -> None:
    answer = review(pod(labels), context(**known))
    assert answer.refusal.startswith(FOREIGN) is refused
    assert bool(answer.refusal) is refused


@pytest.mark.parametrize("api_version", ["batch/v1", "kubeflow.org/v1"])
@pytest.mark.parametrize(
    ("labels", "known", "refused"),
    [
        pytest.param({}, {}, True, id="not on the object"),
        pytest.param(MINE, {"owner_labels": MINE}, False, id="on the object too"),
        pytest.param({}, {"user": SUBMITTER}, False, id="the submitter"),
        pytest.param({"old": "one"}, {"old": {"metadata": {}}}, False, id="there already"),
    ],
)
def test_a_template_with_muster_s_labels_is_refused_before_its_pods_are(
    api_version: str, labels: Any, known: Any, refused: bool
) -> None:
    written = {"metadata": {"labels": labels}, "spec": {"replicas": [{"template": pod(MINE)}]}}
    answer = review({"apiVersion": api_version, "kind": "Any", **written}, context(**known))
    said = (*answer.warnings, answer.refusal)[0]
    assert bool(answer.refusal) is refused
    assert said.startswith("The label muster.dev/project is written by Muster alone, so the pods") is (
        refused or "old" in known
    )


def test_a_custom_resource_whose_pods_make_no_sense_is_warned_about() -> None:
    wrong, right = pod(annotations={"gpu-fraction": "1.5"}), pod(annotations={"gpu-fraction": "0.5"})
    spec = {"Master": {"template": right}, "Worker": {"template": wrong}, "Other": {"template": wrong}}
    training = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {}, "spec": spec}
    answer = review(training, context())
    assert (answer.refusal, answer.patches, len(answer.warnings)) == ("", (), 1)
    assert answer.warnings[0].startswith("The pods of this template will be refused: '1.5' is no portion of a GPU")
    assert review(training, context(project="")) == Answer()


def test_the_guard_looks_at_every_kind_of_object() -> None:
    written = {"apiVersion": "example.com/v9", "kind": "Anything", "metadata": {"labels": MINE}}
    assert review(written, context(project="")).refusal.startswith(FOREIGN)


@pytest.mark.parametrize("metadata", [None, {"labels": None}, {"labels": ["a"]}, {"annotations": 3}])
def test_what_has_no_shape_is_left_to_the_api_server(metadata: Any) -> None:
    assert review({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": 7}, context()) == Answer()


@pytest.mark.parametrize("spec", [None, 7, {"template": []}, {"template": {"metadata": "x"}}])
@pytest.mark.parametrize(
    ("group", "kind"), [("kubevirt.io", "VirtualMachine"), ("apps", "Deployment"), ("batch", "CronJob")]
)
def test_a_template_without_shape_is_left_to_the_api_server_too(group: str, kind: str, spec: Any) -> None:
    assert review({"apiVersion": f"{group}/v1", "kind": kind, "metadata": {}, "spec": spec}, context()) == Answer()
