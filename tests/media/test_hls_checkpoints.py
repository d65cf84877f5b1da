"""Segments that are finished while the rest of their run is encoded: they play at once, and outlive their worker."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from media_jobs.errors import ContentLost, LeaseLost
from media_jobs.ffmpeg import toolbox
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.models import Job, ScratchBlob
from media_jobs.queue import outcomes
from media_jobs.queue.leases import Lease
from tests.support.hls_making import Making
from tests.support.hls_rules import check_rendition
from tests.support.job_rows import expire, reap
from tests.support.local_store import own_store
from uploads.errors import StorageUnavailable
from uploads.models import Tombstone
from uploads.storage.stores import sink

pytestmark = pytest.mark.django_db
FRAMES, SEGMENTS = 64 * 25, 16


class Killed(Exception):
    """The worker is gone, and writes nothing any more."""


def killed() -> None:
    raise Killed


@pytest.fixture
def making(
    settings: Any,
    tmp_path: Path,
    clips: Callable[[str], Path],
    facts_of: Callable[[str], Facts],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Making:
    """A job in three runs, the first of which is made. Workers look all the time."""
    own_store(settings, tmp_path / "store")
    monkeypatch.setattr(toolbox, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(toolbox, "_LOOK_SHARE", 1.0)
    made = Making(clips("one-minute.mp4"), facts_of("one-minute.mp4"), sandbox, tmp_path / "work")
    made.split()
    made.make_part()
    return made


def lose(lease: Lease) -> None:
    expire(lease.job)
    assert reap() == 1
    Job.with_children.filter(pk=lease.job.pk).update(not_before=None)


def pieces(lease: Lease) -> list[tuple[int, int]]:
    """The first segment of each, and the first one after it: they follow each other without a gap."""
    names = ScratchBlob.objects.filter(child=lease.job).values_list("name", flat=True)
    bounds = [tuple(map(int, name.split(".")[1].split("-"))) for name in names]
    ordered = sorted((first, last) for first, last in bounds)
    assert all(before[1] == after[0] for before, after in pairwise(ordered))
    return ordered


def test_segments_play_as_soon_as_they_are_finished(making: Making) -> None:
    shown = [[making.init("48p"), *making.segments("48p")]]

    def look() -> None:
        playlist, segments = making.playlist("48p"), making.segments("48p")
        assert playlist.type == "EVENT"
        check_rendition(playlist, making.init("48p"), segments)
        shown.append([making.init("48p"), *segments])

    for _ in range(2):
        making.make_slowly(making.claim(), look)
    assert len(shown) > 2
    shown.append([making.init("48p"), *making.segments("48p")])
    assert all(after[: len(before)] == before and len(after) >= len(before) for before, after in pairwise(shown))
    making.join()
    complete = making.playlist("48p")
    assert (complete.type, len(complete.names)) == ("VOD", SEGMENTS)
    assert len(check_rendition(complete, making.init("48p"), making.segments("48p"))) == FRAMES
    assert [making.init("48p"), *making.segments("48p")] == shown[-1]
    assert not ScratchBlob.objects.exists()


def test_each_attempt_encodes_only_what_no_other_one_has_kept(making: Making) -> None:
    for _ in range(3):
        lease = making.claim()
        before = pieces(lease)
        with pytest.raises(Killed):
            making.make_slowly(lease, killed)
        assert pieces(lease)[:-1] == before
        lose(lease)
        assert making.playlist("48p").type == "EVENT"
        assert Job.with_children.get(pk=lease.job.pk).attempts == 0
    while making.playlist("48p").type == "EVENT":
        making.make_part()
    making.join()
    samples = check_rendition(making.playlist("48p"), making.init("48p"), making.segments("48p"))
    assert sorted(sample.begin for sample in samples) == [Fraction(frame, 25) for frame in range(FRAMES)]


def test_an_attempt_that_kept_nothing_counts(making: Making) -> None:
    lease = making.claim()
    lose(lease)
    assert Job.with_children.get(pk=lease.job.pk).attempts == 1


def test_a_worker_whose_lease_is_lost_keeps_nothing_more(making: Making) -> None:
    lease = making.claim()
    others: list[Lease] = []

    def lose_it() -> None:
        if not others:
            lose(lease)
            others.append(making.claim())

    with pytest.raises(LeaseLost):
        making.make_slowly(lease, lose_it)
    [kept] = pieces(lease)
    keys = {f"{lease.token}.{number}" for number in range(8)}
    assert [key for key in keys if sink().size(key)] == [lease.key(0)]
    making.make_slowly(others[0], lambda: None)
    assert pieces(lease)[0] == kept


@pytest.mark.local_disk
def test_what_was_kept_before_the_store_failed_stays(making: Making, tmp_path: Path) -> None:
    lease, store = making.claim(), tmp_path / "store"
    with pytest.raises(StorageUnavailable):
        making.make_slowly(lease, lambda: store.rename(tmp_path / "away"))
    (tmp_path / "away").rename(store)
    outcomes.end_failed(lease, ContentLost("The server's disk reported an error."), {})
    assert len(pieces(lease)) == 1
    assert Tombstone.objects.filter(key=lease.key(1)).exists()
    assert not Tombstone.objects.filter(key=lease.key(0)).exists()
