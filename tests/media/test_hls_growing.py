"""Renditions of an `hls` job while its parts are made one after the other: what files/ID/hls/ shows of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from media_jobs.errors import BadMedia
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.models import Job
from media_jobs.operations.shared import hls_head
from media_jobs.queue import cancel_and_retry, outcomes
from tests.support.hls_making import Making
from tests.support.hls_rules import check_rendition, read_master_playlist
from tests.support.in_server.finished_jobs import finish_job
from tests.support.local_store import an_owner, own_store
from uploads.models import Blob, MediaFile

pytestmark = pytest.mark.django_db
CLIP = "open-gop.ts"


@pytest.fixture
def making_of(
    settings: Any, tmp_path: Path, clips: Callable[[str], Path], facts_of: Callable[[str], Facts], sandbox: Sandbox
) -> Callable[[str], Making]:
    own_store(settings, tmp_path / "store")
    return lambda name: Making(clips(name), facts_of(name), sandbox, tmp_path / "work")


@pytest.fixture
def making(making_of: Callable[[str], Making]) -> Making:
    return making_of(CLIP)


@pytest.fixture
def short_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning that is made first has two whole segments of a film of fourteen seconds."""
    monkeypatch.setattr(hls_head, "_LONG", 5.0)
    monkeypatch.setattr(hls_head, "_SECONDS", 9.0)


@pytest.mark.usefixtures("short_heads")
def test_the_beginning_of_a_copy_plays_before_the_rest_is_there(making_of: Callable[[str], Making]) -> None:
    making = making_of("orderly.mkv")
    making.split()
    assert making.get("master.m3u8").json()["code"] == "not_streamable"
    making.make_head()
    names = ("video", "audio0")
    begun = {name: making.playlist(name) for name in names}
    assert [(each.type, len(each.names)) for each in begun.values()] == [("EVENT", 2), ("EVENT", 2)]
    assert making.text("master.m3u8").splitlines()[-1] == "video.m3u8"
    first = {name: [making.init(name), *making.segments(name)] for name in names}

    making.split_again()
    for name in names:
        complete = making.playlist(name)
        assert (complete.type, complete.lengths[:2]) == ("VOD", begun[name].lengths)
        segments = making.segments(name)
        assert [making.init(name), *segments[:2]] == first[name]
        check_rendition(complete, making.init(name), segments)
    for _ in range(2):
        making.make_part()
    making.join()
    assert making.segments("video")[:2] == first["video"][1:]


@pytest.mark.usefixtures("short_heads")
def test_a_picture_plays_before_all_of_its_sound_is_encoded(making_of: Callable[[str], Making]) -> None:
    making = making_of(CLIP)
    making.split()
    making.make_head()
    begun = [making.init("audio0"), *making.segments("audio0")]
    making.split_again()
    sound = making.claim()
    making.make_part()
    assert making.text("master.m3u8").splitlines()[-1] == "48p.m3u8"
    assert making.playlist("audio0").type == "EVENT"
    making.finish_part(sound)
    complete = [making.init("audio0"), *making.segments("audio0")]
    assert (making.playlist("audio0").type, complete[:3]) == ("VOD", begun)


def test_a_rendition_plays_while_it_grows_and_stays_the_same_when_it_is_complete(making: Making) -> None:
    assert making.get("master.m3u8").json()["code"] == "not_streamable"
    making.split()
    making.make_part()  # the sound
    assert "are being made" in making.get("master.m3u8").json()["detail"]
    making.make_part()  # the beginning of the lowest one

    assert making.text("master.m3u8").splitlines()[-1] == "48p.m3u8"
    growing = making.playlist("48p")
    assert (growing.type, len(growing.names)) == ("EVENT", 2)
    assert making.get("90p.m3u8").status_code == 404
    first = making.segments("48p")

    making.make_part()  # the beginning of the original height
    assert making.text("master.m3u8").splitlines()[-3::2] == ["90p.m3u8", "48p.m3u8"]
    making.make_part()  # the rest of the lowest one
    complete = making.playlist("48p")
    assert (complete.type, len(complete.names)) == ("VOD", 4)
    assert complete.lengths[:2] == growing.lengths
    assert "90p" not in making.text("master.m3u8")  # a player could not seek past its end
    making.make_part()
    before = {name: making.segments(name) for name in ("48p", "90p", "audio0")}
    assert before["48p"][:2] == first
    samples = {name: check_rendition(making.playlist(name), making.init(name), before[name]) for name in before}
    assert len(samples["48p"]) == len(samples["90p"]) == 350

    making.join()
    assert {name: making.segments(name) for name in before} == before
    assert making.playlist("48p") == complete
    job = Job.objects.get(pk=making.job.pk)
    assert (job.status, job.message) == ("succeeded", "Encoded, because its GOPs are open.")
    assert making.text("master.m3u8").count("#EXT-X-STREAM-INF") == 2


def test_a_retry_continues_where_the_job_failed(making: Making) -> None:
    making.split()
    making.make_part()
    making.make_part()
    outcomes.end_failed(making.claim(), BadMedia("It is cut off."), {})
    assert len(making.playlist("48p").names) == 2
    cancel_and_retry.retry(Job.objects.get(pk=making.job.pk))
    assert Job.with_children.filter(parent=making.job, status="queued").count() == 3
    for _ in range(3):
        making.make_part()
    making.join()
    assert len(making.playlist("90p").names) == 4


def test_nobody_else_plays_what_is_made_and_nothing_is_left_of_a_cancelled_job(making: Making) -> None:
    making.split()
    making.make_part()
    making.make_part()
    stranger = Client()
    stranger.force_login(an_owner("bob"))
    for name in ("master.m3u8", "48p.m3u8", "48p/0.m4s"):
        assert making.get(name, stranger).status_code == 404
        assert making.get(name, Client()).status_code == 401
    cancel_and_retry.cancel(Job.objects.get(pk=making.job.pk))
    assert making.get("48p.m3u8").status_code == 404
    assert making.get("master.m3u8").json()["code"] == "not_streamable"


def test_a_transcript_is_listed_while_the_pictures_grow_and_stays_the_same(making: Making, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/transcript.json").write_text('{"language": "en", "cues": []}')
    (tmp_path / "texts/transcript.vtt").write_text("WEBVTT\n\n00:00:12.000 --> 00:00:13.000\nHello\n\n")
    Blob.objects.filter(files=making.file).update(facts={"duration": 14.0})
    MediaFile.objects.filter(pk=making.file.pk).update(has_facts=True)  # it has been inspected
    name = f"transcript-{finish_job(str(making.file.pk), 'transcribe', str(tmp_path / 'texts'))}"
    making.split()
    making.make_part()  # the sound
    making.make_part()  # the beginning of the lowest one
    assert sum(making.playlist("48p").lengths) < 10
    found = []
    for step in range(4):
        if step:
            making.make_part()
        [listed] = read_master_playlist(making.text("master.m3u8")).of_type("SUBTITLES")
        assert listed["URI"] == f"{name}.m3u8"
        found.append((making.playlist(name), making.segments(name)))
    assert making.playlist("90p").is_ended
    making.join()
    assert {listed.type for listed, _ in found} == {"VOD"}
    assert all(listed.lengths == pytest.approx([14], abs=0.05) for listed, _ in found)
    assert len({(*listed.names, *segments) for listed, segments in found}) == 1
    assert making.segments(name) == found[0][1]
