"""What an upload came to, read back from the server."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.films import LongFilm
from tests.support.in_server import content as content_rows
from tests.support.server import Answer, Server
from tests.support.stored_objects import StoredObject

JSON = {"Accept": "application/json"}


def check_arrived(server: Server, url: str, film: LongFilm, name: str | None = None) -> None:
    """It is there, whole, under its name. Then it is deleted: a test's disk is not for ever."""
    upload = server.get(urlsplit(url).path, JSON, user="alice")
    assert upload.status == 200, upload
    assert upload.json()["file"], upload
    path = f"/api/v1/files/{upload.json()['file']}/"
    file = server.get(path, user="alice").json()
    assert (file["sha256"], file["size"], file["name"]) == (film.sha256, film.size, name or film.path.name)
    assert server.request("DELETE", path).status == 204


def check_gone(server: Server, url: str, state: str = "failed") -> None:
    path = urlsplit(url).path
    assert server.request("HEAD", path, headers={"Tus-Resumable": "1.0.0"}).status == 410
    upload = server.get(path, JSON, user="alice").json()
    assert (upload["state"], upload["file"]) == (state, None)


def stored(server: Server, file: dict[str, Any]) -> Path | StoredObject:
    """Where the bytes of a file are."""
    return server.place_of(server.call(content_rows.key_of_sha256, file["sha256"]))


def put_bytes(server: Server, key: str, content: bytes) -> Path | StoredObject:
    """Store bytes under a key, without a row."""
    place = server.place_of(key)
    if isinstance(place, Path):
        place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    return place


def fsck(server: Server, *options: str) -> tuple[int, str]:
    done = server.manage("fsck", "--grace", "0", *options, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def content(server: Server, file: dict[str, Any]) -> Answer:
    return server.get(f"/api/v1/files/{file['id']}/content", user="alice")


def files(server: Server) -> dict[str, dict[str, Any]]:
    return {file["name"]: file for file in server.get("/api/v1/files/", user="alice").json()["results"]}
