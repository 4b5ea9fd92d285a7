"""Old events brought up to date at the door, so that nothing inside has to know them.

One function per retired version, from its body to the body of the next one; they are applied until none is left. None
has been retired so far: the first one goes into `UPCASTS` together with the golden file of the version it retires.
"""

from collections.abc import Callable, Mapping
from typing import Any

Body = dict[str, Any]
Upcast = Callable[[Body], Body]

UPCASTS: dict[str, Upcast] = {}
"""From a retired type, such as `PhaseChanged.v1`, to the function that makes the next version of its body."""


def bring_up_to_date(body: Body, upcasts: Mapping[str, Upcast] = UPCASTS) -> Body:
    """Apply upcasts until the type is a current one. An upcast that does not change the type is a defect of ours."""
    while (upcast := upcasts.get(body["type"])) is not None:
        retired = body["type"]
        body = upcast(body)
        assert body["type"] != retired, f"the upcast of {retired} must name another version"
    return body
