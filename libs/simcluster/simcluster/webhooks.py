"""Admission webhooks as they are configured: what a configuration must say, and whom it wants to be asked about.

`admission` asks them, `webhook_calls` carries the questions. Pitfalls: a selector that is absent or empty selects
everything; a rule for `pods` is not one for `pods/status`, a rule for `pods/*` is one for both; of conditions written
in CEL only some are understood (`conditions`), and a configuration with others is refused rather than obeyed by half.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from simcluster.conditions import Condition, NotUnderstood, read_conditions
from simcluster.errors import invalid
from simcluster.resources import Object, Resource
from simcluster.selectors import LabelPredicate, compile_selector

MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.admissionregistration.k8s.io"

_LONGEST_SECONDS = 30
_LEAST_SEGMENTS = 3
_OPERATIONS = ("*", "CREATE", "UPDATE", "DELETE", "CONNECT")
_CHOICES = {
    "sideEffects": ("None", "NoneOnDryRun"),
    "failurePolicy": ("Fail", "Ignore"),
    "matchPolicy": ("Exact", "Equivalent"),
    "reinvocationPolicy": ("Never", "IfNeeded"),
}


@dataclass(frozen=True)
class Subject:
    """What a rule is compared with."""

    operation: str
    resource: Resource
    subresource: str
    in_namespace: bool


@dataclass(frozen=True)
class Rule:
    """Operations on resources a webhook wants to hear of."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[str, ...]
    scope: str

    def matches(self, subject: Subject, version: str) -> bool:
        """Say whether the rule names the subject, seen under a version."""
        return (
            _names(self.operations, subject.operation)
            and _names(self.groups, subject.resource.group)
            and _names(self.versions, version)
            and self.scope in ("*", "Namespaced" if subject.in_namespace else "Cluster")
            and any(_names_resource(each, subject) for each in self.resources)
        )


@dataclass(frozen=True)
class Webhook:
    """One webhook, ready to be matched and called."""

    name: str
    configuration: str
    rules: tuple[Rule, ...]
    namespaces: LabelPredicate
    objects: LabelPredicate
    conditions: tuple[Condition, ...]
    exact: bool
    may_fail: bool
    again_if_needed: bool
    timeout_seconds: int
    target: Object

    def version_for(self, subject: Subject, asked: str) -> str | None:
        """Return the version under which it wants to see the subject, the asked one if it can be; None if none."""
        others = () if self.exact else (each for each in subject.resource.versions if each != asked)
        version: str
        for version in (asked, *others):
            if any(rule.matches(subject, version) for rule in self.rules):
                return version
        return None

    def selects_object(self, body: Object | None, old: Object | None) -> bool:
        """Say whether its object selector selects one of the states of an object, and its conditions hold of it."""
        selected = any(self.objects(_labels(each)) for each in (body, old) if each is not None)
        return selected and all(condition.holds(body) for condition in self.conditions)


def read(configuration: Object) -> Iterable[Webhook]:
    """Return the webhooks of a configuration in their order."""
    name = configuration["metadata"]["name"]
    return [_webhook(name, each) for each in configuration.get("webhooks") or ()]


def _webhook(configuration: str, written: Object) -> Webhook:
    return Webhook(
        name=written["name"],
        configuration=configuration,
        rules=tuple(_rule(each) for each in written.get("rules") or ()),
        namespaces=compile_selector(written.get("namespaceSelector") or {}),
        objects=compile_selector(written.get("objectSelector") or {}),
        conditions=read_conditions(written.get("matchConditions") or ()),
        exact=written["matchPolicy"] == "Exact",
        may_fail=written["failurePolicy"] == "Ignore",
        again_if_needed=written.get("reinvocationPolicy") == "IfNeeded",
        timeout_seconds=written["timeoutSeconds"],
        target=written["clientConfig"],
    )


def _rule(written: Object) -> Rule:
    return Rule(
        operations=frozenset(written["operations"]),
        groups=frozenset(written["apiGroups"]),
        versions=frozenset(written["apiVersions"]),
        resources=tuple(written["resources"]),
        scope=written["scope"],
    )


def _names(wanted: frozenset[str], value: str) -> bool:
    return "*" in wanted or value in wanted


