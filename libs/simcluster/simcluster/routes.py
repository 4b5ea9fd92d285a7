"""What the paths of the API mean: which kind, where, which object, and which part of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """What a path under `/api` or `/apis` means."""

    group: str
    version: str
    plural: str
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None


def parse_route(parts: list[str]) -> Route | None:
    """Return what a path, given as its parts, means; None when it means nothing."""
    match parts:
        case ["api", version, *rest] if rest:
            return _parse_rest("", version, rest)
        case ["apis", group, version, *rest] if rest:
            return _parse_rest(group, version, rest)
    return None


def _parse_rest(group: str, version: str, rest: list[str]) -> Route | None:
    match rest:
        case ["namespaces"]:
            return Route(group, version, "namespaces")
        case ["namespaces", name]:
            return Route(group, version, "namespaces", name=name)
        case ["namespaces", name, "status" | "finalize" as subresource]:
            return Route(group, version, "namespaces", name=name, subresource=subresource)
        case ["namespaces", namespace, plural, *more] if len(more) <= 2:
            return Route(group, version, plural, namespace, *more)
        case [plural, *more] if len(more) <= 2:
            return Route(group, version, plural, None, *more)
    return None
