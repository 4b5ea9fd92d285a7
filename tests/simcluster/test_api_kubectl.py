"""Everyday kubectl against the server: what people type, and what it prints."""

import asyncio
import json
import shutil
import subprocess

import pytest

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

MANIFEST = """
apiVersion: v1
kind: Pod
metadata:
  name: sleeper
  labels: {app: sleeper}
  annotations: {sim.log: "hello from the pod"}
spec:
  containers:
  - name: main
    image: train:1
    resources: {limits: {nvidia.com/gpu: "1"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: web:TAG
        ports: [{containerPort: 80}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: train}
spec:
  template:
    metadata:
      annotations: {sim.run-seconds: "0.2"}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "train:1"}]
"""


def manifest(replicas=1, tag="1"):
    return MANIFEST.replace("REPLICAS", str(replicas)).replace("TAG", tag)


@pytest.fixture
def kubectl(server, api, tmp_path):
    """Run kubectl in the test's namespace and return what it printed; `fails=True` expects and returns its error."""

    async def run(*arguments, stdin="", fails=False):
        cache = tmp_path / "cache"  # discovery of another server on the same port must not be remembered
        command = [KUBECTL, f"--kubeconfig={server.kubeconfig}", f"--cache-dir={cache}", "-n", api.namespace]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    return run


def rows(text):
    return [line.split() for line in text.splitlines()]


async def test_apply_creates_then_leaves_alone_then_configures(kubectl):
    created = await kubectl("apply", "-f", "-", stdin=manifest())
    assert created.splitlines() == ["pod/sleeper created", "deployment.apps/web created", "job.batch/train created"]
    unchanged = await kubectl("apply", "-f", "-", stdin=manifest())
    assert [line.split()[-1] for line in unchanged.splitlines()] == ["unchanged"] * 3
    changed = await kubectl("apply", "-f", "-", stdin=manifest(replicas=2, tag="2"))
    assert "deployment.apps/web configured" in changed
    spec = json.loads(await kubectl("get", "deployment", "web", "-o", "json"))["spec"]
    assert (spec["replicas"], spec["template"]["spec"]["containers"][0]["image"]) == (2, "web:2")


async def test_apply_on_the_server_tells_of_conflicts(kubectl):
    await kubectl("apply", "--server-side", "-f", "-", stdin=manifest())
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    error = await kubectl(*other, stdin=manifest(replicas=3), fails=True)
    assert 'conflict with "kubectl": .spec.replicas' in error
    await kubectl(*other, "--force-conflicts", stdin=manifest(replicas=3))
    assert await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "3"


