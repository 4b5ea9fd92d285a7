"""OpenAPI, as much as `kubectl` needs: what kinds there are, that the server checks fields itself, what CRDs describe.

Built-in kinds have only their outline. Their paths name no patch media types, so that `kubectl apply` works out
strategic patches from the types it brings along, which know more than an outline would. Older versions of it ask for
version 2 as protobuf and are content with an empty document.
"""

from typing import Any

from simcluster import protobuf
from simcluster.resources import Object, Resource, ResourceTable
from simcluster.wire import Request, Response, to_response

_INFO = {"title": "simcluster", "version": "v1.33.1"}
_OPENAPI_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_ANY_OBJECT: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_QUERY = ("fieldManager", "fieldValidation", "dryRun")


def answer(resources: ResourceTable, parts: list[str], request: Request) -> Response | None:
    """Answer a path below `/openapi`, given as its parts; None when there is nothing."""
    match parts:
        case ["openapi", "v3"]:
            return to_response({"paths": {path: _link(path) for path in _paths(resources)}})
        case ["openapi", "v3", *rest] if "/".join(rest) in _paths(resources):
            return to_response(_document(resources, "/".join(rest)))
        case ["openapi", "v2"] if "protobuf" in request.accept and "json" not in request.accept:
            return Response(200, protobuf.OPENAPI_DOCUMENT, _OPENAPI_PROTOBUF)
        case ["openapi", "v2"]:
            return to_response(_swagger(resources))
    return None


def _link(path: str) -> Object:
    return {"serverRelativeURL": f"/openapi/v3/{path}"}


def _paths(resources: ResourceTable) -> dict[str, tuple[str, str]]:
    """Return the documents there are: path, group and version."""
    found = {}
    for resource in resources:
        for version in resource.versions:
            path = f"apis/{resource.group}/{version}" if resource.group else f"api/{version}"
            found[path] = (resource.group, version)
    return found


def _document(resources: ResourceTable, path: str) -> Object:
    group, version = _paths(resources)[path]
    served = [each for each in resources if each.group == group and version in each.versions]
    paths: Object = {}
    for resource in served:
        paths |= _operations(resource, version, f"/{path}")
    schemas = {_schema_name(each, version): _schema(each, version) for each in served}
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": schemas}}


def _schema_name(resource: Resource, version: str) -> str:
    group = ".".join(reversed(resource.group.split("."))) if resource.group else "io.k8s.api.core"
    return f"{group}.{version}.{resource.kind}"


def _type_of(resource: Resource, version: str) -> Object:
    return {"group": resource.group, "version": version, "kind": resource.kind}


def _schema(resource: Resource, version: str) -> Object:
    schema: Object = dict(resource.schema or {"type": "object", "description": f"{resource.kind} as in Kubernetes."})
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": _ANY_OBJECT,
    }
    if resource.schema is None:
        properties |= {"spec": _ANY_OBJECT, "status": _ANY_OBJECT}
    schema["properties"] = properties | (schema.get("properties") or {})
    schema["x-kubernetes-group-version-kind"] = [_type_of(resource, version)]
    return schema


def _operations(resource: Resource, version: str, prefix: str) -> Object:
    collection = (
        f"{prefix}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{prefix}/{resource.plural}"
    )
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_schema_name(resource, version)}"}}}
    return {
        collection: {
            "get": _operation(resource, version, "list", content),
            "post": _operation(resource, version, "post", content),
        },
        f"{collection}/{{name}}": {
            "get": _operation(resource, version, "get", content),
            "put": _operation(resource, version, "put", content),
            "patch": _operation(resource, version, "patch", content),
            "delete": _operation(resource, version, "delete", content),
        },
    }


def _operation(resource: Resource, version: str, action: str, content: Object) -> Object:
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _QUERY]
    return {
        "operationId": f"{action}{resource.kind}",
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _type_of(resource, version),
    }


def _swagger(resources: ResourceTable) -> Object:
    definitions = {
        _schema_name(resource, version): _schema(resource, version)
        for resource in resources
        for version in resource.versions
    }
    return {"swagger": "2.0", "info": _INFO, "paths": {}, "definitions": definitions}
