"""What is done in Kubernetes because it was asked: make, stop, activate and delete the objects of workloads; make the
namespaces of projects.

Level-triggered: a deed looks at the fold when it runs and does the one thing that is open, so it may run any number of
times, and after `kill -9` at any point. Between the write in Kubernetes and the fact in the journal lies a gap; who
starts again finds the object there, recognises it by its label and only writes the fact.

An object is created, not applied: server-side apply would take over a stranger's object of the same name, and revive
one that somebody deleted meanwhile. What is stopped, activated or deleted carries the UID, so that it happens to the
object that was seen or to none.

What Kubernetes will never take as a new object is a fact, and the workload hears it. Every other refusal (rights, a
quota, a policy) somebody may mend while the wish still stands: it is logged and tried again, with back-off.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog
from muster_chassis.following import Progress
from muster_cluster.port import Cluster, Conflicted, Forbidden, NotFound, Rejected, Resource
from muster_contracts.errors import Unavailable
from muster_contracts.events import ObjectsApplied, ObjectsRefused
from muster_contracts.names import PROJECT, WORKLOAD_ID
from muster_contracts.values import ObjectRef, Patch
from muster_journal.port import Conflict, Journal

from muster_submitter.core.manifest import manifest_of, namespace_of
from muster_submitter.core.state import State
from muster_submitter.core.workload import Wish, Workload

log = structlog.get_logger()

Object = dict[str, Any]

JOBS: Resource[Object] = Resource("batch", "v1", "jobs", "Job", dict)
NAMESPACES: Resource[Object] = Resource("", "v1", "namespaces", "Namespace", dict, namespaced=False)


def resource_of(reference: ObjectRef) -> Resource[Object]:
    """Return how the objects of a reference's kind are addressed."""
    group, _, version = reference.api_version.rpartition("/")
    return Resource(group, version, reference.resource, reference.kind, dict, namespaced=bool(reference.namespace))


@contextmanager
def _refusals_are_tried_again(deed: str) -> Iterator[None]:
    """Make a refusal the world's error. Raises Unavailable with what was refused, and why."""
    try:
        yield
    except Rejected as error:
        raise Unavailable(f"Kubernetes refuses to {deed}: {error.message}") from error


