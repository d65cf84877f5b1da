"""Transcripts by a real server and worker: submitted, cached by model, cancelled, and resumed after kill -9."""

import os
import signal
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db.models.functions import Now
from model_bakery import baker

from media_jobs.errors import ExtraMissing
from media_jobs.models import Preset, Worker
from media_jobs.operations import get, parse
from media_jobs.queue import extras, presets
from media_jobs.understanding.extras import SPEECH, VISION, installed
from tests.support.job_orders import ended, job, keep, post, submitted
from tests.support.processes import descendants, is_alive, stopped_when
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.spoken_texts import Spoken, needs_speech, plain_words, speak, word_errors
from tests.support.waiting import wait_until

TRANSCRIBE = "transcribe"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, LEASE="10s", WHISPER_MODEL="tiny.en") as server:
        yield server


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    return speak(tmp_path_factory.mktemp("spoken") / "spoken.wav", 45, (0.5,))


@pytest.fixture(scope="module")
def file(server: Server, spoken: Spoken) -> str:
    return keep(server, spoken.path.read_bytes(), "spoken.wav")


def helpers_of(pid: int) -> list[int]:
    return [child for child, command in descendants(pid).items() if "understanding.helper" in command]


def notes(server: Server) -> int:
    """How many chunks are transcribed."""
    return int(query(server, "SELECT count(*) FROM media_jobs_contentnote")[0][0])


@needs_speech
def test_a_killed_worker_costs_one_chunk_and_the_artifacts_are_whole(
    server: Server, file: str, spoken: Spoken
) -> None:
    worker = server.start_worker("inference")
    made = submitted(server, operation=TRANSCRIBE, file=file)
    with stopped_when(lambda: helpers_of(worker.pid), lambda: notes(server)):
        [helper] = helpers_of(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(helper))
    other = server.start_worker("inference")
    wait_until(lambda: job(server, made["id"])["status"] in {"succeeded", "failed"}, timeout=180)
    done = job(server, made["id"])
    assert done["status"] == "succeeded", done["error"]
    assert [artifact["name"] for artifact in done["artifacts"]] == [
        "transcript.json", "transcript.txt", "transcript.srt", "transcript.vtt",
    ]  # fmt: skip
    text = server.get(f"/api/v1/jobs/{made['id']}/artifacts/transcript.txt", user="alice").body.decode()
    assert word_errors(spoken.words, plain_words(text)) <= 0.10
    again = ended(server, submitted(server, operation=TRANSCRIBE, file=file))
    assert (again["status"], again["cached"]) == ("succeeded", True)
    os.kill(other.pid, signal.SIGKILL)


@needs_speech
def test_a_cancelled_job_ends_and_its_helper_is_gone(server: Server, file: str) -> None:
    worker = server.start_worker("inference")
    before = notes(server)
    made = submitted(server, operation=TRANSCRIBE, file=file, params={"language": "en"})
    with stopped_when(lambda: helpers_of(worker.pid), lambda: notes(server) > before):
        wait_until(lambda: job(server, made["id"])["message"].startswith("Transcribed"), timeout=120)
        assert post(server, f"/api/v1/jobs/{made['id']}/cancel/").status in {200, 202}
    wait_until(lambda: job(server, made["id"])["status"] == "cancelled")
    wait_until(lambda: not helpers_of(worker.pid))


@pytest.mark.django_db
def test_without_the_extra_the_refusal_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", list)
    with pytest.raises(ExtraMissing, match='make run EXTRAS="speech speech-base"') as caught:
        extras.require_extras(get(TRANSCRIBE), parse(get(TRANSCRIBE), {}))
    assert caught.value.code == "extra_missing"
    assert not Worker.objects.exists()
    extras.require_extras(get("transcode"), parse(get("transcode"), {}))
    assert 'make run EXTRAS="speech' in presets.trouble(Preset(name="Text", operation=TRANSCRIBE))


@pytest.mark.django_db
def test_a_worker_on_another_host_takes_jobs_for_the_extras_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", list)
    transcribe, detect = get(TRANSCRIBE), get("detect")
    baker.make(
        Worker, lane="inference", seen_at=Now(), heard_at=Now(), extras="speech (faster-whisper 1.2.1), speech-tiny"
    )
    extras.require_extras(transcribe, parse(transcribe, {}))
    with pytest.raises(ExtraMissing, match="“vision”"):
        extras.require_extras(detect, parse(detect, {"detectors": ["plates"]}))


def test_there_is_a_slot_for_models_only_where_the_extra_is_installed() -> None:
    assert settings.SLOTS["inference"] == int(not {SPEECH, VISION}.isdisjoint(installed()))


@needs_speech
def test_the_check_and_the_page_of_workers_show_what_is_installed(server: Server) -> None:
    said = server.manage("check").stderr
    assert "speech (faster-whisper" in said
    assert "the Whisper model tiny.en" in said
    server.start_worker("inference")
    assert any("speech (faster-whisper" in row[0] for row in query(server, "SELECT extras FROM media_jobs_worker"))
