"""The kubelets of all nodes: one reconciler that admits, runs, reports and ends the pods bound to them.

What runs is simulated (`containers.PodMachine`, moved by time alone); what is reported is what a kubelet would report
(`pod_status`). Books are kept per node, so a pod for which there is no room left is rejected as a kubelet rejects it:
two schedulers that give away the same GPU do not go unnoticed. A node with the annotation `sim.down: "true"` stands
still: nothing on it is reported or ended until the annotation goes.

Everything needed to go on after a restart is in the pods' own status: the first thing done is to take up every pod
that had been started, before any new one is admitted.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.containers import Container, Role
from simcluster.errors import ApiError, not_found
from simcluster.kube_events import EventRecorder
from simcluster.logs import LogLine, container_named, lines_of, run_of
from simcluster.machinery import Change, Key
from simcluster.placement import allocatable, lacking, selects
from simcluster.pod_machine import PodMachine, new_machine, take_up
from simcluster.pod_status import status_of
from simcluster.pods import (
    controller_of,
    is_finished,
    is_terminating,
    name_of,
    namespace_of,
    phase_of,
    requests_of,
    spec_of,
    uid_of,
)
from simcluster.quantities import Amounts, add_to
from simcluster.resources import Object

DOWN = "sim.down"
JOBS = "jobs.batch"
INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"
FAILED_BEFORE = "sim.failed-before"
DEFAULT_GRACE_SECONDS = 30
OVERDUE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


def is_down(node: Object) -> bool:
    """Say whether somebody plays that the node's kubelet is dead."""
    return (node["metadata"].get("annotations") or {}).get(DOWN) == "true"


@dataclass(slots=True)
class _Books:
    """What a node's kubelet knows."""

    name: str
    used: Amounts = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    pods: dict[Key, None] = field(default_factory=dict)  # a set would not keep its order from run to run
    addresses: set[str] = field(default_factory=set)
    last_address: int = 1

    def take_address(self, network: str) -> str:
        """Return a free address in the node's /24, the same ones in the same order each time."""
        prefix = network.rsplit(".", 1)[0]
        for _ in range(253):
            self.last_address = self.last_address + 1 if self.last_address < 254 else 2
            address = f"{prefix}.{self.last_address}"
            if address not in self.addresses:
                break
        self.addresses.add(address)
        return address


@dataclass(slots=True)
class _Held:
    """A pod that was admitted and has not ended."""

    uid: str
    node: str
    requests: Amounts
    machine: PodMachine
    address: str
    deadline: datetime | None
    annotations: Mapping[str, str] | None
    grace_seconds: float | None = None
    written_version: str = ""
    again: datetime | None = None


@dataclass(slots=True)
class _Node:
    """The `Host` of one pod's machine."""

    kubelet: "Kubelet"
    books: _Books
    pod: Object

    def has_image(self, image: str) -> bool:
        return image in self.books.images

    def keep_image(self, image: str) -> None:
        self.books.images.add(image)

    def failures_before(self, container: Container) -> int:
        if container.role is not Role.MAIN:
            return container.restart_count
        return container.restart_count + self.kubelet.failures_of_job(self.pod) + _failures_noted(self.pod)

    def record(self, kind: str, reason: str, message: str, container: Container) -> None:
        listed = "containers" if container.role is Role.MAIN else "initContainers"
        path = f"spec.{listed}{{{container.name}}}"
        self.kubelet.events.record(self.pod, kind, reason, message, "kubelet", self.books.name, path)


