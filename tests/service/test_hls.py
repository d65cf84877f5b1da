"""files/ID/hls/: what a player asks for, from a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hls_rules import read_master_playlist
from tests.support.hls_streams import packets
from tests.support.job_requests import ended, submit
from tests.support.object_store import ObjectStore
from tests.support.running_servers import running
from tests.support.server import Server, Template
from tests.support.troubled_clips import clip, with_subtitles


@pytest.fixture(scope="module", params=["local", "s3"])
def server(
    request: pytest.FixtureRequest, template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    store: ObjectStore | None = request.getfixturevalue("object_store") if request.param == "s3" else None
    with running(template, tmp_path_factory, store=store) as found:
        yield found


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip("faststart.mp4", tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def address(server: Server, film: Path) -> str:
    made = server.put("film.mp4", film.read_bytes(), user="alice").json()
    return f"/api/v1/files/{made['id']}/"


def rendition(server: Server, base: str, name: str, user: str | None) -> bytes:
    """Its init segment and all its segments."""
    lines = server.get(f"{base}{name}.m3u8", user=user).body.decode().splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    answers = [server.get(f"{base}{part}", user=user) for part in (f"{name}/init.mp4", *names)]
    assert {answer.status for answer in answers} == {200}
    assert all(len(answer.body) == int(answer.headers["Content-Length"]) for answer in answers)
    return b"".join(answer.body for answer in answers)


@pytest.mark.parametrize(("name", "kind"), [("video", "video"), ("audio0", "audio")])
def test_a_player_gets_every_packet(
    server: Server, address: str, film: Path, tmp_path: Path, name: str, kind: str
) -> None:
    made = tmp_path / "made.mp4"
    made.write_bytes(rendition(server, f"{address}hls/", name, "alice"))
    assert packets(made, kind) == packets(film, kind)


def test_the_master_playlist_names_its_renditions(server: Server, address: str) -> None:
    answer = server.get(f"{address}hls/master.m3u8", user="alice")
    assert answer.headers["Content-Type"] == "application/vnd.apple.mpegurl"
    text = answer.body.decode()
    assert read_master_playlist(text).variants == ["video.m3u8"]
    assert 'CODECS="avc1.' in text
    assert "mp4a.40.2" in text
    assert "RESOLUTION=160x90" in text


def test_a_signed_link_plays_without_an_account_until_it_is_revoked(server: Server, address: str) -> None:
    link = server.request("POST", f"{address}link/", b"{}", {"Content-Type": "application/json"}).json()["url"]
    base = f"/{link.split('/', 3)[3].rpartition('/')[0]}/hls/"
    assert rendition(server, base, "video", None)
    server.request("DELETE", f"{address}link/")
    assert server.get(f"{base}master.m3u8").code == "invalid_link"


def test_nobody_else_plays_it(server: Server, address: str) -> None:
    for name in ("master.m3u8", "video/0.m4s"):
        assert server.get(f"{address}hls/{name}", user="bob").status == 404
        assert server.get(f"{address}hls/{name}").status == 401


@pytest.mark.parametrize(
    "name",
    ["", "video", "video/999.m4s", "audio1.m3u8", "audio0/7777.m4s", "master/0.m4s", "../content", "video/x.m4s"],
)
def test_what_is_not_there_is_not_found(server: Server, address: str, name: str) -> None:
    assert server.get(f"{address}hls/{name}", user="alice").status in {404, 405}


def test_an_answer_that_the_client_has_is_not_sent_again(server: Server, address: str) -> None:
    first = server.get(f"{address}hls/video/0.m4s", user="alice")
    again = server.get(f"{address}hls/video/0.m4s", {"If-None-Match": first.headers["ETag"]}, user="alice")
    assert (again.status, again.body) == (304, b"")
    head = server.request("HEAD", f"{address}hls/video/0.m4s")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(first.body)))


def test_another_container_plays_after_the_operation_hls(server: Server, tmp_path: Path) -> None:
    source = with_subtitles(clip("index-last.mp4", tmp_path), tmp_path / "film.mkv", "eng", "fra")
    made = server.put("film.mkv", source.read_bytes(), user="alice").json()
    base = f"/api/v1/files/{made['id']}/hls/"
    assert "Run the operation hls" in server.get(f"{base}master.m3u8", user="alice").json()["detail"]
    server.start_worker("bulk")
    done = ended(server, submit(server, made["id"], "hls", heights="none"))
    assert (done["status"], done["message"]) == ("succeeded", "The picture and the sound are copied.")
    master = server.get(f"{base}master.m3u8", user="alice").body.decode()
    assert read_master_playlist(master).variants == ["video.m3u8"]
    assert 'TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="2 fra",LANGUAGE="fra",DEFAULT=NO' in master
    assert master.count('SUBTITLES="subtitles"') == 1
    lines = server.get(f"{base}subtitles1.m3u8", user="alice").body.decode().splitlines()
    assert lines[-3:] == ["#EXTINF:14.000000,", "subtitles1/0.vtt", "#EXT-X-ENDLIST"]
    answer = server.get(f"{base}subtitles1/0.vtt", user="alice")
    assert answer.headers["Content-Type"] == "text/vtt"
    assert answer.body.startswith(b"WEBVTT\n\n00:01.000 --> 00:03.000\nHello\n")
    assert server.get(f"{base}subtitles2.m3u8", user="alice").status == 404
    for name, kind in (("video", "video"), ("audio0", "audio")):
        played = tmp_path / f"{name}.mp4"
        played.write_bytes(rendition(server, base, name, "alice"))
        assert [packet.content for packet in packets(played, kind)] == [
            packet.content for packet in packets(source, kind)
        ]


def test_a_file_that_must_be_encoded_says_why(server: Server, tmp_path: Path) -> None:
    content = clip("few-key-frames.mp4", tmp_path).read_bytes()
    made = server.put("sparse.mp4", content, user="alice").json()
    answer = server.get(f"/api/v1/files/{made['id']}/hls/master.m3u8", user="alice")
    assert (answer.status, answer.code) == (409, "not_streamable")
    assert "key frames are more than 12 seconds apart" in answer.json()["detail"]
