"""How a RayJob gets into its cluster: by a Job of its own, by a container of the head, or by nobody here."""

from simcluster.operators.operator import noted_failures
from simcluster.operators.ray.kinds import OPERATOR, SUBMISSION_MODE, child_cluster, course_of
from simcluster.pods import name_of
from simcluster.resources import Object

SUBMITTER = "ray-job-submitter"


def mode_of(job: Object) -> str:
    """Return how a job is submitted."""
    return str(job["spec"].get("submissionMode") or "K8sJobMode")


def cluster_of(job: Object) -> Object:
    """Return a new cluster of a job, with the container that submits in its head if the mode wants it so."""
    cluster = child_cluster(job, "RayJob", job["spec"]["rayClusterSpec"])
    cluster["metadata"]["labels"][SUBMISSION_MODE] = mode_of(job)
    if mode_of(job) == "SidecarMode":
        head = cluster["spec"]["headGroupSpec"]
        template = _with_submitter(job, head["template"])
        cluster["spec"] = {**cluster["spec"], "headGroupSpec": {**head, "template": template}}
    return cluster


def _with_submitter(job: Object, template: Object) -> Object:
    metadata, spec = template.get("metadata") or {}, template["spec"]
    image = spec["containers"][0].get("image", "")
    course = {f"{key}.{SUBMITTER}": value for key, value in course_of(job).items()}
    annotations = {f"sim.run-seconds.{SUBMITTER}": "3", **course, **(metadata.get("annotations") or {})}
    annotations[f"sim.run-seconds.{spec['containers'][0]['name']}"] = "forever"
    containers = [*spec["containers"], {"name": SUBMITTER, "image": image}]
    return {
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**spec, "containers": containers, "restartPolicy": "Never"},
    }


def submitter_of(job: Object, failures: int) -> Object:
    """Return the Job that submits: its pods fare as the RayJob's annotations say."""
    own = {
        "ray.io/originated-from-cr-name": name_of(job),
        "ray.io/originated-from-crd": "RayJob",
        "app.kubernetes.io/created-by": OPERATOR,
    }
    spec = job["spec"]
    image = ((spec.get("rayClusterSpec") or {}).get("headGroupSpec") or {}).get("template", {}).get("spec", {})
    image = (image.get("containers") or [{}])[0].get("image", "rayproject/ray")
    plain: Object = {"spec": {"containers": [{"name": SUBMITTER, "image": image}], "restartPolicy": "Never"}}
    template: Object = spec.get("submitterPodTemplate") or plain
    metadata = template.get("metadata") or {}
    written = {
        "metadata": {
            "labels": {**own, **(metadata.get("labels") or {})},
            "annotations": {**course_of(job), **(metadata.get("annotations") or {})},
        },
        "spec": {"restartPolicy": "Never", **template["spec"]},
    }
    limit = (spec.get("submitterConfig") or {}).get("backoffLimit", 2)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(job), "labels": own},
        "spec": {"backoffLimit": limit, "template": noted_failures(written, failures) if failures else written},
    }
