"""Parameters of operations: valid values, error messages and the JSON Schema."""

import json
from typing import Any

import pytest
from pydantic import Field

from media_jobs.errors import UnknownOperation, WrongParams
from media_jobs.operations import get, parse, registry, schema
from media_jobs.operations.base import (
    BULK,
    HEAVY,
    INFERENCE,
    LANES,
    QUICK,
    Operation,
    Outcome,
    Params,
    Work,
    canonical,
)

QUALITY = "quality must be low, medium or high, or a whole number between 0 and 63, or vmaf:60 to vmaf:99.99."
NO_BITRATE = "audio_bitrate cannot be set if audio is copy."
LOSSLESS = "bitrate cannot be set for flac, which is lossless."
MOMENT = "at must be seconds, a time such as 1:30, a percentage such as 50%, or best."


def complaints(operation: str, raw: Any) -> Any:
    with pytest.raises(WrongParams) as told:
        parse(get(operation), raw)
    assert told.value.code == "invalid_params"
    assert told.value.detail == " ".join(message for messages in told.value.errors.values() for message in messages)
    return told.value.errors


@pytest.mark.parametrize(
    ("operation", "raw", "parameter", "message"),
    [
        ("transcode", {"height": 8}, "height", "height must be between 16 and 4320."),
        ("transcode", {"height": 10_000}, "height", "height must be between 16 and 4320."),
        ("transcode", {"height": "tall"}, "height", "height must be a whole number between 16 and 4320."),
        ("transcode", {"height": 720.5}, "height", "height must be a whole number between 16 and 4320."),
        ("transcode", {"height": []}, "height", "height must be a whole number between 16 and 4320."),
        ("transcode", {"codec": "h265"}, "codec", "codec must be h264, hevc, vp9 or av1."),
        ("transcode", {"codec": None}, "codec", "codec must be h264, hevc, vp9 or av1."),
        ("transcode", {"quality": "best"}, "quality", QUALITY),
        ("transcode", {"quality": 64}, "quality", QUALITY),
        ("transcode", {"quality": "vmaf:100"}, "quality", QUALITY),
        ("transcode", {"quality": "vmaf:nan"}, "quality", QUALITY),
        ("transcode", {"quality": "vmaf: 93"}, "quality", QUALITY),
        ("transcode", {"quality": 60}, "quality", "quality must be between 0 and 51 for h264."),
        ("transcode", {"fps": 0}, "fps", "fps must be between 1 and 240."),
        ("transcode", {"fps": float("nan")}, "fps", "fps must be a number between 1 and 240."),
        ("transcode", {"start": -1}, "start", "start must be between 0 and 86400."),
        ("transcode", {"start": "1:75:00"}, "start", "start must be a number between 0 and 86400."),
        ("transcode", {"start": 5, "end": 5}, "end", "end must be after start."),
        ("transcode", {"start": 5, "end": 2}, "end", "end must be after start."),
        ("transcode", {"audio": "mp3"}, "audio", "audio must be auto, aac, opus, copy or none."),
        ("transcode", {"audio_bitrate": 128_000}, "audio_bitrate", "audio_bitrate must be between 16 and 512."),
        ("transcode", {"audio_bitrate": 96, "audio": "copy"}, "audio_bitrate", NO_BITRATE),
        ("transcode", {"hieght": 720}, "hieght", "transcode has no parameter 'hieght'. Did you mean height?"),
        ("transcode", {"Codec": "vp9"}, "Codec", "transcode has no parameter 'Codec'. Did you mean codec?"),
        ("hls", {"heights": "tall"}, "heights", "heights must be a list such as 720, 360, or none."),
        ("hls", {"heights": [8]}, "heights", "heights must be a list such as 720, 360, or none."),
        ("hls", {"heights": 720}, "heights", "heights must be a list such as 720, 360, or none."),
        ("thumbnail", {"x": 1}, "x", "thumbnail has no parameter 'x'. Its parameters are at, width and format."),
        ("thumbnail", {"at": "soon"}, "at", MOMENT),
        ("thumbnail", {"at": "101%"}, "at", MOMENT),
        ("thumbnail", {"at": -1}, "at", MOMENT),
        ("thumbnail", {"at": True}, "at", MOMENT),
        ("thumbnail", {"at": {"s": 1}}, "at", MOMENT),
        ("thumbnail", {"at": "nan"}, "at", MOMENT),
        ("thumbnail", {"width": 15}, "width", "width must be between 16 and 3840."),
        ("thumbnail", {"format": "gif"}, "format", "format must be jpg, png or webp."),
        ("audio", {"format": "ogg"}, "format", "format must be mp3, aac, opus, flac or wav."),
        ("audio", {"bitrate": 128, "format": "flac"}, "bitrate", LOSSLESS),
        ("audio", {"bitrate": 400}, "bitrate", "bitrate must be between 16 and 320 for mp3."),
        ("audio", {"normalize": "loud"}, "normalize", "normalize must be true or false."),
        ("audio", {"loudness": 3}, "loudness", "loudness must be between -36 and -9."),
        ("audio", {"channels": 6}, "channels", "channels cannot be 5.1 for mp3, which has 2 at most."),
        ("audio", {"channels": 7}, "channels", "channels must be mono, stereo, 5.1, left or right."),
        ("audio", {"metadata": "some"}, "metadata", "metadata must be keep or drop."),
        ("transcode", {"channels": "mono", "audio": "none"}, "channels", "channels cannot be set if audio is none."),
        ("inspect", {"deep": True}, "deep", "inspect has no parameter 'deep'. It has no parameters."),
    ],
)  # fmt: skip
def test_the_message_names_the_parameter_and_its_valid_values(
    operation: str, raw: dict[str, Any], parameter: str, message: str
) -> None:
    assert complaints(operation, raw) == {parameter: [message]}


