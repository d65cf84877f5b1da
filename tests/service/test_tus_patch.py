"""tus 1.0: bytes that come in pieces, and what becomes of each piece."""

import base64
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template
from tests.support.tus_client import UPLOADS, Client, checksum, pieces, refusal

Film = Callable[..., bytes]
MAX = 64 * 1024**2  # MAX_FILE_SIZE of the shared server
HEAD_SIZE = 65536  # so much is looked at before it is judged
PDF = b"%PDF-1.7 is not a film "


def flipped(data: bytes, at: int = -1) -> bytes:
    damaged = bytearray(data)
    damaged[at] ^= 1
    return bytes(damaged)


def send_all(tus: Client, path: str, content: bytes, *, start: int, size: int) -> None:
    for offset in range(start, len(content), size):
        answer = tus.patch(path, offset, content[offset : offset + size])
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(min(offset + size, len(content))))


# Bytes that arrive


def test_an_upload_in_pieces_becomes_a_file(tus: Client, film: Film) -> None:
    content = film(300_000)
    path = tus.new(len(content))
    answer = tus.patch(path, 0, content[:100_000])
    assert (answer.status, answer.body, answer.headers["Upload-Offset"]) == (204, b"", "100000")
    left = parsedate_to_datetime(answer.headers["Upload-Expires"]) - datetime.now(UTC)
    assert timedelta(days=6) < left <= timedelta(days=7)
    assert tus.offset(path) == 100_000
    send_all(tus, path, content, start=100_000, size=150_000)
    assert tus.is_complete(path, content)
    whole = tus.head(path)
    said = (whole.status, whole.headers["Upload-Offset"], whole.headers["Upload-Length"])
    assert said == (200, "300000", "300000")
    assert whole.headers["Upload-Expires"] is None  # it stays
    where = tus.ask("GET", path)
    assert (where.status, where.headers["Location"].endswith("/content")) == (303, True)


@pytest.mark.parametrize("body", [bytes, pieces], ids=["with a length", "chunked"])
def test_pieces_of_any_size_make_the_file(tus: Client, film: Film, body: Callable[[bytes], bytes]) -> None:
    chance, content = random.Random(7), film(1_500_000)
    path, offset = tus.new(len(content)), 0
    while offset < len(content):
        piece = content[offset : offset + chance.choice([1, 1000, HEAD_SIZE - 1, HEAD_SIZE, 130_000, 400_000])]
        answer = tus.patch(path, offset, body(piece))
        offset += len(piece)
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(offset))
    assert tus.is_complete(path, content)


def test_the_first_pieces_may_be_single_bytes(tus: Client, film: Film) -> None:
    content = film(200_000)
    path = tus.new(len(content))
    send_all(tus, path, content[:20], start=0, size=1)
    assert tus.offset(path) == 20
    assert tus.finish(path, content) == 20


def test_a_film_shorter_than_what_is_looked_at_may_come_in_pieces(tus: Client, film: Film) -> None:
    content = film(5000)
    path = tus.new(len(content))
    send_all(tus, path, content, start=0, size=1000)
    assert tus.is_complete(path, content)


def test_a_large_piece_in_one_request_arrives(tus: Client, film: Film) -> None:
    content = film(20_000_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content).status == 204
    assert tus.is_complete(path, content)


def test_the_same_bytes_twice_share_their_place(tus: Client, film: Film, shared_server: Server) -> None:
    content = film(150_000)
    tus.finish(tus.new(len(content)), content)
    stored = sorted(shared_server.stored_bytes())
    tus.finish(tus.new(len(content)), content)
    assert sorted(shared_server.stored_bytes()) == stored


def test_an_empty_piece_changes_nothing(tus: Client, film: Film) -> None:
    content = film()
    path = tus.new(len(content))
    for offset in (0, 1000):
        answer = tus.patch(path, offset, b"")
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(offset))
        tus.patch(path, offset, content[offset:1000])
    assert tus.patch(path, 1000, iter(())).status == 204
    assert tus.finish(path, content) == 1000


def test_the_end_may_be_asked_for_again(tus: Client, film: Film) -> None:
    """Its answer may have been lost."""
    content = film()
    path = tus.new(len(content))
    tus.finish(path, content)
    answer = tus.patch(path, len(content), b"")
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(len(content)))
    assert refusal(tus.patch(path, 0, content)) == (409, "offset_mismatch")
    assert refusal(tus.patch(path, len(content) - 1, content[-1:])) == (409, "offset_mismatch")
    assert refusal(tus.patch(path, len(content), b"more")) == (409, "offset_mismatch")
    assert tus.is_complete(path, content)