class Kubelet:
    """Plays the kubelet of every node in the cluster."""

    watches = ("pods", "nodes")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self.events = events
        self._client = client
        self._clock = clock
        self._books: dict[str, _Books] = {}
        self._held: dict[Key, _Held] = {}
        self._took_up = False

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the pod, or all pods of the node: it may have come back."""
        obj = change.object
        if change.kind == "nodes":
            return list(self._books_of(name_of(obj)).pods)
        return [(namespace_of(obj), name_of(obj))] if obj["spec"].get("nodeName") else []

    def reconcile(self, key: Key) -> datetime | None:
        """Bring one pod to where it should be now."""
        if not self._took_up:
            self._take_up_all()
        pod = self._client.get("pods", *key)
        held = self._held.get(key)
        if held is not None and (pod is None or uid_of(pod) != held.uid):
            self._release(key)
        if pod is None or not pod["spec"].get("nodeName"):
            return None
        return self._attend(key, pod)

    def _take_up_all(self) -> None:
        self._took_up = True
        for pod in self._client.list("pods"):
            if pod["spec"].get("nodeName") and pod.get("status", {}).get("startTime") and not is_finished(pod):
                node = _Node(self, self._books_of(pod["spec"]["nodeName"]), pod)
                self._hold(pod, take_up(pod, node, self._clock.now()))

    def _attend(self, key: Key, pod: Object) -> datetime | None:
        books = self._books_of(pod["spec"]["nodeName"])
        if is_finished(pod):
            self._release(key)
            books.pods.pop(key, None)
            if is_terminating(pod):
                self._remove(pod)
            return None
        books.pods[key] = None
        node = self._client.get("nodes", None, books.name)
        if node is None or is_down(node):
            return None
        held = self._held.get(key) or self._admit(pod, node, books)
        return None if held is None else self._move(key, held, pod, node)

    def _move(self, key: Key, held: _Held, pod: Object, node: Object) -> datetime | None:
        now = self._clock.now()
        machine = held.machine
        nothing_due = held.again is None or held.again > now
        if nothing_due and pod["metadata"]["resourceVersion"] == held.written_version:
            return held.again
        machine.host = _Node(self, self._books_of(held.node), pod)
        machine.advance(now)
        if pod["metadata"].get("annotations") != held.annotations:
            held.annotations = pod["metadata"].get("annotations")
            machine.follow_script(pod, now)
            machine.advance(now)
        self._stop_if_told(held, pod, now)
        self._report(held, pod, node, now)
        if machine.all_ended:
            self._release(key)
            if is_terminating(pod):
                self._remove(pod)
            return None
        held.again = self._next_instant(held, now)
        return held.again

    def _next_instant(self, held: _Held, now: datetime) -> datetime | None:
        instants = [held.machine.next_instant(now), held.deadline if not held.machine.stopping else None]
        return min((instant for instant in instants if instant is not None), default=None)

    def _stop_if_told(self, held: _Held, pod: Object, now: datetime) -> None:
        grace: float | None = None
        if is_terminating(pod):
            grace = pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
        elif held.deadline is not None and held.deadline <= now:
            grace = pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
            held.machine.failure = OVERDUE
        if grace is not None and (held.grace_seconds is None or grace < held.grace_seconds):
            held.grace_seconds = grace
            held.machine.stop(now, grace)
            held.machine.advance(now)

    def _report(self, held: _Held, pod: Object, node: Object, now: datetime) -> None:
        status = status_of(pod, held.machine, now, _address_of(node), held.address)
        if status != pod.get("status"):
            pod = self._client.update_status("pods", {**pod, "status": status})
        held.written_version = pod["metadata"]["resourceVersion"]

    def _remove(self, pod: Object) -> None:
        try:
            self._client.delete("pods", namespace_of(pod), name_of(pod), uid=uid_of(pod), grace_seconds=0)
        except ApiError as error:
            if error.code not in {404, 409}:  # it went by itself, or another has its name by now
                raise

    def _admit(self, pod: Object, node: Object, books: _Books) -> _Held | None:
        if is_terminating(pod):
            self._remove(pod)
            return None
        refusal = self._refusal(pod, node, books)
        if refusal is not None:
            self._reject(pod, *refusal)
            return None
        return self._hold(pod, new_machine(pod, _Node(self, books, pod), self._clock.now()))

    def _refusal(self, pod: Object, node: Object, books: _Books) -> tuple[str, str] | None:
        if not selects(pod, node):
            return "NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
        wanted, capacity = requests_of(pod), allocatable(node)
        free = dict(capacity)
        add_to(free, books.used, times=-1)
        resource = lacking(free, wanted)
        if not resource:
            return None
        if "/" in resource:
            return "UnexpectedAdmissionError", (
                "Allocate failed due to requested number of devices unavailable for "
                f"{resource}. Requested: {wanted[resource]}, Available: {max(0, free.get(resource, 0))}, "
                "which is unexpected"
            )
        return f"OutOf{resource}", (
            f"Node didn't have enough resource: {resource}, requested: {wanted[resource]}, "
            f"used: {books.used.get(resource, 0)}, capacity: {capacity.get(resource, 0)}"
        )

    def _reject(self, pod: Object, reason: str, message: str) -> None:
        before = pod.get("status", {})
        rejected = {"phase": "Failed", "reason": reason, "message": f"Pod was rejected: {message}"}
        status = {**before, **rejected, "startTime": to_timestamp(self._clock.now())}
        self._client.update_status("pods", {**pod, "status": status})
        self.events.record(pod, "Warning", reason, message, "kubelet", pod["spec"]["nodeName"])

    def _hold(self, pod: Object, machine: PodMachine) -> _Held:
        books = self._books_of(pod["spec"]["nodeName"])
        address = pod.get("status", {}).get("podIP") or self._new_address(pod, books)
        annotations = pod["metadata"].get("annotations")
        held = _Held(uid_of(pod), books.name, requests_of(pod), machine, address, self._deadline(pod), annotations)
        key = (namespace_of(pod), name_of(pod))
        self._held[key] = held
        books.pods[key] = None
        books.addresses.add(address)
        add_to(books.used, held.requests)
        return held

    def _new_address(self, pod: Object, books: _Books) -> str:
        node = self._client.get("nodes", None, books.name) or {}
        if pod["spec"].get("hostNetwork"):
            return _address_of(node)
        return books.take_address(spec_of(node).get("podCIDR", "10.244.0.0/24"))

    def _deadline(self, pod: Object) -> datetime | None:
        seconds = pod["spec"].get("activeDeadlineSeconds")
        if seconds is None:
            return None
        start = pod.get("status", {}).get("startTime")
        return (from_timestamp(start) if start else self._clock.now()) + timedelta(seconds=seconds)

    def _release(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            books = self._books_of(held.node)
            add_to(books.used, held.requests, times=-1)
            books.addresses.discard(held.address)
            books.pods.pop(key, None)

    def _books_of(self, node: str) -> _Books:
        books = self._books.get(node)
        if books is None:
            books = self._books[node] = _Books(node)
        return books

    def failures_of_job(self, pod: Object) -> int:
        """Return how often this pod's work failed before in other pods of its Job, of its index if it has one."""
        owner = controller_of(pod)
        if owner is None or owner["kind"] != "Job":
            return 0
        failed = [
            each
            for each in self._client.list("pods", namespace_of(pod), owner_uid=owner["uid"])
            if phase_of(each) == "Failed"
        ]
        index = _index_of(pod)
        if index is not None:
            return sum(1 for each in failed if _index_of(each) == index)
        job = self._client.get(JOBS, namespace_of(pod), owner["name"])
        counted = int(job.get("status", {}).get("failed", 0)) if job else 0
        return counted + sum(1 for each in failed if TRACKING in each["metadata"].get("finalizers", []))

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        previous: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
    ) -> list[LogLine]:
        """Return what a container printed; ApiError 404 without such a pod, 400 when there is no log to be had."""
        found = self._pod(namespace, pod)
        chosen = container_named(found, container)
        run = run_of(found, chosen["name"], previous)
        lines = [
            line for line in lines_of(found, chosen, run, self._clock.now()) if since is None or line.instant >= since
        ]
        return lines if tail is None else lines[max(0, len(lines) - tail) :]

    def _pod(self, namespace: str, name: str) -> Object:
        pod = self._client.get("pods", namespace, name)
        if pod is None:
            raise not_found("pods", name)
        return pod

    async def follow_logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        previous: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
    ) -> AsyncIterator[LogLine]:
        """Yield what a container printed and what it goes on to print, until its run ends or its pod goes."""
        uid = uid_of(self._pod(namespace, pod))
        lines = self.logs(namespace, pod, container, previous=previous, tail=tail, since=since)
        seen = len(self.logs(namespace, pod, container, previous=previous))
        for line in lines:
            yield line
        start = self._run_start(namespace, pod, container, uid)
        while not previous and start is not None and self._run_start(namespace, pod, container, uid) == start:
            everything = self.logs(namespace, pod, container)
            for line in everything[seen:]:
                yield line
            seen = len(everything)
            if self._run_ended(namespace, pod, container):
                return
            await self._clock.sleep(1.0)

    def _run_start(self, namespace: str, name: str, container: str | None, uid: str) -> datetime | None:
        pod = self._client.get("pods", namespace, name)
        if pod is None or uid_of(pod) != uid:
            return None
        return run_of(pod, container_named(pod, container)["name"], previous=False).started_at

    def _run_ended(self, namespace: str, name: str, container: str | None) -> bool:
        pod = self._pod(namespace, name)
        return run_of(pod, container_named(pod, container)["name"], previous=False).finished_at is not None


def _index_of(pod: Object) -> Any:
    return (pod["metadata"].get("annotations") or {}).get(INDEX)


def _failures_noted(pod: Object) -> int:
    """Return how often the pod's work failed before in other pods, as an operator that retries has noted on it."""
    text = str((pod["metadata"].get("annotations") or {}).get(FAILED_BEFORE, ""))
    return int(text) if text.isdecimal() else 0


def _address_of(node: Object) -> str:
    addresses = node.get("status", {}).get("addresses", [])
    return next((str(each["address"]) for each in addresses if each["type"] == "InternalIP"), "127.0.0.1")
