"""Forms made of operations' schemas: what people type reaches the operation, and its words reach their fields."""

from typing import Any

import pytest

from media_jobs import operations
from media_jobs.admin.parameter_forms import ParamsForm
from tests.support.model_endpoint_rows import an_endpoint

NEEDED = {"detect": {"detectors": ["scenes"]}}  # what no form chooses for its user


def typed(operation: str, **fields: str) -> ParamsForm:
    return ParamsForm(operations.get(operation), {f"param-{name}": text for name, text in fields.items()})


pytestmark = pytest.mark.django_db  # the form of `predict` lists model servers


@pytest.mark.parametrize("operation", operations.registry)
def test_every_operation_has_a_form_whose_fields_explain_themselves(operation: str) -> None:
    form = ParamsForm(operations.get(operation))
    assert list(form.fields) == list(operations.schema(operations.get(operation))["properties"])
    assert all(field.label for field in form.fields.values())
    assert form.as_p() is not None


@pytest.mark.parametrize("operation", sorted(set(operations.registry) - {"predict"}))
def test_a_form_sent_as_it_came_means_the_defaults(operation: str) -> None:
    recipe = operations.get(operation)
    blank = ParamsForm(recipe)
    shown = {
        f"param-{name}": "on" if field.initial is True else field.initial
        for name, field in blank.fields.items()
        if field.initial is not False
    }
    chosen = NEEDED.get(operation, {})
    form = ParamsForm(recipe, shown | {f"param-{name}": value for name, value in chosen.items()})
    assert form.is_valid(), form.errors
    assert form.parsed == operations.parse(recipe, chosen or ({"clips": [{}]} if operation == "render" else {}))


def test_a_choice_that_is_needed_is_asked_for() -> None:
    an_endpoint("birds")
    blank = ParamsForm(operations.get("predict"))
    assert blank.fields["endpoint"].widget.choices == [("", "Choose one"), ("birds", "birds")]
    form = typed("predict", endpoint="")
    assert not form.is_valid()
    assert form.errors == {"endpoint": ["endpoint is needed."]}
    assert typed("predict", endpoint="birds").is_valid()


def test_limits_and_defaults_are_told() -> None:
    fields = ParamsForm(operations.get("transcode")).fields
    assert (
        fields["height"].help_text
        == "In pixels. A smaller picture is not enlarged. If left out: the original height. From 16 to 4320."
    )
    assert (fields["codec"].initial, fields["quality"].initial, fields["height"].initial) == ("h264", "medium", "")


@pytest.mark.parametrize(
    ("operation", "fields", "params"),
    [
        ("transcode", {"height": "720", "end": ""}, {"height": 720}),
        ("transcode", {"start": "1:30"}, {"start": "1:30"}),
        ("transcode", {"quality": "23"}, {"quality": 23}),
        ("transcode", {"quality": "high"}, {"quality": "high"}),
        ("transcode", {"audio_bitrate": "128k"}, {"audio_bitrate": "128k"}),
        ("thumbnail", {"at": "50%"}, {"at": "50%"}),
        ("thumbnail", {"at": "2.5"}, {"at": 2.5}),
        ("audio", {"normalize": "on", "loudness": "-16"}, {"normalize": True, "loudness": -16.0}),
        ("audio", {}, {"normalize": False}),
    ],
)
def test_what_is_typed_is_what_the_operation_gets(
    operation: str, fields: dict[str, str], params: dict[str, Any]
) -> None:
    form = typed(operation, **fields)
    assert form.is_valid(), form.errors
    assert form.params == params


@pytest.mark.parametrize(
    ("operation", "fields", "wrong", "words"),
    [
        ("transcode", {"height": "5"}, "height", "height must be between 16 and 4320."),
        ("transcode", {"height": "<script>"}, "height", "height must be a whole number between 16 and 4320."),
        ("transcode", {"codec": "divx"}, "codec", "codec must be h264, hevc, vp9 or av1."),
        ("transcode", {"start": "9", "end": "3"}, "end", "end must be after start."),
        ("transcode", {"codec": "h264", "quality": "60"}, "quality", "quality must be between 0 and 51 for h264."),
        (
            "audio",
            {"format": "flac", "bitrate": "128"},
            "bitrate",
            "bitrate cannot be set for flac, which is lossless.",
        ),
    ],
)
def test_what_is_wrong_stands_at_its_field(operation: str, fields: dict[str, str], wrong: str, words: str) -> None:
    form = typed(operation, **fields)
    assert not form.is_valid()
    assert form.errors == {wrong: [words]}


def test_a_form_is_filled_in_as_an_earlier_job_was() -> None:
    earlier = operations.parse(operations.get("transcode"), {"start": "1:30", "height": 720, "quality": 20})
    form = ParamsForm(operations.get("transcode"), before=earlier.model_dump(mode="json"))
    shown = {name: form[name].value() for name in form.fields}
    assert (shown["start"], shown["height"], shown["quality"], shown["end"]) == ("90", "720", "20", "")
