"""The operation `transcribe`: what is said in a file, as text, subtitles and JSON with the time of each word."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from ..errors import BadMedia, OperationUnavailable, ToolFailed, UnfitMedia
from ..ffmpeg.probing.media_facts import AudioStream, Facts
from ..ffmpeg.progress import clock_time
from ..understanding.extras import SPEECH, NoModel
from ..understanding.speech import RATE, speech_engine
from ..understanding.whisper_models import WhisperFolder, find_model
from .base import INFERENCE, Operation, Outcome, Output, Params, Work
from .shared.cues import Cue, cues_of, plain_text, srt, webvtt
from .shared.listening import Listener, speech_command
from .shared.noted_pieces import NotedPieces
from .shared.parameters import MAX_SOUND_DURATION
from .shared.time_range import TimeRange, likely_duration
from .shared.transcript_json import write_json

_DONE = 0.98  # of the progress, when all is heard
_LOWEST_RATE = 2000  # Hz; a telephone has 8000


class TranscribeParams(Params):
    language: str | None = Field(
        None,
        pattern="^[a-z]{2,3}$",
        title="Language",
        description="Of the speech, as a code such as en, de or yue. If left out, it is recognised once, from the "
        "first speech in the file.",
    )


class Transcribe(Operation[TranscribeParams]):
    name = "transcribe"
    version = 2
    title = "Transcribe"
    summary = "Writes down what is said, as text, subtitles (SRT, WebVTT) and JSON with the time of each word."
    lane = INFERENCE
    kinds = frozenset({"video", "audio"})
    parameters = TranscribeParams
    extra = SPEECH.name

    def check(self, params: TranscribeParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            sound = _sound(facts)
            if 0 < sound.sample_rate < _LOWEST_RATE:
                raise UnfitMedia(
                    f"The rate of its sound is {sound.sample_rate:,} Hz. Speech needs {_LOWEST_RATE:,} Hz at least: "
                    "the rate in the file may be wrong."
                )
            TimeRange().check(likely_duration(facts, sound), MAX_SOUND_DURATION)

    def check_models(self, params: TranscribeParams, models: Mapping[str, str]) -> None:
        find_model(models.get(self.extra, ""))

    def model_identity(self, params: TranscribeParams, models: Mapping[str, str]) -> str | None:
        chosen = models.get(self.extra, "")
        try:
            return find_model(chosen).identity
        except NoModel:  # workers on other hosts have it
            return chosen

    def run(self, work: Work[TranscribeParams]) -> Outcome:
        self.check(work.params, work.main.kind, work.main.facts)
        try:
            model = find_model(work.models.get(self.extra, ""))
        except NoModel as reason:
            raise OperationUnavailable(str(reason)) from reason
        kept = NotedPieces(work.notes, f"{model.identity} {work.params.language}")
        listener = Listener(work.inference, speech_engine(model), work.params.language, kept)
        message = _listen(work, listener)
        cues = cues_of(listener.words)
        outputs = _write(work, model, listener, cues)
        kept.clear()
        return Outcome(outputs, message=message if cues else message or "No speech was found.")


def _sound(facts: Facts) -> AudioStream:
    if not facts.audio:
        raise UnfitMedia("This file has no sound.")
    return facts.audio[0]


def _listen(work: Work[TranscribeParams], listener: Listener) -> str:
    """Hear all of the sound. Of a damaged file, what can be decoded; the message says where that ends."""
    facts, sound = work.main.facts, _sound(work.main.facts)
    length = likely_duration(facts, sound)
    if listener.resumed:
        work.tools.report(f"Going on at {clock_time(listener.heard / RATE)}, where an earlier attempt has ended")
    message, log = "", ""
    try:
        log = work.tools.decode(
            speech_command(work.main, sound, length, work.threads),
            listener.feed,
            unit=2 * RATE,
            seconds=length,
            share=(0.0, _DONE),
            verb="Transcribed",
        )
    except (BadMedia, ToolFailed) as failure:
        message, log = failure.detail, failure.log
    listener.finish()
    if not listener.heard:
        raise BadMedia("No sound can be read from this file: it is damaged or cut off.", log=log)
    return f"The transcript ends at {clock_time(listener.heard / RATE)}. {message}" if message else ""


def _write(
    work: Work[TranscribeParams], model: WhisperFolder, listener: Listener, cues: Sequence[Cue]
) -> list[Output]:
    work.tools.report("Writing the transcript", _DONE)
    texts = {"transcript.txt": plain_text(cues), "transcript.srt": srt(cues), "transcript.vtt": webvtt(cues)}
    kinds = {
        ".txt": ("", "text/plain"),
        ".srt": ("subtitle", "application/x-subrip"),
        ".vtt": ("subtitle", "text/vtt"),
    }
    path = work.folder / "transcript.json"
    write_json(path, model.name, listener, cues)
    outputs = [Output(path.name, path, "", "application/json", None)]
    for name, pieces in texts.items() if cues else ():
        path = work.folder / name
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(pieces)
        kind, media_type = kinds[path.suffix]
        outputs.append(Output(name, path, kind, media_type, *(() if kind else (None,))))
    return outputs
