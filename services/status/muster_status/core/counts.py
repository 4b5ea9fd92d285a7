"""Counts the pods of one workload as they change, so that many thousands cost no more per event than a few.

A pod is taken out of the count as it was and put in again as it is; nothing is ever counted anew.
"""

from dataclasses import dataclass

from muster_status.core.pod import Pod


@dataclass(slots=True)
class Counts:
    """How many pods there are of each sort. `present` ones are not finished; `live` ones are not terminating either.

    `scheduled`, `ready`, `started`, `unhealthy` are live ones; `succeeded` and `failed` are of all time.
    """

    present: int = 0
    live: int = 0
    scheduled: int = 0
    running: int = 0
    ready: int = 0
    started: int = 0
    unhealthy: int = 0
    succeeded: int = 0
    failed: int = 0

    def add(self, pod: Pod, by: int = 1) -> None:
        """Count a pod, or take it out of the count again (-1)."""
        if pod.finished:
            self.succeeded += by * pod.succeeded
            self.failed += by * (not pod.succeeded and not pod.terminating)  # an evicted one did not fail by itself
            return
        self.present += by
        if pod.terminating:
            return
        self.live += by
        self.scheduled += by * bool(pod.node)
        self.running += by * pod.running
        self.ready += by * (pod.ready and bool(pod.node))
        self.started += by * pod.started
        self.unhealthy += by * pod.unhealthy
