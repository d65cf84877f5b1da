"""Renditions of an `hls` job while its parts are made one after the other: what files/ID/hls/ shows of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from media_jobs.errors import BadMedia
from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.models import Job, Worker
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Outcome, Output, Work
from media_jobs.operations.divisible import Again, DivisibleOperation, DonePart
from media_jobs.operations.shared import hls_head
from media_jobs.queue import cancel_and_retry, leases
from media_jobs.queue.artifacts import StoredOutput
from media_jobs.queue.leases import Lease
from media_jobs.queue.submission import Order, submit
from tests.support.hls_rules import MediaPlaylist, check_rendition, read_media_playlist
from tests.support.job_rows import a_worker, claimed
from tests.support.local_store import an_owner, own_store, upload
from uploads.models import MediaFile
from uploads.transfers.made_files import deposit

pytestmark = pytest.mark.django_db
CLIP, HEIGHTS = "open-gop.ts", {"heights": [48]}


class Making:
    """A file, its job, and the workers that make its parts."""

    def __init__(self, path: Path, facts: Facts, sandbox: Sandbox, folder: Path) -> None:
        folder.mkdir()
        self._path, self._facts, self._sandbox, self._folder = path, facts, sandbox, folder
        operation = get("hls")
        assert isinstance(operation, DivisibleOperation)
        self._operation = operation
        self.owner = an_owner("alice")
        self.file: MediaFile = upload(self.owner, path.read_bytes(), path.name)
        self.client = Client()
        self.client.force_login(self.owner)
        self.job = self._submit()
        self._bulk, self._heavy = a_worker("bulk"), a_worker("heavy")
        self._done: list[DonePart] = []

    def _submit(self) -> Job:
        return submit(Order.parse(self.owner, "hls", HEIGHTS, file=self.file))[0]

    def _work(self) -> Work[Any]:
        folder = self._folder / f"work{len(list(self._folder.iterdir()))}"
        folder.mkdir(mode=0o700)
        tools = Toolbox(find(), self._sandbox, folder, 2, lambda: None, lambda _: None)
        params = parse(self._operation, HEIGHTS)
        return Work(params, Input(self._path, self._path.name, "video", self._facts), [], folder, tools, 2)

    def claim(self, worker: Worker | None = None) -> Lease:
        return claimed(worker or self._heavy)

    def split(self) -> None:
        parts = self._operation.split(self._work(), 1)
        assert not isinstance(parts, Outcome)
        leases.split(self.claim(self._bulk), parts, {})

    def split_again(self) -> None:
        """After the head was made: into all parts, of which copies are there already."""
        lease, parts = self.claim(self._bulk), self._operation.join(self._work(), self._done)
        assert not isinstance(parts, Outcome | Again)
        done = {number: part for number, part in enumerate(parts) if part.outputs}
        for part in done.values():
            self._done.append(DonePart(part.spec, {output.name: output.path for output in part.outputs}))
        leases.split(lease, parts, {number: self._store(lease, part.outputs) for number, part in done.items()})

    def make_head(self) -> None:
        self.make_part(self._bulk)

    def make_part(self, worker: Worker | None = None) -> None:
        self.finish_part(self.claim(worker))

    def finish_part(self, lease: Lease) -> None:
        outcome = self._operation.run_part(self._work(), lease.job.part or {})
        self._done.append(DonePart(lease.job.part or {}, {output.name: output.path for output in outcome.outputs}))
        leases.finish_child(lease, self._store(lease, outcome.outputs), message="", ran={})

    def join(self) -> None:
        lease = self.claim(self._bulk)
        outcome = self._operation.join(self._work(), self._done)
        assert isinstance(outcome, Outcome)
        leases.finish(lease, self._store(lease, outcome.outputs), facts=None, message=outcome.message, ran={})

    def _store(self, lease: Lease, outputs: Any) -> list[StoredOutput]:
        leases.reserve_keys(lease, len(outputs))
        return [self._stored(output, lease.key(number)) for number, output in enumerate(outputs)]

    def _stored(self, output: Output, key: str) -> StoredOutput:
        copy = output.path.with_suffix(".stored")
        copy.write_bytes(output.path.read_bytes())
        return StoredOutput(output.name, key, deposit(copy, key, output.kind, output.media_type, lambda: None), {})

    def get(self, name: str, client: Client | None = None) -> Any:
        return (client or self.client).get(f"/api/v1/files/{self.file.pk}/hls/{name}")

    def text(self, name: str) -> str:
        answer = self.get(name)
        assert answer.status_code == 200, answer.content
        return str(answer.content.decode())

    def playlist(self, name: str) -> MediaPlaylist:
        return read_media_playlist(self.text(f"{name}.m3u8"))

    def segments(self, name: str) -> list[bytes]:
        return [b"".join(self.get(part).streaming_content) for part in self.playlist(name).names]

    def init(self, name: str) -> bytes:
        return b"".join(self.get(f"{name}/init.mp4").streaming_content)


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
    leases.end_failed(making.claim(), BadMedia("It is cut off."), {})
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
