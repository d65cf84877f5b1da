"""Celery, as measured to be safe without a server. A message only says that there is work; rows hold the truth.

So nothing that Celery can do with messages is used: no retries, no results, no schedules, no remote control.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from config.backends import file_broker  # noqa: F401  # registers itself

app = Celery("millrace")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker waits for its broker, however long
    broker_connection_timeout=2,
    broker_heartbeat=0,  # a slot that encodes for an hour answers none, and needs none
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)
_folder = settings.HOME / "broker"
if settings.BROKER_URL.startswith("filesystem:"):
    app.conf.broker_transport_options = {
        "data_folder_in": str(_folder),
        "data_folder_out": str(_folder),
        "control_folder": str(_folder / "control"),
        "polling_interval": 0.1,
    }
elif settings.BROKER_URL.startswith("redis"):
    app.conf.broker_transport_options = {"socket_connect_timeout": 2, "socket_timeout": 5}
app.autodiscover_tasks()


def make_folders() -> int:
    """Those that messages lie in, where no server keeps them. Without them a worker ends, and is started again."""
    folder = _folder / "control"
    if folder.is_dir() or not settings.BROKER_URL.startswith("filesystem:"):
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    return 1
