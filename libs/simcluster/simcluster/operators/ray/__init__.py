"""KubeRay: RayCluster, RayJob, RayService and RayCronJob.

A RayCluster owns its pods, one head and the workers of its groups. A RayJob makes a cluster (`<job>-<random>`), and
once that is ready has the job submitted: by a Job of its own name (K8sJobMode), by a container of the head
(SidecarMode), by the operator itself (HTTPMode) or by the user (InteractiveMode, who writes `spec.jobId`). A retry and
a resumed job get a new cluster under a new name. A RayService makes a second cluster when its configuration changes,
moves over when that is ready, and lets the first go a minute later.

How the job fares is written on the RayJob: its `sim.` annotations go to whatever submits it; without a submitter
`sim.run-seconds` (3) and `sim.exit-code` are obeyed by the operator. What Ray would say of the job is taken from its
submitter: Ray's own dashboard is not here, nor is its autoscaler, which only shows as a container of the head.
"""

from simcluster.operators.ray.cluster import RayClusterOperator
from simcluster.operators.ray.cron_job import RayCronJobOperator
from simcluster.operators.ray.job import RayJobOperator
from simcluster.operators.ray.kinds import CLUSTER, CRON_JOB, JOB, SERVICE
from simcluster.operators.ray.service import RayServiceOperator
from simcluster.operators.system import System

SYSTEM = System(
    kinds=(CLUSTER, JOB, SERVICE, CRON_JOB),
    operators=(RayClusterOperator, RayJobOperator, RayServiceOperator, RayCronJobOperator),
)
