"""Jobs of the tables before model servers are all there after the upgrade, and are claimed as before."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from model_bakery import baker

from media_jobs.models import Job
from tests.support.job_rows import a_file, a_job, a_worker, claimed

BEFORE = "0018_batch_metadata"


@pytest.mark.django_db(transaction=True)
def test_jobs_from_before_model_servers_have_none_and_are_claimed() -> None:
    kept, file = a_job(), a_file()
    try:
        call_command("migrate", "media_jobs", BEFORE, verbosity=0)
        old: Any = (
            MigrationLoader(connection).project_state(("media_jobs", BEFORE)).apps.get_model("media_jobs", "Job")
        )
        waiting = baker.make(
            old, owner_id=file.owner_id, file_id=file.pk, operation="thumbnail", version=1, lane="quick",
            status="queued", queued_at="2026-11-01T00:00:00Z",
        )  # fmt: skip
    finally:
        call_command("migrate", "media_jobs", verbosity=0)
    found = {job.pk: (job.endpoint_id, job.at_endpoint) for job in Job.objects.all()}
    assert found == {kept.pk: (None, False), waiting.pk: (None, False)}
    worker = a_worker()
    assert {claimed(worker).job.pk for _ in range(1)} <= {kept.pk, waiting.pk}