# Requests that are wrong


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Type": None}, (415, "unsupported_request")),
        ({"Content-Type": "application/octet-stream"}, (415, "unsupported_request")),
        ({"Content-Type": "application/offset+octet-streams"}, (415, "unsupported_request")),
        ({"Content-Type": "multipart/form-data; boundary=b"}, (415, "unsupported_request")),
        ({"Upload-Offset": None}, (400, "invalid_params")),
        ({"Upload-Offset": ""}, (400, "invalid_params")),
        ({"Upload-Offset": "-1"}, (400, "invalid_params")),
        ({"Upload-Offset": "+1000"}, (400, "invalid_params")),
        ({"Upload-Offset": "1e3"}, (400, "invalid_params")),
        ({"Upload-Offset": "\xb9000"}, (400, "invalid_params")),  # digits to Python, and no number
        ({"Upload-Offset": "0"}, (409, "offset_mismatch")),
        ({"Upload-Offset": "999"}, (409, "offset_mismatch")),
        ({"Upload-Offset": "1001"}, (409, "offset_mismatch")),
        ({"Upload-Offset": "9" * 18}, (409, "offset_mismatch")),
        ({"Content-Encoding": "gzip"}, (415, "unsupported_coding")),
        ({"Content-Encoding": "br"}, (415, "unsupported_coding")),
        ({"Upload-Length": "299999"}, (400, "invalid_params")),
        ({"Upload-Length": "many"}, (400, "invalid_params")),
        ({"Upload-Checksum": "crc32 AAAAAA=="}, (400, "invalid_params")),
        ({"Upload-Checksum": "sha1"}, (400, "invalid_digest")),
        ({"Upload-Checksum": ""}, (400, "invalid_params")),
        ({"Upload-Checksum": "sha1 %%%"}, (400, "invalid_digest")),
        ({"Upload-Checksum": "sha1 \xe9"}, (400, "invalid_digest")),
        ({"Upload-Checksum": "sha1 " + base64.b64encode(bytes(19)).decode()}, (400, "invalid_digest")),
        ({"Upload-Checksum": "sha256 " + base64.b64encode(bytes(20)).decode()}, (400, "invalid_digest")),
        ({"Upload-Checksum": "md5 " + base64.b64encode(bytes(16)).decode()}, (460, "digest_mismatch")),
    ],
)  # fmt: skip
def test_a_piece_that_cannot_be_taken_changes_nothing(
    tus: Client, film: Film, headers: dict[str, str | None], expected: tuple[int, str]
) -> None:
    content = film(300_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:1000]).status == 204
    assert refusal(tus.patch(path, 1000, content[1000:3000], headers)) == expected
    assert tus.offset(path) == 1000
    assert tus.finish(path, content) == 1000


def test_the_type_may_be_written_as_http_allows(tus: Client, film: Film) -> None:
    content = film()
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:9], {"Content-Type": "Application/Offset+Octet-Stream"}).status == 204
    assert tus.patch(path, 9, content[9:20], {"Content-Encoding": "identity"}).status == 204
    assert tus.finish(path, content) == 20


@pytest.mark.parametrize("body", [bytes, pieces], ids=["with a length", "chunked"])
@pytest.mark.parametrize("start", [0, 100_000])
def test_more_than_was_announced_is_refused(
    tus: Client, film: Film, body: Callable[[bytes], bytes], start: int
) -> None:
    content = film(200_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:start]).status == 204
    assert refusal(tus.patch(path, start, body(content[start:] + b"more"))) == (413, "too_large")
    assert tus.patch(path, tus.offset(path), content[tus.offset(path) :]).status == 204
    assert tus.is_complete(path, content)


def test_more_than_was_announced_is_refused_before_it_is_sent(tus: Client, film: Film) -> None:
    path = tus.new(200_000)
    with tus.begin(path, 0, 200_001) as line:
        assert refusal(line.answer()) == (413, "too_large")
    with tus.begin(path, 0, 10 * MAX) as line:  # which no upload may have
        answer = line.answer()
        assert refusal(answer) == (413, "too_large")
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert tus.offset(path) == 0


def test_what_was_never_begun_is_not_found(tus: Client) -> None:
    path = f"{UPLOADS}00000000-0000-4000-8000-000000000000"
    assert tus.head(path).status == 404
    assert refusal(tus.patch(path, 0, b"abc")) == (404, "not_found")
    assert refusal(tus.delete(path)) == (404, "not_found")
    assert refusal(tus.patch(f"{UPLOADS}no-address", 0, b"abc")) == (404, "not_found")


# A length that comes later


def test_a_length_that_comes_with_the_last_piece_ends_the_upload(tus: Client, film: Film) -> None:
    content = film(200_000)
    path = tus.new(None)
    assert tus.patch(path, 0, content[:150_000]).status == 204
    assert tus.look(path)["state"] != "complete"
    assert tus.patch(path, 150_000, content[150_000:], {"Upload-Length": "200000"}).status == 204
    assert tus.is_complete(path, content)