class OneLimitParams(Params):
    copies: int = Field(1, ge=1)
    share: float = Field(0.5, le=1)


class OneLimit(Operation[OneLimitParams]):
    name, title, summary, parameters = "one_limit", "One limit", "Has parameters with one limit.", OneLimitParams

    def run(self, work: Work[OneLimitParams]) -> Outcome:
        return Outcome([])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"copies": 0}, "copies must be at least 1."),
        ({"copies": "many"}, "copies must be a whole number of at least 1."),
        ({"share": 2}, "share must be at most 1."),
        ({"share": "half"}, "share must be a number of at most 1."),
    ],
)
def test_a_parameter_may_have_one_limit(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongParams) as raised:
        parse(OneLimit(), raw)
    assert raised.value.detail == message


def test_every_wrong_parameter_has_a_message() -> None:
    assert complaints("transcode", {"height": 1, "fps": 1000, "colour": "red"}).keys() == {"height", "fps", "colour"}


@pytest.mark.parametrize("raw", [[], "height=720", 5, [{"height": 720}]])
def test_parameters_are_an_object(raw: Any) -> None:
    assert complaints("transcode", raw) == {"params": ["params must be an object of names and values."]}


def test_a_thousand_unknown_names_give_twenty_messages() -> None:
    said = complaints("transcode", {f"{'x' * 1000}{number}": 1 for number in range(1000)})
    assert len(str(said)) < 40_000
    assert len(said) == 20


