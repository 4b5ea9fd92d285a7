"""KubeRay's kinds: what it makes, beside recordings, and the life of clusters, jobs and services."""

import re

import pytest

CLUSTER, JOB, SERVICE = "rayclusters.ray.io", "rayjobs.ray.io", "rayservices.ray.io"
CRON_JOB = "raycronjobs.ray.io"


@pytest.fixture
async def world(opener):
    async with opener(systems=("ray",)) as opened:
        yield opened


def template(name, gpu=0):
    limits = {"nvidia.com/gpu": str(gpu)} if gpu else {}
    return {"spec": {"containers": [{"name": name, "image": "ray:2", "resources": {"limits": limits}}]}}


def cluster_spec(replicas=2, image="ray:2", **more):
    workers = {"groupName": "small", "replicas": replicas, "minReplicas": 1, "maxReplicas": 5}
    head = template("ray-head")
    head["spec"]["containers"][0]["image"] = image
    return {
        "headGroupSpec": {"template": head},
        "workerGroupSpecs": [{**workers, "template": template("ray-worker", 1)}],
        **more,
    }


def create(world, kind, name, spec, **annotations):
    metadata = {"name": name, "namespace": "demo"}
    metadata["annotations"] = {f"sim.{key.replace('_', '-')}": value for key, value in annotations.items()}
    kinds = {CLUSTER: "RayCluster", JOB: "RayJob", SERVICE: "RayService", CRON_JOB: "RayCronJob"}
    return world.client.create(
        kind, {"apiVersion": "ray.io/v1", "kind": kinds[kind], "metadata": metadata, "spec": spec}
    )


def job_spec(**more):
    return {"entrypoint": "python s.py", "shutdownAfterJobFinishes": True, "rayClusterSpec": cluster_spec(), **more}


def state(world, name):
    status = world.found(JOB, name).get("status", {})
    return status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")


def unrandom(traits, random):
    """Return traits with what is left to chance, and what carries an identity, taken out."""
    text = re.sub(random, "<random>", repr(traits))
    return re.sub(r"'[^']*controller-uid': '[^']*'(, )?", "", text)


async def test_a_job_makes_what_was_recorded(world, recording, traits_of):
    recorded = recording("ray/derived-rayjob-k8sjobmode.json")
    world.client.create(JOB, recorded.played(rayClusterSpec=cluster_spec()))
    await world.advance_until(lambda: state(world, "rayjob-sample") == ("Running", "RUNNING"))
    kinds = {"RayCluster": CLUSTER, "Job": "jobs.batch", "Pod": "pods"}
    suffix = r"(?<=rayjob-sample-)[a-z0-9]{5}(?=['-])|(?<=(?:worker|.-head)-)[a-z0-9]{5}"
    for kind, key in kinds.items():
        made = [unrandom(traits_of(each), suffix) for each in world.client.list(key, "demo")]
        known = [unrandom(traits_of(each), suffix) for each in recorded.of_kind(kind)]
        if kind == "Job":  # the recording left the Job's template out
            made, known = (
                [re.sub(r"'containers'.*", "", each) for each in made],
                [re.sub(r"'containers'.*", "", each) for each in known],
            )
        assert sorted(map(sort_labels, made)) == sorted(map(sort_labels, known))


def sort_labels(text):
    return "".join(sorted(re.findall(r"'[^']*'(?:: (?:'[^']*'|\w+))?", text)))


async def test_a_cluster_is_ready_with_all_its_pods_and_follows_its_sizes(world):
    create(world, CLUSTER, "c", cluster_spec())
    await world.advance_until(lambda: world.found(CLUSTER, "c").get("status", {}).get("state") == "ready")
    status = world.found(CLUSTER, "c")["status"]
    assert (status["desiredWorkerReplicas"], status["readyWorkerReplicas"]) == (2, 2)
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert conditions == {"HeadPodReady": "True", "RayClusterProvisioned": "True"}
    world.change_spec(CLUSTER, "c", lambda spec: spec.update(workerGroupSpecs=cluster_spec(9)["workerGroupSpecs"]))
    await world.advance(10)
    assert len(world.pods()) == 6, "replicas stay within maxReplicas"
    world.change_spec(CLUSTER, "c", lambda spec: spec.update(suspend=True))
    await world.advance(10)
    assert (world.pods(), world.found(CLUSTER, "c")["status"]["state"]) == ([], "suspended")
    world.change_spec(CLUSTER, "c", lambda spec: spec.update(suspend=False))
    await world.advance(20)
    assert world.found(CLUSTER, "c")["status"]["state"] == "ready"


async def test_a_group_of_several_hosts_and_a_suspended_one(world):
    spec = cluster_spec()
    group = spec["workerGroupSpecs"][0]
    spec["workerGroupSpecs"] = [{**group, "numOfHosts": 2}, {**group, "groupName": "off", "suspend": True}]
    create(world, CLUSTER, "c", spec)
    await world.advance(10)
    assert len(world.pods()) == 5


