"""What Kubernetes would refuse, as far as anybody here relies on the refusal: names, labels, quantities, frozen fields.

Each check raises the first fault it finds as an `ApiError` 422 with one sentence. What is not checked is let through,
so a manifest that passes here may still be refused by a real API server, never the other way round.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from simcluster import webhooks
from simcluster.errors import bad_request, invalid
from simcluster.quantities import parse_quantity
from simcluster.resources import Object, Resource
from simcluster.selectors import selects

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', at most 63 of them, "
    "and must start and end with an alphanumeric character"
)
_NAMED_BY_LABEL = ("namespaces", "services")
_FREE_NAMES = (
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
)
_IMMUTABLE = "field is immutable"


class _Object:
    """An object under examination: raises faults in its name."""

    def __init__(self, resource: Resource, body: Object) -> None:
        self.resource = resource
        self.body = body
        self.name: str = body["metadata"]["name"]

    def fault(self, field: str, why: str) -> Exception:
        return invalid(self._kind(), self.name, field, why)

    def _kind(self) -> str:
        return f"{self.resource.kind}.{self.resource.group}" if self.resource.group else self.resource.kind


def check_create(resource: Resource, body: Object) -> None:
    """Refuse a new object that breaks a rule."""
    seen = _Object(resource, body)
    _check_kind(resource, body)
    _check_name(seen)
    _check_metadata(seen)
    check = _CHECKS.get(resource.key)
    if check is not None:
        check(seen)


def check_update(resource: Resource, old: Object, body: Object) -> None:
    """Refuse a change that breaks a rule or touches what is frozen."""
    seen = _Object(resource, body)
    _check_metadata(seen)
    _check_finalizers(seen, old)
    check, frozen = _CHECKS.get(resource.key), _FROZEN.get(resource.key)
    if _desired(old) == _desired(body):
        return
    if frozen is not None:
        frozen(seen, old)
    if check is not None:
        check(seen)


def _desired(body: Object) -> Object:
    return {name: value for name, value in body.items() if name not in ("metadata", "status")}


def _check_kind(resource: Resource, body: Object) -> None:
    if body["kind"] != resource.kind:
        raise bad_request(f"the object's kind is {body['kind']!r}, the resource's is {resource.kind!r}")
    group, _, version = body["apiVersion"].rpartition("/")
    if group != resource.group or version not in resource.versions:
        raise bad_request(f"the object's apiVersion is {body['apiVersion']!r}, expected {resource.api_version!r}")


def _check_name(seen: _Object) -> None:
    name, key = seen.name, seen.resource.key
    if not isinstance(name, str):
        raise bad_request("metadata.name must be a string")
    if key in _NAMED_BY_LABEL and not _LABEL.fullmatch(name):
        raise seen.fault("metadata.name", f'Invalid value: "{name}": {_LABEL_RULE}')
    if key not in _FREE_NAMES and (len(name) > 253 or not _SUBDOMAIN.fullmatch(name)):
        raise seen.fault("metadata.name", f'Invalid value: "{name}": {_SUBDOMAIN_RULE}')


def _check_metadata(seen: _Object) -> None:
    metadata = seen.body["metadata"]
    _check_labels(seen, metadata.get("labels"), "metadata.labels")
    _check_strings(metadata.get("annotations"), "metadata.annotations")
    for reference in metadata.get("ownerReferences") or ():
        missing = [name for name in ("apiVersion", "kind", "name", "uid") if not reference.get(name)]
        if missing:
            raise seen.fault(f"metadata.ownerReferences.{missing[0]}", "must not be empty")


def _check_strings(values: Any, path: str) -> None:
    for name, value in (values or {}).items():
        if not isinstance(value, str):
            raise bad_request(f"{path}[{name}] must be a string, it is {type(value).__name__}")


def _check_labels(seen: _Object, labels: Any, path: str) -> None:
    _check_strings(labels, path)
    for name, value in (labels or {}).items():
        prefix, slash, last = name.rpartition("/")
        if not _QUALIFIED.fullmatch(last) or (slash and not _SUBDOMAIN.fullmatch(prefix)):
            raise seen.fault(path, f'Invalid value: "{name}": is not a qualified name')
        if value and not _QUALIFIED.fullmatch(value):
            rule = "must be 63 characters or less of alphanumerics, '-', '_' or '.', an alphanumeric at either end"
            raise seen.fault(path, f'Invalid value: "{value}": a valid label {rule}')


def _check_finalizers(seen: _Object, old: Object) -> None:
    if "deletionTimestamp" not in old["metadata"]:
        return
    added = set(seen.body["metadata"].get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
    if added:
        why = f"Forbidden: no new finalizers can be added if the object is being deleted: {sorted(added)}"
        raise seen.fault("metadata.finalizers", why)


def _check_pod(seen: _Object) -> None:
    _check_pod_spec(seen, seen.body.get("spec") or {}, "spec")


def _check_pod_spec(seen: _Object, spec: Object, path: str) -> None:
    if not spec.get("containers"):
        raise seen.fault(f"{path}.containers", "Required value")
    if spec["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        raise seen.fault(f"{path}.restartPolicy", f'Unsupported value: "{spec["restartPolicy"]}"')
    _check_not_negative(seen, spec, path, "terminationGracePeriodSeconds", "activeDeadlineSeconds")
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    names: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            _check_container(seen, container, f"{path}.{field}[{index}]", names, volumes)


def _check_container(seen: _Object, container: Object, path: str, names: set[str], volumes: set[Any]) -> None:
    name = container.get("name")
    if not name:
        raise seen.fault(f"{path}.name", "Required value")
    if not _LABEL.fullmatch(name):
        raise seen.fault(f"{path}.name", f'Invalid value: "{name}": {_LABEL_RULE}')
    if name in names:
        raise seen.fault(f"{path}.name", f'Duplicate value: "{name}"')
    names.add(name)
    if not container.get("image"):
        raise seen.fault(f"{path}.image", "Required value")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            raise seen.fault(f"{path}.volumeMounts[{index}].name", f'Not found: "{mount.get("name")}"')
    _check_resources(seen, container["resources"], f"{path}.resources")


def _check_resources(seen: _Object, resources: Object, path: str) -> None:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, quantities in (("limits", limits), ("requests", requests)):
        for name, text in quantities.items():
            _check_quantity(seen, name, text, f"{path}.{part}[{name}]")
    for name, text in requests.items():
        _check_request(seen, name, text, limits, f"{path}.requests")


def _check_quantity(seen: _Object, name: str, text: Any, path: str) -> None:
    try:
        amount = parse_quantity(text)
    except ValueError:
        raise bad_request(f"{path}: quantities must match the regular expression of quantities, not {text!r}") from None
    if amount < 0:
        raise seen.fault(path, f'Invalid value: "{text}": must be greater than or equal to 0')
    if _is_extended(name) and amount != amount.to_integral_value():
        raise seen.fault(path, f'Invalid value: "{text}": must be an integer')


def _check_request(seen: _Object, name: str, text: Any, limits: Object, path: str) -> None:
    if name not in limits:
        if _is_extended(name):
            raise seen.fault(path.replace("requests", "limits"), "Required value: Limit must be set for " + name)
        return
    asked, limit = parse_quantity(text), parse_quantity(limits[name])
    if _is_extended(name) and asked != limit:
        raise seen.fault(path, f'Invalid value: "{text}": must be equal to {name} limit of {limits[name]}')
    if asked > limit:
        raise seen.fault(path, f'Invalid value: "{text}": must be less than or equal to {name} limit of {limits[name]}')


def _is_extended(name: str) -> bool:
    """Say whether a resource is a device, counted in wholes and never overcommitted."""
    domain, slash, _ = name.partition("/")
    return bool(slash) and not domain.endswith("kubernetes.io")


def _check_not_negative(seen: _Object, spec: Object, path: str, *fields: str) -> None:
    for field in fields:
        value = spec.get(field)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            raise bad_request(f"{path}.{field} must be an integer, it is {value!r}")
        if value < 0:
            raise seen.fault(f"{path}.{field}", f"Invalid value: {value}: must be greater than or equal to 0")


def _check_template(seen: _Object, spec: Object, restart_policies: Iterable[str]) -> None:
    template = spec.get("template")
    if not isinstance(template, dict):
        raise seen.fault("spec.template", "Required value")
    _check_labels(seen, (template.get("metadata") or {}).get("labels"), "spec.template.metadata.labels")
    policy = template["spec"]["restartPolicy"]
    if policy not in restart_policies:
        supported = ", ".join(f'"{each}"' for each in restart_policies)
        why = f'Unsupported value: "{policy}": supported values: {supported}'
        raise seen.fault("spec.template.spec.restartPolicy", why)
    _check_pod_spec(seen, template["spec"], "spec.template.spec")


def _check_replicated(seen: _Object) -> None:
    spec = seen.body["spec"]
    _check_not_negative(seen, spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
    _check_template(seen, spec, ("Always",))
    if not spec.get("selector"):
        raise seen.fault("spec.selector", "Required value")
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if not selects(spec["selector"], labels):
        raise seen.fault("spec.template.metadata.labels", "Invalid value: `selector` does not match template `labels`")


def _check_job(seen: _Object) -> None:
    spec = seen.body["spec"]
    counts = ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds")
    _check_not_negative(seen, spec, "spec", *counts)
    if spec["completionMode"] == "Indexed" and spec.get("completions") is None:
        raise seen.fault("spec.completions", "Required value: when completion mode is Indexed")
    _check_template(seen, spec, ("OnFailure", "Never"))


def _check_definition(seen: _Object) -> None:
    spec = seen.body.get("spec") or {}
    names, versions = spec.get("names") or {}, spec.get("versions")
    for field, value in (("group", spec.get("group")), ("versions", versions), ("names.kind", names.get("kind"))):
        if not value:
            raise seen.fault(f"spec.{field}", "Required value")
    expected = f"{names.get('plural')}.{spec['group']}"
    if seen.name != expected:
        raise seen.fault("metadata.name", f'Invalid value: "{seen.name}": must be spec.names.plural+"."+spec.group')
    if sum(bool(version.get("storage")) for version in spec["versions"]) != 1:
        raise seen.fault("spec.versions", "Invalid value: must have exactly one version marked as storage version")


def _check_priority_class(seen: _Object) -> None:
    value = seen.body.get("value", 0)
    if not seen.name.startswith("system-") and value > 1_000_000_000:
        raise seen.fault(
            "value", f"Forbidden: maximum allowed value of a user defined priority is 1000000000, not {value}"
        )


def _freeze_pod(seen: _Object, old: Object) -> None:
    if _thawed(old["spec"], seen.body["spec"]) != seen.body["spec"]:
        why = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing"
            " tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        )
        raise seen.fault("spec", why)
    lost = [
        each
        for each in old["spec"].get("tolerations") or ()
        if each not in (seen.body["spec"].get("tolerations") or ())
    ]
    if lost:
        raise seen.fault(
            "spec.tolerations", "Forbidden: existing toleration can not be modified except its tolerationSeconds"
        )


def _thawed(old: Object, new: Object) -> Object:
    """Return an old pod spec with the fields that may change taken from the new one."""
    mutable = ["activeDeadlineSeconds", "tolerations", "schedulingGates"]
    if old.get("schedulingGates"):
        mutable += ["nodeSelector", "affinity"]  # a gated pod's placement may still be narrowed
    allowed = {name: new[name] for name in mutable if name in new}
    thawed = {name: value for name, value in old.items() if name not in mutable} | allowed
    for field in ("containers", "initContainers"):
        if field in old and len(old[field]) == len(new.get(field) or ()):
            thawed[field] = [
                was | {name: now[name] for name in ("image",) if name in now}
                for was, now in zip(old[field], new[field], strict=True)
            ]
    return thawed


def _freeze(*fields: str) -> Callable[[_Object, Object], None]:
    def frozen(seen: _Object, old: Object) -> None:
        for field in fields:
            if seen.body["spec"].get(field) != old["spec"].get(field):
                raise seen.fault(f"spec.{field}", _IMMUTABLE)

    return frozen


def _freeze_job(seen: _Object, old: Object) -> None:
    _freeze("selector", "completionMode", "manualSelector")(seen, old)
    before, now = old["spec"], seen.body["spec"]
    if now.get("completions") != before.get("completions"):
        elastic = now["completionMode"] == "Indexed" and now.get("completions") == now.get("parallelism")
        if not elastic:
            raise seen.fault("spec.completions", _IMMUTABLE)
    started = (old.get("status") or {}).get("startTime") is not None
    suspended = before.get("suspend") and not started
    if _job_template(before["template"], loose=suspended) != _job_template(now["template"], loose=suspended):
        raise seen.fault("spec.template", _IMMUTABLE)


def _job_template(template: Object, *, loose: bool) -> Object:
    """Return the part of a job's template that is frozen; while suspended and not started, placement is not."""
    if not loose:
        return template
    spec = {
        name: value
        for name, value in template["spec"].items()
        if name not in ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    }
    metadata = {
        name: value for name, value in (template.get("metadata") or {}).items() if name not in ("labels", "annotations")
    }
    return {"metadata": metadata, "spec": spec}


