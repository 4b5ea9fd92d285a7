"""From a question of the API server to its answer: gathers what the rules must know, and says what they say.

What is known comes from the fold (projects), from the namespaces as they are seen, and, only for an object on which
somebody other than the submitter changes Muster's own labels, from its controller: as the mirror has it, else as the
API server does, because pods are made before a watch tells of their owner.

A project may be so young that the fold has not come to it, and its namespace is used at once. So of a namespace that
belongs to nobody the journal is asked for its end, and is read up to there, before it is taken for nobody's.
"""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Any, Final, Protocol

import msgspec
from muster_cluster.metadata import Metadata, OwnerReference
from muster_cluster.objects import NAMESPACES, Described, Namespace, Raw
from muster_cluster.port import Cluster, ClusterError, Resource
from muster_cluster.reflector import Reflector
from muster_contracts.names import ENFORCE_SCHEDULER_NAMES

from muster_integrations.admission.answers import NOTHING, Answer, Context, read
from muster_integrations.admission.configurations import SECONDS
from muster_integrations.admission.marks import changed_marks
from muster_integrations.admission.review import review
from muster_integrations.handlers import Recorder
from muster_integrations.question import API_VERSION, KIND, Question
from muster_integrations.recognition.kinds import group_of
from muster_integrations.recognition.table import TABLE

_READING_SECONDS: Final = SECONDS * 0.8  # leaves time to answer before the API server gives up


class Ending(Protocol):
    """Whoever knows where the journal ends: the journal."""

    async def end(self) -> int:
        """Return the position of its last event."""
        ...


class Reviewer:
    """Answers reviews. Until `know_the_ground` returns it knows too little to be asked."""

    def __init__(self, recorder: Recorder, journal: Ending, cluster: Cluster, random: Random, submitter: str) -> None:
        self._recorder = recorder
        self._journal = journal
        self._cluster = cluster
        self._submitter = submitter
        self._random = random
        self._namespaces: Mapping[tuple[str, str], Namespace] = {}
        self._listed = asyncio.Event()

    async def watch_namespaces(self) -> None:
        """Follow what namespaces ask for, for ever."""
        reflector: Reflector[Namespace] = Reflector(self._cluster, NAMESPACES, random=self._random)
        self._namespaces = reflector.items
        async with aclosing(reflector.run()) as batches:
            async for batch in batches:
                if batch.synced:
                    self._listed.set()

    async def know_the_ground(self) -> None:
        """Wait until the journal was read to its end and the namespaces were listed."""
        await self._recorder.progress.catch_up()
        await self._listed.wait()

    async def answer(self, question: Question) -> dict[str, Any]:
        """Return the AdmissionReview that answers one. Raises Unavailable when what it takes to know cannot be had."""
        written = question.written
        said = review(written, await self._context(question, written)) if written is not None else NOTHING
        return {"apiVersion": API_VERSION, "kind": KIND, "response": _response(question.uid, said)}

    async def _context(self, question: Question, written: Raw) -> Context:
        context = Context(
            user=question.user_info.username,
            submitter=self._submitter,
            old=question.old_object,
            project=await self._project_of(question.namespace),
            projects=frozenset(self._recorder.fold.projects.values()),
            enforced=self._enforces(question.namespace),
        )
        if changed_marks(written, context):
            return replace(context, owner_labels=await self._owner_labels(written, question.namespace))
        return context

    async def _project_of(self, namespace: str) -> str:
        """Return the project of a namespace, empty if it is nobody's at this moment."""
        if namespace and self._recorder.fold.project_of(namespace) is None:
            end = await self._journal.end()
            await self._recorder.progress.reach(end, timeout_seconds=_READING_SECONDS)
        return self._recorder.fold.project_of(namespace) or ""

    def _enforces(self, namespace: str) -> bool:
        """Say whether a namespace wants all its pods scheduled by Muster; Run:ai has a label for that."""
        found = self._namespaces.get(("", namespace))
        if found is None:
            return False
        written = {**found.metadata.labels, **found.metadata.annotations}
        return any(written.get(name) == "true" for name in ENFORCE_SCHEDULER_NAMES)

    async def _owner_labels(self, written: Raw, namespace: str) -> Mapping[str, str]:
        described = read(written, Described)
        controller = described.metadata.controller if described is not None else None
        owner = await self._owner(controller, namespace) if controller is not None else None
        return owner.labels if owner is not None else {}

    async def _owner(self, reference: OwnerReference, namespace: str) -> Metadata | None:
        """Return the object with the UID of a reference; None when it is not there, or of a kind nobody knows."""
        known = self._recorder.mirror.by_uid(reference.uid)
        if known is not None:
            return known.metadata
        kind = TABLE.get((group_of(reference.api_version), reference.kind))
        if kind is None or kind.watch is None:
            return None
        version = reference.api_version.rpartition("/")[2]
        resource = Resource(kind.group, version, kind.watch.plural, kind.name, Described, kind.watch.namespaced)
        try:
            found = await self._cluster.get(resource, namespace, reference.name)
        except ClusterError:
            return None
        return found.metadata if found.metadata.uid == reference.uid else None


def _response(uid: str, answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"uid": uid, "allowed": not answer.refusal}
    if answer.refusal:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": answer.refusal}
    if answer.patches:
        patch = base64.b64encode(msgspec.json.encode(answer.patches)).decode()
        response |= {"patchType": "JSONPatch", "patch": patch}
    if answer.warnings:
        response["warnings"] = list(answer.warnings)
    return response
