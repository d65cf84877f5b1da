"""What a model server is sent of real recordings, over real connections: sound as WAV, frames with their times."""

import io
import json
import socket
import wave
from collections.abc import Callable
from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

import av
import numpy as np
import pytest

from media_jobs.errors import EndpointRemoved, UnfitMedia
from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.media_facts import AudioStream, Facts
from media_jobs.ffmpeg.progress import Report
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Work
from media_jobs.operations.shared.sent_media import require_fit
from media_jobs.prediction.client import Server, Watch, ask
from media_jobs.prediction.endpoint_url import EndpointUrl
from media_jobs.prediction.sent_content import Body, SentContent
from tests.support.model_servers import ok, read_request, serving

Clips = Callable[[str], Path]


class OverHttp:
    """Implements operations.base.ModelServer with the real client."""

    def __init__(self, url: str, content: SentContent) -> None:
        self.content, self._server = content, Server("birds", EndpointUrl.parse(url), 30, allows_private=True)

    def ask(self, body: Body, on_sent: Callable[[int], None], on_wait: Callable[[float], None]) -> bytes:
        return ask(self._server, body, Watch(lambda: None, on_sent, on_wait))


def a_work(path: Path, facts: Facts, folder: Path, reports: list[Report], kind: str = "video") -> Work:  # type: ignore[type-arg]
    tools = Toolbox(find(), Sandbox.probe(), folder, 2, lambda: None, reports.append)
    operation = get("predict")
    main = Input(path, path.name, kind, facts, "video/mp4")
    return Work(parse(operation, {"endpoint": "birds"}), main, [], folder, tools, 2)


Sent = Callable[..., tuple[str, bytes, list[Report]]]


@pytest.fixture
def sent(clips: Clips, facts_of: Callable[[str], Facts], tmp_path: Path) -> Sent:
    def run(name: str, form: str, rate: float = 0.0, kind: str = "video") -> tuple[str, bytes, list[Report]]:
        seen: list[tuple[str, bytes]] = []
        reports: list[Report] = []

        def handle(sock: socket.socket) -> None:
            seen.append(read_request(sock))
            sock.sendall(ok(b'{"answer": 1}'))

        folder = tmp_path / "work"
        folder.mkdir()
        with serving(handle) as served:
            work = a_work(clips(name), facts_of(name), folder, reports, kind)
            content = SentContent(form, rate)  # type: ignore[arg-type]
            [output] = get("predict").run(replace(work, model_server=OverHttp(served.url, content))).outputs
        assert (output.name, json.loads(output.path.read_text())) == ("prediction.json", {"answer": 1})
        [(head, body)] = seen
        return head, body, reports

    return run


def test_a_file_is_sent_as_it_is(sent: Sent, clips: Clips) -> None:
    head, body, reports = sent("film.mp4", "file")
    assert body == clips("film.mp4").read_bytes()
    assert "\r\nContent-Type: video/mp4\r\n" in head
    assert "film" not in head  # its name is its owner's
    assert any(report.message.startswith("Sent ") for report in reports)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_sound_is_a_wav_of_one_channel_with_its_length_in_the_header(sent: Sent, rate: int) -> None:
    head, body, _ = sent("film.mkv", "wav", rate)
    assert "\r\nContent-Type: audio/wav\r\n" in head
    with wave.open(io.BytesIO(body)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, rate)
        assert sound.getnframes() / rate == pytest.approx(2.0, abs=0.1)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    assert len(samples) == sound.getnframes()
    spectrum = np.abs(np.fft.rfft(samples[:rate]))
    assert int(spectrum.argmax()) == 440  # the tone of the clip


@pytest.mark.parametrize("name", ["late-sound.mkv", "late-sound.ts"])
def test_before_sound_that_begins_late_the_wav_is_silent(name: str, sent: Sent) -> None:
    with wave.open(io.BytesIO(sent(name, "wav", 8000)[1])) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    assert len(samples) / 8000 == pytest.approx(10.0, abs=0.1)
    assert np.flatnonzero(np.abs(samples) > 100)[0] / 8000 == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", ["late-picture.mkv", "late-picture.ts"])
def test_frames_of_a_picture_that_begins_late_have_their_time_in_the_file(name: str, sent: Sent) -> None:
    times = [float(file.removesuffix(".jpg")) for file, _ in frames_of(*sent(name, "frames", 1)[:2])]
    assert times == pytest.approx([float(second) for second in range(1, 10)], abs=0.1)


def test_frames_are_a_form_with_jpeg_files_that_are_named_by_their_time(sent: Sent) -> None:
    head, body, _ = sent("film.mp4", "frames", 5)
    frames = frames_of(head, body)
    assert [name for name, _ in frames] == [f"{number / 5:.3f}.jpg" for number in range(10)]
    for _, jpeg in frames:
        with av.open(io.BytesIO(jpeg)) as picture:
            assert (picture.streams.video[0].width, picture.streams.video[0].height) == (320, 180)


def test_of_an_image_its_one_frame_is_sent(sent: Sent) -> None:
    [(name, _)] = frames_of(*sent("still.png", "frames", 1, "image")[:2])
    assert name == "0.000.jpg"


def frames_of(head: str, body: bytes) -> list[tuple[str, bytes]]:
    [kind] = [line for line in head.split("\r\n") if line.startswith("Content-Type: multipart/form-data")]
    parts = BytesParser(policy=HTTP).parsebytes(kind.encode() + b"\r\n\r\n" + body)
    found = list(parts.iter_parts())
    assert {part.get_param("name", header="Content-Disposition") for part in found} == {"frame"}
    return [(str(part.get_filename()), bytes(part.get_content())) for part in found]


@pytest.mark.parametrize(("name", "form"), [("only-picture.mp4", "wav"), ("only-sound.mp4", "frames")])
def test_what_the_file_has_not_cannot_be_sent(sent: Sent, name: str, form: str) -> None:
    with pytest.raises(UnfitMedia):
        sent(name, form, 4000 if form == "wav" else 1)


def test_too_much_is_refused_before_anything_is_decoded() -> None:
    sound = AudioStream(index=0, codec="aac", channels=1, sample_rate=48000)
    days = Facts(format="mov", duration=2 * 86400.0, audio=[sound])
    with pytest.raises(UnfitMedia, match="too long for a WAV"):
        require_fit(SentContent("wav", 48000), "audio", days)
    require_fit(SentContent("wav", 8000), "audio", days)


def test_a_job_whose_server_was_removed_says_so(
    clips: Clips, facts_of: Callable[[str], Facts], tmp_path: Path
) -> None:
    with pytest.raises(EndpointRemoved, match="was removed"):
        get("predict").run(a_work(clips("film.mp4"), facts_of("film.mp4"), tmp_path, []))
