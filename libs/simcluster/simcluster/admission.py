"""Admission: what webhooks have to say to a write before it is stored.

The registry asks `Admission.review` twice for each write, before and after its own checks, and goes on with the object
it gets back. Webhooks are asked over the network and the registry does not wait, so a write is *attempted*: while an
answer is missing, `review` raises `Unreviewed`; whoever attempted (the API server for a request, the machinery for a
controller) awaits `Unreviewed.ask` and makes the same attempt again, from the world as it is then. The answers are
kept with the `Caller`, under all that webhooks were shown: if the object has changed meanwhile, they are asked anew.

A caller without a name (None: the cluster's own start, a test's hand) goes past the webhooks. Configurations of
webhooks are never reviewed, so that a broken one can always be taken away.
"""

import asyncio
import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from simcluster import patches, structure, webhooks
from simcluster.errors import ApiError, conflict
from simcluster.identity import User
from simcluster.resources import Object, Resource
from simcluster.webhook_calls import CallFailed, Lookup, WebhookCalls
from simcluster.webhooks import MUTATING, VALIDATING, Subject, Webhook

_REVIEW = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}
_MOST_ATTEMPTS = 5  # as often Kubernetes tries a patch against an object that keeps changing


@dataclass(frozen=True)
class Attempt:
    """A write as webhooks are shown it; `version` is the one its caller speaks, bodies are in the stored one."""

    operation: str
    resource: Resource
    version: str
    subresource: str
    namespace: str | None
    name: str
    body: Object | None
    old: Object | None
    options: Object
    dry_run: bool

    @property
    def subject(self) -> Subject:
        """What rules are compared with."""
        return Subject(self.operation, self.resource, self.subresource, in_namespace=self.resource.namespaced)

    def digest(self, stage: str) -> bytes:
        """Return what tells this attempt from every other that webhooks would be shown something else in."""
        place = (stage, self.operation, self.resource.key, self.version, self.subresource, self.namespace, self.name)
        shown = (place, _unmanaged(self.body), _unmanaged(self.old), self.options)
        return hashlib.blake2b(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)).digest()


class _Answer(NamedTuple):
    body: Object | None
    refusal: ApiError | None = None


@dataclass
class Caller:
    """Who writes, and what has been settled about the write under way; it makes one write after the other."""

    user: User
    warnings: list[str] = field(default_factory=list)
    _answers: dict[bytes, _Answer] = field(default_factory=dict)
    _asked: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _drawn: dict[str, Any] = field(default_factory=dict)

    def once(self, what: str, draw: Callable[[], Any]) -> Any:
        """Return what `draw` gave at the first attempt of the write: uid and name stay what webhooks were shown."""
        if what not in self._drawn:
            self._drawn[what] = draw()
        return self._drawn[what]

    def known(self, digest: bytes) -> _Answer | None:
        """Return what the webhooks answered."""
        return self._answers.get(digest)

    def learn(self, digest: bytes, answer: _Answer) -> None:
        """Keep what the webhooks answered until the write is over."""
        self._answers[digest] = answer

    def count(self, attempt: Attempt, stage: str) -> None:
        """Count a question; ApiError 409 when its object changes faster than webhooks answer."""
        about = (stage, attempt.operation, attempt.resource.key, attempt.namespace or "", attempt.name)
        self._asked[about] += 1
        if self._asked[about] > _MOST_ATTEMPTS:
            raise conflict(attempt.resource.key, attempt.name, "the object has been modified while webhooks were asked")

    def finish_write(self) -> None:
        """Forget what concerned the write that is now let through."""
        self._answers.clear()
        self._asked.clear()
        self._drawn.clear()


class Unreviewed(Exception):
    """An attempt that webhooks must be asked about first: await `ask`, then attempt again."""

    def __init__(self, admission: "Admission", stage: str, attempt: Attempt, caller: Caller) -> None:
        super().__init__(f"{stage} of {attempt.operation} {attempt.resource.key} {attempt.name}")
        self._admission = admission
        self._stage, self._attempt, self._caller = stage, attempt, caller

    async def ask(self) -> None:
        """Ask the webhooks and let the caller know what they say."""
        hearing = self._admission.mutate if self._stage == MUTATING else self._admission.validate
        try:
            answer = _Answer(await hearing(self._attempt, self._caller))
        except ApiError as refusal:
            answer = _Answer(None, refusal)
        self._caller.learn(self._attempt.digest(self._stage), answer)


