"""What jobs hear and read in a file is found soon after they end, until what they made or the file goes."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command

from media_jobs.models import Artifact, Job, WaitingText
from media_jobs.queue import texts
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


def written(file: MediaFile, content: bytes, name: str = texts.TRANSCRIPT) -> Artifact:
    """The end of a job with this artifact."""
    job: Job = a_job(file)
    made = upload(file.owner, content, f"a.{name}")
    artifact = Artifact.objects.create(job=job, name=name, file=made)
    texts.note(artifact)
    return artifact


def cues(*texts: str) -> bytes:
    every = [{"start": 3.0 * number, "end": 3.0 * number + 2, "text": text} for number, text in enumerate(texts)]
    return json.dumps({"version": 1, "cues": every}).encode()


def detections(**read: list[str]) -> bytes:
    """What each detector has read, one text every three seconds."""
    finds = [
        {"detector": detector, "text": text, "start": 3.0 * number}
        for detector, found in read.items()
        for number, text in enumerate(found)
    ]
    return json.dumps({"version": 1, "detectors": list(read), "finds": finds}).encode()


def said(q: str, source: str = "transcript") -> list[tuple[MediaFile, float | None]]:
    found = find(SearchText.objects.filter(source=source), TextQuery.parse(q))
    return [(text.file, text.second_at(text.text.index(q))) for text in found]


def test_what_is_said_is_found_at_its_time(file: MediaFile) -> None:
    written(file, cues("Good morning.", "The harbour is closed."))
    assert said("harbour") == []
    assert (texts.index_waiting(), texts.index_waiting()) == (1, 0)
    assert said("harbour") == [(file, 3.0)]


def test_a_newer_transcript_replaces_it(file: MediaFile) -> None:
    for text in ("before", "after"):
        written(file, cues(text))
    assert texts.index_waiting() == 2
    assert (said("before"), said("after")) == ([], [(file, 0.0)])


def test_it_goes_with_the_transcript_and_with_the_file(file: MediaFile) -> None:
    artifact = written(file, cues("harbour"))
    texts.index_waiting()
    delete_file(artifact.file)
    assert said("harbour") == []
    written(file, cues("harbour"))
    texts.index_waiting()
    Job.objects.filter(file=file).update(status="succeeded", progress=1, finished_at="2026-11-01T00:00:00Z")
    delete_file(file)
    assert not SearchText.objects.filter(source="transcript").exists()


def test_what_each_detector_reads_is_found_at_its_time_until_the_same_one_reads_again(file: MediaFile) -> None:
    written(file, detections(plates=["AB123CD", "EF456GH"], text=["EXIT 12"], scenes=[""]), texts.DETECTIONS)
    written(file, cues("harbour"))
    texts.index_waiting()
    assert said("EF456GH", "plates") == [(file, 3.0)]
    assert said("EXIT", "text") == [(file, 0.0)]
    written(file, detections(plates=[], scenes=[]), texts.DETECTIONS)
    texts.index_waiting()
    assert said("EF456GH", "plates") == []
    assert said("EXIT", "text") == [(file, 0.0)]
    assert said("harbour") == [(file, 0.0)]


def test_each_label_of_a_model_is_found_at_its_first_time_and_events_are_not(file: MediaFile) -> None:
    seen = [
        ("scenes", "scene", 0.0), ("onnx:birds", "heron", 4.0), ("onnx:birds", "grey heron", 6.0),
        ("plates", "plate", 7.0), ("onnx:birds", "heron", 9.0), ("onnx:long-name-of-1", "stork", 10.0),
        ("onnx:long-name-of-2", "crane", 11.0),
    ]  # fmt: skip
    finds = [{"detector": name, "label": label, "text": "", "start": start} for name, label, start in seen]
    content = {"version": 1, "detectors": sorted({name for name, _, _ in seen}), "finds": finds}
    written(file, json.dumps(content).encode(), texts.DETECTIONS)
    texts.index_waiting()
    [birds] = SearchText.objects.filter(source="onnx:birds")
    assert birds.text.split() == ["heron", "grey", "heron"]
    assert said("heron", "onnx:birds") == [(file, 4.0)]
    assert said("grey heron", "onnx:birds") == [(file, 6.0)]
    assert [said(word, "onnx:long-name-o") for word in ("stork", "crane")] == [[(file, 10.0)], [(file, 11.0)]]
    assert not SearchText.objects.filter(source__in=["scenes", "plates"]).exists()


def test_a_detector_with_the_name_of_another_source_replaces_nothing_of_it(file: MediaFile) -> None:
    written(file, cues("harbour"))
    written(file, detections(transcript=["quay"], name=["pier"], **{"a" * 40: ["jetty"]}), texts.DETECTIONS)
    assert texts.index_waiting() == 2
    assert (said("harbour"), said("quay")) == ([(file, 0.0)], [])
    assert said("jetty", "a" * 16) == [(file, 0.0)]


@pytest.mark.parametrize(
    "content", [b"{}", b"no JSON", b'{"cues": [{"start": null, "text": "x"}]}', b'{"cues": [5]}', b"[]",
                b'{"detectors": ["plates"], "finds": [{"detector": "text", "text": "x", "start": 0}]}']
)  # fmt: skip
@pytest.mark.parametrize("name", [texts.TRANSCRIPT, texts.DETECTIONS])
def test_one_that_cannot_be_read_keeps_nobody_waiting(content: bytes, name: str, file: MediaFile) -> None:
    written(file, content, name)
    written(file, cues("harbour"))
    assert texts.index_waiting() == 2
    assert said("harbour") == [(file, 0.0)]


def test_one_whose_bytes_are_lost_is_given_up(file: MediaFile) -> None:
    lost = written(file, cues("harbour")).file.blob
    sink().delete(lost.key)
    texts.index_waiting()
    assert not WaitingText.objects.exists()


def test_a_job_that_is_answered_by_another_has_its_file_found(file: MediaFile) -> None:
    blob = upload(file.owner, cues("harbour"), "t.json").blob
    job = a_job(file)
    answer(job, Result(job, [(texts.TRANSCRIPT, blob)]), "answered")
    assert texts.index_waiting() == 1
    assert said("harbour") == [(file, 0.0)]


@pytest.mark.django_db(transaction=True)
def test_a_transcript_that_waits_goes_on_waiting_after_the_upgrade(file: MediaFile) -> None:
    waiting = written(file, cues("harbour"))
    try:
        call_command("migrate", "media_jobs", "0015_waiting_transcripts", verbosity=0)
    finally:
        call_command("migrate", "media_jobs", verbosity=0)
    assert [row.artifact for row in WaitingText.objects.all()] == [waiting]
    assert not Permission.objects.filter(codename__contains="waitingtranscript").exists()
    assert texts.index_waiting() == 1
    assert said("harbour") == [(file, 0.0)]
