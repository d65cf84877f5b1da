"""A client in this process, with something of everything to ask for. A server would add nothing but time."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.template.response import SimpleTemplateResponse
from django.test import Client

from media_jobs.queue import cancel_and_retry
from tests.support.fuzzer import Fuzzer
from tests.support.job_rows import a_job, a_worker
from uploads.models import MediaFile
from uploads.storage.marker import adopt
from uploads.storage.stores import sink


@pytest.fixture
def fuzzer(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fuzzer]:
    logging.disable()  # a line for each of thousands of requests
    adopt(sink())
    client, user = Client(raise_request_exception=False), User.objects.create_superuser("boss")
    client.force_login(user)
    sent = client.generic("PUT", "/api/v1/upload/clip.mp4", clip)
    assert sent.status_code == 201, sent.content
    worker, job = a_worker(), a_job(MediaFile.objects.get())
    cancel_and_retry.cancel(job)  # so that nobody waits for its end
    begun = client.generic("POST", "/api/v1/uploads/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "10"})
    assert begun.status_code == 201, begun.content
    upload = begun["Location"].rpartition("/")[2]
    known = {"files": str(job.file_id), "jobs": str(job.pk), "uploads": upload, "workers": str(worker.pk)}
    made = Fuzzer(client, user, known | {"name": "video.mp4"})
    rendered: Any = SimpleTemplateResponse.rendered_content
    content = property(lambda answer: rendered.fget(answer) if made.renders else "")
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", content)
    yield made
    logging.disable(logging.NOTSET)
    assert not made.failures, "\n".join(made.failures)
