"""Threads that a process cannot work without: an exception in one of them ends the process.

Without the thread the process would seem to run and do nothing. The supervisor restarts it.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import structlog

log = structlog.get_logger(__name__)


def start_essential(name: str, run: Callable[[], object]) -> threading.Thread:
    """Run a function in a daemon thread. It may return; any exception ends the process.

    Raises RuntimeError if no thread can be started.
    """
    thread = threading.Thread(target=_run_or_end, args=(name, run), name=name, daemon=True)
    thread.start()
    return thread


def _run_or_end(name: str, run: Callable[[], object]) -> None:
    try:
        run()
    except BaseException:  # also SystemExit, which would end the thread without a log line
        end_process("thread_died", thread=name)


def end_process(event: str, **details: Any) -> NoReturn:
    """Log the event and the current exception, and end the process at once: other threads may hang."""
    try:
        log.critical(event, exc_info=sys.exc_info()[0] is not None, **details)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # even if logging fails for lack of memory
        os._exit(os.EX_SOFTWARE)
