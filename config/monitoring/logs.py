"""Logs: one line an event, as JSON where a program reads, as text where a person does."""

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


def _write_out_controls(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No address, name or error that strangers chose may steer the terminal. What is no text is shown by its repr."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value, one_line=name not in _OF_LINES)
    return event


_OF_LINES = {"exception", "stack"}
_RENDER: list[Any] = (
    [
        structlog.processors.format_exc_info,
        _write_out_controls,
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
        # Ours, also in a worker: Celery sets the level of all others to WARNING there.
        **{name: {"level": "INFO"} for name in ("config", "media_jobs", "millrace", "uploads")},
        # Refusals are answers, and stand in the request log; Django would repeat each as a warning.
        "django.request": {"level": "ERROR"},
        "django.security.csrf": {"level": "ERROR"},
        # Scanners send wrong hosts all day; each would be an error with its trace.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