def test_a_length_that_comes_after_the_last_piece_ends_the_upload(tus: Client, film: Film) -> None:
    content = film(200_000)
    path = tus.new(None)
    assert tus.patch(path, 0, content).status == 204
    assert tus.patch(path, len(content), b"", {"Upload-Length": "200000"}).status == 204
    assert tus.is_complete(path, content)


def test_a_length_is_set_once(tus: Client, film: Film) -> None:
    content = film(200_000)
    path = tus.new(None)
    assert tus.patch(path, 0, content[:50_000], {"Upload-Length": "200000"}).status == 204
    set_now = tus.head(path).headers
    assert (set_now["Upload-Length"], set_now["Upload-Defer-Length"]) == ("200000", None)
    assert tus.patch(path, 50_000, content[50_000:60_000], {"Upload-Length": "200000"}).status == 204
    assert refusal(tus.patch(path, 60_000, b"abc", {"Upload-Length": "200001"})) == (400, "invalid_params")
    assert tus.finish(path, content) == 60_000


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        ("49999", (400, "invalid_params")),
        ("0", (400, "invalid_params")),
        ("-1", (400, "invalid_params")),
        (str(MAX + 1), (413, "too_large")),
    ],
)
def test_a_length_that_cannot_be_leaves_it_open(
    tus: Client, film: Film, length: str, expected: tuple[int, str]
) -> None:
    content = film(200_000)
    path = tus.new(None)
    assert tus.patch(path, 0, content[:50_000]).status == 204
    assert refusal(tus.patch(path, 50_000, content[50_000:60_000], {"Upload-Length": length})) == expected
    assert tus.head(path).headers["Upload-Defer-Length"] == "1"
    assert tus.finish(path, content) == 50_000


def test_a_length_that_this_very_piece_passes_is_refused(tus: Client, film: Film) -> None:
    content = film(200_000)
    path = tus.new(None)
    assert refusal(tus.patch(path, 0, content[:100_000], {"Upload-Length": "99999"})) == (413, "too_large")
    assert tus.head(path).headers["Upload-Defer-Length"] == "1"  # the refused piece has said nothing
    assert tus.finish(path, content) == 0


def test_bytes_without_a_length_are_limited_too(template: Template, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(template, tmp_path_factory, MAX_FILE_SIZE="100000", ACCEPT="*") as server:
        tus = Client(server)
        path = tus.new(None)
        assert tus.patch(path, 0, bytes(60_000)).status == 204
        for body in (bytes(40_001), pieces(bytes(40_001))):
            assert refusal(tus.patch(path, 60_000, body)) == (413, "too_large")
            assert 60_000 <= tus.offset(path) <= 100_000
            assert tus.delete(path).status == 204
            path = tus.new(None)
            assert tus.patch(path, 0, bytes(60_000)).status == 204
        tus.finish(path, bytes(100_000))


# Checksums


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
@pytest.mark.parametrize("body", [bytes, pieces], ids=["with a length", "chunked"])
def test_a_piece_with_another_checksum_is_discarded(
    tus: Client, film: Film, algorithm: str, body: Callable[[bytes], bytes]
) -> None:
    content = film(300_000)
    path = tus.new(len(content))
    for start in range(0, len(content), 100_000):
        piece = content[start : start + 100_000]
        claim = checksum(piece, algorithm)
        assert refusal(tus.patch(path, start, body(flipped(piece)), claim)) == (460, "digest_mismatch")
        assert tus.offset(path) == start
        answer = tus.patch(path, start, body(piece), claim)
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(start + 100_000))
    assert tus.is_complete(path, content)


def test_a_beginning_that_was_damaged_on_its_way_is_sent_again(tus: Client, film: Film) -> None:
    """It may look like no media at all: the checksum tells that this is not the client's doing."""
    content = film(200_000)
    path = tus.new(len(content))
    damaged = bytes(200) + content[200:100_000]
    assert refusal(tus.patch(path, 0, damaged, checksum(content[:100_000]))) == (460, "digest_mismatch")
    assert tus.finish(path, content) == 0


def test_a_beginning_that_is_what_was_meant_and_no_media_is_refused(tus: Client, film: Film) -> None:
    content = PDF + film(200_000)
    path = tus.new(len(content))
    answer = tus.patch(path, 0, content[:100_000], checksum(content[:100_000]))
    assert refusal(answer) == (415, "unsupported_media")
    assert tus.head(path).status == 410


