"""Workers from before there were extras, and notes from before they held transcripts, are there after the upgrade."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from model_bakery import baker

from media_jobs.models import ContentNote, Worker
from media_jobs.worker.content_notes import ContentNotes
from tests.support.job_rows import a_file

BEFORE = "0013_metadata"
FIGURES = {"27": 93.4, "words": [[0.5, 1.0, " Grüße", 0.9]]}


@pytest.mark.django_db(transaction=True)
def test_workers_have_no_extras_and_notes_keep_their_values() -> None:
    blob = a_file().blob
    notes = ContentNotes(blob.pk, "transcode")
    notes["same"] = FIGURES
    try:
        call_command("migrate", "media_jobs", BEFORE, verbosity=0)
        apps: Any = MigrationLoader(connection).project_state(("media_jobs", BEFORE)).apps
        seen = datetime(2026, 11, 29, tzinfo=UTC)
        baker.make(apps.get_model("media_jobs", "Worker"), lane="heavy", host="old", seen_at=seen, heard_at=seen)
        old = apps.get_model("media_jobs", "ContentNote")
        assert old.objects.get().figures == FIGURES
        old.objects.create(blob_id=blob.pk, key="ab" * 32, figures={"30": 88.1})
    finally:
        call_command("migrate", "media_jobs", verbosity=0)
    worker = Worker.objects.get()
    assert (worker.host, worker.extras) == ("old", "")
    assert notes.get("same") == FIGURES
    assert ContentNote.objects.get(key="ab" * 32).value == {"30": 88.1}
