"""tus-js-client in Node: films of 200 MB, over wires that fail."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.checking import check_arrived, check_gone
from tests.conftest import LongFilm
from tests.relay import Relay
from tests.server import ROOT, Server

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here"),
    pytest.mark.skipif(
        not (ROOT / "node_modules/tus-js-client").exists(), reason="npm did not install tus-js-client"
    ),
]
Films = Callable[[], LongFilm]
HALF = 100_000_000


class Run:
    """One run of upload.mjs, and what it said."""

    def __init__(self, server: Server, url: str, *films: LongFilm, **order: Any) -> None:
        order |= {
            "endpoint": f"{url}/api/v1/uploads/",
            "token": server.tokens["alice"],
            "paths": [str(film.path) for film in films],
        }
        command = ["node", str(Path(__file__).with_name("upload.mjs")), json.dumps(order)]
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        self.said = [json.loads(line) for line in done.stdout.splitlines()]

    def urls(self, outcome: str) -> dict[str, str]:
        """Where the uploads that came to this are, by the film's path."""
        return {said["path"]: said["url"] for said in self.said if said["event"] == outcome}

    def url(self, outcome: str = "succeeded") -> str:
        (found,) = self.urls(outcome).values()
        return found

    @property
    def offset(self) -> int:
        """Where the only upload began."""
        (found,) = [said["offset"] for said in self.said if said["event"] == "begun"]
        return int(found)

    @property
    def answers(self) -> list[tuple[str, int]]:
        return [(said["method"], said["status"]) for said in self.said if said["event"] == "answer"]


def test_a_film_arrives(server: Server, long_film: Films) -> None:
    film = long_film()
    run = Run(server, server.url, film)
    assert run.answers == [("POST", 201), ("PATCH", 204)]
    check_arrived(server, run.url(), film)


def test_a_film_arrives_in_chunks(server: Server, long_film: Films) -> None:
    film = long_film()
    run = Run(server, server.url, film, options={"chunkSize": 50_000_000})
    assert run.answers == [("POST", 201)] + [("PATCH", 204)] * 4
    check_arrived(server, run.url(), film)


def test_a_paused_upload_goes_on_in_another_process(
    server: Server, relay: Relay, long_film: Films, tmp_path: Path
) -> None:
    film, storage = long_film(), str(tmp_path / "uploads.json")
    paused = Run(server, relay.url, film, storage=storage, stopAt=HALF).url("stopped")
    run = Run(server, relay.url, film, storage=storage)
    assert run.url() == paused
    assert run.offset > 0
    assert run.answers == [("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, paused, film)
    assert relay.sent < film.size * 1.25


def test_an_upload_goes_on_after_its_connection_was_cut(server: Server, relay: Relay, long_film: Films) -> None:
    film = long_film()
    relay.cut_at(HALF)
    run = Run(server, relay.url, film)
    assert run.answers == [("POST", 201), ("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, run.url(), film)
    assert relay.sent < film.size * 1.25


def test_an_upload_goes_on_though_the_server_does_not_know_that_its_client_was_lost(
    server: Server, relay: Relay, long_film: Films
) -> None:
    film = long_film()
    relay.lose_at(HALF)
    run = Run(server, relay.url, film)
    assert run.answers == [("POST", 201), ("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, run.url(), film)
    assert relay.sent < film.size * 1.25


def test_an_upload_goes_on_after_the_server_was_killed(server: Server, relay: Relay, long_film: Films) -> None:
    film = long_film()
    relay.do_at(HALF, server.restart)
    run = Run(server, relay.url, film)
    assert run.answers == [("POST", 201), ("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, run.url(), film)
    assert relay.sent < film.size * 1.25


def test_an_upload_that_is_terminated_leaves_nothing(server: Server, long_film: Films) -> None:
    run = Run(server, server.url, long_film(), stopAt=HALF, terminate=True)
    assert run.answers == [("POST", 201), ("DELETE", 204)]
    check_gone(server, run.url("stopped"))


@pytest.mark.parametrize(
    ("order", "answers"),
    [
        ({"options": {"uploadDataDuringCreation": True}}, [("POST", 201)]),
        (
            {"options": {"uploadDataDuringCreation": True, "chunkSize": HALF}},
            [("POST", 201), ("PATCH", 204)],
        ),
        (
            {"live": True, "options": {"uploadLengthDeferred": True, "chunkSize": 150_000_000}},
            [("POST", 201), ("PATCH", 204), ("PATCH", 204)],
        ),
        ({"options": {"overridePatchMethod": True}}, [("POST", 201), ("POST", 204)]),
    ],
    ids=["data at creation", "some data at creation", "deferred length", "POST for PATCH"],
)  # fmt: skip
def test_a_film_arrives_in_every_way_that_the_client_knows(
    server: Server, long_film: Films, order: dict[str, Any], answers: list[tuple[str, int]]
) -> None:
    film = long_film()
    run = Run(server, server.url, film, **order)
    assert run.answers == answers
    check_arrived(server, run.url(), film)


def test_two_films_arrive_side_by_side(server: Server, long_film: Films) -> None:
    films = [long_film(), long_film()]
    urls = Run(server, server.url, *films).urls("succeeded")
    for film in films:
        check_arrived(server, urls[str(film.path)], film)
