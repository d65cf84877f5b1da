"""What is said in a file is found soon after the job that wrote it down, until the transcript or the file goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from media_jobs.models import Artifact, Job, WaitingTranscript
from media_jobs.queue import transcripts
from media_jobs.queue.artifacts import answer
from media_jobs.queue.single_flight import Result
from tests.support.job_rows import a_job
from tests.support.local_store import Film, an_owner, own_store, upload
from uploads.models import MediaFile, SearchText
from uploads.storage.files import delete_file
from uploads.storage.stores import sink
from uploads.text.text_query import TextQuery
from uploads.text_search import find

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(settings: Any, tmp_path: Path, film: Film) -> MediaFile:
    own_store(settings, tmp_path / "media")
    return upload(an_owner("alice"), film())


def written(file: MediaFile, content: bytes) -> Artifact:
    """The end of a job with this transcript."""
    job: Job = a_job(file)
    made = upload(file.owner, content, "a.transcript.json")
    artifact = Artifact.objects.create(job=job, name=transcripts.TRANSCRIPT, file=made)
    transcripts.note(artifact)
    return artifact


def cues(*texts: str) -> bytes:
    every = [{"start": 3.0 * number, "end": 3.0 * number + 2, "text": text} for number, text in enumerate(texts)]
    return json.dumps({"version": 1, "cues": every}).encode()


def said(q: str) -> list[tuple[MediaFile, float | None]]:
    texts = find(SearchText.objects.filter(source="transcript"), TextQuery.parse(q))
    return [(text.file, text.second_at(text.text.index(q))) for text in texts]


def test_what_is_said_is_found_at_its_time(file: MediaFile) -> None:
    written(file, cues("Good morning.", "The harbour is closed."))
    assert said("harbour") == []
    assert (transcripts.index_waiting(), transcripts.index_waiting()) == (1, 0)
    assert said("harbour") == [(file, 3.0)]


def test_a_newer_transcript_replaces_it(file: MediaFile) -> None:
    for text in ("before", "after"):
        written(file, cues(text))
    assert transcripts.index_waiting() == 2
    assert (said("before"), said("after")) == ([], [(file, 0.0)])


def test_it_goes_with_the_transcript_and_with_the_file(file: MediaFile) -> None:
    artifact = written(file, cues("harbour"))
    transcripts.index_waiting()
    delete_file(artifact.file)
    assert said("harbour") == []
    written(file, cues("harbour"))
    transcripts.index_waiting()
    Job.objects.filter(file=file).update(status="succeeded", progress=1, finished_at="2026-11-01T00:00:00Z")
    delete_file(file)
    assert not SearchText.objects.filter(source="transcript").exists()


@pytest.mark.parametrize(
    "content", [b"{}", b"no JSON", b'{"cues": [{"start": null, "text": "x"}]}', b'{"cues": [5]}']
)
def test_one_that_cannot_be_read_keeps_nobody_waiting(content: bytes, file: MediaFile) -> None:
    written(file, content)
    written(file, cues("harbour"))
    assert transcripts.index_waiting() == 2
    assert said("harbour") == [(file, 0.0)]


def test_one_whose_bytes_are_lost_is_given_up(file: MediaFile) -> None:
    lost = written(file, cues("harbour")).file.blob
    sink().delete(lost.key)
    transcripts.index_waiting()
    assert not WaitingTranscript.objects.exists()


def test_a_job_that_is_answered_by_another_has_its_file_found(file: MediaFile) -> None:
    blob = upload(file.owner, cues("harbour"), "t.json").blob
    job = a_job(file)
    answer(job, Result(job, [(transcripts.TRANSCRIPT, blob)]), "answered")
    assert transcripts.index_waiting() == 1
    assert said("harbour") == [(file, 0.0)]
