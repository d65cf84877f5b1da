"""Celery, as measured to be safe without a server. A message only says that there is work; rows hold the truth."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

app = Celery("millrace")
app.conf.update(
    broker_url=settings.BROKER_URL,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
if settings.BROKER_URL.startswith("filesystem:"):
    _folder = settings.HOME / "broker"
    app.conf.broker_transport_options = {
        "data_folder_in": str(_folder),
        "data_folder_out": str(_folder),
        "control_folder": str(_folder / "control"),
        "polling_interval": 0.1,
    }
app.autodiscover_tasks()
