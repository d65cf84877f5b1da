"""gunicorn's configuration as in config.web_server.gunicorn_config, with a death to order, and a diary of the steps.

A file named by KILL_AT that holds the name of a Step kills the worker, as kill -9 would, when it next reaches that
step; the file goes first, so that it kills once. STEPS_LOG names a file to which each step is written, with its time.
"""

import os
import signal
import time
from pathlib import Path

from config.web_server import gunicorn_config as production
from config.web_server.gunicorn_config import *  # noqa: F403
from uploads.sinks import crash_points
from uploads.sinks.crash_points import Step

KILL_AT, STEPS_LOG = "KILL_AT", "STEPS_LOG"


def post_fork(server: object, worker: object) -> None:  # type: ignore[no-redef]
    production.post_fork(server, worker)
    crash_points.listeners.append(_listen)


def _listen(step: Step) -> None:
    if diary := os.environ.get(STEPS_LOG):
        with Path(diary).open("a") as lines:  # one short write to an O_APPEND file: threads do not mix
            lines.write(f"{time.monotonic()} {step}\n")
    order = os.environ.get(KILL_AT)
    if order and _takes(Path(order), step):
        os.kill(os.getpid(), signal.SIGKILL)


def _takes(order: Path, step: Step) -> bool:
    try:
        if order.read_text() != step:
            return False
        order.unlink()
    except FileNotFoundError:
        return False
    return True
