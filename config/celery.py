"""The Celery app. A message only says that a lane has work; the jobs themselves are rows of the database.

So a lost or doubled message does no harm, and Celery's retries, results, schedules and remote control are off. The
options below were tested with files as the broker, so that an installation needs no broker server.
"""

import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import celeryd_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from config.backends import file_broker  # noqa: F401  # registers our transport "filesystem"

app = Celery("millrace")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # wait for the broker as long as it takes
    broker_connection_timeout=2,
    broker_heartbeat=0,  # a slot that encodes for an hour does not respond to heartbeats
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


_is_slot = False


def run_slot(lane: str) -> None:
    """Be a Celery worker that runs the jobs of one lane, one at a time, until a signal ends it."""
    global _is_slot
    _is_slot = True
    make_folders()
    # Celery warns of root because messages might carry code. Ours are JSON and hold the name of a lane.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # solo: this process is the slot. With the filesystem transport, prefork hangs for ever after a killed child.
    app.worker_main(
        [
            "--quiet", "worker", "--pool=solo", f"--queues={lane}", f"--hostname={lane}-{os.getpid()}@%h",
            "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING",
        ]
    )  # fmt: skip


@celeryd_init.connect
def _refuse_other_workers(**_: Any) -> None:
    """`celery -A config worker` would consume a queue without jobs, or run several jobs as one slot."""
    if not _is_slot:
        # Celery catches an Exception of a signal's receiver, logs it and goes on.
        raise SystemExit(
            "Millrace starts Celery itself, with one lane for each worker. Use `manage.py worker --lane quick`\n"
            "or `--lane heavy`; --slots says how many jobs run at a time."
        )


def make_folders() -> int:
    """Make the folders of messages if the broker is the file system. Without them a worker ends.

    Returns the number of folders made. Housekeeping calls it every second.
    """
    folder = _folder / "control"
    if folder.is_dir() or not settings.BROKER_URL.startswith("filesystem:"):
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    return 1
