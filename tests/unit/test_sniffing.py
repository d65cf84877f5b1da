import random
import time
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.media_samples import BUILT, REAL, REFUSED, Built, Real
from tests.support.repetitions import MORE
from uploads.content.sniffing import HEAD_SIZE, MEDIA_TYPES, Kind, MediaType, sniff
from uploads.content.sniffing.signatures import MAGIC


@pytest.fixture(scope="session")
def heads(samples: dict[str, Path]) -> list[bytes]:
    return [path.read_bytes()[:4096] for path in samples.values()] + [entry.content[:4096] for entry in BUILT]


@pytest.mark.parametrize("clip", REAL, ids=lambda clip: clip.name)
def test_a_file_made_by_ffmpeg_is_recognised(clip: Real, samples: dict[str, Path]) -> None:
    assert name_of(samples[clip.name].read_bytes()) == clip.media


@pytest.mark.parametrize("clip", REAL, ids=lambda clip: clip.name)
def test_the_head_of_a_file_made_by_ffmpeg_tells_as_much(clip: Real, samples: dict[str, Path]) -> None:
    assert name_of(samples[clip.name].read_bytes()[:HEAD_SIZE]) == clip.media


@pytest.mark.parametrize("clip", REAL, ids=lambda clip: clip.name)
def test_what_ffmpeg_made_can_be_opened(clip: Real, samples: dict[str, Path]) -> None:
    with av.open(str(samples[clip.name])) as media:
        assert media.streams


@pytest.mark.parametrize("clip", REAL, ids=lambda clip: clip.name)
def test_a_file_cut_short_is_never_taken_for_another_family(clip: Real, samples: dict[str, Path]) -> None:
    content = samples[clip.name].read_bytes()
    for size in (16, 100, 1000, 5000, 20000):
        found = sniff(content[:size])
        # An index that is cut off no longer says that there is sound only, so the kind may differ.
        assert found is None or found.name.partition("/")[2] in related(clip.media)


def test_every_type_that_is_told_can_be_accepted_by_name() -> None:
    told = {clip.media for clip in REAL} | {entry.media for entry in BUILT}
    assert told - {None} <= MEDIA_TYPES
    assert all(sniffed.partition("/")[2] for sniffed in MEDIA_TYPES)


@pytest.mark.parametrize("entry", BUILT, ids=lambda entry: entry.name)
def test_a_beginning_built_by_hand_is_recognised(entry: Built) -> None:
    assert name_of(entry.content) == entry.media


@pytest.mark.parametrize("content", [content for _, content in REFUSED], ids=[name for name, _ in REFUSED])
def test_what_is_no_media_is_refused(content: bytes) -> None:
    assert sniff(content) is None


@pytest.mark.parametrize("row", MAGIC, ids=lambda row: row.format)
def test_a_row_of_the_table_is_reached_by_something_in_the_corpus(row: object, found_rows: set[object]) -> None:
    assert row in found_rows


@pytest.fixture(scope="module")
def found_rows(samples: dict[str, Path]) -> set[object]:
    contents = [path.read_bytes()[:HEAD_SIZE] for path in samples.values()]
    return {first_row(content) for content in [*contents, *(entry.content[:HEAD_SIZE] for entry in BUILT)]}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mkv", Kind.VIDEO),
        ("mxf", Kind.VIDEO),
        ("realmedia", Kind.VIDEO),
        ("flac", Kind.AUDIO),
        ("gif", Kind.IMAGE),
        ("srt", Kind.SUBTITLE),
        ("webvtt", Kind.SUBTITLE),
        ("ass", Kind.SUBTITLE),
    ],
)
def test_the_kind_says_what_a_type_is_good_for(name: str, kind: Kind, samples: dict[str, Path]) -> None:
    built = {entry.name: entry.content for entry in BUILT}
    found = sniff(built[name] if name in built else samples[name].read_bytes())
    assert found is not None
    assert found.kind is kind


def test_a_type_is_a_plain_value() -> None:
    assert sniff(b"GIF89a" + bytes(9)) == MediaType(Kind.IMAGE, "image/gif")


def test_bytes_behind_the_head_do_not_count() -> None:
    assert sniff(bytes(HEAD_SIZE) + b"GIF89a") is None
    assert name_of(b"GIF89a" + bytes(HEAD_SIZE) + b"#EXTM3U") == "image/gif"


