"""Every address of the admin, with values that nobody expects in its path, its query and its forms."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest
from django.urls import get_resolver

from media_jobs import operations
from media_jobs.operations.shared.parameters import schema
from tests.support.fuzzer import Fuzzer
from tests.support.odd_values import EVERYTHING, LEAST, MOMENTS, NUMBERS, some
from uploads.admin.lists.filters import RangeFilter

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
# Of every list, besides its own filters.
PAGING = ["p", "o", "q", "e", "all", "_facets", "_popup", "_to_field", "_changelist_filters"]
LOOKUPS = ["__exact", "__gte", "__regex", "__in", "__isnull", "__year", "__range", "__foo", ""]
FILES = "/admin/uploads/mediafile/"


STRANGE: list[str | bytes] = ["0", b"a\0b", "9" * 20, "None", "_5Z"]


def addresses(resolver: Any = None, prefix: str = "/") -> Iterator[str]:
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + str(pattern.pattern)
        if not path.startswith("/admin/"):
            continue
        if hasattr(pattern, "url_patterns"):
            yield from addresses(pattern, path)
        elif "(?P" not in path:
            yield path


def lists() -> Iterator[tuple[str, Any]]:
    """The address of each list, and its ModelAdmin."""
    for model, room in admin.site._registry.items():
        yield f"/admin/{model._meta.app_label}/{model._meta.model_name}/", room


def filled(path: str, fuzzer: Fuzzer, value: str | bytes | None = None) -> str:
    """The address with what is there for each of its parameters, or with this."""
    known = {
        "mediafile": "files", "upload": "uploads", "job": "jobs", "worker": "workers",
    }  # fmt: skip
    name = next((known[word] for word in path.split("/") if word in known), "")
    there = quote(value, safe="") if value is not None else fuzzer.known.get(name, str(fuzzer.user.pk))
    return re.sub(r"<[^>]+>", lambda _: there, path)


def filters_of(room: Any) -> list[str]:
    """What the query of a list may say."""
    found = []
    for declared in room.get_list_filter(HttpRequest()):
        if isinstance(declared, str | tuple):
            field = declared if isinstance(declared, str) else declared[0]
            found.append(f"{field}__exact")
        else:
            found += declared.parameters() if issubclass(declared, RangeFilter) else [declared.parameter_name]
    return found


def columns_of(room: Any) -> list[str]:
    """What Django would understand besides."""
    columns = [column.name for column in room.model._meta.fields]
    found = [f"{name}{LOOKUPS[number % len(LOOKUPS)]}" for number, name in enumerate(columns)]
    return [*found, "owner__exact", "created_at__gte", "owner__password__startswith", "groups__id__exact"]


def sharp_for(name: str) -> list[str | bytes]:
    return MOMENTS if re.search("created|joined|login|_at|since", name) else NUMBERS[:12]


def test_every_address_answers_whatever_its_path_says(fuzzer: Fuzzer) -> None:
    for path in addresses():
        if "<uuid:" in path or "<" not in path:
            fuzzer.ask("GET", filled(path, fuzzer))
            continue
        for number, value in enumerate(some(path, STRANGE, EVERYTHING)[: LEAST // 2]):
            fuzzer.renders = number == 0
            fuzzer.ask("GET", filled(path, fuzzer, value))
    assert fuzzer.asked >= LEAST


def test_no_list_falls_over_what_its_query_says(fuzzer: Fuzzer) -> None:
    for path, room in lists():
        for name in filters_of(room):
            ask(fuzzer, path, name, LEAST)
        for name in [*PAGING, *columns_of(room)]:
            ask(fuzzer, path, name, LEAST if path == FILES and name in PAGING else 1)
    assert fuzzer.asked >= LEAST * len(PAGING)


def ask(fuzzer: Fuzzer, path: str, name: str, times: int) -> None:
    for number, value in enumerate(some(path + name, sharp_for(name), EVERYTHING)[:times]):
        fuzzer.renders = number == 0
        fuzzer.ask("GET", f"{path}?{name}={quote(value)}")


@pytest.mark.parametrize("path", [FILES, "/admin/uploads/upload/", "/admin/media_jobs/job/"])
def test_no_export_falls_over_what_its_query_says(path: str, fuzzer: Fuzzer) -> None:
    for name in filters_of(dict(lists())[path]):
        ask(fuzzer, f"{path}export/", name, LEAST // 4)


def test_nothing_that_moves_falls_over_what_it_is_asked_for(fuzzer: Fuzzer) -> None:
    for path in (path for path in addresses() if path.endswith("/live/")):
        for name in ("id", "since"):
            for value in some(path + name, sharp_for(name), EVERYTHING):
                fuzzer.ask("GET", f"{filled(path, fuzzer)}?{name}={quote(value)}")


def test_no_action_falls_over_what_is_chosen(fuzzer: Fuzzer) -> None:
    for path, room in lists():
        request = HttpRequest()
        request.user = fuzzer.user
        for action in [*room.get_actions(request), "no_action"]:
            for name in (ACTION_CHECKBOX_NAME, "index", "select_across", "action"):
                right = {"action": action, ACTION_CHECKBOX_NAME: "00000000-0000-0000-0000-000000000000"}
                fuzzer.renders = name == "index"
                for value in some(path + action + name, STRANGE, EVERYTHING)[
                    : LEAST // 2 if name == ACTION_CHECKBOX_NAME else 1
                ]:
                    fuzzer.ask("POST", path, urlencode(right | {name: value}), content_type=FORM)


def test_no_form_falls_over_what_is_typed(fuzzer: Fuzzer) -> None:
    for path, fields in forms(fuzzer).items():
        for name in fields:
            for number, value in enumerate(
                some(path + name, NUMBERS[-8:], EVERYTHING)[: 2 if "run" in path else LEAST // 2]
            ):
                fuzzer.renders = number == 0
                fuzzer.ask("POST", path, urlencode(fields | {name: value}), content_type=FORM)


def forms(fuzzer: Fuzzer) -> dict[str, dict[str, str]]:
    """Each form's address, and what would be right in it."""
    file, user = (f"/admin/uploads/mediafile/{fuzzer.known['files']}/", f"/admin/auth/user/{fuzzer.user.pk}/")
    found = {
        "/admin/login/": {"username": "", "password": "", "next": "/admin/"},
        f"{file}link/": {"expires_in": "60", "revoke": ""},
        f"{user}change/": {"username": "boss", "date_joined_0": "2026-01-01", "date_joined_1": "12:00", "groups": ""},
        "/admin/uploads/token/add/": {
            "name": "x",
            "user": str(fuzzer.user.pk),
            "scopes": "",
            "expiry": "",
            "days": "1",
        },
    }
    for name in operations.registry:
        params = {f"param-{each}": "" for each in schema(operations.get(name))["properties"]}
        found[f"{file}run/?operation={name}"] = {"operation": name, "priority": "0", **params}
    return found


def test_what_pages_ask_for_beside_themselves_answers(fuzzer: Fuzzer) -> None:
    asked = {
        "/admin/search/": ["s", "page", "extended"], "/admin/jsi18n/": ["x"], "/admin/now/": ["x"],
        "/admin/autocomplete/": ["app_label", "model_name", "field_name", "term", "page"],
    }  # fmt: skip
    for path, names in asked.items():
        for name in names:
            for value in some(path + name, [], EVERYTHING)[: 2 if name == "x" else LEAST]:
                fuzzer.ask("GET", f"{path}?{name}={quote(value)}")
