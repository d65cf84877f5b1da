"""What must be there before the first request: folders, tables, the mark of the disk, a first account."""

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command

from config.celery import make_folders
from uploads.conf import sink
from uploads.storage.marker import claim_store

ADMIN = "admin"


def prepare() -> None:
    make_folders()
    for folder in (settings.JOBS.work_root, settings.STATIC_ROOT):
        folder.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0, interactive=False)
    claim_store(sink())


def first_account() -> str | None:
    """Make the first staff account. Its password, if it was made up here: it cannot be shown again.

    Accounts that `rebuild` made are inactive: nobody can sign in by them.
    """
    accounts = get_user_model().objects
    if accounts.filter(is_active=True).exists():
        return None
    password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
    accounts.create_superuser(ADMIN, email="", password=password)
    return None if settings.ADMIN_PASSWORD else password
