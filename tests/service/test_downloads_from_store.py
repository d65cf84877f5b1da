"""Content in an S3 bucket: sent by the server, or by the store itself after a redirect. To clients it is the same."""

import asyncio
import hashlib
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest
import requests

from tests.support.cdn import KEY_ID, Cdn
from tests.support.films import sha256
from tests.support.following_client import fetch
from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from tests.support.recording_relay import RecordingRelay
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template
from tests.support.waiting import wait_until

Film = Callable[..., bytes]
CURL = "curl/8.5.0"  # a client that drops its credentials when it is sent elsewhere
SIZE = 3_000_000
# What clients see of an answer, wherever it comes from.
SAME = ("Content-Type", "Content-Disposition", "Content-Length", "Content-Range", "Accept-Ranges")


@dataclass
class Kept:
    """A film that alice keeps."""

    server: Server
    content: bytes
    name: str = "für 映画.mp4"

    @cached_property
    def file(self) -> Any:
        answer = self.server.put(quote(self.name), self.content)
        assert answer.status == 201, answer
        return answer.json()

    @property
    def path(self) -> str:
        return f"/api/v1/files/{self.file['id']}/content"

    def link(self, seconds: int = 600) -> str:
        answer = self.server.request(
            "POST", f"/api/v1/files/{self.file['id']}/link/", b'{"expires_in": %d}' % seconds,
            {"Content-Type": "application/json"},
        )  # fmt: skip
        return str(answer.json()["url"])

    def ask(self, path: str = "", method: str = "GET", **headers: str) -> list[Answer]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = {"Authorization": f"Bearer {self.server.tokens['alice']}", "User-Agent": CURL}
        return fetch(self.server.url + (path or self.path), token | named, method)


