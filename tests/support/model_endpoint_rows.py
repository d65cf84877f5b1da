"""Rows of model servers. Tests run `add` in a server's Django by Server.call."""

from typing import Any

from django.db.models.functions import Now
from model_bakery import baker

from media_jobs.models import Job, ModelEndpoint
from uploads.access.sealed_text import seal


def an_endpoint(name: str = "birds", **more: Any) -> ModelEndpoint:
    found = {"url": "http://birds.invalid/", "title": "Bird calls"} | more
    made: ModelEndpoint = baker.make(ModelEndpoint, name=name, **found)
    return made


def add(name: str, secret: str = "", **more: Any) -> None:
    header = {"header": "Authorization", "secret": seal(secret)} if secret else {}
    an_endpoint(name, private_addresses=True, **(header | more))


def try_now(name: str) -> None:
    """Its pause is over, and that of its jobs."""
    ModelEndpoint.objects.filter(name=name).update(next_try=Now())
    Job.objects.filter(endpoint__name=name).update(not_before=None)


def change(name: str, **changes: Any) -> None:
    ModelEndpoint.objects.filter(name=name).update(**changes)
