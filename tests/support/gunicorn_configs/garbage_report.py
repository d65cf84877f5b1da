"""gunicorn's usual configuration, which says whether garbage is collected by those that stay."""

import gc
from typing import Any

from config.web_server import gunicorn_config as production
from config.web_server.gunicorn_config import *  # noqa: F403


def when_ready(server: Any) -> None:  # type: ignore[no-redef]
    production.when_ready(server)
    server.log.warning("the arbiter collects: %s", gc.isenabled())


def post_worker_init(worker: Any) -> None:  # type: ignore[no-redef]
    production.post_worker_init(worker)
    worker.log.warning("the worker collects: %s, without %s", gc.isenabled(), gc.get_freeze_count())
