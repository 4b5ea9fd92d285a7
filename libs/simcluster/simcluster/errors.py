"""What the API server answers when it cannot do as asked: an `ApiError`, which is a Kubernetes `Status`.

One class and a few constructors, named after the reasons clients branch on. Messages follow the wording of
Kubernetes where clients and people know it by heart (`pods "a" not found`).
"""

from typing import Any

_REASONS = {
    "Duplicate value": "FieldValueDuplicate",
    "Forbidden": "FieldValueForbidden",
    "Not found": "FieldValueNotFound",
    "Required value": "FieldValueRequired",
    "Unsupported value": "FieldValueNotSupported",
}
"""The machine's reason of a broken rule, by the words its sentence begins with."""


class ApiError(Exception):
    """A refusal with an HTTP code, a machine's reason and one sentence."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def to_status(self) -> dict[str, Any]:
        """Return the `Status` object a client reads."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            status["details"] = self.details
        return status | {"code": self.code}


def _details(kind: str, name: str) -> dict[str, Any]:
    plural, _, group = kind.partition(".")
    return ({"name": name} if name else {}) | {"kind": plural} | ({"group": group} if group else {})


def not_found(kind: str, name: str) -> ApiError:
    """No object of that kind and name."""
    return ApiError(404, "NotFound", f'{kind} "{name}" not found', _details(kind, name))


def no_such_path() -> ApiError:
    """Nothing is served under the path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(kind: str, name: str) -> ApiError:
    """The name is taken."""
    return ApiError(409, "AlreadyExists", f'{kind} "{name}" already exists', _details(kind, name))


def conflict(kind: str, name: str, why: str) -> ApiError:
    """The object is not as the caller thought."""
    message = f'Operation cannot be fulfilled on {kind} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(kind, name))


def invalid(kind: str, name: str, field: str, why: str) -> ApiError:
    """A field breaks a rule; `field` is its path, `why` one clause."""
    reason = _REASONS.get(why.partition(":")[0], "FieldValueInvalid")
    cause = {"reason": reason, "message": why, "field": field}
    message = f'{kind} "{name}" is invalid: {field}: {why}'
    return ApiError(422, "Invalid", message, _details(kind, name) | {"causes": [cause]})


def bad_option(options: str, field: str, why: str) -> ApiError:
    """What stands beside the object breaks a rule; `options` is the kind Kubernetes reads it as: `ListOptions` …"""
    return invalid(f"{options}.meta.k8s.io", "", field, why)


def forbidden(kind: str, name: str, why: str) -> ApiError:
    """A rule of the cluster, not of the object, stands against it."""
    return ApiError(403, "Forbidden", f'{kind} "{name}" is forbidden: {why}', _details(kind, name))


def unauthorized(kind: str, name: str, why: str) -> ApiError:
    """The caller has no right to do it; `kind` is empty for what concerns no object."""
    about = f'{kind} "{name}" is forbidden' if name else f"{kind} is forbidden" if kind else "forbidden"
    return ApiError(403, "Forbidden", f"{about}: {why}", _details(kind, name) if kind else {})


def bad_request(why: str) -> ApiError:
    """The request itself cannot be read."""
    return ApiError(400, "BadRequest", why)


def method_not_allowed() -> ApiError:
    """The path exists, the verb does not."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def expired(why: str) -> ApiError:
    """The history asked for is gone; list again."""
    return ApiError(410, "Expired", why)


def too_many_requests(why: str, retry_seconds: int) -> ApiError:
    """Not now: a disruption budget stands against it."""
    return ApiError(429, "TooManyRequests", why, {"retryAfterSeconds": retry_seconds})


def not_acceptable(forms: str) -> ApiError:
    """The client takes no form in which this is served; `forms` are those that are."""
    return ApiError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {forms}", {})


def unsupported_media_type(why: str) -> ApiError:
    """The body comes in a form this resource does not take."""
    return ApiError(415, "UnsupportedMediaType", why)
