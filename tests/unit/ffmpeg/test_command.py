"""ffmpeg's command line: no value can be taken for an option, and every limit stands before its input."""

from pathlib import Path

import pytest

from media_jobs.ffmpeg.command import Command, Source, Target

FFMPEG = Path("/bin/ffmpeg")


def argv(*targets: Target, **more: object) -> list[str]:
    sources = [Source(Path("/w/-x %d.mp4"), "mov", ("-ss", "3")), Source(Path("/w/b"), "wav")]
    return Command(sources, targets or [Target(None)], **more).argv(FFMPEG)  # type: ignore[arg-type]


def after(words: list[str], option: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words) if word == option]


def test_every_path_is_absolute_and_behind_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = Command([Source(Path("-x"), "mov")], [Target(Path("out.mp4"))]).argv(FFMPEG)
    assert after(command, "-i") == [f"file:{tmp_path}/-x"]
    assert command[-1] == f"file:{tmp_path}/out.mp4"


def test_each_source_is_pinned_to_its_demuxer_and_limited() -> None:
    words = argv()
    assert after(words, "-format_whitelist") == after(words, "-f")[:2] == ["mov", "wav"]
    assert after(words, "-protocol_whitelist") == ["file,pipe"] * 2
    assert after(words, "-max_streams") == ["32"] * 2
    for option in ("-ss", "-format_whitelist", "-max_streams", "-max_pixels", "-max_alloc"):
        assert words.index(option) < words.index("-i"), option


@pytest.mark.parametrize("format", ["concat", "hls", "lavfi", "image2", "rawvideo", "mov,concat", ""])
def test_a_demuxer_that_is_not_allowed_is_refused(format: str) -> None:
    with pytest.raises(ValueError, match="no demuxer"):
        Source(Path("/w/a"), format)


def test_a_target_without_a_path_throws_away() -> None:
    assert argv()[-3:] == ["-f", "null", "-"]


def test_an_output_is_never_longer_than_allowed_unless_it_says_itself_how_long() -> None:
    assert after(argv(max_duration=90.0), "-t") == ["90"]
    assert after(argv(Target(Path("/w/o"), ("-t", "5"))), "-t") == ["5"]
    assert after(argv(Target(Path("/w/o"), ("-to", "5"))), "-t") == []


def test_threads_are_capped_for_decoders_filters_and_encoders() -> None:
    words = argv(threads=3)
    assert after(words, "-threads") == ["3", "3", "3"]
    assert after(words, "-filter_threads") == after(words, "-filter_complex_threads") == ["3"]


def test_only_a_verbose_command_logs_what_filters_measure() -> None:
    assert after(argv(), "-loglevel") == ["level+warning"]
    assert after(argv(verbose=True), "-loglevel") == ["level+info"]
