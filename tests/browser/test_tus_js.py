"""tus-js-client in Chromium, on a page of another site: long films, over wires that fail."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.films import LONG, UNDISTURBED, LongFilm
from tests.support.network_relay import Relay
from tests.support.server import ROOT, Server
from tests.support.stored_file_checks import check_arrived, check_gone
from tests.support.tus_js_report import Said

pytestmark = pytest.mark.skipif(
    not (ROOT / "node_modules/tus-js-client").exists(), reason="npm did not install tus-js-client"
)
Films = Callable[[], LongFilm]
HALF = LONG // 2


class Uploading:
    """A page that sends the films that somebody picks."""

    def __init__(self, page: Page, site: str, token: str) -> None:
        self._page, self._token = page, token
        page.goto(f"{site}/tests/browser/page.html")

    def begin(self, url: str, *films: LongFilm, **order: Any) -> None:
        self._page.locator("input").set_input_files([film.path for film in films])
        order |= {"endpoint": f"{url}/api/v1/uploads/", "token": self._token}
        self._page.evaluate("order => upload(order)", order)

    def end(self) -> Said:
        outcome = self._page.wait_for_function("window.outcome", timeout=180_000).json_value()
        said = self._page.evaluate("said")
        assert outcome == "over", said
        return Said(said)

    def send(self, url: str, *films: LongFilm, **order: Any) -> Said:
        self.begin(url, *films, **order)
        return self.end()

    def reload(self) -> None:
        self._page.reload()


@pytest.fixture
def uploading(page: Page, site: str, server: Server) -> Uploading:
    return Uploading(page, site, server.tokens["alice"])


def test_a_film_arrives(server: Server, uploading: Uploading, undisturbed_film: Films) -> None:
    film = undisturbed_film()
    said = uploading.send(server.url, film)
    assert said.answers == [("POST", 201), ("PATCH", 204)]
    check_arrived(server, said.url(), film)


def test_a_paused_upload_goes_on_after_the_page_was_reloaded(
    server: Server, relay: Relay, uploading: Uploading, long_film: Films
) -> None:
    film = long_film()
    relay.slow_down_at(HALF)
    paused = uploading.send(relay.url, film, stopAt=HALF).url("stopped")
    relay.go_on()
    uploading.reload()
    said = uploading.send(relay.url, film)
    assert said.url() == paused
    assert said.offset > 0
    assert said.answers == [("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, paused, film)
    assert relay.sent < film.size * 1.25


def test_an_upload_goes_on_after_the_page_was_reloaded_in_the_middle(
    server: Server, relay: Relay, uploading: Uploading, long_film: Films
) -> None:
    """Of which nobody tells the server."""
    film = long_film()
    half_way, over = Event(), Event()

    def wait() -> None:
        half_way.set()
        over.wait(60)

    relay.do_at(HALF, wait)
    uploading.begin(relay.url, film)
    assert half_way.wait(60)
    uploading.reload()
    said = uploading.send(relay.url, film)
    over.set()
    assert said.offset > 0
    assert said.answers == [("HEAD", 200), ("PATCH", 204)]
    check_arrived(server, said.url(), film)
    assert relay.sent < film.size * 1.25


@pytest.mark.parametrize("trouble", ["cut", "killed"])
def test_an_upload_goes_on_by_itself(
    server: Server, relay: Relay, uploading: Uploading, long_film: Films, trouble: str
) -> None:
    """After its connection was cut; after the server was killed."""
    film = long_film()
    relay.do_at(HALF, {"cut": relay.cut, "killed": server.restart}[trouble])
    said = uploading.send(relay.url, film)
    # Before the client may ask, Chromium may have sent the same again, as if that were all the same.
    assert said.answers[-2:] == [("HEAD", 200), ("PATCH", 204)]
    assert said.answers[:-2] in ([("POST", 201)], [("POST", 201), ("PATCH", 409)])
    check_arrived(server, said.url(), film)
    assert relay.sent < film.size * 1.25


def test_an_upload_that_is_terminated_leaves_nothing(
    server: Server, relay: Relay, uploading: Uploading, long_film: Films
) -> None:
    before = server.stored_bytes()
    relay.slow_down_at(HALF)
    said = uploading.send(relay.url, long_film(), stopAt=HALF, terminate=True)
    assert said.answers == [("POST", 201), ("DELETE", 204)]
    check_gone(server, said.url("stopped"))
    assert server.stored_bytes() == before


@pytest.mark.parametrize(
    ("order", "answers"),
    [
        ({"options": {"uploadDataDuringCreation": True}}, [("POST", 201)]),
        (
            {"options": {"uploadLengthDeferred": True, "chunkSize": UNDISTURBED * 3 // 4}},
            [("POST", 201), ("PATCH", 204), ("PATCH", 204)],
        ),
        ({"options": {"overridePatchMethod": True}}, [("POST", 201), ("POST", 204)]),
    ],
    ids=["data at creation", "deferred length", "POST for PATCH"],
)
def test_a_film_arrives_in_every_way_that_the_client_knows(
    server: Server,
    uploading: Uploading,
    undisturbed_film: Films,
    order: dict[str, Any],
    answers: list[tuple[str, int]],
) -> None:
    film = undisturbed_film()
    said = uploading.send(server.url, film, **order)
    assert said.answers == answers
    check_arrived(server, said.url(), film)


def test_two_films_arrive_side_by_side(server: Server, uploading: Uploading, undisturbed_film: Films) -> None:
    films = [undisturbed_film(), undisturbed_film()]
    urls = uploading.send(server.url, *films).urls()
    for film in films:
        check_arrived(server, urls[film.path.name], film)