async def test_a_worker_that_fails_is_made_anew(world):
    create(world, CLUSTER, "c", cluster_spec(1))
    await world.advance(10)
    [worker] = [pod for pod in world.pods() if pod["metadata"]["labels"]["ray.io/node-type"] == "worker"]
    world.client.delete("pods", "demo", worker["metadata"]["name"])
    await world.advance(10)
    names = {pod["metadata"]["name"] for pod in world.pods()}
    assert len(names) == 2
    assert worker["metadata"]["name"] not in names


async def test_a_job_that_succeeds_shuts_its_cluster_down(world):
    create(world, JOB, "j", job_spec(ttlSecondsAfterFinished=30), run_seconds="10")
    await world.advance_until(lambda: state(world, "j")[0] == "Complete")
    assert state(world, "j") == ("Complete", "SUCCEEDED")
    assert len(world.client.list(CLUSTER, "demo")) == 1
    await world.advance(40)
    assert world.client.list(CLUSTER, "demo") == []
    assert [pod["metadata"]["labels"]["job-name"] for pod in world.pods()] == ["j"], "the submitter stays"


async def test_a_job_that_fails_is_retried_under_a_new_cluster(world):
    create(world, JOB, "j", job_spec(backoffLimit=1), run_seconds="5", fail_times="1")
    await world.advance_until(lambda: state(world, "j")[0] == "Running")
    first = world.found(JOB, "j")["status"]["rayClusterName"]
    await world.advance_until(lambda: state(world, "j")[0] == "Complete")
    status = world.found(JOB, "j")["status"]
    assert status["rayClusterName"] != first
    assert (status["failed"], status["succeeded"]) == (1, 1)


async def test_a_job_that_fails_for_good(world):
    create(world, JOB, "j", job_spec(), run_seconds="5", exit_code="1")
    await world.advance_until(lambda: state(world, "j")[0] == "Failed")
    assert world.found(JOB, "j")["status"]["reason"] == "AppFailed"


async def test_a_suspended_job_starts_anew_under_another_cluster(world):
    create(world, JOB, "j", job_spec(), run_seconds="60")
    await world.advance_until(lambda: state(world, "j")[0] == "Running")
    first = world.found(JOB, "j")["status"]["rayClusterName"]
    world.change_spec(JOB, "j", lambda spec: spec.update(suspend=True))
    await world.advance_until(lambda: state(world, "j")[0] == "Suspended")
    await world.advance(10)
    assert (world.client.list(CLUSTER, "demo"), world.pods()) == ([], [])
    world.change_spec(JOB, "j", lambda spec: spec.update(suspend=False))
    await world.advance_until(lambda: state(world, "j")[0] == "Complete")
    assert world.found(JOB, "j")["status"]["rayClusterName"] != first


@pytest.mark.parametrize(
    "spec",
    [
        {"shutdownAfterJobFinishes": False, "suspend": True},
        {"clusterSelector": {"ray.io/cluster": "c"}, "suspend": True},
    ],
)
async def test_a_suspension_that_is_not_allowed_makes_the_job_invalid(world, spec):
    create(world, JOB, "j", job_spec(**spec))
    await world.advance(1)
    assert state(world, "j")[0] == "ValidationFailed"
    assert world.pods() == []


async def test_a_job_on_a_chosen_cluster_owns_its_submitter_alone(world):
    create(world, CLUSTER, "shared", cluster_spec())
    create(world, JOB, "j", {"entrypoint": "x", "clusterSelector": {"ray.io/cluster": "shared"}}, run_seconds="5")
    await world.advance_until(lambda: state(world, "j")[0] == "Complete")
    assert world.found(JOB, "j")["status"]["rayClusterName"] == "shared"
    assert len(world.client.list(CLUSTER, "demo")) == 1


async def test_without_a_submitter_the_operator_submits(world):
    create(world, JOB, "j", job_spec(submissionMode="HTTPMode"), run_seconds="20")
    await world.advance_until(lambda: state(world, "j") == ("Running", "RUNNING"))
    assert world.client.list("jobs.batch", "demo") == []
    await world.advance_until(lambda: state(world, "j") == ("Complete", "SUCCEEDED"))


async def test_an_interactive_job_waits_for_its_users_submission(world):
    create(world, JOB, "j", job_spec(submissionMode="InteractiveMode"), run_seconds="5")
    await world.advance(60)
    assert state(world, "j")[0] == "Waiting"
    world.change_spec(JOB, "j", lambda spec: spec.update(jobId="mine"))
    await world.advance_until(lambda: state(world, "j")[0] == "Complete")
    assert world.found(JOB, "j")["status"]["jobId"] == "mine"