@pytest.mark.parametrize(
    ("operation", "raw", "parameter", "value"),
    [
        ("transcode", {"height": "720"}, "height", 720),
        ("transcode", {"height": None}, "height", None),
        ("transcode", {"quality": "23"}, "quality", 23),
        ("transcode", {"quality": "vmaf:93.50"}, "quality", "vmaf:93.5"),
        ("transcode", {"quality": 60, "codec": "vp9"}, "quality", 60),
        ("transcode", {"start": "1:30"}, "start", 90.0),
        ("transcode", {"start": "01:02:03.5"}, "start", 3723.5),
        ("transcode", {"audio_bitrate": "128k"}, "audio_bitrate", 128),
        ("thumbnail", {"at": "12.5"}, "at", 12.5),
        ("thumbnail", {"at": "1:05"}, "at", 65.0),
        ("thumbnail", {"at": 0}, "at", 0.0),
        ("thumbnail", {"at": " 050.0% "}, "at", "50%"),
        ("audio", {"normalize": "true"}, "normalize", True),
    ],
)
def test_values_may_be_written_in_several_ways(
    operation: str, raw: dict[str, Any], parameter: str, value: Any
) -> None:
    assert getattr(parse(get(operation), raw), parameter) == value


@pytest.mark.parametrize("name", sorted(set(registry) - {"render", "detect", "predict"}))
def test_every_operation_works_without_parameters(name: str) -> None:
    assert parse(get(name), None) == parse(get(name), {})


def test_equal_parameters_have_the_same_json() -> None:
    said = [{}, {"at": "best"}, {"width": "640", "at": "best"}, {"format": "jpg", "width": 640}]
    assert len({json.dumps(canonical(parse(get("thumbnail"), raw))) for raw in said}) == 1


@pytest.mark.parametrize("operation", registry.values(), ids=registry)
def test_an_operation_says_what_it_is(operation: Any) -> None:
    assert get(operation.name) is operation
    assert operation.title
    assert operation.summary.endswith(".")
    assert operation.lane in LANES
    assert operation.kinds <= {"video", "audio", "image", "subtitle"}


@pytest.mark.parametrize("name", ["Transcode", "", "rm -rf", None, ["inspect"]])
def test_the_message_for_an_unknown_operation_names_all(name: Any) -> None:
    with pytest.raises(UnknownOperation, match="Choose one of: inspect, thumbnail, transcode, audio, hls"):
        get(name)


def test_quick_operations_never_wait_for_heavy_ones() -> None:
    lanes = {name: operation.lane for name, operation in registry.items()}
    assert lanes == {
        "inspect": QUICK,
        "thumbnail": QUICK,
        "transcode": HEAVY,
        "audio": HEAVY,
        "hls": BULK,
        "waveform": BULK,
        "storyboard": BULK,
        "render": HEAVY,
        "transcribe": INFERENCE,
        "detect": HEAVY,
        "predict": BULK,
    }


@pytest.mark.parametrize("operation", registry.values(), ids=registry)
def test_a_schema_is_enough_to_build_a_form_from(operation: Any) -> None:
    said = schema(operation)
    assert (said["title"], said["description"]) == (operation.title, operation.summary)
    assert said["additionalProperties"] is False
    for wanted in said["properties"].values():
        assert wanted["title"]
        assert {"type": "null"} not in wanted.get("anyOf", [])
        assert "enum" in wanted or wanted["description"]
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize("operation", registry.values(), ids=registry)
def test_a_schema_has_the_parameters_in_the_order_of_declaration(operation: Any) -> None:
    assert list(schema(operation)["properties"]) == list(operation.parameters.__annotations__)


def test_parameters_that_belong_together_stand_together() -> None:
    names = ["codec", "height", "quality", "fps", "start", "end"]
    names += ["audio", "audio_bitrate", "channels", "tracks", "metadata"]
    assert list(schema(get("transcode"))["properties"]) == list(canonical(parse(get("transcode"), {}))) == names


def test_a_schema_tells_limits_choices_and_defaults() -> None:
    properties = schema(get("transcode"))["properties"]
    assert properties["codec"]["enum"] == ["h264", "hevc", "vp9", "av1"]
    assert properties["codec"]["default"] == "h264"
    height = properties["height"]
    assert (height["type"], height["minimum"], height["maximum"]) == ("integer", 16, 4320)
    assert "default" not in height
