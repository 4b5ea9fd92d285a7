"""Whether a request may be made: which deed it is, asked of `rbac`, and the refusal where it is not allowed.

Kubernetes' controllers here are the cluster itself and are not asked. Neither is whoever comes without credentials: the
administrator. Roles that aggregate others are not put together, and whoever may write roles may give rights that they
do not have themselves; a real API server stops that.
"""

import logging
from dataclasses import replace
from typing import Any

from simcluster.client import Client
from simcluster.errors import unauthorized
from simcluster.identity import User, user_of
from simcluster.rbac import GROUP, MASTERS, Deed, allows, rules_of
from simcluster.registry import Registry
from simcluster.resources import Object
from simcluster.routes import Route
from simcluster.wire import Request

log = logging.getLogger(__name__)

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/")
_HEALTH = ("/healthz", "/livez", "/readyz")
_REVIEWS_OF_ONESELF = [
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"]},
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"]},
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
]
_EVERYTHING = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]
# Name → its rules and the group that has them.
_DEFAULT_ROLES: dict[str, tuple[list[dict[str, list[str]]], str]] = {
    "cluster-admin": (_EVERYTHING, MASTERS),
    "system:basic-user": (_REVIEWS_OF_ONESELF, "system:authenticated"),
    "system:discovery": (
        [{"verbs": ["get"], "nonResourceURLs": [*_DISCOVERY, *_HEALTH]}],
        "system:authenticated",
    ),
}


class Authorizer:
    """Refuses what no role allows."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def check(self, request: Request, route: Route | None) -> None:
        """Raise ApiError 403 unless the caller of a request may make it."""
        user = user_of(request.headers)
        self._check_impersonation(request, user)
        deed = _deed_of(request, route)
        self._demand(user, deed)
        if deed.verb == "patch" and route is not None and self._creates(request, route):
            self._demand(user, replace(deed, verb="create"))

    def allows(self, user: User, deed: Deed) -> bool:
        """Say whether a user may do something."""
        return allows(user, deed, self._lookup)

    def rules_of(self, user: User, namespace: str) -> list[Object]:
        """Return every rule a user has in a namespace."""
        return list(rules_of(user, namespace, self._lookup))

    def _demand(self, user: User, deed: Deed) -> None:
        if self.allows(user, deed):
            return
        plural = deed.resource.partition("/")[0]
        kind = f"{plural}.{deed.group}" if deed.group else plural
        refusal = unauthorized(kind, deed.name, f'User "{user.name}" {deed.sentence}')
        log.warning("Refused: %s", refusal.message)
        raise refusal

    def _check_impersonation(self, request: Request, user: User) -> None:
        """Demand of whoever really calls that they may speak for another user, and for each of the groups named."""
        own = {name: value for name, value in request.headers.items() if not name.startswith("impersonate-")}
        caller = user_of(own)
        if caller == user:
            return
        self._demand(caller, Deed("impersonate", resource="users", name=user.name))
        for group in request.headers.get("impersonate-group", "").split(","):
            if group.strip():
                self._demand(caller, Deed("impersonate", resource="groups", name=group.strip()))

    def _creates(self, request: Request, route: Route) -> bool:
        """Say whether an apply is about an object that is not there."""
        resource = self._registry.resources.at(route.group, route.version, route.plural)
        if resource is None or route.name is None or "apply-patch" not in request.content_type:
            return False
        return self._registry.store.get(resource.key, route.namespace, route.name) is None

    def _lookup(self, plural: str, namespace: str | None) -> list[Object]:
        return [stored.body for stored in self._registry.store.find(f"{plural}.{GROUP}", namespace)]


def verdict(authorizer: Authorizer | None, route: Route, user: User, spec: Object) -> Object:
    """Return the status of a review that asks what somebody may do; without an authorizer it is everything."""
    if route.plural == "selfsubjectrulesreviews":
        return _rules_review([*_EVERYTHING] if authorizer is None else _all_rules(authorizer, user, spec))
    if authorizer is None:
        return {"allowed": True, "reason": "the simulated cluster lets everybody do everything"}
    if route.plural != "selfsubjectaccessreviews":
        user = User(spec.get("user", ""), groups=tuple(spec.get("groups") or ()))
    return {"allowed": authorizer.allows(user, _deed_asked_about(spec))}


def create_default_roles(client: Client) -> None:
    """Give the groups every cluster has the roles every cluster has, unless they are there."""
    for name, (rules, group) in _DEFAULT_ROLES.items():
        if client.get(f"clusterroles.{GROUP}", None, name) is None:
            client.create(f"clusterroles.{GROUP}", {"metadata": {"name": name}, "rules": rules})
        if client.get(f"clusterrolebindings.{GROUP}", None, name) is None:
            subject = {"apiGroup": GROUP, "kind": "Group", "name": group}
            role = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
            client.create(
                f"clusterrolebindings.{GROUP}", {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
            )


def _deed_of(request: Request, route: Route | None) -> Deed:
    if route is None:
        return Deed(_VERBS.get(request.method, "get"), path=request.path)
    resource = f"{route.plural}/{route.subresource}" if route.subresource else route.plural
    is_namespace = (route.group, route.plural) == ("", "namespaces")
    namespace = route.name if is_namespace else route.namespace
    return Deed(_verb(request, route), route.group, resource, namespace or "", route.name or "")


def _verb(request: Request, route: Route) -> str:
    if request.method in ("GET", "HEAD"):
        if route.name is not None:
            return "get"
        return "watch" if request.flag("watch") else "list"
    if request.method == "DELETE" and route.name is None:
        return "deletecollection"
    return _VERBS.get(request.method, request.method.lower())


def _deed_asked_about(spec: Object) -> Deed:
    path = spec.get("nonResourceAttributes")
    if path:
        return Deed(path.get("verb", ""), path=path.get("path", ""))
    asked: dict[str, Any] = spec.get("resourceAttributes") or {}
    part = f"/{asked['subresource']}" if asked.get("subresource") else ""
    return Deed(
        asked.get("verb", ""),
        asked.get("group", ""),
        asked.get("resource", "") + part,
        asked.get("namespace", ""),
        asked.get("name", ""),
    )


def _all_rules(authorizer: Authorizer, user: User, spec: Object) -> list[Object]:
    everything = _EVERYTHING if MASTERS in user.groups else []
    return [*everything, *authorizer.rules_of(user, spec.get("namespace", ""))]


def _rules_review(rules: list[Object]) -> Object:
    return {
        "resourceRules": [rule for rule in rules if rule.get("resources")],
        "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
        "incomplete": False,
    }