async def test_in_sidecar_mode_the_head_submits(world):
    create(world, JOB, "j", job_spec(submissionMode="SidecarMode"), run_seconds="20")
    await world.advance_until(lambda: state(world, "j") == ("Running", "RUNNING"))
    heads = [pod for pod in world.pods() if pod["metadata"]["labels"]["ray.io/node-type"] == "head"]
    assert [each["name"] for each in heads[0]["spec"]["containers"]] == ["ray-head", "ray-job-submitter"]
    await world.advance_until(lambda: state(world, "j") == ("Complete", "SUCCEEDED"))


async def test_a_job_past_its_deadline_fails(world):
    create(world, JOB, "j", job_spec(activeDeadlineSeconds=30), run_seconds="600")
    await world.advance_until(lambda: state(world, "j")[0] == "Failed", 60)
    assert world.found(JOB, "j")["status"]["reason"] == "DeadlineExceeded"


async def test_a_service_has_two_clusters_during_an_upgrade(world):
    create(world, SERVICE, "s", {"rayClusterConfig": cluster_spec(1)})
    await world.advance(20)
    first = world.found(SERVICE, "s")["status"]["activeServiceStatus"]["rayClusterName"]
    assert world.conditions(SERVICE, "s")["Ready"] == "True"
    world.change_spec(SERVICE, "s", lambda spec: spec.update(rayClusterConfig=cluster_spec(1, image="ray:3")))
    await world.advance(1)
    status = world.found(SERVICE, "s")["status"]
    assert status["activeServiceStatus"]["rayClusterName"] == first
    assert status["pendingServiceStatus"]["rayClusterName"] != first
    assert world.conditions(SERVICE, "s")["UpgradeInProgress"] == "True"
    await world.advance(20)
    assert world.found(SERVICE, "s")["status"]["activeServiceStatus"]["rayClusterName"] != first
    assert len(world.client.list(CLUSTER, "demo")) == 2, "the old one stays a minute"
    await world.advance(120)
    assert len(world.client.list(CLUSTER, "demo")) == 1


async def test_a_service_gives_the_reasons_that_kuberay_gives(world):
    create(world, SERVICE, "s", {"rayClusterConfig": cluster_spec(1)})
    await world.advance(0.1)
    assert reasons(world) == {"Ready": "Initializing", "UpgradeInProgress": "Initializing"}
    await world.advance(20)
    assert reasons(world) == {"Ready": "NonZeroServeEndpoints", "UpgradeInProgress": "NoPendingCluster"}
    world.change_spec(SERVICE, "s", lambda spec: spec.update(rayClusterConfig=cluster_spec(1, image="ray:3")))
    await world.advance(1)
    assert reasons(world)["UpgradeInProgress"] == "BothActivePendingClustersExist"
    world.change_spec(SERVICE, "s", lambda spec: spec.update(suspend=True))
    await world.advance(60)
    assert set(reasons(world).values()) == {"SuspendComplete"}
    world.change_spec(SERVICE, "s", lambda spec: spec.update(suspend=False))
    await world.advance(20)
    assert reasons(world)["Ready"] == "NonZeroServeEndpoints"
    assert world.conditions(SERVICE, "s")["Suspended"] == "False"


def reasons(world):
    return {each["type"]: each["reason"] for each in world.found(SERVICE, "s")["status"]["conditions"]}


async def test_a_service_that_grows_keeps_its_cluster(world):
    create(world, SERVICE, "s", {"rayClusterConfig": cluster_spec(1)})
    await world.advance(20)
    world.change_spec(SERVICE, "s", lambda spec: spec.update(rayClusterConfig=cluster_spec(3)))
    await world.advance(20)
    assert len(world.client.list(CLUSTER, "demo")) == 1
    assert len(world.pods()) == 4
    world.change_spec(SERVICE, "s", lambda spec: spec.update(suspend=True))
    await world.advance(20)
    assert (world.pods(), world.conditions(SERVICE, "s")["Suspended"]) == ([], "True")


async def test_a_cron_job_makes_jobs_as_recorded_until_it_is_suspended(world, recording, traits_of):
    recorded = recording("ray/derived-raycronjob.json")
    world.client.create(CRON_JOB, recorded.played(schedule="*/2 * * * *", jobTemplate=job_spec()))
    await world.advance(121)
    [made] = [traits_of(job) for job in world.client.list(JOB, "demo")]
    [known] = [traits_of(job) for job in recorded.of_kind("RayJob")]
    assert {**made, "name": ""} == {**known, "name": ""}
    await world.advance(120)
    assert len(world.client.list(JOB, "demo")) == 2
    world.change_spec(CRON_JOB, "nightly", lambda spec: spec.update(suspend=True))
    await world.advance(300)
    assert len(world.client.list(JOB, "demo")) == 2


async def test_what_is_deleted_takes_all_along(world):
    create(world, JOB, "j", job_spec(), run_seconds="60")
    await world.advance(10)
    world.client.delete(JOB, "demo", "j")
    await world.advance(60)
    assert (world.pods(), world.client.list(CLUSTER, "demo")) == ([], [])
