"""What is served: `/api`, `/apis` and below, plain and aggregated, `/version` and the health of it all."""

from collections.abc import Iterable
from typing import Any

from simcluster.resources import Object, Resource, ResourceTable
from simcluster.wire import Request, Response, to_response

VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.1-simcluster",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "simulated",
}

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"

# Subresource → its verbs, and the kind it speaks in place of its resource's own.
_SUBRESOURCES: dict[str, tuple[list[str], tuple[str, str, str] | None]] = {
    "status": (["get", "patch", "update"], None),
    "finalize": (["update"], None),
    "scale": (["get", "patch", "update"], ("autoscaling", "v1", "Scale")),
    "binding": (["create"], ("", "v1", "Binding")),
    "eviction": (["create"], ("policy", "v1", "Eviction")),
    "exec": (["create", "get"], ("", "v1", "PodExecOptions")),
    "log": (["get"], None),
}

# Questions that are answered and never stored: group and version, plural, kind, namespaced.
REVIEWS: tuple[tuple[str, str, str, str, bool], ...] = (
    ("", "v1", "bindings", "Binding", True),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
    ("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False),
    ("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False),
)


def answer(resources: ResourceTable, parts: list[str], request: Request) -> Response | None:
    """Answer a discovery path, given as its parts; None when it is none or the group is unknown."""
    match parts:
        case ["api"]:
            return _aggregated(resources, request, core=True) or to_response(_core_versions())
        case ["apis"]:
            return _aggregated(resources, request, core=False) or to_response(_groups(resources))
        case ["api", "v1"]:
            return to_response(_resource_list(resources, "", "v1"))
        case ["apis", group] if group in _versions_by_group(resources):
            return to_response({"kind": "APIGroup", "apiVersion": "v1"} | _group(resources, group))
        case ["apis", group, version] if version in _versions_by_group(resources).get(group, ()):
            return to_response(_resource_list(resources, group, version))
    return None


def _core_versions() -> Object:
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def _versions_by_group(resources: ResourceTable) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for resource in resources:
        for version in resource.versions:
            found.setdefault(resource.group, {})[version] = None
    for group, version, *_ in REVIEWS:
        found.setdefault(group, {})[version] = None
    return {group: list(versions) for group, versions in sorted(found.items())}


def _groups(resources: ResourceTable) -> Object:
    names = [group for group in _versions_by_group(resources) if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(resources, name) for name in names]}


def _group(resources: ResourceTable, name: str) -> Object:
    versions = _versions_by_group(resources)[name]
    named = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": named, "preferredVersion": named[0]}


def _served(resources: ResourceTable, group: str, version: str) -> list[Resource]:
    return [each for each in resources if each.group == group and version in each.versions]


def _reviews(group: str, version: str) -> list[tuple[str, str, bool]]:
    return [(plural, kind, scoped) for g, v, plural, kind, scoped in REVIEWS if (g, v) == (group, version)]


def _resource_list(resources: ResourceTable, group: str, version: str) -> Object:
    entries: list[Object] = []
    for resource in _served(resources, group, version):
        entries.append(_entry(resource))
        entries += [_subentry(resource, name) for name in resource.subresources]
    for plural, kind, namespaced in _reviews(group, version):
        entries.append(
            {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": ["create"]}
        )
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _entry(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _subentry(resource: Resource, name: str) -> Object:
    verbs, other = _SUBRESOURCES[name]
    entry: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": other[2] if other else resource.kind,
        "verbs": verbs,
    }
    return entry | ({"group": other[0], "version": other[1]} if other else {})


def _aggregated(resources: ResourceTable, request: Request, *, core: bool) -> Response | None:
    """Answer with everything at once, to clients that ask for it."""
    accepted = request.accept.replace(" ", "")
    for version in ("v2", "v2beta1"):
        media_type = _AGGREGATED.format(version=version)
        if media_type in accepted:
            body = _discovery_list(resources, version, core=core)
            response = to_response(body)
            return Response(200, response.body, media_type)
    return None


def _discovery_list(resources: ResourceTable, form: str, *, core: bool) -> Object:
    groups = {name: versions for name, versions in _versions_by_group(resources).items() if (name == "") == core}
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None},
            "versions": [_discovery_version(resources, name, version) for version in versions],
        }
        for name, versions in groups.items()
    ]
    api_version = f"apidiscovery.k8s.io/{form}"
    return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def _discovery_version(resources: ResourceTable, group: str, version: str) -> Object:
    served = [_discovery_resource(each, version) for each in _served(resources, group, version)]
    reviews = [
        _discovered(plural, (group, version, kind), namespaced, ["create"]) | {"singularResource": kind.lower()}
        for plural, kind, namespaced in _reviews(group, version)
    ]
    return {"version": version, "freshness": "Current", "resources": [*served, *reviews]}


def _discovered(name: str, kind: tuple[str, str, str], namespaced: bool, verbs: Iterable[str]) -> Object:
    response_kind = dict(zip(("group", "version", "kind"), kind, strict=True))
    scope = "Namespaced" if namespaced else "Cluster"
    return {"resource": name, "responseKind": response_kind, "scope": scope, "verbs": list(verbs)}


def _discovery_resource(resource: Resource, version: str) -> Object:
    kind = (resource.group, version, resource.kind)
    entry: dict[str, Any] = _discovered(resource.plural, kind, resource.namespaced, _VERBS)
    entry["singularResource"] = resource.singular
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_discovery_subresource(kind, name) for name in resource.subresources]
    return entry


def _discovery_subresource(kind: tuple[str, str, str], name: str) -> Object:
    verbs, other = _SUBRESOURCES[name]
    response_kind = dict(zip(("group", "version", "kind"), other or kind, strict=True))
    return {"subresource": name, "responseKind": response_kind, "verbs": verbs}
