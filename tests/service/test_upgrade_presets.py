"""Jobs of the tables before presets are all there after the upgrade, and made from none."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from model_bakery import baker

from media_jobs.models import Job
from tests.support.job_rows import a_job, a_user

BEFORE = "0007_fair_shares"


@pytest.mark.django_db(transaction=True)
def test_jobs_from_before_presets_are_made_from_none() -> None:
    kept = a_job()
    try:
        call_command("migrate", "media_jobs", BEFORE, verbosity=0)
        old: Any = (
            MigrationLoader(connection).project_state(("media_jobs", BEFORE)).apps.get_model("media_jobs", "Job")
        )
        owner = old._meta.get_field("owner").related_model.objects.get(pk=a_user().pk)
        old_job = baker.make(old, owner=owner, operation="transcode", params={"height": 720}, status="succeeded",
                             progress=1, finished_at="2026-11-01T00:00:00Z")  # fmt: skip
    finally:
        call_command("migrate", "media_jobs", verbosity=0)
    found = {job.pk: job for job in Job.objects.all()}
    assert found.keys() == {kept.pk, old_job.pk}
    assert found[kept.pk].params == kept.params
    old_one = found[old_job.pk]
    assert (old_one.params, old_one.preset, old_one.on_arrival, old_one.batch) == ({"height": 720}, "", False, None)
