"""What queries take over HTTP: positions, sizes of pages, text."""

from typing import Annotated

from fastapi import Query

LARGEST = 2**63 - 1
MOST_ROWS = 500

Position = Annotated[int, Query(ge=0, le=LARGEST)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Text = Annotated[str, Query(max_length=1000)]
