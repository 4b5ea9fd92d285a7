"""Which version a get, a list or a watch asks for, and the refusal of what makes no sense together.

A version that has not come yet is refused (504) where something is to be read, for a client asks for no older answer
than it knows; a watch waits for it in silence, for as long as it takes. Forgotten versions are found out where the
history is, in `store`.
"""

from simcluster.errors import ApiError, bad_option, bad_request, expired
from simcluster.wire import Request


def check_get(request: Request, current: int) -> None:
    """Refuse a get of an object as it will be."""
    _present_version(request, current)


def check_list(request: Request, current: int) -> None:
    """Refuse a list as it will be, as it has been, and with options that contradict each other."""
    version = _present_version(request, current)
    match, asked = request.query.get("resourceVersionMatch", ""), request.query.get("resourceVersion", "")
    if match:
        _check_match(match, asked)
    if match == "Exact" and version != current:
        raise expired(f"The resourceVersion for the provided list is too old: {version}")


def watched_from(request: Request) -> int:
    """Return the version a watch goes on from, 0 for none; ApiError 422 for options that contradict each other."""
    match = request.query.get("resourceVersionMatch", "")
    if request.query.get("sendInitialEvents") and match != "NotOlderThan":
        raise _bad_match("Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if match and not request.query.get("sendInitialEvents"):
        raise _bad_match("Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    return _version(request)


def _version(request: Request) -> int:
    text = request.query.get("resourceVersion", "")
    if text and not (text.isascii() and text.isdigit()):
        raise bad_request(f'invalid resource version "{text}"')
    return int(text or "0")


def _present_version(request: Request, current: int) -> int:
    version = _version(request)
    if version > current:
        raise _too_large(version, current)
    return version


def _too_large(version: int, current: int) -> ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def _check_match(match: str, version: str) -> None:
    """Refuse a `resourceVersionMatch` that says nothing together with its version."""
    if match not in ("Exact", "NotOlderThan"):
        raise _bad_match(f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""')
    if not version:
        raise _bad_match("Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "Exact" and version == "0":
        raise _bad_match('Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"')


def _bad_match(why: str) -> ApiError:
    return bad_option("ListOptions", "resourceVersionMatch", why)
