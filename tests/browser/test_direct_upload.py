"""The admin's uploader in a real Chromium, when it sends files straight to a real S3 server."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser_staff import signed_in
from tests.support.direct_client import preflight
from tests.support.films import FilmShelf, LongFilm
from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from tests.support.repetitions import MORE
from tests.support.running_servers import running
from tests.support.server import ROOT, Server, Template, query
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(not (ROOT / "node_modules/uppy").exists(), reason="npm did not install uppy")
ADD = "/admin/uploads/mediafile/add/"
FILE_PAGE = re.compile(r"/admin/uploads/mediafile/[0-9a-f-]{36}/change/$")
UPPYS_FILES = "input[type=file][multiple]"
CUT = 10  # seconds
IN_FLIGHT = 4 * 9 * 1024**2  # bytes of the parts that are sent at a time, which an interruption costs
MOST_OF_SERVER = 1_000_000  # bytes of the web server, page and scripts included
SOON = 120_000
# What Chromium says of connections that were cut.
LOST = tuple(
    f"net::ERR_{why}"
    for why in ("CONNECTION_RESET", "CONNECTION_CLOSED", "EMPTY_RESPONSE", "FAILED", "SOCKET_NOT_CONNECTED")
)
STATE, MESSAGE = ".mr-sending .mr-state", ".mr-sending .mr-message"


@pytest.fixture(scope="module")
def store_line(object_store: ObjectStore) -> Iterator[Relay]:
    """The line between browsers and the store."""
    with Relay(object_store.ports["s3.port"]) as relay:
        yield relay


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore, store_line: Relay
) -> Iterator[Server]:
    with running(
        template, tmp_path_factory, store=object_store, DIRECT_UPLOADS="on", STORAGE_PUBLIC_URL=store_line.url
    ) as found:
        found.start_worker("bulk")
        yield found


@pytest.fixture(scope="module")
def line(server: Server, object_store: ObjectStore, store_line: Relay) -> Iterator[Relay]:
    """The line between browsers and the web server, from whose address pages may send to the store."""
    with Relay(server.port) as relay:
        server.manage("bucket_cors", relay.url)
        wait_until(lambda: preflight(f"{store_line.url}/{bucket_of(server)}/x", relay.url) == 200)
        yield relay


@pytest.fixture
def admin(browser: Browser, server: Server, line: Relay) -> Iterator[Page]:
    may_say = (*LOST, "409 (Conflict)")  # films of random bytes have no HLS
    with signed_in(browser, server, may_say=may_say, may_ask="http://127.0.0.1:") as page:
        page.set_default_timeout(SOON)
        page.goto(line.url + ADD)
        yield page


@contextmanager
def slow_line(page: Page) -> Iterator[None]:
    """8 MB a second: slow enough for what is to be done meanwhile."""
    wire = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    wire.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": 8_000_000 * MORE})
    yield
    wire.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})


def wait_for_bar(page: Page, beyond: float) -> None:
    page.wait_for_function("beyond => document.querySelector('.mr-sending progress')?.value > beyond", arg=beyond)


def sha256_of(server: Server, page: Page) -> str:
    """Of the file on whose page we are, by what the server sends."""
    pk = page.url.rstrip("/").split("/")[-2]
    headers = {"Authorization": f"Bearer {server.tokens['operator']}"}
    with urlopen(Request(f"{server.url}/api/v1/files/{pk}/content", headers=headers)) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def bucket_of(server: Server) -> str:
    return server.settings["STORAGE"].split("/")[2]


def open_writes(server: Server, store: ObjectStore) -> int:
    return len(store.client().list_multipart_uploads(Bucket=bucket_of(server)).get("Uploads", []))


def test_a_film_arrives_whole_past_the_server_in_spite_of_a_reload_and_a_cut(
    admin: Page, server: Server, line: Relay, store_line: Relay, film_shelf: FilmShelf
) -> None:
    """With TESTS_MORE=10, a film of 1 GB."""
    film = film_shelf.take(0, 100_000_000 * MORE)
    before, sent = line.sent + line.answered, store_line.sent
    served: list[int] = []  # by the web server, until it is asked for the page of the file, which plays it
    admin.on(
        "request", lambda asked: served.append(line.sent + line.answered) if FILE_PAGE.search(asked.url) else None
    )
    with slow_line(admin):
        admin.locator(UPPYS_FILES).set_input_files(film.path)
        wait_for_bar(admin, 0.5)
        admin.reload()
        admin.locator(UPPYS_FILES).set_input_files(film.path)
        expect(admin.locator(MESSAGE)).to_contain_text("Continued from")
        wait_for_bar(admin, 0.7)
        store_line.go_away()
        admin.wait_for_timeout(1000 * CUT)
        expect(admin.locator(STATE)).to_have_text("Uploading")
        store_line.is_away = False
    admin.wait_for_url(FILE_PAGE)
    assert store_line.sent - sent < film.size + 2 * IN_FLIGHT
    assert served[0] - before < MOST_OF_SERVER
    assert sha256_of(server, admin) == film.sha256


def test_an_upload_waits_while_it_is_paused_and_leaves_nothing_when_it_is_cancelled(
    admin: Page, server: Server, store_line: Relay, object_store: ObjectStore, long_film: Callable[[], LongFilm]
) -> None:
    with slow_line(admin):
        admin.locator(UPPYS_FILES).set_input_files(long_film().path)
        wait_for_bar(admin, 0.1)
        admin.get_by_role("button", name="Pause").click()
        expect(admin.locator(MESSAGE)).to_contain_text("Paused: ")
        wait_until(lambda: is_quiet(admin, store_line), 30)
        sent = store_line.sent
        admin.get_by_role("button", name="Resume").click()
        expect(admin.locator(MESSAGE)).to_contain_text("Uploading: ")
        wait_until(lambda: store_line.sent > sent, 30)
        with admin.expect_response(lambda answer: answer.request.method == "DELETE") as end:
            admin.get_by_role("button", name="Cancel").click()
    assert end.value.status == 204
    expect(admin.locator(".mr-sending")).to_have_count(0)
    assert open_writes(server, object_store) == 0


def is_quiet(page: Page, line: Relay) -> bool:
    sent = line.sent
    page.wait_for_timeout(500)
    return line.sent == sent


def test_what_a_worker_refuses_is_said_and_several_films_lead_to_their_pages(
    admin: Page, server: Server, film: Callable[..., bytes]
) -> None:
    files = [{"name": f"{name}.mp4", "mimeType": "video/mp4", "buffer": film()} for name in ("one", "two")]
    notes = {"name": "notes.mp4", "mimeType": "video/mp4", "buffer": b"Not a film.\n" * 99}
    admin.locator(UPPYS_FILES).set_input_files([*files, notes])  # type: ignore[arg-type]
    expect(admin.get_by_role("link", name="Open the file")).to_have_count(2)
    row = admin.locator(".mr-sending", has_text="notes.mp4")
    expect(row.locator(".mr-state")).to_have_text("Failed")
    [[said]] = query(server, "SELECT error_detail FROM uploads_upload WHERE name = 'notes.mp4'")
    expect(row.locator(".mr-message")).to_have_text(said)
    expect(row.get_by_role("button", name="Try again")).to_be_visible()


def test_a_store_that_cannot_be_reached_is_named_with_what_to_do(
    admin: Page, server: Server, store_line: Relay, film: Callable[..., bytes]
) -> None:
    admin.clock.install()
    admin.reload()
    store_line.go_away()
    admin.locator(UPPYS_FILES).set_input_files({"name": "film.mp4", "mimeType": "video/mp4", "buffer": film()})
    state = admin.locator(STATE)
    wait_until(lambda: admin.clock.fast_forward(5000) or state.text_content() == "Failed", SOON / 1000)  # type: ignore[func-returns-value]
    expect(admin.locator(MESSAGE)).to_contain_text("The object store cannot be reached. Try again")
    expect(admin.locator(MESSAGE)).to_contain_text("manage.py bucket_cors")
    store_line.is_away = False
    admin.get_by_role("button", name="Try again").click()
    wait_until(lambda: admin.clock.fast_forward(2000) or FILE_PAGE.search(admin.url), SOON / 1000)  # type: ignore[func-returns-value]
