"""tus 1.0: who may touch an upload, and who holds it."""

import fcntl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.running_servers import running_pair
from tests.support.server import Answer, Server, Template
from tests.support.tus_client import UPLOADS, Client, checksum, refusal
from tests.support.upload_locks import is_held, partials, was_asked
from tests.support.waiting import wait_until

Film = Callable[..., bytes]
PATIENCE = 5  # seconds that a newcomer waits for the holder
SOON = 4.5  # for what takes a second, on a noisy machine


@pytest.fixture(scope="module")
def two_servers(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with running_pair(template, tmp_path_factory.mktemp("pair")) as both:
        yield both


@pytest.fixture(params=["one server", "two servers"])
def pair(request: pytest.FixtureRequest, two_servers: list[Server]) -> tuple[Client, Client]:
    """The same account, as the holder of an upload and as the newcomer."""
    first, second = two_servers
    return Client(first), Client(second if request.param == "two servers" else first)


# Looking, and coming back


def test_who_looks_disturbs_nobody(tus: Client, film: Film) -> None:
    content = film(400_000)
    path = tus.new(len(content), {"Idempotency-Key": "looked-at", "Upload-Metadata": "filename ZmlsbS5tcDQ="})
    with tus.sending(path, content[:200_000], more=200_000) as line:
        upload = tus.look(path)
        known = {name: upload[name] for name in ("name", "key", "size", "offset", "progress", "protocol", "file")}
        assert known == {
            "name": "film.mp4", "key": "looked-at", "size": 400_000, "offset": 200_000, "progress": 0.5,
            "protocol": "tus", "file": None,
        }  # fmt: skip
        assert upload["state"] not in {"complete", "failed"}
        assert "200.0 KB (50 %)" in upload["message"]
        wait_until(lambda: tus.look(path)["speed"] > 0)  # measured, so not at once
        assert upload["eta_seconds"] >= 0
        assert upload["expires_at"]
        line.send(content[200_000:])
        answer = line.answer()
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, "400000")
    assert tus.is_complete(path, content)
    assert tus.look(path)["expires_at"] is None


def test_a_paused_upload_shows_that_nothing_moves(tus: Client, film: Film) -> None:
    path = tus.new(400_000)
    tus.patch(path, 0, film(400_000)[:100_000])
    upload = tus.look(path)
    assert (upload["offset"], upload["progress"], upload["eta_seconds"]) == (100_000, 0.25, None)
    assert "/s" not in upload["message"]


def test_tus_uploads_are_listed(tus: Client, film: Film) -> None:
    tus.server.put("no-tus.mp4", film())
    path = tus.new(5000)
    listed = tus.ask("GET", f"{UPLOADS}?protocol=tus").json()["results"]
    assert path.rpartition("/")[2] in {upload["id"] for upload in listed}
    assert {upload["protocol"] for upload in listed} == {"tus"}


@pytest.mark.parametrize("came", [100, 200_000])
def test_who_comes_back_gets_what_came_at_once(pair: tuple[Client, Client], film: Film, came: int) -> None:
    """Its old connection may look alive to the server for a long time."""
    old, new = pair
    content = film(400_000)
    path = old.new(len(content))
    with old.sending(path, content[:came]) as line:
        began = time.monotonic()
        assert new.offset(path) == came
        assert time.monotonic() - began < SOON
        assert line.was_refused()
    assert new.finish(path, content) == came


@pytest.mark.local_disk  # it looks at the lock of the file
def test_who_comes_back_gets_what_was_verified(pair: tuple[Client, Client], film: Film) -> None:
    old, new = pair
    content = film(400_000)
    path = old.new(len(content))
    assert old.patch(path, 0, content[:100_000]).status == 204
    with old.begin(path, 100_000, 300_000, checksum(content[100_000:])) as line:
        line.send(content[100_000:300_000])
        # How far it has come, nobody promises to show before it is verified: the holding shows.
        wait_until(lambda: is_held(old.server))
        assert new.offset(path) == 100_000
        assert line.was_refused()
    assert new.finish(path, content) == 100_000


# Two writers


def test_a_newcomer_who_knows_the_offset_goes_on(pair: tuple[Client, Client], film: Film) -> None:
    old, new = pair
    content = film(400_000)
    path = old.new(len(content))
    with old.sending(path, content[:200_000]) as line:
        began = time.monotonic()
        answer = new.patch(path, 200_000, content[200_000:])
        assert time.monotonic() - began < 2 * PATIENCE
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, "400000")
        assert line.was_refused()
    assert new.is_complete(path, content)


def test_a_newcomer_who_does_not_know_the_offset_is_told(pair: tuple[Client, Client], film: Film) -> None:
    old, new = pair
    content = film(400_000)
    path = old.new(len(content))
    with old.sending(path, content[:200_000]):
        assert refusal(new.patch(path, 100_000, content[100_000:])) == (409, "offset_mismatch")
    assert new.finish(path, content) == 200_000


def test_many_who_send_the_same_piece_at_once_make_one_file(pair: tuple[Client, Client], film: Film) -> None:
    content = film(3_000_000)
    path = pair[0].new(len(content))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: attempt(pair[number % 2], path, content), range(6)))
    statuses = {answer.status for answer in answers if answer is not None}
    assert statuses <= {204, 400, 408, 409, 423}, answers
    if not pair[0].is_complete(path, content):
        pair[0].finish(path, content)


