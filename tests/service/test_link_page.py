"""links/TOKEN/: the page of a signed link, from a real server. tests/browser/own_server/test_player.py plays it."""

from pathlib import Path

import pytest

from tests.support.server import Answer, Server
from tests.support.troubled_clips import clip as made_clip

HOSTILE = "%3Cimg%20src=x%20onerror=alert(1)%3E.mp4"
AS_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Content-Type": "application/json"}


def link_to(server: Server, content: bytes, name: str = HOSTILE) -> str:
    """The path of the page of a new link to a new file."""
    pk = server.put(name, content, user="alice").json()["id"]
    link = server.request("POST", f"/api/v1/files/{pk}/link/", b"{}", JSON, user="alice").json()
    assert link["url"].startswith(link["page_url"])
    return "/" + str(link["page_url"]).split("/", 3)[3]


def page_of(server: Server, content: bytes, name: str = HOSTILE) -> Answer:
    return server.get(link_to(server, content, name), AS_BROWSER, user=None)


def test_it_offers_the_content_and_its_playlist_below_the_link_and_nothing_else(
    shared_server: Server, clip: bytes
) -> None:
    path = link_to(shared_server, clip)
    text = shared_server.get(path, AS_BROWSER, user=None).body.decode()
    assert f'src="{path}{HOSTILE}"' in text
    assert f'data-playlist="{path}hls/master.m3u8"' in text
    assert f'href="{path}{HOSTILE}?download"' in text
    assert "&lt;img src=x onerror=alert(1)&gt;.mp4" in text
    for hidden in ("alice", "/admin/", "/api/v1/files/", "<img src=x", "Run an operation"):
        assert hidden not in text


def test_its_policy_is_strict_and_it_leaves_no_trace(shared_server: Server, clip: bytes) -> None:
    headers = page_of(shared_server, clip).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert headers["Cache-Control"] == "private, no-store"
    assert "Set-Cookie" not in headers


def test_a_file_that_is_no_media_is_downloaded(shared_server: Server) -> None:
    text = page_of(shared_server, b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "words.srt").body.decode()
    assert "mr-player" not in text
    assert "player.js" not in text
    assert 'words.srt?download"' in text


def test_sound_and_pictures_have_no_playlist(shared_server: Server, tmp_path: Path) -> None:
    for name, element in (("click.wav", "<audio"), ("still.png", "<img")):
        text = page_of(shared_server, made_clip(name, tmp_path).read_bytes(), name).body.decode()
        assert element in text
        assert "data-playlist" not in text


@pytest.mark.parametrize("name", ["", "film.mp4"])
def test_a_link_that_does_not_work_tells_people_what_to_do_and_programs_the_code(
    name: str, shared_server: Server, clip: bytes
) -> None:
    path = link_to(shared_server, clip)
    changed = f"{path[:-5]}AAAA/{name}"
    answer = shared_server.get(changed, AS_BROWSER, user=None)
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (403, "text/html")
    assert "This link does not work" in answer.body.decode()
    assert "Check that you have all of it." in answer.body.decode()
    assert 'href="/"' not in answer.body.decode()
    assert shared_server.get(changed, {"Accept": "*/*"}, user=None).code == "invalid_link"
