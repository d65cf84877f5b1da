"""What must be there before the first request: folders, tables, the mark of the disk, a first account."""

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command

from config.celery import make_folders
from uploads.conf import sink
from uploads.storage.marker import mark_once

ADMIN = "admin"


def prepare() -> None:
    make_folders()
    for folder in (settings.JOBS.work_root, settings.STATIC_ROOT):
        folder.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0, interactive=False)
    mark_once(sink())


def first_account() -> str | None:
    """Make the first staff account. Its password, if it was made up here: it cannot be shown again."""
    accounts = get_user_model().objects
    if accounts.exists():
        return None
    password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
    accounts.create_superuser(ADMIN, email="", password=password)
    return None if settings.ADMIN_PASSWORD else password
