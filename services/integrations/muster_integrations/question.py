"""What the API server asks: an AdmissionReview of `admission.k8s.io/v1`, read whole before any rule sees a part of it.

Only what is created or changed is looked at. Whoever asks about something else (a deletion, a subresource, another
version of the question) has been configured by somebody else, and gets an answer that hinders nobody or says what is
wrong with the question.
"""

from typing import Final

import msgspec
from muster_cluster.objects import Raw

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
_REVIEWED: Final = frozenset({"CREATE", "UPDATE"})


class NotAReview(ValueError):
    """The question cannot be read; the text is one sentence for whoever asks."""


class User(msgspec.Struct, frozen=True):
    """Who wants to do it."""

    username: str = ""


class Question(msgspec.Struct, frozen=True, rename="camel"):
    """The `request` of a review."""

    uid: str
    operation: str
    user_info: User = User()
    namespace: str = ""
    sub_resource: str = ""
    object: Raw | None = None
    old_object: Raw | None = None

    @property
    def written(self) -> Raw | None:
        """The object to look at; None when there is none, or nothing that we judge is done to it."""
        return self.object if self.operation in _REVIEWED and not self.sub_resource else None


class _Review(msgspec.Struct, rename="camel"):
    request: Question
    api_version: str = ""
    kind: str = ""


def read_question(body: bytes) -> Question:
    """Read what the API server sent. Raises NotAReview."""
    try:
        review = msgspec.json.decode(body, type=_Review)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotAReview(f"This is no AdmissionReview: {error}.") from error
    except RecursionError:
        raise NotAReview("This is no AdmissionReview: it is nested too deeply.") from None
    if (review.api_version, review.kind) != (API_VERSION, KIND):
        raise NotAReview(f"Only an {KIND} of {API_VERSION} is answered, not {review.kind!r} of {review.api_version!r}.")
    return review.request
