"""Objects that only stand between: they make no rows of their own when what is above them cannot be read."""

from uuid import UUID

from integrations.kube import World, manifest, pod, project, template, uid
from muster_cluster.objects import DEPLOYMENTS, REPLICA_SETS
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

REVISIONS = next(resource for resource in written_resources() if resource.kind == "Revision")
LABELS = {"serving.kserve.io/inferenceservice": "iris", "component": "predictor"}


def test_a_deployment_below_a_revision_that_may_not_be_read_is_no_workload_beside_that_of_its_pods() -> None:
    world = World(project())
    for name in ("Revision", "Configuration", "Service"):
        world.mirror.reads(("serving.knative.dev", name), Reading.FORBIDDEN)
    world.mirror.reads(("serving.kserve.io", "InferenceService"), Reading.FORBIDDEN)
    revision = manifest(REVISIONS, "iris-1")
    deployment = manifest(DEPLOYMENTS, "iris-1", owner=revision, spec={"replicas": 1, "template": template()})
    replicas = manifest(REPLICA_SETS, "iris-1-x", owner=deployment, spec={"replicas": 1, "template": template()})
    world.show(deployment, replicas, pod("iris-1-x-y", owner=replicas, labels=LABELS))
    [only] = world.mirror.workload_ids
    found = world.mirror.seen_workload(only)
    assert found is not None
    assert (found.kind, found.name) == ("InferenceService", "iris")
    assert set(found.pods) == {UUID(uid("Pod/iris-1-x-y"))}
