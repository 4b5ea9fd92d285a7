"""The API server without its sockets: `ApiServer.handle` turns a request into a response.

It finds out what a path means and hands over: `reading`, `writing`, `discovery`, `openapi`, `log_route`, `exec_route`.
Every refusal below is an `ApiError` and becomes a `Status` here; a write is answered once it is on disk and watches
have been told.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import unquote

from simcluster import discovery, exec_route, log_route, openapi
from simcluster.admission import Caller, Unreviewed
from simcluster.authorization import Authorizer, verdict
from simcluster.errors import ApiError, method_not_allowed, no_such_path, not_acceptable
from simcluster.identity import user_of
from simcluster.log_route import LogSource
from simcluster.reading import Reader
from simcluster.registry import Registry
from simcluster.resources import Object, Resource
from simcluster.routes import Route, parse_route
from simcluster.wire import Request, Response, to_failure, to_response, with_warnings
from simcluster.writing import Writer

_FORMS = ("application/json", "application/yaml")  # JSON is YAML
_ANY_FORM = (*_FORMS, "application/*", "*/*")
_TALKS = ("exec", "log")  # subresources that answer with no object
_HEALTH = ("healthz", "readyz", "livez")
_REVIEWS = {(group, version, plural): kind for group, version, plural, kind, _ in discovery.REVIEWS}


class ApiServer:
    """Answers requests from a registry."""

    def __init__(self, registry: Registry, logs: LogSource, authorizer: Authorizer | None = None) -> None:
        """Take whoever says who may do what; without one everybody may do everything."""
        self.registry = registry
        self._logs = logs
        self._authorizer = authorizer

    async def handle(self, request: Request) -> Response:
        """Answer one request; whatever is wrong with it becomes a `Status`."""
        caller = Caller(user_of(request.headers))
        try:
            response = await self._answer_reviewed(replace(request, caller=caller))
            await self.registry.store.settled()
        except ApiError as error:
            response = to_failure(error)
        return with_warnings(response, caller.warnings)

    async def _answer_reviewed(self, request: Request) -> Response:
        """Answer a request, asking admission webhooks as often as one has to be asked on the way."""
        while True:
            try:
                return await self._answer(request)
            except Unreviewed as question:
                await question.ask()

    async def _answer(self, request: Request) -> Response:
        parts = [unquote(part) for part in request.path.split("/") if part]
        route = parse_route(parts)
        if self._authorizer is not None:
            self._authorizer.check(request, route)
        if route is not None:
            return await self._serve(route, request)
        if parts and parts[0] in _HEALTH:
            return Response(200, b"ok", "text/plain; charset=utf-8")
        if parts == ["version"]:
            return to_response(discovery.VERSION)
        response = discovery.answer(self.registry.resources, parts, request)
        response = response or openapi.answer(self.registry.resources, parts, request)
        if response is None:
            raise no_such_path()
        return response

    async def _serve(self, route: Route, request: Request) -> Response:
        if (route.group, route.version, route.plural) in _REVIEWS and request.method == "POST":
            return self._review(route, request)
        resource = self.registry.resources.at(route.group, route.version, route.plural)
        if resource is None or (route.namespace is not None and not resource.namespaced):
            raise no_such_path()
        if route.subresource not in _TALKS:
            _check_form(request)
        if route.subresource is not None:
            return await self._serve_subresource(resource, route, request)
        if route.name is not None:
            return self._serve_object(resource, route, route.name, request)
        return self._serve_collection(resource, route, request)

    def _serve_collection(self, resource: Resource, route: Route, request: Request) -> Response:
        reader = Reader(self.registry, resource, route.version)
        writer = Writer(self.registry, resource, route.version)
        match request.method:
            case "GET" if request.flag("watch"):
                return reader.watch(route.namespace, request)
            case "GET":
                return reader.show_list(route.namespace, request)
            case "POST" if route.namespace is not None or not resource.namespaced:
                return writer.create(route.namespace, request)
            case "DELETE" if route.namespace is not None or not resource.namespaced:
                return writer.delete_collection(route.namespace, request)
        raise method_not_allowed()

    def _serve_object(self, resource: Resource, route: Route, name: str, request: Request) -> Response:
        _check_scope(resource, route)
        writer = Writer(self.registry, resource, route.version)
        match request.method:
            case "GET":
                return Reader(self.registry, resource, route.version).get(route.namespace, name, request)
            case "PUT":
                return writer.replace(route.namespace, name, None, request)
            case "PATCH":
                return writer.patch(route.namespace, name, None, request)
            case "DELETE":
                return writer.delete(route.namespace, name, request)
        raise method_not_allowed()

    async def _serve_subresource(self, resource: Resource, route: Route, request: Request) -> Response:
        _check_scope(resource, route)
        if route.subresource not in resource.subresources or route.name is None:
            raise no_such_path()
        serve = self._subresources(resource, route, route.name).get((request.method, route.subresource))
        if serve is None:
            raise method_not_allowed()
        response = serve(request)
        return response if isinstance(response, Response) else await response

    def _subresources(
        self, resource: Resource, route: Route, name: str
    ) -> dict[tuple[str, str], Callable[[Request], Response | Awaitable[Response]]]:
        namespace, part = route.namespace, route.subresource
        reader = Reader(self.registry, resource, route.version)
        writer = Writer(self.registry, resource, route.version)
        return {
            ("GET", "status"): lambda request: reader.get(namespace, name, request),
            ("PUT", "status"): lambda request: writer.replace(namespace, name, part, request),
            ("PATCH", "status"): lambda request: writer.patch(namespace, name, part, request),
            ("PUT", "finalize"): lambda request: writer.replace(namespace, name, part, request),
            ("GET", "scale"): lambda _request: writer.get_scale(namespace, name),
            ("PUT", "scale"): lambda request: writer.put_scale(namespace, name, request),
            ("PATCH", "scale"): lambda request: writer.patch_scale(namespace, name, request),
            ("POST", "binding"): lambda request: writer.bind(namespace, name, request),
            ("POST", "eviction"): lambda request: writer.evict(namespace, name, request),
            ("GET", "exec"): lambda request: exec_route.answer(self.registry, namespace, name, request),
            ("POST", "exec"): lambda request: exec_route.answer(self.registry, namespace, name, request),
            ("GET", "log"): lambda request: log_route.answer(self._logs, self.registry, namespace, name, request),
        }

    def _review(self, route: Route, request: Request) -> Response:
        """Answer a question nobody stores."""
        if route.plural == "bindings":
            pods = self.registry.resource("pods")
            return Writer(self.registry, pods, "v1").bind(route.namespace, None, request)
        body = request.parse_object()
        body["kind"] = _REVIEWS[route.group, route.version, route.plural]
        user = user_of(request.headers)
        if route.plural == "selfsubjectreviews":
            status: Object = {"userInfo": user.to_user_info()}
        else:
            status = verdict(self._authorizer, route, user, body.get("spec") or {})
        return to_response(body | {"status": status}, 201)


def _check_form(request: Request) -> None:
    forms = [form.partition(";")[0].strip() for form in request.accept.split(",") if form.strip()]
    if forms and not any(form in _ANY_FORM for form in forms):
        raise not_acceptable(", ".join(_FORMS))


def _check_scope(resource: Resource, route: Route) -> None:
    if resource.namespaced and route.namespace is None:
        raise no_such_path()
