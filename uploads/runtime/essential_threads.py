"""Threads that a process cannot work without: when one of them ends by an error, so does the process.

The process would look alive and do nothing. Its supervisor starts another.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import structlog

log = structlog.get_logger(__name__)


def start_essential(name: str, run: Callable[[], object]) -> threading.Thread:
    """Run this in a daemon thread. It may return; an exception of any kind ends the process.

    RuntimeError: no thread can be started.
    """
    thread = threading.Thread(target=_run_or_end, args=(name, run), name=name, daemon=True)
    thread.start()
    return thread


def _run_or_end(name: str, run: Callable[[], object]) -> None:
    try:
        run()
    except BaseException:  # SystemExit, too, which would end the thread without a word
        end_process("thread_died", thread=name)


def end_process(event: str, **details: Any) -> NoReturn:
    """Say why, with the exception that is being handled, and end at once: other threads may hang."""
    try:
        log.critical(event, exc_info=sys.exc_info()[0] is not None, **details)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # even when there is no memory left to say it with
        os._exit(os.EX_SOFTWARE)
