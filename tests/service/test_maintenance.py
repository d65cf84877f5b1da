"""fsck and ingest, progress while it is made, and requests that may safely be sent twice."""

import base64
import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import sha256
from tests.support.in_server import changed_ingest, partial_uploads
from tests.support.in_server import content as content_rows
from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server, form_end, form_part
from tests.support.tus_client import Client, metadata
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server()


def stored(server: Server, file: dict[str, Any]) -> Path:
    """Where the bytes of a file are."""
    key = server.call(content_rows.key_of_sha256, file["sha256"])
    return server.media / key[:2] / key


def fsck(server: Server, *options: str) -> tuple[int, str]:
    done = server.manage("fsck", "--grace", "0", *options, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def content(server: Server, file: dict[str, Any]) -> Answer:
    return server.get(f"/api/v1/files/{file['id']}/content", user="alice")


# fsck


def test_fsck_finds_all_well_where_all_is_well(server: Server, clip: bytes) -> None:
    assert fsck(server, "--deep") == (0, "0 contents checked, no problems found.\n")
    server.put("clip.mp4", clip)
    assert fsck(server, "--deep") == (0, "1 contents checked, no problems found.\n")


def test_fsck_reports_missing_bytes_and_repair_marks_them_without_losing_the_file(
    server: Server, clip: bytes
) -> None:
    file = server.put("clip.mp4", clip).json()
    path = stored(server, file)
    path.unlink()

    code, said = fsck(server)
    assert (code, said.count("bytes are missing")) == (1, 1)
    assert path.name in said
    code, said = fsck(server, "--repair")
    assert (code, "marked as lost" in said, "no problems found" in said) == (1, True, False)
    assert server.get(f"/api/v1/files/{file['id']}/", user="alice").json()["name"] == "clip.mp4"
    assert content(server, file).code == "content_unavailable"
    assert fsck(server)[0] == 1  # it is known now, and still not well

    twin = server.put("again.mp4", clip).json()  # whoever has the bytes can bring them back
    assert content(server, file).body == content(server, twin).body == clip
    assert fsck(server, "--deep")[0] == 0


def test_fsck_believes_bytes_that_came_back_only_once_it_has_read_them(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    path = stored(server, file)
    path.rename(server.home / "away")
    assert fsck(server, "--repair")[0] == 1
    (server.home / "away").rename(path)

    assert fsck(server, "--repair")[0] == 1
    assert content(server, file).status != 200
    code, said = fsck(server, "--deep", "--repair")
    assert (code, "bytes are back" in said) == (0, True)
    assert content(server, file).body == clip


def test_fsck_deep_finds_damaged_bytes_which_a_look_at_sizes_does_not(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    path = stored(server, file)
    path.write_bytes(clip[:-1] + bytes([clip[-1] ^ 1]))

    assert fsck(server)[0] == 0
    code, said = fsck(server, "--deep")
    assert (code, said.count("bytes are damaged")) == (1, 1)
    assert fsck(server, "--deep", "--repair")[0] == 1
    assert content(server, file).code == "content_unavailable"  # rather nothing than something else
    assert path.exists()  # perhaps somebody can still read something from it
    server.put("again.mp4", clip)
    assert content(server, file).body == clip
    assert fsck(server, "--deep")[0] == 0


def test_fsck_finds_bytes_that_were_cut_short(server: Server, clip: bytes) -> None:
    os.truncate(stored(server, server.put("clip.mp4", clip).json()), 1000)
    code, said = fsck(server)
    assert (code, "bytes are damaged" in said) == (1, True)


def test_fsck_quarantines_bytes_that_nothing_names_when_asked_and_only_old_ones(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    orphans = [
        (path := stored(server, file)).with_name(f"{path.parent.name}-orphan"),
        server.media / "partial" / "left",
    ]
    for path in orphans:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"nobody's")

    code, said = fsck(server)
    assert (code, said.count("bytes without a row")) == (1, 2)
    assert server.manage("fsck", "--repair").returncode == 0  # an hour of grace: they may just be arriving
    assert all(path.exists() for path in orphans)
    assert fsck(server, "--repair")[0] == 0
    assert not any(path.exists() for path in orphans)
    assert [path.read_bytes() for path in server.quarantined()] == [b"nobody's"] * 2
    assert content(server, file).body == clip


def test_fsck_removes_a_claim_nobody_finished_with_its_bytes(server: Server) -> None:
    path = server.media / "ab" / "ab-claimed"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half")
    server.call(content_rows.claim_key, "ab-claimed")
    code, said = fsck(server)
    assert (code, "abandoned claim: ab-claimed" in said) == (1, True)
    assert server.manage("fsck", "--repair").returncode == 0
    assert path.exists()
    assert fsck(server, "--repair")[0] == 0
    assert not path.exists()
    assert fsck(server) == (0, "0 contents checked, no problems found.\n")


def test_fsck_quarantines_content_that_no_file_uses(server: Server, clip: bytes, film: Film) -> None:
    used, unused = server.put("used.mp4", film()).json(), server.put("unused.mp4", clip).json()
    path = stored(server, unused)
    server.call(content_rows.delete_file_row, unused["id"])
    code, said = fsck(server)
    assert (code, "content that no file uses" in said) == (1, True)
    assert fsck(server, "--repair")[0] == 0
    assert not path.exists()
    assert [found.read_bytes() for found in server.quarantined()] == [clip]
    assert content(server, used).status == 200


def test_fsck_looks_at_nothing_on_a_disk_that_is_not_ours(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    mark = server.media / ".millrace-sink"
    ours = mark.read_text()
    for other in ("", "an other disk\n"):
        mark.write_text(other)
        code, said = fsck(server, "--repair", "--deep")
        assert (code, "Is the disk mounted?" in said) == (1, True)
    mark.unlink()
    assert fsck(server, "--repair")[0] == 1
    mark.write_text(ours)
    assert fsck(server, "--deep")[0] == 0
    assert content(server, file).body == clip


# ingest


def ingest(server: Server, *words: str | Path) -> tuple[int, str, str]:
    done = server.manage("ingest", "--owner", "alice", *map(str, words), check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.strip(), done.stderr


def files(server: Server) -> dict[str, dict[str, Any]]:
    return {file["name"]: file for file in server.get("/api/v1/files/", user="alice").json()["results"]}


@pytest.fixture
def folder(server: Server, film: Film) -> Path:
    """A folder with two films and one more below it."""
    made = server.home / "films"
    (made / "older").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "older/c.mp4"):
        (made / name).write_bytes(film())
    return made


def test_ingest_copies_folders_and_leaves_them_as_they_are(server: Server, folder: Path) -> None:
    assert ingest(server, folder) == (0, "3 ingested, 0 already stored, 0 refused.", "")
    found = files(server)
    assert sorted(found) == ["a.mp4", "b.mp4", "c.mp4"]
    for path in folder.rglob("*.mp4"):
        file = found[path.name]
        assert (file["origin"], file["owner"], file["media_type"]) == ("ingest", "alice", "video/mp4")
        assert content(server, file).body == path.read_bytes()
        assert path.stat().st_nlink == 1
    assert fsck(server, "--deep")[0] == 0


def test_ingest_moves_files_and_removes_only_what_is_in(server: Server, folder: Path) -> None:
    hashes = {path.name: sha256(path.read_bytes()) for path in folder.rglob("*.mp4")}
    (folder / "notes.txt").write_text("not a film")
    code, said, complaint = ingest(server, "--move", folder)
    assert (code, said) == (1, "3 ingested, 0 already stored, 1 refused.")
    assert str(folder / "notes.txt") in complaint
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "notes.txt"]
    found = files(server)
    assert {name: file["sha256"] for name, file in found.items()} == hashes
    for file in found.values():
        assert sha256(content(server, file).body) == file["sha256"]
    assert fsck(server, "--deep")[0] == 0


def test_ingest_moves_from_another_disk_by_copying(server: Server, film: Film) -> None:
    shm = Path("/dev/shm")  # noqa: S108  # the one other filesystem that is nearly everywhere
    if not shm.is_dir() or shm.stat().st_dev == server.media.stat().st_dev:
        pytest.skip("there is no second filesystem to move from")
    source = shm / f"millrace-{os.getpid()}.mp4"
    data = film()
    source.write_bytes(data)
    try:
        refused = ingest(server, "--link", source)
        assert (refused[0], "hard link" in refused[2]) == (1, True)
        assert ingest(server, "--move", source)[0] == 0
        assert not source.exists()
        assert content(server, files(server)[source.name]).body == data
    finally:
        source.unlink(missing_ok=True)


def test_ingest_links_files_without_a_second_copy(server: Server, folder: Path) -> None:
    assert ingest(server, "--link", folder / "a.mp4")[0] == 0
    file = files(server)["a.mp4"]
    assert stored(server, file).samefile(folder / "a.mp4")
    assert server.request("DELETE", f"/api/v1/files/{file['id']}/").status == 204
    assert (folder / "a.mp4").exists()
    assert server.stored_bytes() == []


def test_ingest_shares_the_bytes_of_a_file_that_is_here_already(server: Server, folder: Path) -> None:
    uploaded = server.put("uploaded.mp4", (folder / "a.mp4").read_bytes()).json()
    for mode in ("--link", "--move"):
        shutil.copy(folder / "a.mp4", folder / f"copy{mode}.mp4")
        assert ingest(server, mode, folder / f"copy{mode}.mp4")[0] == 0
    assert len(server.stored_bytes()) == 1
    assert {file["sha256"] for file in files(server).values()} == {uploaded["sha256"]}


def test_ingest_may_be_started_again_and_skips_what_is_in(server: Server, folder: Path, film: Film) -> None:
    assert ingest(server, folder / "a.mp4")[0] == 0
    assert ingest(server, folder)[1] == "2 ingested, 1 already stored, 0 refused."
    assert ingest(server, folder)[1] == "0 ingested, 3 already stored, 0 refused."
    (folder / "a.mp4").write_bytes(film())  # another film under the old name
    assert ingest(server, folder)[1] == "1 ingested, 2 already stored, 0 refused."
    assert len(server.stored_bytes()) == 4


def test_ingest_skips_what_is_in_also_days_later(server: Server, folder: Path) -> None:
    ingest(server, folder)
    a_week_passes(server)
    server.manage("housekeeping", "--now")
    assert ingest(server, folder)[1] == "0 ingested, 3 already stored, 0 refused."


def test_a_refused_file_is_reported_and_the_others_go_on(server: Server, folder: Path) -> None:
    (folder / "a-picture-they-say.mp4").write_bytes(b"<html>" + bytes(9000))
    (folder / "empty.mp4").touch()
    (folder / "link.mp4").symlink_to(folder / "a.mp4")  # links are not followed
    code, said, complaint = ingest(server, folder)
    assert (code, said) == (1, "3 ingested, 0 already stored, 2 refused.")
    assert re.search(r"a-picture-they-say\.mp4: .*not a known media type", complaint)
    assert re.search(r"empty\.mp4: The file is empty\.", complaint)
    assert fsck(server, "--deep")[0] == 0
    assert len(server.stored_bytes()) == 3


@pytest.mark.parametrize("words", [["--owner", "nobody", "."], ["--owner", "alice", "not-there.mp4"]])
def test_ingest_for_nobody_or_of_nothing_is_refused_in_words(shared_server: Server, words: list[str]) -> None:
    done = shared_server.manage("ingest", *words, check=False)
    assert done.returncode == 1
    assert "There is no" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("change", changed_ingest.CHANGES)
@pytest.mark.parametrize("mode", ["copy", "move", "link"])
def test_a_file_that_changes_while_it_is_read_is_refused_and_left_alone(
    server: Server, film: Film, mode: str, change: str
) -> None:
    path = server.home / "changing.mp4"
    path.write_bytes(film(3_000_000))
    said = server.call(changed_ingest.ingest_while_it_changes, str(path), change, mode)
    assert re.match("invalid_params .*changed|too_large", said), said
    assert path.exists()
    assert (files(server), server.stored_bytes()) == ({}, [])
    assert fsck(server, "--deep")[0] == 0


def test_a_file_that_changes_while_it_is_moved_from_another_disk_is_left_alone(server: Server, film: Film) -> None:
    shm = Path("/dev/shm")  # noqa: S108
    if not shm.is_dir() or shm.stat().st_dev == server.media.stat().st_dev:
        pytest.skip("there is no second filesystem to move from")
    path = shm / f"millrace-changing-{os.getpid()}.mp4"
    path.write_bytes(film(3_000_000))
    try:
        said = server.call(changed_ingest.ingest_while_it_changes, str(path), "overwrite", "move")
        assert said.startswith("invalid_params"), said
        assert path.exists()  # what was written to it meanwhile is nowhere else
    finally:
        path.unlink(missing_ok=True)


# Progress


@contextmanager
def slow_put(server: Server, data: bytes, sent: int, **headers: str) -> Iterator[socket.socket]:
    """A PUT of which `sent` bytes have come so far."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        send_head(server, wire, len(data), headers)
        wire.sendall(data[:sent])
        yield wire


def send_head(server: Server, wire: socket.socket, length: int, headers: dict[str, str]) -> None:
    lines = ["PUT /api/v1/upload/slow.mp4 HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    lines += [f"Content-Length: {length}", f"Authorization: Bearer {server.tokens['alice']}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    wire.sendall("\r\n".join([*lines, "", ""]).encode())


def ended(wire: socket.socket) -> tuple[int, dict[str, Any]]:
    """The answer at the end of a slow PUT."""
    said = b""
    while data := wire.recv(65536):
        said += data
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def uploads(server: Server, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(f"/api/v1/uploads/?key={key}", user="alice").json()["results"]
    return found


def wait_for_offset(server: Server, key: str, offset: int) -> None:
    wait_until(lambda: uploads(server, key)[0]["offset"] >= offset)


def test_progress_is_seen_while_a_slow_upload_runs(shared_server: Server, film: Film) -> None:
    data, key = film(1_000_000), "progress-1"
    seen: list[dict[str, Any]] = []
    with slow_put(shared_server, data, 100_000, Idempotency_Key=key) as wire:
        wait_until(lambda: uploads(shared_server, key))
        for sent in range(100_000, 1_000_000, 300_000):
            wait_for_offset(shared_server, key, sent - 70_000)  # pieces on their way apart
            seen += uploads(shared_server, key)
            wire.sendall(data[sent : sent + 300_000])
        status, file = ended(wire)
    assert status == 201
    offsets = [upload["offset"] for upload in seen]
    assert offsets == sorted(set(offsets))  # it grew, each time
    assert all(0 < upload["progress"] < 1 for upload in seen)
    assert {upload["state"] for upload in seen} == {"receiving"}
    assert re.fullmatch(r"Uploading: \d+\.\d KB \(\d+ %\) at \S+ \w+/s(, .+ left)?", seen[-1]["message"])
    assert (seen[-1]["size"], seen[-1]["name"], seen[-1]["protocol"]) == (1_000_000, "slow.mp4", "put")

    (done,) = uploads(shared_server, key)
    assert (done["state"], done["progress"], done["offset"]) == ("complete", 1.0, 1_000_000)
    assert (done["message"], done["file"], done["error"]) == ("Complete: 1.0 MB", file["id"], None)


def test_each_upload_shows_its_own_progress(shared_server: Server, film: Film) -> None:
    little = slow_put(shared_server, film(500_000), 150_000, Idempotency_Key="progress-little")
    much = slow_put(shared_server, film(500_000), 400_000, Idempotency_Key="progress-much")
    with little, much:
        for key, sent in ("progress-little", 150_000), ("progress-much", 400_000):
            wait_until(partial(uploads, shared_server, key))
            wait_for_offset(shared_server, key, sent - 70_000)
        assert uploads(shared_server, "progress-little")[0]["offset"] <= 150_000


def test_an_upload_of_unknown_size_shows_how_much_has_come(shared_server: Server, film: Film) -> None:
    data, key, go_on = film(400_000), "progress-2", threading.Event()

    def pieces() -> Iterator[bytes]:
        yield data[:200_000]
        assert go_on.wait(20)
        yield data[200_000:]

    client = threading.Thread(
        target=lambda: shared_server.put("chunked.mp4", pieces(), {"Idempotency-Key": key}, chunked=True)
    )
    client.start()
    try:
        wait_until(lambda: (found := uploads(shared_server, key)) and found[0]["offset"] > 0)
        (upload,) = uploads(shared_server, key)
        assert (upload["size"], upload["progress"], upload["eta_seconds"]) == (None, None, None)
        assert re.fullmatch(r"Uploading: \d+\.\d KB at \S+ \w+/s", upload["message"])
    finally:
        go_on.set()
        client.join()
    assert uploads(shared_server, key)[0]["size"] == 400_000


def test_an_upload_that_was_broken_off_says_why(shared_server: Server, film: Film) -> None:
    with slow_put(shared_server, film(500_000), 200_000, Idempotency_Key="progress-3"):
        wait_until(lambda: uploads(shared_server, "progress-3"))
    wait_until(lambda: uploads(shared_server, "progress-3")[0]["state"] == "failed")
    (upload,) = uploads(shared_server, "progress-3")
    assert upload["error"]["code"] == "incomplete_body"
    assert upload["message"] == upload["error"]["detail"] == "The body has 200,000 bytes, but 500,000 were announced."


# Idempotency-Key


def put(server: Server, data: bytes, key: str, name: str = "film.mp4", **more: Any) -> Answer:
    return server.put(name, data, {"Idempotency-Key": key}, **more)


def a_week_passes(server: Server) -> None:
    server.call(partial_uploads.shift_end_of_uploads, 7 * 24)
    server.call(partial_uploads.shift_heartbeats, 7 * 24)


def test_a_request_sent_again_is_answered_with_the_same_file(shared_server: Server, film: Film) -> None:
    data = film()
    first, again = (put(shared_server, data, "again") for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["Location"] == again.headers["Location"]
    assert (first.headers["Idempotency-Replayed"], again.headers["Idempotency-Replayed"]) == (None, "true")


def test_a_form_sent_again_is_answered_with_the_same_file(shared_server: Server, film: Film) -> None:
    form = form_part("file", film(), "form.mp4") + form_end()
    first, again = (shared_server.post_form(form, headers={"Idempotency-Key": "a form"}) for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_replay_whose_bytes_are_lost_says_so(server: Server, film: Film) -> None:
    data, form = film(), form_part("file", film(), "form.mp4") + form_end()
    tus, headers = Client(server), {"Idempotency-Key": "lost", **metadata(filename="tus.mp4")}
    requests = [
        partial(put, server, data, "lost"),
        partial(server.post_form, form, headers={"Idempotency-Key": "lost"}),
        partial(tus.create, len(data), headers),
    ]
    tus.patch(tus.new(len(data), headers), 0, data)
    assert [request().status for request in requests] == [201] * 3
    for path in server.stored_bytes():
        path.unlink()
    answers = [request() for request in requests]
    assert [(answer.status, answer.code) for answer in answers] == [(409, "content_lost")] * 3
    assert put(server, data, "another").status == 201  # of the same bytes: as the answer advises
    assert [request().status for request in requests] == [201, 409, 201]


def test_a_replay_is_put_off_while_the_disk_cannot_be_seen(server: Server, film: Film) -> None:
    data = film()
    assert put(server, data, "unseen").status == 201
    server.media.rename(server.home / "unmounted")
    server.media.mkdir()
    answer = put(server, data, "unseen")
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_replay_does_not_wait_for_the_body(shared_server: Server, film: Film) -> None:
    data = film()
    file = shared_server.put("slow.mp4", data, {"Idempotency-Key": "no body"}).json()
    with slow_put(shared_server, data, 0, Idempotency_Key="no body") as wire:  # not one byte of it
        wire.settimeout(5)
        assert ended(wire) == (201, file)


def test_a_key_used_for_another_request_is_refused(shared_server: Server, film: Film) -> None:
    data = film()
    file = put(shared_server, data, "used").json()
    digest = base64.b64encode(bytes.fromhex(file["sha256"])).decode()
    others = [
        put(shared_server, data, "used", name="other.mp4"),
        put(shared_server, data + b"longer", "used"),
        put(shared_server, iter([data]), "used", chunked=True),  # type: ignore[arg-type]
        shared_server.put("film.mp4", data, {"Idempotency-Key": "used", "Content-Digest": f"sha-256=:{digest}:"}),
    ]
    assert [(answer.status, answer.code) for answer in others] == [(422, "key_reused")] * 4


def test_a_key_is_its_owners_and_its_routes(shared_server: Server, film: Film) -> None:
    data = film()
    alices, bobs = (put(shared_server, data, "mine", user=user).json() for user in ("alice", "bob"))
    form = form_part("file", data, "film.mp4") + form_end()
    by_form = shared_server.post_form(form, headers={"Idempotency-Key": "mine"}).json()
    assert len({alices["id"], bobs["id"], by_form["id"]}) == 3


def test_a_request_that_is_still_on_its_way_is_in_flight(shared_server: Server, film: Film) -> None:
    data = film()
    with slow_put(shared_server, data, 100_000, Idempotency_Key="flight") as wire:
        wait_until(lambda: uploads(shared_server, "flight"))
        second = shared_server.put("slow.mp4", data, {"Idempotency-Key": "flight"})
        assert (second.status, second.code) == (409, "in_flight")
        assert int(second.headers["Retry-After"]) > 0
        wire.sendall(data[100_000:])
        status, file = ended(wire)
    assert status == 201
    third = shared_server.put("slow.mp4", data, {"Idempotency-Key": "flight"})
    assert (third.json()["id"], third.headers["Idempotency-Replayed"]) == (file["id"], "true")


def test_of_many_sent_at_once_with_one_key_one_makes_a_file(shared_server: Server, film: Film) -> None:
    data, answers = film(), []
    clients = [threading.Thread(target=lambda: answers.append(put(shared_server, data, "crowd"))) for _ in range(24)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status == 201}) == 1


def test_a_failure_frees_the_key(shared_server: Server, film: Film) -> None:
    assert put(shared_server, b"no film" * 2000, "failed").code == "unsupported_media"
    data = film()
    with slow_put(shared_server, data, 100_000, Idempotency_Key="failed"):
        wait_until(lambda: uploads(shared_server, "failed")[0]["state"] == "receiving")
    wait_until(lambda: uploads(shared_server, "failed")[0]["state"] == "failed")
    answer = put(shared_server, data, "failed")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)


def test_deleting_the_file_frees_the_key(shared_server: Server, film: Film) -> None:
    data = film()
    file = put(shared_server, data, "deleted").json()
    assert shared_server.request("DELETE", f"/api/v1/files/{file['id']}/").status == 204
    answer = put(shared_server, data, "deleted")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)
    assert answer.json()["id"] != file["id"]


@pytest.mark.parametrize("swept", [False, True])
def test_a_key_is_kept_for_a_day_and_no_longer(server: Server, film: Film, swept: bool) -> None:
    data = film()
    file = put(server, data, "day").json()
    server.call(partial_uploads.shift_end_of_uploads, 23)
    if swept:
        server.manage("housekeeping", "--now")
    assert put(server, data, "day").json()["id"] == file["id"]
    server.call(partial_uploads.shift_end_of_uploads, 2)
    if swept:
        server.manage("housekeeping", "--now")
    answer = put(server, data, "day")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)
    assert answer.json()["id"] != file["id"]


def test_the_key_of_a_holder_that_died_is_taken_over(server: Server, film: Film) -> None:
    data = film()
    with slow_put(server, data, 100_000, Idempotency_Key="died"):
        wait_until(lambda: uploads(server, "died"))
        server.kill()
    server.start()
    assert put(server, data, "died", name="slow.mp4").code == "in_flight"  # nobody can know yet
    server.call(partial_uploads.shift_heartbeats, 1 / 60)
    answer = put(server, data, "died", name="slow.mp4")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)
    states = sorted(upload["state"] for upload in uploads(server, "died"))
    assert states == ["complete", "failed"]
    assert fsck(server, "--deep")[0] == 0


def test_a_holder_that_was_given_up_and_yet_comes_to_its_end_makes_no_second_file(server: Server, film: Film) -> None:
    data = film()
    with slow_put(server, data, 100_000, Idempotency_Key="late") as wire:
        wait_until(lambda: uploads(server, "late"))
        server.call(partial_uploads.give_up_receiving)
        answer = put(server, data, "late", name="slow.mp4")
        assert answer.status == 201
        wire.sendall(data[100_000:])
        status, problem = ended(wire)
    assert (status, problem["code"]) == (503, "storage_unavailable")
    assert list(files(server)) == ["slow.mp4"]
    assert len(server.stored_bytes()) == 1
    assert fsck(server, "--deep")[0] == 0


def test_a_clock_that_jumps_ends_no_upload_that_goes_on(server: Server, film: Film) -> None:
    data = film()
    with slow_put(server, data, 100_000, Idempotency_Key="jump") as wire:
        wait_until(lambda: uploads(server, "jump"))
        assert server.call(partial_uploads.fail_stalled_after, hours=1) == 0
        wire.sendall(data[100_000:])
        assert ended(wire)[0] == 201


def test_an_idempotency_key_longer_than_a_row_can_hold_is_refused(shared_server: Server, film: Film) -> None:
    answer = put(shared_server, film(), "k" * 256)
    assert (answer.status, answer.code) == (400, "invalid_params")
    assert put(shared_server, film(), "k" * 255).status == 201
