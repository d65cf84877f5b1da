"""gunicorn's configuration, with a line logged within each request for operations, and one between requests."""

from typing import Any

import structlog

from config.web_server.gunicorn_config import *  # noqa: F403

log = structlog.get_logger("test")


def post_worker_init(worker: Any) -> None:  # type: ignore[no-redef]
    from media_jobs.api.operations import OperationsView

    get, handle = OperationsView.get, worker.handle

    def saying(self: Any, request: Any) -> Any:
        log.info("said within")
        return get(self, request)

    def handling(conn: Any) -> Any:
        try:
            return handle(conn)
        finally:
            log.info("said outside")

    OperationsView.get = saying  # type: ignore[method-assign]
    worker.handle = handling
