"""What the one origin says of itself: a page at `/`, and one OpenAPI document made of the services' own.

The services describe what they serve, each for itself; somebody who uses the origin sees one API. Schemas that are the
same in both documents are one; of two that differ under one name the second is renamed after its service.
"""

import json
from collections.abc import Mapping
from typing import Any

API = "/api/v1"
REFERENCE = "#/components/schemas/"

Document = dict[str, Any]

LINKS = {
    "workloads": f"{API}/workloads",
    "projects": f"{API}/projects",
    "nodes": f"{API}/nodes",
    "health of all services": f"{API}/system",
    "live changes (server-sent events)": f"{API}/stream",
    "description of the API (OpenAPI)": f"{API}/openapi.json",
}
INDEX = {"name": "Muster", "links": LINKS}

_LINKS = "".join(f'<li><a href="{path}">{name}</a>' for name, path in LINKS.items())
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Muster</title>'
    '<body style="font: 1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto"><h1>Muster</h1>'
    f"<p>Muster is up. Its command line is <code>muster</code>; its API is here:</p><ul>{_LINKS}</ul>"
)


def merge(documents: Mapping[str, Document]) -> Document:
    """Return one OpenAPI document from those of the services, by name. Two services never serve the same operation."""
    paths: dict[str, Document] = {}
    schemas: dict[str, Document] = {}
    for service, document in documents.items():
        tamed = _without_clashes(service, document, schemas)
        schemas |= tamed.get("components", {}).get("schemas", {})
        for path, operations in tamed["paths"].items():
            paths.setdefault(path, {}).update(operations)
    versions = {document["openapi"] for document in documents.values()}
    return {
        "openapi": max(versions),
        "info": {"title": "Muster", "version": "1"},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _without_clashes(service: str, document: Document, taken: Mapping[str, Document]) -> Document:
    own = document.get("components", {}).get("schemas", {})
    clashing = {name for name in own if name in taken and taken[name] != own[name]}
    if not clashing:
        return document
    text = json.dumps(document)
    for name in clashing:
        text = text.replace(f'"{REFERENCE}{name}"', f'"{REFERENCE}{service.capitalize()}{name}"')
    renamed: Document = json.loads(text)
    schemas = renamed["components"]["schemas"]
    for name in clashing:
        schemas[f"{service.capitalize()}{name}"] = schemas.pop(name)
    return renamed