def _names_resource(wanted: str, subject: Subject) -> bool:
    plural, _, subresource = wanted.partition("/")
    return plural in ("*", subject.resource.plural) and subresource in ("*", subject.subresource)


def _labels(body: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = (body.get("metadata") or {}).get("labels") or {}
    return labels


def fill_mutating(body: Object) -> None:
    """Write the defaults of a MutatingWebhookConfiguration, in place."""
    _fill(body, {"reinvocationPolicy": "Never"})


def fill_validating(body: Object) -> None:
    """Write the defaults of a ValidatingWebhookConfiguration, in place."""
    _fill(body, {})


def _fill(body: Object, more: Mapping[str, Any]) -> None:
    defaults = {"failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10, **more}
    for webhook in body.get("webhooks") or ():
        for name, value in {**defaults, "namespaceSelector": {}, "objectSelector": {}}.items():
            webhook.setdefault(name, value)
        for rule in webhook.get("rules") or ():
            rule.setdefault("scope", "*")
        service = (webhook.get("clientConfig") or {}).get("service")
        if service is not None:
            service.setdefault("port", 443)


def check(kind: str, body: Object) -> None:
    """Refuse (422) a configuration that could not be obeyed."""
    name, seen = body["metadata"]["name"], set[str]()
    for index, webhook in enumerate(body.get("webhooks") or ()):
        fault = _fault(webhook) or (("name", "Duplicate value") if webhook["name"] in seen else None)
        if fault is not None:
            raise invalid(kind, name, f"webhooks[{index}].{fault[0]}", fault[1])
        seen.add(webhook["name"])


def _fault(webhook: Object) -> tuple[str, str] | None:
    """Return the field at fault and what is wrong with it."""
    return (
        _own_fault(webhook) or _choice_fault(webhook) or _rules_fault(webhook) or _target_fault(webhook["clientConfig"])
    )


def _choice_fault(webhook: Object) -> tuple[str, str] | None:
    if "sideEffects" not in webhook:
        return "sideEffects", "Required value: must specify one of None, NoneOnDryRun"
    for field, allowed in _CHOICES.items():
        if field in webhook and webhook[field] not in allowed:
            return field, f'Unsupported value: "{webhook[field]}": supported values: {", ".join(allowed)}'
    return None


def _own_fault(webhook: Object) -> tuple[str, str] | None:
    if len(webhook["name"].split(".")) < _LEAST_SEGMENTS:
        return "name", f'Invalid value: "{webhook["name"]}": should be a domain with at least three segments'
    if "v1" not in webhook["admissionReviewVersions"]:
        return "admissionReviewVersions", "Invalid value: must include v1"
    if not 1 <= webhook["timeoutSeconds"] <= _LONGEST_SECONDS:
        return "timeoutSeconds", "Invalid value: the timeout value must be between 1 and 30 seconds"
    try:
        read_conditions(webhook.get("matchConditions") or ())
    except NotUnderstood as error:
        return "matchConditions", f"Forbidden: {error}"
    return None


def _rules_fault(webhook: Object) -> tuple[str, str] | None:
    for index, rule in enumerate(webhook.get("rules") or ()):
        for field in ("operations", "apiGroups", "apiVersions", "resources"):
            if not rule[field]:
                return f"rules[{index}].{field}", "Required value"
        unknown = [each for each in rule["operations"] if each not in _OPERATIONS]
        if unknown:
            return f"rules[{index}].operations", f'Unsupported value: "{unknown[0]}"'
        if rule["scope"] not in ("*", "Cluster", "Namespaced"):
            return f"rules[{index}].scope", f'Unsupported value: "{rule["scope"]}"'
    return None


def _target_fault(target: Object) -> tuple[str, str] | None:
    url, service = target.get("url"), target.get("service")
    if (url is None) == (service is None):
        return "clientConfig", "Required value: exactly one of url or service is required"
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return "clientConfig.url", f'Invalid value: "{url}": must be an https URL with a host'
    if parts.username or parts.query or parts.fragment:
        return "clientConfig.url", f'Invalid value: "{url}": may hold no user, query or fragment'
    return None
