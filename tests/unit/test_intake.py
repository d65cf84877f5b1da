"""The choke point, with a clock that we wind and a Sink that we can look into."""

import hashlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.request_bodies import cut
from uploads.content.hashing import Sha256
from uploads.content.intake import UNKNOWN, Intake
from uploads.content.minimum_speed import RATE_WINDOW, Pace
from uploads.content.sniffing import HEAD_SIZE, Kind
from uploads.errors import EmptyFile, TooLarge, TooSlow, UnsupportedMedia
from uploads.sinks.base import Writer
from uploads.sinks.memory import MemorySink

GIF = b"GIF89a" + bytes(20)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """An Intake on a MemorySink. Every grant is one byte more than was needed."""

    sink: MemorySink = field(default_factory=MemorySink)
    clock: Clock = field(default_factory=Clock)
    asked: list[int] = field(default_factory=list)
    limit: int = 10**9

    def intake(self, pace: Pace | None = None, accept: frozenset[str] | None = None, granted: int = 0) -> Intake:
        writer = self.sink.create("key")
        return Intake(writer, grow=self.grow, granted=granted, accept=accept, pace=pace or Pace(), clock=self.clock)

    def grow(self, offset: int) -> int:
        self.asked.append(offset)
        if offset > self.limit:
            raise TooLarge("too large")
        return offset + 1

    def kept(self, writer: Writer) -> bytes:
        writer.commit()
        return self.sink.open("key").read()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=3 * HEAD_SIZE), st.lists(st.integers(0, 10**6), max_size=8))
def test_every_byte_is_written_and_hashed_in_its_order_however_it_was_cut(content: bytes, places: list[int]) -> None:
    bench = Bench()
    intake = bench.intake()
    for piece in cut(content, places):
        intake.feed(memoryview(piece))
    found = intake.finish()
    assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert bench.kept(intake.writer) == content


def test_no_bytes_at_all_are_an_empty_file(bench: Bench) -> None:
    intake = bench.intake()
    intake.feed(b"")
    with pytest.raises(EmptyFile):
        intake.finish()


def test_a_grant_is_asked_for_when_it_is_passed_and_not_before(bench: Bench) -> None:
    intake = bench.intake(granted=10)
    intake.feed(bytes(10))
    assert bench.asked == []
    intake.feed(b"1")  # granted up to 12 now
    intake.feed(b"2")
    assert bench.asked == [11]
    intake.feed(b"34")
    assert bench.asked == [11, 14]


def test_a_refused_grant_lets_nothing_of_the_piece_through(bench: Bench) -> None:
    bench.limit = HEAD_SIZE
    intake = bench.intake()
    intake.feed(bytes(HEAD_SIZE))  # granted one more
    with pytest.raises(TooLarge):
        intake.feed(b"xx")
    assert intake.offset == intake.writer.offset == HEAD_SIZE


def test_content_is_judged_once_enough_of_it_is_there(bench: Bench) -> None:
    intake = bench.intake(accept=frozenset({Kind.VIDEO}))
    intake.feed(bytes(HEAD_SIZE - 1))
    with pytest.raises(UnsupportedMedia, match=r"not a known media type, by its content\. Accepted are: video"):
        intake.feed(b"\0")
    assert intake.writer.offset == 0


def test_content_shorter_than_a_head_is_judged_at_its_end(bench: Bench) -> None:
    intake = bench.intake(accept=frozenset({Kind.VIDEO, Kind.AUDIO}))
    intake.feed(GIF)
    with pytest.raises(UnsupportedMedia, match=r"This is image/gif, by its content\. Accepted are: audio, video"):
        intake.finish()
    assert intake.writer.offset == 0


def test_a_media_type_may_be_accepted_without_its_kind(bench: Bench) -> None:
    intake = bench.intake(accept=frozenset({"image/gif"}))
    intake.feed(GIF)
    assert intake.finish().media_type == "image/gif"


def test_another_type_of_the_same_kind_is_refused(bench: Bench) -> None:
    intake = bench.intake(accept=frozenset({"image/png", "video"}))
    intake.feed(GIF)
    with pytest.raises(UnsupportedMedia, match=r"This is image/gif, by its content\. Accepted are: image/png, video"):
        intake.finish()


def test_what_is_accepted_is_named(bench: Bench) -> None:
    intake = bench.intake(accept=frozenset({Kind.IMAGE}))
    intake.feed(GIF)
    found = intake.finish()
    assert (found.kind, found.media_type) == ("image", "image/gif")