class Admission:
    """The webhooks of a cluster."""

    def __init__(self, lookup: Lookup, new_uid: Callable[[], str]) -> None:
        self._lookup = lookup
        self._new_uid = new_uid
        self._calls = WebhookCalls(lookup)
        self._webhooks: dict[str, list[Webhook]] = {MUTATING: [], VALIDATING: []}

    @property
    def idle(self) -> bool:
        """Whether there is no webhook at all."""
        return not self._webhooks[MUTATING] and not self._webhooks[VALIDATING]

    def configure(self, stage: str, configurations: Iterable[Object]) -> None:
        """Take these configurations, and no others, as those of a stage."""
        ordered = sorted(configurations, key=lambda each: str(each["metadata"]["name"]))
        self._webhooks[stage] = [webhook for each in ordered for webhook in webhooks.read(each)]

    async def close(self) -> None:
        """Close the connections to webhooks."""
        await self._calls.close()

    def review(self, stage: str, attempt: Attempt, caller: Caller | None) -> Object | None:
        """Return the object to go on with; raises Unreviewed while webhooks must be asked, ApiError when they refuse.

        `VALIDATING` is the last stage of a write: with it the caller's write is over.
        """
        if caller is None:
            return attempt.body
        body = self._heard(stage, attempt, caller) if self._concerned(stage, attempt) else attempt.body
        if stage == VALIDATING:
            caller.finish_write()
        return body

    def _heard(self, stage: str, attempt: Attempt, caller: Caller) -> Object | None:
        answer = caller.known(attempt.digest(stage))
        if answer is None:
            caller.count(attempt, stage)
            raise Unreviewed(self, stage, attempt, caller)
        if answer.refusal is not None:
            raise answer.refusal
        body: Object | None = _copy(answer.body)
        return body

    async def mutate(self, attempt: Attempt, caller: Caller) -> Object | None:
        """Let webhooks change the object one after the other; those that want to see it again do so once."""
        asked: list[Webhook] = []
        again: list[Webhook] = []
        for webhook in self._webhooks[MUTATING]:
            changed = await self._change(webhook, attempt, caller)
            if changed.body != attempt.body:
                again += [each for each in asked if each.again_if_needed and each not in again]
            attempt = changed
            asked.append(webhook)
        for webhook in again:
            attempt = await self._change(webhook, attempt, caller)
        return attempt.body

    async def validate(self, attempt: Attempt, caller: Caller) -> Object | None:
        """Ask all webhooks at once; the first in order that refuses is heard."""
        concerned = self._concerned(VALIDATING, attempt)
        questions = (self._ask(webhook, version, attempt, caller) for webhook, version in concerned)
        for answer in await asyncio.gather(*questions, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
        return attempt.body

    async def _change(self, webhook: Webhook, attempt: Attempt, caller: Caller) -> Attempt:
        version = self._version_for(webhook, attempt)
        if version is None:
            return attempt
        response = await self._ask(webhook, version, attempt, caller)
        if response is None or not response.get("patch"):
            return attempt
        return replace(attempt, body=_patched(webhook, version, attempt, response))

    async def _ask(self, webhook: Webhook, version: str, attempt: Attempt, caller: Caller) -> Object | None:
        """Return a webhook's consent, None when it failed and may; raises ApiError when it refuses or failed."""
        review = _to_review(attempt, version, caller.user, self._new_uid())
        try:
            answer = await self._calls.ask(webhook, review)
            response = _response(answer, review["request"]["uid"])
        except CallFailed as error:
            if webhook.may_fail:
                return None
            why = f'Internal error occurred: failed calling webhook "{webhook.name}": {error}'
            raise ApiError(500, "InternalError", why) from None
        caller.warnings.extend(str(each) for each in response.get("warnings") or ())
        if not response["allowed"]:
            raise _refusal(webhook, response.get("status") or {})
        return response

    def _concerned(self, stage: str, attempt: Attempt) -> Sequence[tuple[Webhook, str]]:
        """Return the webhooks that want to hear of an attempt, each with the version it wants to see."""
        if attempt.resource.key in (MUTATING, VALIDATING):
            return ()
        pairs = ((webhook, self._version_for(webhook, attempt)) for webhook in self._webhooks[stage])
        return [(webhook, version) for webhook, version in pairs if version is not None]

    def _version_for(self, webhook: Webhook, attempt: Attempt) -> str | None:
        version = webhook.version_for(attempt.subject, attempt.version)
        if version is None or not webhook.selects_object(attempt.body, attempt.old):
            return None
        return version if self._selects_namespace(webhook, attempt) else None

    def _selects_namespace(self, webhook: Webhook, attempt: Attempt) -> bool:
        """Say whether its namespace selector selects where this happens; what is in no namespace is selected."""
        if attempt.resource.key == "namespaces":
            namespace = attempt.body or attempt.old
        elif attempt.namespace:
            namespace = self._lookup("namespaces", "", attempt.namespace)
        else:
            return True
        return webhook.namespaces(((namespace or {}).get("metadata") or {}).get("labels") or {})


def _to_review(attempt: Attempt, version: str, user: User, uid: str) -> Object:
    """Return an attempt as a review, with its objects under a version."""
    group, plural = attempt.resource.group, attempt.resource.plural
    shown = attempt.body if attempt.body is not None else attempt.old
    assert shown is not None
    request: Object = {
        "uid": uid,
        "kind": _kind_of(_under(attempt, version, shown)),
        "resource": {"group": group, "version": version, "resource": plural},
        "requestKind": _kind_of(_under(attempt, attempt.version, shown)),
        "requestResource": {"group": group, "version": attempt.version, "resource": plural},
        "operation": attempt.operation,
        "userInfo": user.to_user_info(),
        "object": _under(attempt, version, attempt.body),
        "oldObject": _under(attempt, version, attempt.old),
        "dryRun": attempt.dry_run,
        "options": attempt.options,
    }
    namespace = attempt.name if attempt.resource.key == "namespaces" else attempt.namespace
    for name, value in (("subResource", attempt.subresource), ("name", attempt.name), ("namespace", namespace)):
        if value:
            request[name] = value
    if attempt.subresource:
        request["requestSubResource"] = attempt.subresource
    return {**_REVIEW, "request": request}


def _under(attempt: Attempt, version: str, body: Object | None) -> Any:
    """Return an object as it looks under a version of its kind; Scale, Binding and Eviction have their own."""
    if body is None or body.get("kind") != attempt.resource.kind:
        return body
    return {**body, "apiVersion": replace(attempt.resource, version=version).api_version}


def _kind_of(body: Object) -> Object:
    group, _, version = str(body.get("apiVersion", "")).rpartition("/")
    return {"group": group, "version": version, "kind": body.get("kind", "")}


def _response(answer: Object, uid: str) -> Object:
    """Return the response in a webhook's answer; raises CallFailed when it is none."""
    kind = {name: answer.get(name) for name in _REVIEW}
    if kind != _REVIEW:
        raise CallFailed(f"received invalid webhook response: expected {_REVIEW}, got {kind}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise CallFailed("webhook response was absent")
    if response.get("uid") != uid:
        raise CallFailed(
            f'received invalid webhook response: expected response.uid="{uid}", got "{response.get("uid")}"'
        )
    if not isinstance(response.get("allowed"), bool):
        raise CallFailed("received invalid webhook response: response.allowed must be true or false")
    if response.get("patch") and response.get("patchType") != "JSONPatch":
        raise CallFailed(f'webhook returned invalid response.patchType of "{response.get("patchType")}"')
    return response


def _refusal(webhook: Webhook, status: Object) -> ApiError:
    said = status.get("message") or status.get("reason")
    denied = f'admission webhook "{webhook.name}" denied the request'
    message = f"{denied}: {said}" if said else f"{denied} without explanation"
    return ApiError(max(400, status.get("code") or 0), status.get("reason") or "", message, status.get("details"))


def _patched(webhook: Webhook, version: str, attempt: Attempt, response: Object) -> Object:
    """Return the object as a webhook wants it; a patch that does not fit is the cluster's fault (ApiError 500)."""
    try:
        operations = orjson.loads(base64.b64decode(response["patch"], validate=True))
        changed = patches.json_patch(_copy(_under(attempt, version, attempt.body)), operations)
        return _checked(attempt, version, changed)
    except (ApiError, ValueError, TypeError, binascii.Error) as error:
        why = f'Internal error occurred: the patch of webhook "{webhook.name}" cannot be applied: {error}'
        raise ApiError(500, "InternalError", why) from None


def _checked(attempt: Attempt, version: str, changed: Any) -> Object:
    """Return a changed object in the stored version; ApiError 400 when it is not of its kind or place any more."""
    before = _under(attempt, version, attempt.body)
    if attempt.subresource in ("", "status", "finalize"):
        structure.check(attempt.resource, changed)
    else:
        structure.check_message(str(before["kind"]), changed)
    for name in ("apiVersion", "kind"):
        if changed.get(name) != before.get(name):
            raise ValueError(f"{name} may not be changed")
    if (changed.get("metadata") or {}).get("namespace") != (before.get("metadata") or {}).get("namespace"):
        raise ValueError("metadata.namespace may not be changed")
    stored: Object = _under(attempt, attempt.resource.version, changed)
    return stored


def _unmanaged(body: Object | None) -> Object | None:
    """Return an object without what tells when its fields were set, which another attempt writes anew."""
    if body is None or "managedFields" not in (body.get("metadata") or {}):
        return body
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": metadata}


def _copy(body: Object | None) -> Any:
    return orjson.loads(orjson.dumps(body))