_STATEFUL_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _freeze_stateful_set(seen: _Object, old: Object) -> None:
    for field in sorted(old["spec"].keys() | seen.body["spec"].keys()):
        if field not in _STATEFUL_SET_MUTABLE and old["spec"].get(field) != seen.body["spec"].get(field):
            allowed = ", ".join(f"'{name}'" for name in _STATEFUL_SET_MUTABLE)
            raise seen.fault(
                "spec", f"Forbidden: updates to statefulset spec for fields other than {allowed} are forbidden"
            )


_CHECKS: dict[str, Callable[[_Object], None]] = {
    "pods": _check_pod,
    "deployments.apps": _check_replicated,
    "replicasets.apps": _check_replicated,
    "statefulsets.apps": _check_replicated,
    "daemonsets.apps": _check_replicated,
    "jobs.batch": _check_job,
    "customresourcedefinitions.apiextensions.k8s.io": _check_definition,
    "priorityclasses.scheduling.k8s.io": _check_priority_class,
    webhooks.MUTATING: lambda seen: webhooks.check(seen.resource.kind, seen.body),
    webhooks.VALIDATING: lambda seen: webhooks.check(seen.resource.kind, seen.body),
}

_FROZEN: dict[str, Callable[[_Object, Object], None]] = {
    "pods": _freeze_pod,
    "deployments.apps": _freeze("selector"),
    "replicasets.apps": _freeze("selector"),
    "daemonsets.apps": _freeze("selector"),
    "statefulsets.apps": _freeze_stateful_set,
    "jobs.batch": _freeze_job,
}
