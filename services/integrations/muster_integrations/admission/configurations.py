"""What the API server must be told so that it asks us: the two configurations of webhooks, as we apply them.

Who is asked about what is chosen so that nothing waits for us that we have nothing to say about, and nothing stops
without us that can go on (`docs/admission.md` has the table): a pod in a project's namespace must be reviewed, for
unreviewed it would run past every quota; everything else may pass. What the submitter has made is right already, so
that the pods of Muster's own workloads never wait for a webhook that changes them.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from muster_cluster.port import Resource
from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES, OWN_LABELS, PROJECT, PROJECT_LABELS, WORKLOAD_ID

from muster_integrations.admission.templates import KUBERNETES_OWN

Manifest = dict[str, Any]
FailurePolicy = Literal["Fail", "Ignore"]

GROUP: Final = "admissionregistration.k8s.io"
NAME: Final = "muster"
PATH: Final = "/review"
_OURS: Final = {
    "name": "names-our-scheduler",
    "expression": f"object.spec.schedulerName in {sorted(COMPATIBLE_SCHEDULER_NAMES)}",
}
SECONDS: Final = 5  # to answer in; far more than it takes, far less than a client waits


def _resource(kind: str) -> Resource[Any]:
    return Resource(GROUP, "v1", f"{kind.lower()}s", kind, dict, namespaced=False)


MUTATING: Final = _resource("MutatingWebhookConfiguration")
VALIDATING: Final = _resource("ValidatingWebhookConfiguration")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the API server finds us: a URL, or a port of a Service (`namespace/name:port`)."""

    url: str = ""
    namespace: str = ""
    service: str = ""
    port: int = 443

    @property
    def host(self) -> str:
        """What the certificate must be for."""
        return urlsplit(self.url).hostname or f"{self.service}.{self.namespace}.svc"

    def to_client_config(self, authorities: bytes) -> Manifest:
        """Return the `clientConfig` of a webhook."""
        trusted = {"caBundle": base64.b64encode(authorities).decode()}
        if self.url:
            return {"url": self.url.rstrip("/") + PATH} | trusted
        service = {"namespace": self.namespace, "name": self.service, "port": self.port, "path": PATH}
        return {"service": service} | trusted


def read_target(text: str) -> Target:
    """Read `https://host:port` or `namespace/service:port` (port 443 if none is named). Raises ValueError."""
    if text.startswith("https://") and urlsplit(text).hostname:
        return Target(url=text)
    namespace, _, rest = text.partition("/")
    service, _, port = rest.partition(":")
    if not namespace or not service or "/" in service or not (port or "443").isdigit():
        raise ValueError(f"{text!r} is neither an https URL nor a Service (namespace/name:port).")
    return Target(namespace=namespace, service=service, port=int(port or 443))


def configurations(
    target: Target, authorities: bytes, policy: FailurePolicy, known: Iterable[Resource[Any]]
) -> Sequence[tuple[Resource[Any], Manifest]]:
    """Return both configurations.

    `policy` is what happens to a new pod of a project while we do not answer, `known` what recognition reads.
    """
    client = target.to_client_config(authorities)
    mutating = [{"reinvocationPolicy": "IfNeeded"} | webhook for webhook in _mutating(client, policy)]
    return (
        (MUTATING, _configuration(MUTATING, mutating)),
        (VALIDATING, _configuration(VALIDATING, _validating(client, known))),
    )


def _mutating(client: Manifest, policy: FailurePolicy) -> Sequence[Manifest]:
    """Return who changes pods and templates: in projects, then elsewhere for each label that may name one.

    And elsewhere about pods that name our scheduler: nobody would ever schedule them. A label cannot select these.
    """
    in_project = {"namespaceSelector": _having(PROJECT)}
    foreign = {"objectSelector": _lacking(WORKLOAD_ID)}
    pods, templates = _rule(("CREATE",), "", "pods"), _rule(("CREATE", "UPDATE"), "batch", "jobs", "cronjobs")
    more = _rule(("CREATE", "UPDATE"), "apps", "deployments", "replicasets", "statefulsets")
    return [
        _webhook("pods", client, policy, pods, **in_project, **foreign),
        _webhook("templates", client, "Ignore", templates, more, **in_project, **foreign),
        *(
            _webhook(
                f"pods-by-label-{number}",
                client,
                "Ignore",
                pods,
                namespaceSelector=_lacking(PROJECT),
                objectSelector=_having(label),
            )
            for number, label in enumerate(label for label in PROJECT_LABELS if label != PROJECT)
        ),
        _webhook(
            "pods-elsewhere", client, "Ignore", pods, namespaceSelector=_lacking(PROJECT), matchConditions=[_OURS]
        ),
    ]


def _validating(client: Manifest, known: Iterable[Resource[Any]]) -> Sequence[Manifest]:
    """Return who refuses: Muster's own labels on anything (one webhook for each), portions of GPUs for machines.

    Custom resources are asked about while they are made alone: some operators write the whole object at every step.
    `pods-changed` leaves out the pods of Muster's own workloads: the guard of their labels asks about these anyway.
    """
    anything = _rule(("CREATE", "UPDATE"), "*", "*")
    machines = _rule(("CREATE", "UPDATE"), "kubevirt.io", "virtualmachines", "virtualmachineinstances")
    return [
        *(
            _webhook(f"label-{label.rpartition('/')[2]}", client, "Ignore", anything, objectSelector=_having(label))
            for label in sorted(OWN_LABELS)
        ),
        _webhook("machines", client, "Ignore", machines, namespaceSelector=_having(PROJECT)),
        _webhook(
            "custom-resources",
            client,
            "Ignore",
            *_custom_resources(known),
            namespaceSelector=_having(PROJECT),
            objectSelector=_lacking(WORKLOAD_ID),
        ),
        _webhook(
            "pods-changed",
            client,
            "Ignore",
            _rule(("UPDATE",), "", "pods"),
            namespaceSelector=_having(PROJECT),
            objectSelector=_lacking(WORKLOAD_ID),
        ),
    ]


def _custom_resources(known: Iterable[Resource[Any]]) -> Iterator[Manifest]:
    """Yield a rule per group of custom resources."""
    plurals = {(each.group, each.plural) for each in known}
    for group in sorted({group for group, _ in plurals} - KUBERNETES_OWN):
        yield _rule(("CREATE",), group, *sorted(plural for other, plural in plurals if other == group))


def _configuration(resource: Resource[Any], webhooks: Sequence[Manifest]) -> Manifest:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": NAME},
        "webhooks": list(webhooks),
    }


def _webhook(name: str, client: Manifest, policy: FailurePolicy, *rules: Manifest, **selectors: Any) -> Manifest:
    return {
        "name": f"{name}.admission.muster.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client,
        "failurePolicy": policy,
        "sideEffects": "None",
        "timeoutSeconds": SECONDS,
        "rules": list(rules),
        **selectors,
    }


def _rule(operations: Sequence[str], group: str, *resources: str) -> Manifest:
    return {
        "operations": list(operations),
        "apiGroups": [group],
        "apiVersions": ["*"],
        "resources": list(resources),
        "scope": "*",
    }


def _having(label: str) -> Manifest:
    return {"matchExpressions": [{"key": label, "operator": "Exists"}]}


def _lacking(label: str) -> Manifest:
    return {"matchExpressions": [{"key": label, "operator": "DoesNotExist"}]}
