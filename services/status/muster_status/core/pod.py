"""One pod as the phase of its workload sees it: a few flags and one sentence, from whole facts.

Sidecars and containers that have done their work are why this is not just Kubernetes' Ready: a pod whose main
container ended well is not unready, and the failure of a helper is not the failure of the workload.
"""

from dataclasses import dataclass

from muster_contracts.values import ContainerFacts, ContainerState, PodFacts, PodPhase

ORDINARY_WAITS = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Why a container waits when nothing is wrong with it."""

CRASH_LOOP = "CrashLoopBackOff"
INVALID_CHARACTER = "\x00"
"""PostgreSQL does not store it in text, and a container may write it into its last message."""


@dataclass(slots=True)
class Pod:
    """A pod that exists. `finished` ones hold nothing any more; `terminating` ones are on their way out.

    `started`: every container that counts has run, or tried to. `unhealthy`: one of them crashed and has not recovered.
    `trouble` is one sentence on what is wrong, empty when nothing is.
    """

    name: str
    node: str = ""
    finished: bool = False
    succeeded: bool = False
    terminating: bool = False
    running: bool = False
    ready: bool = False
    started: bool = False
    unhealthy: bool = False
    trouble: str = ""
    cpu_milli: int = 0
    memory_bytes: int = 0
    gpu_millionths: int = 0


def pod_of(facts: PodFacts) -> Pod:
    """Return what matters of a pod's facts."""
    ours = [container for container in facts.containers if container.role != "sidecar"]
    mains = [container for container in ours if container.role == "main"]
    return Pod(
        name=facts.name,
        node=facts.node,
        finished=facts.phase in {PodPhase.SUCCEEDED, PodPhase.FAILED},
        succeeded=facts.phase is PodPhase.SUCCEEDED,
        terminating=facts.terminating,
        running=facts.phase is PodPhase.RUNNING,
        ready=facts.ready or _ready_but_for_sidecars(facts, mains),
        started=bool(mains) and (all(map(_has_started, mains)) or any(map(_crashed, ours))),
        unhealthy=any(map(_crashed, ours)),
        trouble=trouble_of(facts),
        cpu_milli=facts.requests.cpu_milli,
        memory_bytes=facts.requests.memory_bytes,
        gpu_millionths=facts.requests.gpu_millionths,
    )


def trouble_of(facts: PodFacts) -> str:
    """Return what is wrong with a pod, in one sentence; empty when nothing is."""
    ours = (container for container in facts.containers if container.role != "sidecar")
    if complaint := next((complaint for container in ours if (complaint := _complaint(container))), ""):
        return clean(f"Pod {facts.name}: {complaint}.")
    if facts.phase is PodPhase.FAILED:
        why = ": ".join(filter(None, (facts.reason, facts.message.rstrip(".")))) or "no reason is known"
        return clean(f"Pod {facts.name} failed: {why}.")
    return ""


def clean(text: str) -> str:
    """Return a text that a database takes."""
    return text.replace(INVALID_CHARACTER, "") if INVALID_CHARACTER in text else text


def _done(container: ContainerFacts) -> bool:
    return container.state is ContainerState.TERMINATED and container.exit_code == 0


def _ready_but_for_sidecars(facts: PodFacts, mains: list[ContainerFacts]) -> bool:
    """Whether the main containers ended well or are ready, and Kubernetes calls the pod unready for a container alone.

    Where every container is ready and the pod is not, a readiness gate or its node is the cause, and that counts.
    """
    well = bool(mains) and all(_done(container) or container.ready for container in mains)
    return well and any(not container.ready for container in facts.containers if container.role != "init")


def _has_started(container: ContainerFacts) -> bool:
    return container.state is not ContainerState.WAITING or container.restarts > 0


def _crashed(container: ContainerFacts) -> bool:
    """Whether a container failed and has not recovered. One that waits to be tried again counts; an image does not."""
    if container.ready or _done(container):
        return False
    ended_badly = container.state is ContainerState.TERMINATED
    return ended_badly or container.reason == CRASH_LOOP or container.restarts > 0


def _complaint(container: ContainerFacts) -> str:
    said = f" ({container.message.strip().rstrip('.')})" if container.message.strip() else ""
    if container.state is ContainerState.TERMINATED and container.exit_code != 0:
        reason = f", {container.reason}" if container.reason not in {"", "Error"} else ""
        return f"container {container.name} ended with exit code {container.exit_code}{reason}{said}"
    if container.state is ContainerState.WAITING and container.reason not in ORDINARY_WAITS:
        times = f" after {container.restarts} restarts" if container.restarts else ""
        return f"container {container.name} waits{times}: {container.reason}{said}"
    if container.restarts and not container.ready and not _done(container):
        return f"container {container.name} was restarted {container.restarts} times and is not ready"
    return ""