@pytest.mark.parametrize("subtitle", [entry for entry in BUILT if "longer" in entry.name], ids=lambda e: e.name)
def test_subtitles_may_be_cut_anywhere(subtitle: Built) -> None:
    for size in range(HEAD_SIZE - 12, HEAD_SIZE):
        for content in (subtitle.content, b"\xfe\xff" + subtitle.content.decode().encode("utf-16-be")):
            assert name_of(content[:size]) == subtitle.media


def test_random_bytes_are_refused() -> None:
    source = random.Random(20)
    assert [sniff(source.randbytes(HEAD_SIZE)) for _ in range(2000)] == [None] * 2000


def test_random_bytes_behind_a_short_mark_are_refused() -> None:
    source = random.Random(21)
    marks = [
        b"BM",
        b"\xff\xfb",
        b"\xff\xf1",
        b"\x0b\x77",
        b"\x56\xe0",
        b"G",
        b"\0\0\1",
        b"\0\0\0\1",
        b"\x12\0",
    ]
    found = [sniff(mark + source.randbytes(4094)) for mark in marks for _ in range(400)]
    assert found == [None] * len(found)


def test_random_letters_are_refused() -> None:
    source = random.Random(22)
    texts = (bytes(source.choices(b"WEBVTSRT0123:,.->[]# \n\r\t", k=3000)) for _ in range(500))
    assert not any(sniff(text) for text in texts)


@settings(deadline=None, max_examples=75 * MORE)
@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(content: bytes) -> None:
    assert sniff(content) is None or name_of(content)


@settings(deadline=None, max_examples=150 * MORE)
@given(st.data())
def test_a_damaged_head_gets_an_answer(heads: list[bytes], data: st.DataObject) -> None:
    head = bytearray(data.draw(st.sampled_from(heads)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=8)):
        head[at % len(head)] = value
    cut = data.draw(st.integers(0, len(head)))
    answer = sniff(bytes(head[:cut]))
    assert answer is None or isinstance(answer, MediaType)


@settings(deadline=None, max_examples=75 * MORE)
@given(st.data())
def test_a_playlist_never_passes_whatever_follows(heads: list[bytes], data: st.DataObject) -> None:
    start = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\n", b" \r\n"])) + b"#EXTM3U"
    assert sniff(start + data.draw(st.binary(max_size=20)) + data.draw(st.sampled_from(heads))) is None


@pytest.mark.parametrize(
    "piece",
    [
        b"\xff\xfb\x90\x64",
        b"\xff\xf1\x50\x80\0\x1f\xfc",
        b"\x0b\x77\0\0\0\x40",
        b"\x56\xe0\x01",
        b"G\0\0\x10",
        b"ID3\4\0\0\0\0\0\0",
        b"ID3\4\0\0\0\0\0\0\xff\xfb\x90\x64",
        b"\0\0\1\x67",
        b"\0\0\1\x09",
        b"\0\0\0\x08free",
        b"\0\0\0\x08ftyp",
        b"\0\0\x10\0ftypmif1",
        b"OggS\0\2" + bytes(20) + b"\0",
        b"\x1aE\xdf\xa3\x4f\xff" + b"\xec\x80" * 90,
        b"RIFF",
        b"00:00",
        b"1\n",
        b"WEBVTT \n",
        b"[Script Info]\n",
        b"\n",
        b" ",
        b"9",
        b"\xff\xfe\n\0",
        b"\xc3",
        b"\xf0\x9f\x8e\xac",
        b"--> ",
    ],
    ids=repr,
)
def test_no_content_takes_long(piece: bytes) -> None:
    head = (piece * (HEAD_SIZE // len(piece) + 1))[:HEAD_SIZE]
    assert min(seconds(head) for _ in range(5)) < 0.02  # 3 ms is usual; a busy machine needs some room


def seconds(head: bytes) -> float:
    start = time.process_time()
    sniff(head)
    return time.process_time() - start


def name_of(content: bytes) -> str | None:
    found = sniff(content)
    return found.name if found else None


def first_row(head: bytes) -> object:
    return next((row for row in MAGIC if head.startswith(row.magic, row.offset) and row.check(head)), None)


def related(media: str) -> set[str]:
    """Names that a cut file may also have: the parts behind the slash of its family."""
    families = (
        {"mp4", "x-m4v", "quicktime"},
        {"x-ms-wmv", "x-ms-wma", "x-ms-asf"},
        {"png", "apng"},
        {"eac3", "ac3"},
    )
    own = media.partition("/")[2]
    return {own}.union(*(family for family in families if own in family))
