"""The two kinds of error that cross a boundary.

`Refused` is the caller's: it is shown to whoever asked and never retried. `Unavailable` is the world's: whoever meets
it tries again with back-off. The third kind, ours, is an `assert` and stops the process or the consumer that met it;
nothing here is for that.
"""

from collections.abc import Sequence
from enum import StrEnum

from muster_contracts.base import Value


class Complaint(Value):
    """What is wrong with one field: `field` as the caller wrote it (dotted), `details` one sentence."""

    field: str
    details: str


class RefusalCode(StrEnum):
    """Why a request was refused; the HTTP status code of each stands beside it."""

    INVALID = "Invalid"  # 422
    UNREADABLE = "Unreadable"  # 400
    UNAUTHENTICATED = "Unauthenticated"  # 401
    FORBIDDEN = "Forbidden"  # 403
    NOT_FOUND = "NotFound"  # 404
    CONFLICT = "Conflict"  # 409
    TOO_LARGE = "TooLarge"  # 413
    TOO_EARLY = "TooEarly"  # 425


HTTP_STATUS: dict[RefusalCode, int] = {
    RefusalCode.INVALID: 422,
    RefusalCode.UNREADABLE: 400,
    RefusalCode.UNAUTHENTICATED: 401,
    RefusalCode.FORBIDDEN: 403,
    RefusalCode.NOT_FOUND: 404,
    RefusalCode.CONFLICT: 409,
    RefusalCode.TOO_LARGE: 413,
    RefusalCode.TOO_EARLY: 425,
}


class Refused(Exception):
    """The caller asked for something that will not be done, however often it is asked."""

    def __init__(self, code: RefusalCode, message: str, complaints: Sequence[Complaint] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.complaints = tuple(complaints)


class Unavailable(Exception):
    """Something outside this process did not answer, or not now; trying again later may help."""