def test_where_anything_is_accepted_what_nobody_knows_has_no_kind(bench: Bench) -> None:
    intake = bench.intake(accept=None)
    intake.feed(b"a letter")
    found = intake.finish()
    assert (found.kind, found.media_type) == ("", UNKNOWN)


def test_whoever_takes_longer_than_the_timeout_is_too_slow(bench: Bench) -> None:
    intake = bench.intake(Pace(timeout=60))
    bench.clock.now += 60
    intake.feed(b"x")
    bench.clock.now += 0.1
    with pytest.raises(TooSlow, match="longer than the allowed 60 s"):
        intake.feed(b"x")


def test_whoever_stays_below_the_rate_for_a_window_is_too_slow(bench: Bench) -> None:
    intake = bench.intake(Pace(min_rate=100))
    bench.clock.now += RATE_WINDOW
    with pytest.raises(TooSlow, match="slower than 100 bytes per second"):
        intake.feed(bytes(int(100 * RATE_WINDOW) - 1))


def test_the_rate_itself_is_enough(bench: Bench) -> None:
    intake = bench.intake(Pace(min_rate=100))
    for _ in range(20):
        bench.clock.now += RATE_WINDOW / 2
        intake.feed(bytes(int(100 * RATE_WINDOW) // 2))


def test_a_breath_is_allowed_within_a_window(bench: Bench) -> None:
    intake = bench.intake(Pace(min_rate=100))
    intake.feed(bytes(5000))
    bench.clock.now += RATE_WINDOW * 0.9
    intake.feed(b"x")
    bench.clock.now += RATE_WINDOW * 0.2
    intake.feed(b"x")


def test_a_fast_beginning_does_not_pay_for_a_slow_end(bench: Bench) -> None:
    intake = bench.intake(Pace(min_rate=100))
    bench.clock.now += RATE_WINDOW
    intake.feed(bytes(10**6))
    bench.clock.now += RATE_WINDOW
    with pytest.raises(TooSlow):
        intake.feed(b"x")


def test_without_a_pace_nobody_is_too_slow(bench: Bench) -> None:
    intake = bench.intake()
    for _ in range(3):
        bench.clock.now += 10**6
        intake.feed(b"x")
    assert intake.finish().size == 3


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=2 * HEAD_SIZE), st.lists(st.integers(0, 2 * HEAD_SIZE), max_size=4))
def test_a_write_that_pauses_anywhere_ends_as_if_it_had_not(content: bytes, places: list[int]) -> None:
    """Each piece in an Intake of its own, as each request has one, which is told what was there before."""
    sink = MemorySink()
    sink.create_resumable("key").close()
    for piece in cut(content, places):
        writer = sink.resume("key")
        before = sink.open_partial("key").read()
        intake = Intake(writer, grow=lambda offset: offset, accept=None)
        intake.feed_stored(before)
        intake.feed(piece)
        if intake.offset == len(content):
            found = intake.finish()
            writer.commit()
        else:
            intake.pause()
            writer.close()
            assert sink.offset("key") == intake.offset
    assert (found.sha256, found.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert sink.open("key").read() == content


def test_an_intake_goes_on_from_a_hash_and_a_verdict(bench: Bench) -> None:
    content = GIF + bytes(HEAD_SIZE)
    first = bench.intake(granted=10**6)
    first.feed(content)
    second = Intake(
        first.writer, grow=bench.grow, granted=10**6, offset=first.offset, media=first.media,
        hash=Sha256(first.hash.state()),
    )  # fmt: skip
    second.feed(b"more")
    found = second.finish()
    assert (found.media_type, found.size) == ("image/gif", len(content) + 4)
    assert found.sha256 == hashlib.sha256(content + b"more").hexdigest()
    assert bench.kept(first.writer) == content + b"more"


def test_what_is_refused_after_a_pause_is_not_written_further(bench: Bench) -> None:
    writer = bench.sink.create_resumable("key")
    first = Intake(writer, grow=bench.grow, granted=10**6, accept=frozenset(Kind))
    first.feed(b"\x7fELF")
    first.pause()
    second = Intake(writer, grow=bench.grow, granted=10**6, accept=frozenset(Kind))
    second.feed_stored(b"\x7fELF")
    with pytest.raises(UnsupportedMedia):
        second.feed(bytes(HEAD_SIZE))
    assert writer.offset == 4
