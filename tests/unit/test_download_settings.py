"""Settings of downloads that do not fit together: refused, or reported by `manage.py check`."""

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from config.storages import LOCAL, parse, with_cdn
from uploads.conf import Downloads
from uploads.system_checks import downloads

BUCKET = parse("s3://films/media")
NOTHING = {"url": "", "key_id": "", "key": ""}


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://cdn.example.com", "key_id": "K1"},
        {"url": "https://cdn.example.com", "key": "-----BEGIN"},
        {"key_id": "K1", "key": "-----BEGIN"},
    ],
)
def test_a_cdn_has_an_address_and_both_parts_of_its_key(given: dict[str, str]) -> None:
    with pytest.raises(ImproperlyConfigured, match="MILLRACE_CDN_KEY_ID"):
        with_cdn(BUCKET, **NOTHING | given)


def test_a_cdn_needs_a_bucket() -> None:
    with pytest.raises(ImproperlyConfigured, match="MILLRACE_STORAGE"):
        with_cdn(LOCAL, **NOTHING | {"url": "https://cdn.example.com"})
    assert with_cdn(LOCAL, **NOTHING) == LOCAL


@pytest.mark.parametrize(
    ("mode", "entry", "found"),
    [
        ("proxy", LOCAL, []),
        ("redirect", LOCAL, ["uploads.W007"]),
        ("redirect", BUCKET, []),
        ("cdn", BUCKET, ["uploads.E003"]),
        ("cdn", with_cdn(BUCKET, **NOTHING | {"url": "https://cdn.example.com"}), ["uploads.W003"]),
    ],
)
def test_the_check_says_what_does_not_fit(
    mode: Downloads, entry: dict[str, Any], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with override_settings(
        UPLOADS=replace(settings.UPLOADS, downloads=mode), STORAGES=settings.STORAGES | {"millrace": entry}
    ):
        assert [message.id for message in downloads()] == found