def test_pieces_with_and_without_a_checksum_make_one_file(tus: Client, film: Film) -> None:
    content = film(400_000)
    path = tus.new(len(content))
    for number, start in enumerate(range(0, len(content), 50_000)):
        piece = content[start : start + 50_000]
        if number % 2:
            assert tus.patch(path, start, flipped(piece, 100), checksum(piece)).status == 460
        assert tus.patch(path, start, piece, checksum(piece) if number % 2 else None).status == 204
    assert tus.is_complete(path, content)


def test_an_empty_piece_has_a_checksum_too(tus: Client) -> None:
    path = tus.new(5000)
    assert tus.patch(path, 0, b"", checksum(b"")).status == 204
    assert refusal(tus.patch(path, 0, b"", checksum(b"something"))) == (460, "digest_mismatch")
    assert tus.offset(path) == 0


# Pieces that break off


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("came", [10, 90_000, 1_500_000])
def test_a_piece_that_breaks_off_is_kept_as_far_as_it_came(tus: Client, film: Film, chunked: bool, came: int) -> None:
    content = film(2_000_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:7]).status == 204
    with tus.begin(path, 7, None if chunked else len(content) - 7) as line:
        line.send(content[7:came])
        line.cut()
        assert refusal(line.answer()) == (400, "incomplete_body")
    assert tus.offset(path) == came
    assert tus.finish(path, content) == came


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("start", [0, 50_000])
def test_a_piece_with_a_checksum_that_breaks_off_is_not_kept(
    tus: Client, film: Film, chunked: bool, start: int
) -> None:
    content = film(2_000_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:start]).status == 204
    claim = checksum(content[start:])
    with tus.begin(path, start, None if chunked else len(content) - start, claim) as line:
        line.send(content[start:1_500_000])
        line.cut()
        assert refusal(line.answer()) == (400, "incomplete_body")
    assert tus.offset(path) == start
    assert tus.finish(path, content) == start


def test_a_client_that_leaves_finds_its_bytes(tus: Client, film: Film) -> None:
    content = film(2_000_000)
    path = tus.new(len(content))
    with tus.sending(path, content[:1_000_000]):
        pass
    assert tus.finish(path, content) == 1_000_000


@pytest.fixture(scope="module")
def impatient(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, UPLOAD_IDLE_TIMEOUT="1s") as server:
        yield server


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_piece_that_stalls_is_kept_as_far_as_it_came(impatient: Server, film: Film, chunked: bool) -> None:
    tus, content = Client(impatient), film(200_000)
    path = tus.new(len(content))
    with tus.begin(path, 0, None if chunked else len(content)) as line:
        line.send(content[:90_000])
        assert refusal(line.answer()) == (408, "too_slow")
    assert tus.finish(path, content) == 90_000


def test_a_piece_with_a_checksum_that_stalls_is_not_kept(impatient: Server, film: Film) -> None:
    tus, content = Client(impatient), film(200_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:1000]).status == 204
    with tus.begin(path, 1000, len(content) - 1000, checksum(content[1000:])) as line:
        line.send(content[1000:90_000])
        assert refusal(line.answer()) == (408, "too_slow")
    assert tus.finish(path, content) == 1000


# What is no media


def send_until_refused(tus: Client, path: str, content: bytes, sizes: list[int]) -> Answer:
    offset = 0
    for size in sizes:
        answer = tus.patch(path, offset, content[offset : offset + size])
        offset += size
        if answer.status != 204:
            break
    return answer


@pytest.mark.parametrize(
    ("length", "sizes"),
    [(200_000, [200_000]), (200_000, [1, 1, 1, 1, 1, HEAD_SIZE]), (10, [1] * 10), (2000, [1000, 1000])],
    ids=["at once", "one byte first", "one byte at a time", "shorter than what is looked at"],
)
def test_what_is_no_media_is_refused_and_not_kept(
    tus: Client, shared_server: Server, length: int, sizes: list[int]
) -> None:
    before, path = sorted(shared_server.stored_bytes()), tus.new(length)
    assert refusal(send_until_refused(tus, path, PDF.ljust(length, b"."), sizes)) == (415, "unsupported_media")
    assert tus.head(path).status == 410
    assert refusal(tus.patch(path, 0, b"abc")) == (410, "gone")
    upload = tus.look(path)
    assert (upload["state"], upload["error"]["code"]) == ("failed", "unsupported_media")
    assert sorted(shared_server.stored_bytes()) == before


def test_what_is_no_media_and_has_no_length_is_refused_when_it_ends(tus: Client) -> None:
    path = tus.new(None)
    assert tus.patch(path, 0, PDF).status == 204  # too little to judge, and perhaps not all
    assert refusal(tus.patch(path, len(PDF), b"", {"Upload-Length": str(len(PDF))})) == (415, "unsupported_media")
    assert tus.head(path).status == 410