def attempt(client: Client, path: str, content: bytes) -> Answer | None:
    """None if the server hung up on us."""
    try:
        return client.patch(path, 0, content)
    except OSError:
        return None


@pytest.mark.local_disk
def test_who_had_to_wait_is_not_asked_to_let_go_itself(pair: tuple[Client, Client], film: Film) -> None:
    """What was asked of the holder before means nobody any more."""
    old, new = pair
    content, before = film(400_000), set(partials(old.server))
    path = old.new(len(content))
    assert old.patch(path, 0, content[:100_000]).status == 204
    [partial_file] = set(partials(old.server)) - before
    with ThreadPoolExecutor(1) as pool:
        with partial_file.open("rb+") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            waiting = pool.submit(new.head, path)
            wait_until(lambda: was_asked(old.server, path))
        assert waiting.result().status == 200
    with new.begin(path, 100_000, 300_000) as line:
        for start in range(100_000, 400_000, 15_000):  # for a second and a half: servers listen every half second
            line.send(content[start : start + 15_000])
            time.sleep(0.075)
        assert line.answer().status == 204
    assert new.is_complete(path, content)


@pytest.mark.local_disk  # it looks at the lock of the file
@pytest.mark.parametrize("claimed", [False, True], ids=["plain", "with a checksum"])
def test_an_upload_that_is_being_sent_may_be_terminated(
    pair: tuple[Client, Client], film: Film, claimed: bool
) -> None:
    old, new = pair
    content, before = film(400_000), sorted(old.server.stored_bytes())
    path = old.new(len(content))
    with old.begin(path, 0, len(content), checksum(content) if claimed else None) as line:
        line.send(content[:200_000])
        wait_until(lambda: is_held(old.server))
        began = time.monotonic()
        assert new.delete(path).status == 204
        assert time.monotonic() - began < SOON
        assert line.was_refused()
    assert new.head(path).status == 410
    assert sorted(old.server.stored_bytes()) == before


# Whose it is


def test_an_upload_is_its_owners(tus: Client, film: Film) -> None:
    content = film()
    path, bob = tus.new(len(content)), Client(tus.server, "bob")
    with tus.sending(path, content[:100_000], more=len(content) - 100_000) as line:
        assert bob.head(path).status == 404
        assert refusal(bob.patch(path, 100_000, content[100_000:])) == (404, "not_found")
        assert refusal(bob.delete(path)) == (404, "not_found")
        assert bob.ask("GET", path).status == 404
        line.send(content[100_000:])
        assert line.answer().status == 204
    assert tus.is_complete(path, content)


@pytest.mark.parametrize("user", ["viewer", "operator"])
def test_staff_that_sees_all_uploads_looks_and_does_not_send(tus: Client, film: Film, user: str) -> None:
    content = film()
    path, staff = tus.new(len(content)), Client(tus.server, user)
    with tus.sending(path, content[:100_000], more=len(content) - 100_000) as line:
        assert staff.look(path)["offset"] == 100_000
        assert refusal(staff.patch(path, 100_000, content[100_000:])) == (403, "forbidden")
        line.send(content[100_000:])
        assert line.answer().status == 204
    assert tus.is_complete(path, content)


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_nobody_may_do_nothing(tus: Client, method: str) -> None:
    path = tus.new(1000)
    answer = Client(tus.server, user=None).ask(method, path, b"" if method == "PATCH" else None)
    assert answer.status == 401
    assert tus.offset(path) == 0


# Methods in disguise, for clients behind proxies that know only GET and POST


def test_a_post_may_stand_for_another_method(tus: Client, film: Film) -> None:
    content = film(300_000)
    path = tus.new(len(content))
    patching = {"X-HTTP-Method-Override": "PATCH", "Content-Type": "application/offset+octet-stream"}
    answer = tus.ask("POST", path, content[:200_000], {**patching, "Upload-Offset": "0"})
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "200000")
    answer = tus.ask("POST", path, None, {"X-HTTP-Method-Override": "HEAD"})
    assert (answer.status, answer.headers["Upload-Offset"]) == (200, "200000")
    answer = tus.ask("POST", path, iter([content[200_000:]]), {**patching, "Upload-Offset": "200000"})
    assert answer.status == 204
    assert tus.is_complete(path, content)
    path = tus.new(5000)
    assert tus.ask("POST", path, None, {"X-HTTP-Method-Override": "DELETE"}).status == 204
    assert tus.head(path).status == 410


def test_a_method_in_disguise_is_not_spoken_everywhere(tus: Client, film: Film) -> None:
    """Elsewhere it would be a way around what a proxy, or the CSRF check, allows."""
    file = tus.server.put("stays.mp4", film()).json()
    answer = tus.server.request("POST", f"/api/v1/files/{file['id']}/", b"", {"X-HTTP-Method-Override": "DELETE"})
    assert answer.status == 405
    assert tus.ask("GET", tus.new(5000), headers={"X-HTTP-Method-Override": "DELETE"}).status == 200
    assert tus.server.get(f"/api/v1/files/{file['id']}/", user="alice").status == 200
