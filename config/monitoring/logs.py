"""Logs: one line for each event, as text on a terminal and as JSON otherwise."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from uploads.text.terminal_safety import printable

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _escape_controls(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control characters, so that names and errors from clients cannot control the terminal."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value, one_line=name not in _MULTILINE)
    return event


_MULTILINE = {"exception", "stack"}
_RENDER: list[Any] = (
    [
        structlog.processors.format_exc_info,
        _escape_controls,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
    if sys.stderr.isatty()
    else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
)

structlog.configure(
    processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    cache_logger_on_first_use=True,
)

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "lines": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _SHARED,
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_RENDER],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Our loggers keep the level INFO in a worker, where Celery sets all others to WARNING.
        **{name: {"level": "INFO"} for name in ("config", "media_jobs", "millrace", "uploads")},
        # It says in each process where its settings come from, also between what a command prints.
        "botocore": {"level": "WARNING"},
        # The request log has all refused requests. Django would repeat each as a warning.
        "django.request": {"level": "ERROR"},
        "django.security.csrf": {"level": "ERROR"},
        # Scanners send wrong hosts all the time. Each would be logged as an error with its trace.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
