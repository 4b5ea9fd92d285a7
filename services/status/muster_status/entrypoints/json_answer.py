"""The answer of nearly every route: JSON, written once."""

import json
from typing import Any

from fastapi import Response


class JsonAnswer(Response):
    """JSON that is rendered once and not read again by a model: views are made by us, and lists are long."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it compactly."""
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
