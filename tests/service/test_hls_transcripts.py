"""The newest transcript of a file is a subtitle rendition of its HLS playlists, also behind a signed link."""

import json
import re
from pathlib import Path

import pytest

from tests.support.hls_rules import read_master_playlist, read_media_playlist
from tests.support.in_server import finished_jobs
from tests.support.server import Server
from tests.support.troubled_clips import clip

HEAD = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:10.000\n\n"
FIRST = "00:00:01.000 --> 00:00:02.500\nThe ship &lt;left&gt;\n\n"
SECOND = "00:20:03.000 --> 00:20:04.000\nthe harbour\n\n"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return clip("faststart.mp4", tmp_path_factory.mktemp("film")).read_bytes()


@pytest.fixture(scope="module")
def film(shared_server: Server, content: bytes) -> str:
    return str(shared_server.put("film.mp4", content, user="alice").json()["id"])


def transcribed(server: Server, film: str, folder: Path, language: str | None, cues: str = FIRST + SECOND) -> str:
    """Returns the id of the job."""
    folder.mkdir()
    beginning = {"version": 1, "model": "base", "language": language}
    (folder / "transcript.json").write_text(json.dumps({**beginning, "cues": []}))
    if cues:
        (folder / "transcript.vtt").write_text(f"WEBVTT\n\n{cues}")
    return str(server.call(finished_jobs.finish_job, film, "transcribe", str(folder)))


def text(server: Server, path: str, user: str | None = "alice") -> str:
    answer = server.get(path, user=user)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def test_the_newest_is_listed_with_its_language_and_its_urls_stay(
    shared_server: Server, film: str, tmp_path: Path
) -> None:
    base = f"/api/v1/files/{film}/hls/"
    assert not read_master_playlist(text(shared_server, f"{base}master.m3u8")).of_type("SUBTITLES")

    job = transcribed(shared_server, film, tmp_path / "first", "de")
    [listed] = read_master_playlist(text(shared_server, f"{base}master.m3u8")).of_type("SUBTITLES")
    assert listed == {
        "TYPE": "SUBTITLES", "GROUP-ID": "subtitles", "NAME": "Transcript de", "LANGUAGE": "de", "DEFAULT": "NO",
        "AUTOSELECT": "YES", "CHARACTERISTICS": "public.accessibility.transcribes-spoken-dialog",
        "URI": f"transcript-{job}.m3u8",
    }  # fmt: skip
    playlist = read_media_playlist(text(shared_server, base + listed["URI"]))
    assert (playlist.type, playlist.lengths) == ("VOD", [1203, 1])
    first, second = (text(shared_server, base + name) for name in playlist.names)
    assert (first, second) == (HEAD + FIRST, HEAD + SECOND)

    newer = transcribed(shared_server, film, tmp_path / "second", None)
    [listed] = read_master_playlist(text(shared_server, f"{base}master.m3u8")).of_type("SUBTITLES")
    assert (listed["NAME"], listed["URI"]) == ("Transcript", f"transcript-{newer}.m3u8")
    assert text(shared_server, base + playlist.names[0]) == first

    transcribed(shared_server, film, tmp_path / "third", "en", cues="")  # nobody speaks
    assert not read_master_playlist(text(shared_server, f"{base}master.m3u8")).of_type("SUBTITLES")


@pytest.mark.parametrize(("language", "srclang"), [("de", ["de"]), (None, [])])
def test_the_page_of_a_signed_link_names_its_language_for_players_without_hls(
    language: str | None, srclang: list[str], shared_server: Server, film: str, tmp_path: Path
) -> None:
    job = transcribed(shared_server, film, tmp_path / "made", language)
    link = shared_server.request("POST", f"/api/v1/files/{film}/link/", user="alice").json()["page_url"]
    [track] = re.findall("<track [^>]+>", text(shared_server, link.removeprefix(shared_server.url), None))
    assert f"/previews/{job}/transcript.vtt" in track
    assert re.findall('srclang="([^"]*)"', track) == srclang


def test_a_signed_link_has_it_and_neither_a_stranger_nor_another_file_with_the_same_content(
    shared_server: Server, film: str, content: bytes, tmp_path: Path
) -> None:
    job = transcribed(shared_server, film, tmp_path / "made", "en")
    names = [f"transcript-{job}.m3u8", f"transcript-{job}/0.vtt"]
    link = shared_server.request(
        "POST", f"/api/v1/files/{film}/link/", b"{}", {"Content-Type": "application/json"}, user="alice"
    ).json()
    below = f"/{link['url'].split('/', 3)[3].rpartition('/')[0]}/hls/"
    assert f'URI="{names[0]}"' in text(shared_server, f"{below}master.m3u8", None)
    for name in names:
        answer = shared_server.get(below + name, user=None)
        assert (answer.status, answer.headers["Referrer-Policy"]) == (200, "no-referrer")
        assert shared_server.get(f"/api/v1/files/{film}/hls/{name}", user="bob").status == 404
        assert shared_server.get(f"/api/v1/files/{film}/hls/{name}").status == 401
    other = shared_server.put("other.mp4", content, user="alice").json()["id"]
    assert shared_server.get(f"/api/v1/files/{other}/hls/{names[1]}", user="alice").status == 404
    for wrong in (
        f"transcript-{job}/2.vtt",
        f"transcript-{film}.m3u8",
        f"transcript-{job}/x.vtt",
        "transcript-1.m3u8",
    ):
        assert shared_server.get(below + wrong, user=None).status == 404


def test_a_transcript_that_is_no_json_is_listed_without_a_language(
    shared_server: Server, film: str, tmp_path: Path
) -> None:
    for number, broken in enumerate((b"\xff\xfe", b"[]", b'{"language": 7', b'{"language": "\\"x\\n#EXT"}')):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "transcript.json").write_bytes(broken)
        (folder / "transcript.vtt").write_text(f"WEBVTT\n\n{FIRST}")
        shared_server.call(finished_jobs.finish_job, film, "transcribe", str(folder))
        playlist = read_master_playlist(text(shared_server, f"/api/v1/files/{film}/hls/master.m3u8"))
        assert "LANGUAGE" not in playlist.of_type("SUBTITLES")[0]
