"""tus-js-client in Node: long films, over wires that fail."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import LONG, UNDISTURBED, LongFilm
from tests.support.network_relay import Relay
from tests.support.server import ROOT, Server
from tests.support.stored_file_checks import check_arrived, check_gone
from tests.support.tus_js_report import Said

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here"),
    pytest.mark.skipif(
        not (ROOT / "node_modules/tus-js-client").exists(), reason="npm did not install tus-js-client"
    ),
]
Films = Callable[[], LongFilm]
HALF = LONG // 2


def send(server: Server, url: str, *films: LongFilm, **order: Any) -> Said:
    """In a process of its own."""
    order |= {
        "endpoint": f"{url}/api/v1/uploads/",
        "token": server.tokens["alice"],
        "paths": [str(film.path) for film in films],
    }
    command = ["node", str(Path(__file__).with_name("upload.mjs")), json.dumps(order)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return Said(json.loads(line) for line in done.stdout.splitlines())


def test_a_film_arrives(server: Server, long_film: Films) -> None:
    film = long_film()
    said = send(server, server.url, film)
    assert said.answers == [("POST", 201), ("PATCH", 204)]
    check_arrived(server, said.url(), film)


def test_a_paused_upload_goes_on_in_another_process(
    server: Server, relay: Relay, long_film: Films, tmp_path: Path
) -> None:
    film, storage = long_film(), str(tmp_path / "uploads.json")
    relay.slow_down_at(HALF)
    paused = send(server, relay.url, film, storage=storage, stopAt=HALF).url("stopped")
    relay.go_on()
    said = send(server, relay.url, film, storage=storage)
    assert said.url() == paused
    assert said.offset > 0
    assert said.answers == [("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, paused, film)
    assert relay.sent < film.size * 1.25


@pytest.mark.parametrize("trouble", ["cut", "lost", "killed"])
def test_an_upload_goes_on_by_itself(server: Server, relay: Relay, long_film: Films, trouble: str) -> None:
    """After its connection was cut; was lost, of which nobody told the server; after the server was killed."""
    film = long_film()
    relay.do_at(HALF, {"cut": relay.cut, "lost": relay.lose, "killed": server.restart}[trouble])
    said = send(server, relay.url, film)
    assert said.answers == [("POST", 201), ("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, said.url(), film)
    assert relay.sent < film.size * 1.25


def test_an_upload_that_is_terminated_leaves_nothing(server: Server, relay: Relay, long_film: Films) -> None:
    before = server.stored_bytes()
    relay.slow_down_at(HALF)
    said = send(server, relay.url, long_film(), stopAt=HALF, terminate=True)
    assert said.answers == [("POST", 201), ("DELETE", 204)]
    check_gone(server, said.url("stopped"))
    assert server.stored_bytes() == before


def test_an_upload_that_is_terminated_after_its_end_leaves_nothing(server: Server, undisturbed_film: Films) -> None:
    before = server.stored_bytes()
    said = send(server, server.url, undisturbed_film(), terminateAfter=True)
    assert said.answers == [("POST", 201), ("PATCH", 204), ("DELETE", 204)]
    check_gone(server, said.url(), state="complete")
    assert server.stored_bytes() == before


@pytest.mark.parametrize(
    ("order", "answers"),
    [
        (
            {"options": {"uploadDataDuringCreation": True, "chunkSize": UNDISTURBED // 2}},
            [("POST", 201), ("PATCH", 204)],
        ),
        (
            {"live": True, "options": {"uploadLengthDeferred": True, "chunkSize": UNDISTURBED * 3 // 4}},
            [("POST", 201), ("PATCH", 204), ("PATCH", 204)],
        ),
        ({"options": {"overridePatchMethod": True}}, [("POST", 201), ("POST", 204)]),
    ],
    ids=["data at creation", "deferred length", "POST for PATCH"],
)  # fmt: skip
def test_a_film_arrives_in_every_way_that_the_client_knows(
    server: Server, undisturbed_film: Films, order: dict[str, Any], answers: list[tuple[str, int]]
) -> None:
    film = undisturbed_film()
    said = send(server, server.url, film, **order)
    assert said.answers == answers
    check_arrived(server, said.url(), film)


def test_two_films_arrive_side_by_side(server: Server, undisturbed_film: Films) -> None:
    films = [undisturbed_film(), undisturbed_film()]
    urls = send(server, server.url, *films).urls()
    for film in films:
        check_arrived(server, urls[film.path.name], film)
