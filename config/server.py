"""gunicorn's configuration: one process, a thread for every request on its way.

One process is enough: hashing, reading and writing let go of the interpreter's lock.
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.db import connection

from config import lifeline

wsgi_app = "config.wsgi:application"
worker_class = "config.worker.Worker"
workers = 1
threads = settings.THREADS
worker_connections = settings.THREADS * 2
bind = f"{settings.HOST}:{settings.PORT}"
forwarded_allow_ips = ",".join(settings.TRUSTED_PROXIES) or "127.0.0.1"
# How long a stop waits for uploads on their way.
graceful_timeout = 30
keepalive = 15
accesslog = None  # config.middleware.request_log knows which paths are secrets
loglevel = "warning"
control_socket_disable = True


def on_starting(server: object) -> None:
    lifeline.hold()


def post_worker_init(worker: Any) -> None:
    if connection.vendor == "sqlite":
        # One connection stays open, unused, and no thread's. Else SQLite would tidy up, with syncs, whenever a
        # request was the only one and closed its connection, and begin anew with the next.
        worker.anchor = connection.copy()
        worker.anchor.ensure_connection()


def post_fork(server: object, worker: Any) -> None:
    lifeline.hold(worker.ppid)
