"""What children had made before parts could be kept belongs to their parent alone after the upgrade."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from model_bakery import baker

from media_jobs.models import ScratchBlob
from media_jobs.operations.divisible import Part
from media_jobs.queue import cancel_and_retry, children, outcomes
from tests.support.job_rows import a_job, a_worker, claimed
from uploads.models import Tombstone

BEFORE = "0008_presets"


@pytest.mark.django_db(transaction=True)
def test_parts_from_before_go_with_their_parent() -> None:
    job = a_job(operation="transcode")
    outcomes.split(claimed(a_worker("heavy")), [Part({"number": 0}, 1.0)], {})
    child = children.children_of(job).get()
    try:
        call_command("migrate", "media_jobs", BEFORE, verbosity=0)
        state: Any = MigrationLoader(connection).project_state(("media_jobs", BEFORE))
        old = state.apps.get_model("media_jobs", "ScratchBlob")
        baker.make(old, child_id=child.pk, name="piece.mp4", sink="local", key="old.0", size=7, sha256="ab" * 32)
    finally:
        call_command("migrate", "media_jobs", verbosity=0)
    blob = ScratchBlob.objects.get()
    assert (blob.child_id, blob.recipe, blob.kept_at) == (child.pk, "", None)
    job.refresh_from_db()
    cancel_and_retry.cancel(job)
    assert not ScratchBlob.objects.exists()
    assert Tombstone.objects.filter(key="old.0").exists()
