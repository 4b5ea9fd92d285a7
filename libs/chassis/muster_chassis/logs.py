"""Log lines: constant sentences with fields, as JSON for machines or in columns for people.

Libraries that log through the standard library, ours among them, come out the same way: what they give as `extra` are
the fields. Call `set_up_logs` once, in `__main__`.
"""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["json", "console"]


def set_up_logs(service: str, *, log_format: LogFormat = "json", level: str = "INFO") -> None:
    """Send every log line of this process to standard error in one format, with the service's name."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if log_format == "json" else structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    renderer = structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _without_colours, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "httpx", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _without_colours(
    _logger: logging.Logger, _method: str, fields: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave out the coloured copy of its sentences that uvicorn adds."""
    fields.pop("color_message", None)
    return fields
