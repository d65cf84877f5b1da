"""tus 1.0: what the server can, and how an upload begins."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server
from tests.support.tus_client import OCTETS, UPLOADS, VERSION, Client, checksum, metadata, pieces, refusal

Film = Callable[..., bytes]
MAX = 64 * 1024**2  # MAX_FILE_SIZE of the shared server
LOCATION = re.compile(r"/api/v1/uploads/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def expires_in(answer: Answer) -> timedelta:
    return parsedate_to_datetime(answer.headers["Upload-Expires"]) - datetime.now(UTC)


# What is spoken here


def test_anybody_may_ask_what_the_server_can(shared_server: Server) -> None:
    answer = Client(shared_server, user=None).ask("OPTIONS", UPLOADS, headers={"Tus-Resumable": None})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Tus-Version"] == VERSION
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination",
    }  # fmt: skip
    assert answer.headers["Tus-Max-Size"] == str(MAX)
    assert set(answer.headers["Tus-Checksum-Algorithm"].split(",")) == {"sha1", "sha256", "md5"}


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1", "1", ""])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_another_version_is_refused_and_told_ours(tus: Client, film: Film, method: str, version: str | None) -> None:
    path = tus.new(1000)
    headers = {"Upload-Length": "1000", "Upload-Offset": "0", "Content-Type": OCTETS, "Tus-Resumable": version}
    answer = tus.ask(method, UPLOADS if method == "POST" else path, None, headers)
    assert (answer.status, answer.headers["Tus-Version"]) == (412, VERSION)
    if method != "HEAD":
        assert answer.code == "unsupported_version"
    assert tus.offset(path) == 0  # nor did it do anything


@pytest.mark.parametrize("version", [None, "0.2.2"])
def test_looking_and_asking_need_no_version(tus: Client, version: str | None) -> None:
    headers = {"Tus-Resumable": version, "Accept": "application/json"}
    assert tus.ask("OPTIONS", UPLOADS, headers=headers).status == 204
    assert tus.ask("GET", UPLOADS, headers=headers).status == 200
    assert tus.ask("GET", tus.new(1000), headers=headers).status == 200


# Creation


def test_a_new_upload_has_an_address_where_it_waits(tus: Client) -> None:
    answer = tus.create(5000)
    assert answer.status == 201
    assert LOCATION.fullmatch(answer.headers["Location"])
    assert timedelta(minutes=50) < expires_in(answer) <= timedelta(hours=1)  # nothing of it has come yet
    waiting = tus.head(answer.headers["Location"])
    assert (waiting.status, waiting.body) == (200, b"")
    said = {name: waiting.headers[name] for name in ("Upload-Offset", "Upload-Length", "Upload-Defer-Length")}
    assert said == {"Upload-Offset": "0", "Upload-Length": "5000", "Upload-Defer-Length": None}
    assert waiting.headers["Upload-Expires"] == answer.headers["Upload-Expires"]
    assert waiting.headers["Cache-Control"] == "no-store"
    assert waiting.headers["Upload-Metadata"] is None


def test_a_length_may_come_later(tus: Client) -> None:
    waiting = tus.head(tus.new(None))
    assert (waiting.headers["Upload-Defer-Length"], waiting.headers["Upload-Length"]) == ("1", None)


def test_the_largest_that_may_come_may_be_announced(tus: Client) -> None:
    path = tus.new(MAX)
    assert tus.head(path).headers["Upload-Length"] == str(MAX)
    assert tus.delete(path).status == 204


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Upload-Length": str(MAX + 1)}, (413, "too_large")),
        ({"Upload-Length": "9" * 18}, (413, "too_large")),
        ({"Upload-Length": "0"}, (400, "empty_file")),
        ({"Upload-Length": None}, (400, "invalid_params")),
        ({"Upload-Length": ""}, (400, "invalid_params")),
        ({"Upload-Length": "-1"}, (400, "invalid_params")),
        ({"Upload-Length": "+5"}, (400, "invalid_params")),
        ({"Upload-Length": "5.0"}, (400, "invalid_params")),
        ({"Upload-Length": "0x10"}, (400, "invalid_params")),
        ({"Upload-Length": "1_000"}, (400, "invalid_params")),
        ({"Upload-Length": "\xb2"}, (400, "invalid_params")),  # a digit to Python, and no number
        ({"Upload-Length": "many"}, (400, "invalid_params")),
        ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, (400, "invalid_params")),
        ({"Upload-Length": None, "Upload-Defer-Length": "0"}, (400, "invalid_params")),
        ({"Upload-Length": None, "Upload-Defer-Length": "2"}, (400, "invalid_params")),
        ({"Upload-Length": None, "Upload-Defer-Length": "yes"}, (400, "invalid_params")),
        ({"Upload-Length": None, "Upload-Defer-Length": ""}, (400, "invalid_params")),
    ],
)
def test_an_upload_that_cannot_be_is_not_begun(
    tus: Client, headers: dict[str, str | None], expected: tuple[int, str]
) -> None:
    def begun() -> list[str]:
        return [upload["id"] for upload in tus.ask("GET", UPLOADS).json()["results"]]

    before = begun()
    assert refusal(tus.create(5, headers)) == expected
    assert begun() == before


@pytest.mark.parametrize(("user", "expected"), [(None, (401, "unauthenticated")), ("viewer", (403, "forbidden"))])
def test_whoever_may_not_send_files_may_not_begin(
    shared_server: Server, film: Film, user: str | None, expected: tuple[int, str]
) -> None:
    client, before = Client(shared_server, user), shared_server.stored_bytes()
    assert refusal(client.create(5000)) == expected
    assert refusal(client.create(5000, body=film(5000))) == expected
    assert shared_server.stored_bytes() == before


# Metadata

MP4 = metadata(filename="film.mp4")["Upload-Metadata"]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (MP4, "film.mp4"),
        (f"filetype dmlkZW8vbXA0,{MP4}", "film.mp4"),
        (metadata(name="from name.mp4")["Upload-Metadata"], "from name.mp4"),
        (metadata(name="not me.mp4", filename="me.mp4")["Upload-Metadata"], "me.mp4"),
        (metadata(filename="Füße 走る.mp4")["Upload-Metadata"], "Füße 走る.mp4"),
        (metadata(filename=None)["Upload-Metadata"], "unnamed"),
        ("filename ,is_confidential", "unnamed"),
        ("is_confidential", "unnamed"),
        (metadata(thumbnail=bytes(range(256)), filename="b.mp4")["Upload-Metadata"], "b.mp4"),
    ],
)
def test_metadata_names_the_file_and_comes_back_as_it_was_sent(tus: Client, sent: str, name: str) -> None:
    path = tus.new(5000, {"Upload-Metadata": sent})
    assert tus.head(path).headers["Upload-Metadata"] == sent
    assert tus.look(path)["name"] == name


def test_a_name_that_is_no_text_is_read_as_well_as_can_be(tus: Client) -> None:
    name = tus.look(tus.new(5000, metadata(filename=b"caf\xe9\xff.mp4")))["name"]
    assert name.startswith("caf")
    assert name.endswith(".mp4")


@pytest.mark.parametrize(
    "sent",
    [
        "filename YQ==,filename Yg==",
        "filename,filename",
        "filename %%%",
        "filename YQ== Yg==",
        "f\xfcr YQ==",
        "a YQ==,,b YQ==",
        ",",
    ],
)
def test_metadata_that_cannot_be_read_is_refused(tus: Client, sent: str) -> None:
    assert refusal(tus.create(5000, {"Upload-Metadata": sent})) == (400, "invalid_params")


# Creation with upload


def test_the_first_bytes_may_come_with_the_creation(tus: Client, film: Film) -> None:
    content = film(200_000)
    answer = tus.create(len(content), body=content[:90_000])
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "90000")
    assert expires_in(answer) > timedelta(days=6)
    path = answer.headers["Location"]
    assert tus.offset(path) == 90_000
    assert tus.finish(path, content) == 90_000


def test_all_bytes_may_come_with_the_creation(tus: Client, film: Film) -> None:
    content = film(200_000)
    answer = tus.create(len(content), body=content)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "200000")
    assert tus.is_complete(answer.headers["Location"], content)


def test_the_first_bytes_may_come_chunked(tus: Client, film: Film) -> None:
    content = film(200_000)
    answer = tus.create(len(content), body=pieces(content[:120_000]))
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "120000")
    assert tus.finish(answer.headers["Location"], content) == 120_000


def test_the_first_bytes_may_come_before_the_length(tus: Client, film: Film) -> None:
    content = film(200_000)
    answer = tus.create(None, body=content[:90_000])
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "90000")
    assert tus.head(answer.headers["Location"]).headers["Upload-Defer-Length"] == "1"
    tus.finish(answer.headers["Location"], content)


def test_the_first_bytes_may_be_checked(tus: Client, film: Film) -> None:
    content = film(200_000)
    answer = tus.create(len(content), checksum(content[:90_000]), content[:90_000])
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "90000")
    assert refusal(tus.create(200_000, checksum(b"other"), content[:90_000])) == (460, "digest_mismatch")


@pytest.mark.parametrize(
    ("size", "content_type", "begins", "expected"),
    [
        (70_000, OCTETS, b"", (413, "too_large")),
        (100_000, "video/mp4", b"", (415, "unsupported_request")),
        (100_000, OCTETS, b"%PDF-1.7", (415, "unsupported_media")),
    ],
    ids=["more than announced", "another type", "no media"],
)
def test_first_bytes_that_cannot_be_taken_are_refused(
    tus: Client, film: Film, size: int, content_type: str, begins: bytes, expected: tuple[int, str]
) -> None:
    assert refusal(tus.create(size, {"Content-Type": content_type}, begins + film(80_000 - len(begins)))) == expected


def test_first_bytes_that_are_no_media_are_not_kept(start_server: StartServer, film: Film) -> None:
    server = start_server()
    answer = Client(server).create(100_000, body=b"%PDF-1.7" + film(80_000))
    assert refusal(answer) == (415, "unsupported_media")
    assert server.stored_bytes() == []
    [upload] = Client(server).ask("GET", UPLOADS).json()["results"]
    assert (upload["state"], upload["error"]["code"]) == ("failed", "unsupported_media")


# Idempotency-Key: the answer to a creation may get lost


def test_a_creation_sent_again_leads_to_the_same_upload(tus: Client, film: Film) -> None:
    content, headers = film(), {"Idempotency-Key": uuid.uuid4().hex, **metadata(filename="once.mp4")}
    first = tus.create(len(content), headers)
    again = tus.create(len(content), headers)
    assert "Idempotency-Replayed" not in first.headers
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.headers["Location"] == first.headers["Location"]
    tus.finish(first.headers["Location"], content)
    finished = tus.create(len(content), headers)
    assert (finished.status, finished.headers["Idempotency-Replayed"]) == (201, "true")
    assert finished.headers["Location"] == first.headers["Location"]


def test_a_creation_that_was_cut_off_goes_on_where_it_was(tus: Client, film: Film) -> None:
    content, key = film(), {"Idempotency-Key": uuid.uuid4().hex}
    length = {"Upload-Length": str(len(content)), "Upload-Offset": None}
    with tus.begin(UPLOADS, 0, len(content), {**key, **length}, method="POST") as line:
        line.send(content[:100_000])
        line.cut()
        assert line.was_refused()
    again = tus.create(len(content), key)
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert tus.finish(again.headers["Location"], content) == 100_000


@pytest.mark.parametrize(
    ("size", "headers"), [(6000, metadata(filename="a.mp4")), (5000, metadata(filename="b.mp4")), (None, {})]
)
def test_a_key_used_for_another_creation_is_refused(tus: Client, size: int | None, headers: dict[str, str]) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    tus.new(5000, {**key, **metadata(filename="a.mp4")})
    assert refusal(tus.create(size, {**key, **headers})) == (422, "key_reused")


def test_a_key_is_its_owners(tus: Client, shared_server: Server) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    assert Client(shared_server, "bob").new(5000, key) != tus.new(5000, key)


def test_the_key_of_a_terminated_upload_is_free(tus: Client) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    path = tus.new(5000, key)
    assert tus.delete(path).status == 204
    assert tus.new(5000, key) != path