async def test_get_prints_the_tables_people_know(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    await kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    await kubectl("wait", "--for=condition=complete", "job/train", "--timeout=30s")
    pods = rows(await kubectl("get", "pod", "sleeper", "-o", "wide"))
    assert pods[0][:6] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP"]
    assert pods[1][:4] == ["sleeper", "1/1", "Running", "0"]
    nodes = rows(await kubectl("get", "nodes"))
    assert nodes[0] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert {row[1] for row in nodes[1:]} == {"Ready"}
    job = rows(await kubectl("get", "job", "train"))
    assert job[0] == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert job[1][:3] == ["train", "Complete", "1/1"]
    deployment = rows(await kubectl("get", "deploy,rs", "-o", "wide"))
    assert deployment[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]


async def test_get_narrows_by_labels_and_fields(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    assert await kubectl("get", "pods", "-l", "app in (sleeper)", "-o", "name") == "pod/sleeper\n"
    field = "--field-selector=metadata.name=sleeper"
    assert await kubectl("get", "pods", field, "-o", "name") == "pod/sleeper\n"
    assert await kubectl("get", "pods", "-l", "app=nothing", "-o", "name") == ""


async def test_get_watches(kubectl, server, api):
    command = [KUBECTL, f"--kubeconfig={server.kubeconfig}", "-n", api.namespace, "get", "configmaps", "-w"]
    process = await asyncio.create_subprocess_exec(*command, "-o", "name", stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        await kubectl("create", "configmap", "first", "--from-literal=a=b")
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"configmap/first\n"
            await kubectl("label", "configmap", "first", "x=y")
            assert await process.stdout.readline() == b"configmap/first\n"
    finally:
        process.terminate()
        await process.wait()


async def test_describe_shows_the_pod_and_its_events(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    await kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    text = await kubectl("describe", "pod", "sleeper")
    for expected in ("nvidia.com/gpu:  1", "Status:           Running", "Successfully assigned", "Started container"):
        assert expected in text
    assert "Pods Statuses" in await kubectl("describe", "job", "train")
    assert "Allocated resources" in await kubectl("describe", "node", "pool-a-0")
    assert "StrategyType" in await kubectl("describe", "deployment", "web")


async def test_logs_are_printed_and_followed(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    await kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    assert await kubectl("logs", "sleeper") == "hello from the pod\n"
    await kubectl("wait", "--for=condition=complete", "job/train", "--timeout=30s")
    assert "simulated" in await kubectl("logs", "-f", "job/train")


async def test_patch_scale_label_annotate_and_set(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    await kubectl("scale", "deployment/web", "--replicas=3")
    await kubectl("set", "image", "deployment/web", "main=web:3")
    await kubectl("patch", "deploy", "web", "-p", '{"spec":{"minReadySeconds":1}}')
    await kubectl("patch", "deploy", "web", "--type=json", "-p", '[{"op":"add","path":"/spec/paused","value":true}]')
    await kubectl("patch", "deploy", "web", "--type=merge", "-p", '{"spec":{"revisionHistoryLimit":2}}')
    spec = json.loads(await kubectl("get", "deployment", "web", "-o", "json"))["spec"]
    assert (spec["replicas"], spec["minReadySeconds"], spec["paused"], spec["revisionHistoryLimit"]) == (3, 1, True, 2)
    assert spec["template"]["spec"]["containers"][0]["image"] == "web:3"
    await kubectl("label", "pod", "sleeper", "tier=1", "app-")
    await kubectl("annotate", "pod", "sleeper", "note=x")
    metadata = json.loads(await kubectl("get", "pod", "sleeper", "-o", "json"))["metadata"]
    assert (metadata["labels"], metadata["annotations"]["note"]) == ({"tier": "1"}, "x")


async def test_delete_waits_until_all_is_gone(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    await kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    deleted = await kubectl("delete", "-f", "-", "--timeout=30s", stdin=manifest())
    assert len(deleted.splitlines()) == 3
    assert 'pods "sleeper" not found' in await kubectl("get", "pod", "sleeper", fails=True)


async def test_a_namespace_is_created_and_deleted_with_what_is_in_it(kubectl, api):
    name = f"{api.namespace}-more"
    await kubectl("create", "namespace", name)
    await kubectl("-n", name, "create", "configmap", "a", "--from-literal=x=1")
    await kubectl("delete", "namespace", name, "--timeout=30s")
    assert f'namespaces "{name}" not found' in await kubectl("-n", name, "create", "configmap", "a", fails=True)
    assert "not found" in await kubectl("get", "namespace", name, fails=True)


async def test_create_makes_the_kinds_people_make_by_hand(kubectl):
    for command in (
        "configmap c --from-literal=a=b",
        "secret generic s --from-literal=password=x",
        "serviceaccount bot",
        "deployment d --image=web:1 --replicas=0 --port=80",
        "job j --image=train:1 -- sleep 1",
        "cronjob k --image=train:1 --schedule=0_*_*_*_* -- true",
        "poddisruptionbudget p --selector=app=d --min-available=1",
        "quota q --hard=pods=5",
        "service clusterip v --tcp=80:8080",
    ):
        words = [word.replace("_", " ") for word in command.split()]
        assert (await kubectl("create", *words)).endswith("created\n"), command
    secret = json.loads(await kubectl("get", "secret", "s", "-o", "json"))
    assert secret["data"] == {"password": "eA=="}
    job = json.loads(await kubectl("get", "job", "j", "-o", "json"))
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["sleep", "1"]
    budget = json.loads(await kubectl("get", "pdb", "p", "-o", "json"))
    assert budget["spec"]["minAvailable"] == 1


async def test_dry_runs_and_differences_change_nothing(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    await kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest(replicas=7))
    assert await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "1"
    assert await kubectl("diff", "-f", "-", stdin=manifest(replicas=7), fails=True) == ""


async def test_a_node_is_cordoned_tainted_and_drained(kubectl):
    pod = MANIFEST.split("---", maxsplit=1)[0].replace(
        "spec:\n", "spec:\n  nodeSelector: {kubernetes.io/hostname: pool-b-3}\n", 1
    )
    await kubectl("apply", "-f", "-", stdin=pod)
    await kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    await kubectl("drain", "pool-b-3", "--force", "--ignore-daemonsets", "--timeout=30s")
    assert rows(await kubectl("get", "node", "pool-b-3"))[1][1] == "Ready,SchedulingDisabled"
    assert "not found" in await kubectl("get", "pod", "sleeper", fails=True)
    await kubectl("taint", "node", "pool-b-3", "reserved=yes:NoSchedule")
    await kubectl("uncordon", "pool-b-3")
    node = json.loads(await kubectl("get", "node", "pool-b-3", "-o", "json"))
    assert node["spec"]["taints"] == [{"key": "reserved", "value": "yes", "effect": "NoSchedule"}]
    await kubectl("taint", "node", "pool-b-3", "reserved-")


async def test_the_server_explains_itself(kubectl):
    assert "Server Version: v1.33" in await kubectl("version")
    resources = await kubectl("api-resources", "-o", "name")
    assert {"pods", "jobs.batch", "deployments.apps"} <= set(resources.split())
    assert await kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert "KIND:       Job" in await kubectl("explain", "job")
    assert "GROUP" in await kubectl("explain", "deployment.spec")


async def test_a_custom_kind_is_defined_and_used(kubectl):
    text = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rockets.space.example.com}
spec:
  group: space.example.com
  scope: Namespaced
  names: {plural: rockets, singular: rocket, kind: Rocket, shortNames: [rk]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Thrust, type: integer, jsonPath: .spec.thrust}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {thrust: {type: integer, description: Newtons.}}}
"""
    await kubectl("apply", "-f", "-", stdin=text)
    await kubectl("wait", "--for=condition=Established", "crd/rockets.space.example.com", "--timeout=10s")
    rocket = "apiVersion: space.example.com/v1\nkind: Rocket\nmetadata: {name: a}\nspec: {thrust: 7}\n"
    await kubectl("apply", "-f", "-", stdin=rocket)
    await kubectl("apply", "-f", "-", stdin=rocket.replace("7", "8"))
    assert rows(await kubectl("get", "rk"))[:2] == [["NAME", "THRUST"], ["a", "8"]]
    assert "Newtons." in await kubectl("explain", "rocket.spec.thrust")
    await kubectl("delete", "rocket", "a")


async def test_refusals_are_printed_as_kubernetes_prints_them(kubectl):
    await kubectl("apply", "-f", "-", stdin=manifest())
    error = await kubectl("create", "-f", "-", stdin=manifest(), fails=True)
    assert 'pods "sleeper" already exists' in error
    broken = manifest().replace('nvidia.com/gpu: "1"', 'nvidia.com/gpu: "-1"').replace("sleeper", "broken")
    assert "must be greater than or equal to 0" in await kubectl("apply", "-f", "-", stdin=broken, fails=True)
    assert "doesn't have a resource type" in await kubectl("get", "unicorns", fails=True)
