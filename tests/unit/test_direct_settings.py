"""Settings of direct uploads: what the checks say of them, and where clients send parts."""

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from storages.backends.s3 import S3Storage

from config.storages import LOCAL, parse
from uploads.sinks.s3.bucket import Bucket
from uploads.sinks.s3.client import client_of, public_client_of
from uploads.sinks.s3.direct import S3DirectWrites
from uploads.system_checks import direct_uploads

BUCKET = parse("s3://films/media")
KEYS = {"access_key": "key", "secret_key": "secret"}


@pytest.mark.parametrize(
    ("entry", "is_on", "found"),
    [(LOCAL, False, []), (LOCAL, True, ["uploads.W004"]), (BUCKET, True, []), (BUCKET, False, [])],
)
def test_the_check_says_where_they_have_no_effect(
    entry: dict[str, Any], is_on: bool, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    limits = replace(settings.UPLOADS, direct_uploads=is_on)
    with override_settings(UPLOADS=limits, STORAGES=settings.STORAGES | {"millrace": entry}):
        assert [check.id for check in direct_uploads()] == found


@pytest.mark.parametrize(
    ("options", "origin"),
    [
        # With its region: AWS redirects others, and a page does not follow that with a part.
        ({"region_name": "eu-west-1"}, "https://films.s3.eu-west-1.amazonaws.com"),
        ({"region_name": "us-east-1"}, "https://films.s3.amazonaws.com"),
        ({"region_name": "eu-west-1", "addressing_style": "path"}, "https://s3.eu-west-1.amazonaws.com"),
        ({"endpoint_url": "http://store.example:8333"}, "http://store.example:8333"),
    ],
)
def test_parts_go_to_the_bucket_where_it_is(options: dict[str, str], origin: str) -> None:
    storage = S3Storage(bucket_name="films", **KEYS, **options)
    assert S3DirectWrites(Bucket(client_of(storage), "films", "media/")).origin == origin


def test_parts_go_to_the_address_that_clients_know() -> None:
    storage = S3Storage(bucket_name="films", endpoint_url="http://store:8333", **KEYS)
    public = public_client_of(storage, "https://store.example.com")
    assert S3DirectWrites(Bucket(client_of(storage), "films", "", public)).origin == "https://store.example.com"