@pytest.fixture(scope="module")
def content(clip: bytes) -> bytes:
    return clip + hashlib.sha256(clip).digest() * (SIZE // 32)


@pytest.fixture(scope="module")
def on_disk(template: Template, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> Iterator[Kept]:
    with running(template, tmp_path_factory) as server:
        yield Kept(server, content)


@pytest.fixture(scope="module")
def proxied(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore, content: bytes
) -> Iterator[Kept]:
    with running(template, tmp_path_factory, store=object_store) as server:
        yield Kept(server, content)


@pytest.fixture(scope="module")
def redirected(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore, content: bytes,
    relay: RecordingRelay,
) -> Iterator[Kept]:  # fmt: skip
    with running(
        template, tmp_path_factory, store=object_store, DOWNLOADS="redirect", STORAGE_PUBLIC_URL=relay.url
    ) as server:
        yield Kept(server, content)


REQUESTS: list[dict[str, str]] = [
    {},
    {"path": "?download"},
    {"method": "HEAD"},
    {"method": "HEAD", "Range": "bytes=0-1"},
    {"Range": "bytes=0-0"},
    {"Range": "bytes=1000000-1999999"},
    {"Range": "bytes=-500"},
    {"Range": "bytes=2999999-"},
    {"Range": "bytes=5-999999999"},
    {"Range": "bytes=999999999-"},
    {"Range": "bytes=-0"},
    {"Range": "bytes=0-1,5-6"},
    {"Range": "bytes=abc"},
    {"If_None_Match": "{etag}"},
    {"If_None_Match": '"other"'},
    {"If_None_Match": "{etag}", "Range": "bytes=0-9"},
    {"If_Match": "{etag}"},
    {"If_Match": '"other"'},
    {"If_Match": "{etag}", "Range": "bytes=0-9"},
    {"If_Range": "{etag}", "Range": "bytes=0-9"},
    {"If_Range": '"other"', "Range": "bytes=0-9"},
    {"If_Range": formatdate(0, usegmt=True), "Range": "bytes=0-9"},
    {"If_Modified_Since": formatdate(0, usegmt=True)},
    {"If_Unmodified_Since": formatdate(10**9, usegmt=True)},
]


@pytest.mark.parametrize("mode", ["proxied", "redirected"])
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda asked: ", ".join(asked.values()) or "plain")
def test_clients_get_the_same_as_from_a_disk(
    mode: str, request_: dict[str, str], on_disk: Kept, request: pytest.FixtureRequest
) -> None:
    kept: Kept = request.getfixturevalue(mode)
    asked = {name: words.format(etag=f'"{sha256(kept.content)}"') for name, words in request_.items()}
    query = asked.pop("path", "")
    expected, found = (each.ask(each.path + query, **asked)[-1] for each in (on_disk, kept))
    assert (found.status, found.body) == (expected.status, expected.body), found.headers.items()
    if found.status in {200, 206}:
        assert [found.headers[name] for name in SAME] == [expected.headers[name] for name in SAME]
    if found.status in {206, 416}:
        assert found.headers["Content-Range"] == expected.headers["Content-Range"]


def test_a_redirect_is_for_this_client_and_this_moment(redirected: Kept, relay: RecordingRelay) -> None:
    [first, last] = redirected.ask()
    assert first.status == 302
    assert first.headers["Location"].startswith(relay.url)
    assert first.headers["Cache-Control"] == "private, no-store"
    assert first.headers["Referrer-Policy"] == "no-referrer"
    assert first.headers["Vary"].startswith("Authorization, Cookie")
    assert last.body == redirected.content


def test_a_download_from_the_store_resumes_by_the_etag_of_the_store(redirected: Kept) -> None:
    etag = redirected.ask()[-1].headers["ETag"]
    for condition in ({"If_Range": etag}, {"If_Match": etag}):
        answer = redirected.ask(Range="bytes=100-199", **condition)[-1]
        assert (answer.status, answer.body) == (206, redirected.content[100:200])
    assert redirected.ask(If_None_Match=etag)[-1].status == 304


def test_a_redirect_works_for_no_longer_than_the_link(redirected: Kept) -> None:
    for seconds, most in ((60, 60), (24 * 3600, 3600)):
        [first, last] = fetch(redirected.link(seconds), {})
        assert last.body == redirected.content
        [lasts] = parse_qs(urlsplit(first.headers["Location"]).query)["X-Amz-Expires"]
        assert most - 30 <= int(lasts) <= most
    expired = fetch(redirected.link(2), {})[0].headers["Location"]
    wait_until(lambda: fetch(expired, {})[-1].status == 403)


def test_what_is_deleted_is_gone_from_the_store_too(redirected: Kept, film: Film) -> None:
    mine = Kept(redirected.server, film(2_000_000))
    [first, last] = mine.ask()
    assert last.status == 200
    assert mine.server.request("DELETE", f"/api/v1/files/{mine.file['id']}/").status == 204
    wait_until(lambda: fetch(first.headers["Location"], {})[-1].status == 404)


def test_only_who_may_read_a_file_is_redirected(redirected: Kept) -> None:
    answer = redirected.server.get(redirected.path, {"User-Agent": CURL}, user="bob")
    assert (answer.status, answer.headers["Location"]) == (404, None)


def test_a_missing_object_is_503_as_ever(redirected: Kept, object_store: ObjectStore, film: Film) -> None:
    mine = Kept(redirected.server, film(2_000_000))
    target = urlsplit(mine.ask()[0].headers["Location"]).path
    bucket, _, key = target.lstrip("/").partition("/")
    object_store.client().delete_object(Bucket=bucket, Key=key)
    for method in ("GET", "HEAD"):
        assert mine.ask(method=method)[-1].status == 503


def test_the_longest_name_fits_into_the_address(redirected: Kept, film: Film) -> None:
    mine = Kept(redirected.server, film(2_000_000), "\N{CLAPPER BOARD}" * 60 + "映" * 100 + ".mp4")
    [first, last] = mine.ask()
    assert last.status == 200
    assert len(first.headers["Location"]) > 2048
    assert quote(mine.name) in last.headers["Content-Disposition"]


def test_small_content_needs_no_second_request(redirected: Kept, clip: bytes) -> None:
    mine = Kept(redirected.server, clip)
    assert [answer.status for answer in mine.ask()] == [200]


# Clients


def by_curl(kept: Kept) -> bytes:
    words = [
        "curl",
        "-sSfL",
        "-H",
        f"Authorization: Bearer {kept.server.tokens['alice']}",
        kept.server.url + kept.path,
    ]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout


def by_requests(kept: Kept) -> bytes:
    token = {"Authorization": f"Bearer {kept.server.tokens['alice']}"}
    return requests.get(kept.server.url + kept.path, headers=token, timeout=60).content


def by_aiohttp(kept: Kept) -> bytes:
    async def get() -> bytes:
        token = {"Authorization": f"Bearer {kept.server.tokens['alice']}"}
        async with aiohttp.ClientSession() as session, session.get(kept.server.url + kept.path, headers=token) as got:
            return await got.read()

    with ThreadPoolExecutor(1) as thread:  # Playwright keeps a running loop in this one after a browser test
        return thread.submit(asyncio.run, get()).result()


def by_urllib(kept: Kept) -> bytes:
    token = {"Authorization": f"Bearer {kept.server.tokens['alice']}"}
    with urllib.request.urlopen(urllib.request.Request(kept.server.url + kept.path, headers=token)) as got:
        return bytes(got.read())


@pytest.mark.parametrize(
    ("client", "is_redirected"), [(by_curl, True), (by_requests, True), (by_aiohttp, True), (by_urllib, False)]
)
def test_no_client_shows_the_store_its_token(
    client: Callable[[Kept], bytes], is_redirected: bool, redirected: Kept, relay: RecordingRelay
) -> None:
    redirected.file  # noqa: B018  # it is there
    mark = len(relay.heard)
    assert client(redirected) == redirected.content
    heard = relay.heard_since(mark)
    assert ("get /" in heard) == is_redirected
    assert "authorization" not in heard
    assert "bearer" not in heard


def test_a_broken_download_is_resumed_by_curl(redirected: Kept, tmp_path: Any) -> None:
    target = tmp_path / "film.mp4"
    target.write_bytes(redirected.content[:1_000_000])
    subprocess.run(["curl", "-sSfL", "-C", "-", "-o", str(target), redirected.link()], check=True)
    assert target.read_bytes() == redirected.content


def test_pages_of_the_admin_may_show_what_the_store_sends(redirected: Kept, relay: RecordingRelay) -> None:
    policy = redirected.server.get("/admin/login/").headers["Content-Security-Policy"]
    assert f"media-src 'self' {relay.url};" in policy
    assert f"img-src 'self' {relay.url} data:;" in policy
    assert "script-src 'self' 'unsafe-eval'; style" in policy


# A CDN


@pytest.fixture(scope="module")
def cdn(object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cdn]:
    with Cdn(object_store, tmp_path_factory.mktemp("cdn")) as cdn:
        yield cdn


@pytest.fixture(scope="module")
def by_cdn(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore, content: bytes, cdn: Cdn
) -> Iterator[Kept]:
    with running(
        template, tmp_path_factory, store=object_store, DOWNLOADS="cdn", CDN_URL=cdn.url, CDN_KEY_ID=KEY_ID,
        CDN_KEY=str(cdn.key_file),
    ) as server:  # fmt: skip
        cdn.bucket = server.settings["STORAGE"].split("/")[2]
        yield Kept(server, content)


@pytest.mark.parametrize("request_", [{}, {"path": "?download"}, {"Range": "bytes=-500"}, {"Range": "bytes=1-9"}])
def test_clients_get_the_same_from_a_cdn(request_: dict[str, str], on_disk: Kept, by_cdn: Kept, cdn: Cdn) -> None:
    asked, before = dict(request_), len(cdn.requests)
    query = asked.pop("path", "")
    expected, found = (each.ask(each.path + query, **asked)[-1] for each in (on_disk, by_cdn))
    assert (found.status, found.body) == (expected.status, expected.body)
    assert [found.headers[name] for name in SAME] == [expected.headers[name] for name in SAME]
    [heard] = cdn.requests[before:]
    assert "authorization" not in heard.lower()


def test_urls_of_a_cdn_expire_and_cannot_be_changed(by_cdn: Kept) -> None:
    url = fetch(by_cdn.link(2), {})[0].headers["Location"]
    assert fetch(url.replace("inline", "attachment"), {})[-1].status == 403
    wait_until(lambda: fetch(url, {})[-1].status == 403)


# The server in between


def test_a_download_goes_on_when_the_store_breaks_off(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore, film: Film
) -> None:
    with (
        Relay(object_store.ports["s3.port"]) as wire,
        running(
            template, tmp_path_factory, store=object_store, variables={"AWS_ENDPOINT_URL_S3": wire.url}
        ) as server,
    ):
        mine = Kept(server, film(30_000_000))
        mine.file  # noqa: B018  # it is there
        token = {"Authorization": f"Bearer {server.tokens['alice']}"}
        with urllib.request.urlopen(urllib.request.Request(server.url + mine.path, headers=token)) as got:
            received = bytearray(got.read(1_000_000))
            while len(received) < len(mine.content):
                if len(received) % 5_000_000 == 0:
                    wire.cut()
                received += got.read(1_000_000)
        assert received == mine.content