class WorkloadDeeds:
    """Keeps what was asked of workloads. Keys are workload ids; the chassis' deeds call `keep` for each."""

    def __init__(self, journal: Journal, cluster: Cluster, state: State, progress: Progress) -> None:
        self._journal = journal
        self._cluster = cluster
        self._state = state
        self._progress = progress
        self._contested: dict[UUID, int] = {}  # workload to the position of the controls that came too late

    def open(self) -> list[UUID]:
        """Return the workloads about which something is still to be done."""
        return [workload.id for workload in self._state.workloads.values() if workload.has_open_deed]

    async def keep(self, workload_id: UUID) -> None:
        """Do what is open about one workload. Raises Unavailable to be called again."""
        workload = self._state.workloads.get(workload_id)
        if workload is None:
            return
        if workload.must_be_made:
            await self._make(workload)
        elif workload.must_be_recorded:
            await self._record(workload)
        elif workload.must_be_deleted:
            await self._delete(workload)
        elif workload.must_be_stopped or workload.must_be_activated:
            await self._switch(workload)

    # ------------------------------------------------------------ making

    async def _make(self, workload: Workload) -> None:
        assert workload.submission is not None
        assert workload.submission.event is not None, "what is gone is not made"
        suspend = workload.wish is Wish.STOP or bool(workload.delete_at)
        manifest = manifest_of(workload.submission.event, suspend=suspend)
        try:
            found = await self._create(workload, manifest)
        except Forbidden as error:
            raise Unavailable(f"Kubernetes refuses to make Job {workload.name}: {error.message}") from error
        except Rejected as error:
            await self._refuse(workload, f"Kubernetes does not take it: {error.message}")
            return
        if found["metadata"].get("labels", {}).get(WORKLOAD_ID) != str(workload.id):
            await self._refuse(workload, _taken(workload))
        elif not workload.applied:
            await self._append(workload, _applied(workload, found))

    async def _record(self, workload: Workload) -> None:
        try:
            with _refusals_are_tried_again(f"show Job {workload.name}"):
                found = await self._cluster.get(JOBS, workload.namespace, workload.name)
        except NotFound:
            return  # that it is gone will be seen
        await self._append(workload, _applied(workload, found))

    async def _create(self, workload: Workload, manifest: Object) -> Object:
        """Create the object and return it, or the one that has its name already. Raises Rejected."""
        try:
            return await self._cluster.create(JOBS, manifest)
        except NotFound:
            with _refusals_are_tried_again(f"make the namespace {workload.namespace}"):
                await self._cluster.apply(NAMESPACES, namespace_of(workload.project, workload.namespace))
            raise Unavailable(f"The namespace {workload.namespace} was missing and is made again.") from None
        except Conflicted:
            return await self._present(workload, manifest["metadata"]["name"])

    async def _present(self, workload: Workload, name: str) -> Object:
        try:
            with _refusals_are_tried_again(f"show Job {name}"):
                found = await self._cluster.get(JOBS, workload.namespace, name)
        except NotFound:
            raise Unavailable(f"The Job {name} was there and is gone.") from None
        if found["metadata"].get("deletionTimestamp"):
            raise Unavailable(f"An older Job {name} is still being deleted.")
        return found

    async def _refuse(self, workload: Workload, reason: str) -> None:
        log.info("Kubernetes refuses the objects of a workload.", workload=str(workload.id), reason=reason)
        await self._append(workload, ObjectsRefused(workload_id=workload.id, reason=reason))

    async def _append(self, workload: Workload, event: ObjectsApplied | ObjectsRefused) -> None:
        """Append under our own last position; when something came between, look again."""
        try:
            position = await self._journal.append(event, expected=workload.version)
        except Conflict as lost:
            await self._progress.reach(lost.actual)
            raise Unavailable("More was asked of the workload while its objects were made.") from lost
        await self._progress.reach(position)

    # ------------------------------------------------------------ stopping and activating

    async def _switch(self, workload: Workload) -> None:
        assert workload.seen is not None
        controls = workload.seen.controls
        patches = controls.stop if workload.must_be_stopped else controls.activate
        if not patches:
            log.warning(
                "A workload has no way to do what was asked.", workload=str(workload.id), reason=controls.reason
            )
        verb = "stop" if workload.must_be_stopped else "activate"
        try:
            with _refusals_are_tried_again(f"{verb} {workload.name}"):
                for patch in patches:
                    await self._patch(workload, patch, workload.seen.position)
        except NotFound:
            return  # it is going; what follows is seen and folded
        self._contested.pop(workload.id, None)

    async def _patch(self, workload: Workload, patch: Patch, controls_position: int) -> None:
        """Send a patch on the version it was made from.

        When the object changed since, newer controls may be on their way: wait for them once. If the same ones still
        hold then, nothing that matters to them has changed, and they are sent on the version that is.
        """
        version = patch.resource_version
        if self._contested.get(workload.id) == controls_position:
            version = await self._live_version(patch)
        try:
            await self._send(patch, version)
        except Conflicted as error:
            self._contested[workload.id] = controls_position
            raise Unavailable(f"{patch.object.kind} {patch.object.name} changed meanwhile: {error.message}") from error

    async def _live_version(self, patch: Patch) -> str:
        found = await self._cluster.get(resource_of(patch.object), patch.object.namespace, patch.object.name)
        return str(found["metadata"].get("resourceVersion", ""))

    async def _send(self, patch: Patch, version: str) -> None:
        reference = patch.object
        uid = {"uid": str(reference.uid)} if reference.uid else {}
        precondition = uid | ({"resourceVersion": version} if version else {})
        body = patch.body | {"metadata": patch.body.get("metadata", {}) | precondition}
        await self._cluster.patch(resource_of(reference), reference.namespace, reference.name, body)

    # ------------------------------------------------------------ deleting

    async def _delete(self, workload: Workload) -> None:
        """Delete every object; one that is refused does not keep the others."""
        assert workload.seen is not None
        refusals: list[str] = []
        for reference in workload.seen.controls.delete:
            try:
                await self._delete_object(reference)
            except (NotFound, Conflicted):
                continue  # gone, or another object has its name by now
            except Rejected as error:
                refusals.append(f"{reference.kind} {reference.name} ({error.message})")
        if refusals:
            raise Unavailable(f"Kubernetes refuses to delete {', '.join(refusals)}.")

    async def _delete_object(self, reference: ObjectRef) -> None:
        uid = str(reference.uid) if reference.uid else None
        await self._cluster.delete(resource_of(reference), reference.namespace, reference.name, uid=uid)


class ProjectDeeds:
    """Makes the namespaces of projects, or marks those that are there. Keys are names of projects."""

    def __init__(self, cluster: Cluster, state: State) -> None:
        self._cluster = cluster
        self._state = state

    async def keep(self, name: str) -> None:
        """See to it that a project's namespace exists and says whose it is."""
        project = self._state.projects.get(name)
        if project is None or project.event.removed:
            return
        with _refusals_are_tried_again(f"make or mark the namespace {project.event.namespace}"):
            await self._ensure(name, project.event.namespace)

    async def _ensure(self, project: str, namespace: str) -> None:
        try:
            found = await self._cluster.get(NAMESPACES, "", namespace)
        except NotFound:
            found = {"metadata": {}}
        if found["metadata"].get("labels", {}).get(PROJECT) != project:
            await self._cluster.apply(NAMESPACES, namespace_of(project, namespace))


def _applied(workload: Workload, found: Object) -> ObjectsApplied:
    metadata = found["metadata"]
    return ObjectsApplied(
        workload_id=workload.id, object_id=UUID(metadata["uid"]), resource_version=metadata["resourceVersion"]
    )


def _taken(workload: Workload) -> str:
    return f"The namespace {workload.namespace} already has a Job {workload.name!r} that is not this workload's."
