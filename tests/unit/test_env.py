import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from config import setting_parsers as parse
from tests.support.server import ROOT


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    before = set(env.known)
    yield
    env.known.clear()
    env.known.update(before)


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        ("0", 0),
        ("123", 123),
        ("500MB", 500_000_000),
        ("10GiB", 10 * 1024**3),
        ("10 gib", 10 * 1024**3),
        ("64K", 65536),
        ("1.5M", 1536 * 1024),
        ("1.1GB", 1_100_000_000),
        ("2TB", 2 * 1000**4),
        ("7B", 7),
    ],
)
def test_a_size_is_read(raw: str, size: int) -> None:
    assert parse.size(raw) == size


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("60", 60),
        ("60s", 60),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("10min", 600),
        ("4h", 14400),
        ("7 d", 604800),
        ("0", 0),
    ],
)
def test_a_time_is_read(raw: str, seconds: float) -> None:
    assert parse.seconds(raw) == seconds


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("unix:/run/clamd.ctl", "/run/clamd.ctl"),
        ("clamd.example.com:3310", ("clamd.example.com", 3310)),
        ("[::1]:3310", ("::1", 3310)),
    ],
)
def test_addresses_of_sockets(raw: str, address: object) -> None:
    assert parse.socket_address(raw) == address


@pytest.mark.parametrize("parse", [parse.size, parse.seconds])
@pytest.mark.parametrize("raw", ["-1", "ten", "10 parsecs", "1e9", "1,5MB", "inf", "nan", "0x10", "10MB10", ".5"])
def test_what_is_no_quantity_is_refused_with_an_example(parse: Callable[[str], float], raw: str) -> None:
    with pytest.raises(ValueError, match=r"write a (size|time) such as"):
        parse(raw)


@pytest.mark.parametrize(("raw", "value"), [("on", True), ("TRUE", True), ("1", True), ("no", False), ("Off", False)])
def test_a_switch_is_read(raw: str, value: bool) -> None:
    assert parse.switch(raw) is value


def test_words_are_separated_by_commas() -> None:
    assert parse.words(" a, b ,,c ") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("raw", "origins"),
    [
        ("*", ["*"]),
        ("https://app.example.com", ["https://app.example.com"]),
        ("https://App.Example.com/, http://localhost:3000", ["https://app.example.com", "http://localhost:3000"]),
        ("http://[::1]:8080", ["http://[::1]:8080"]),
        ("capacitor://localhost", ["capacitor://localhost"]),
    ],
)
def test_origins_are_read(raw: str, origins: list[str]) -> None:
    assert parse.origins(raw) == origins


@pytest.mark.parametrize(
    "raw",
    [
        "app.example.com",
        "https://app.example.com/page",
        "https://app.example.com?q",
        "https://user@app.example.com",
        "https://*.example.com",
        "https://münchen.example",  # browsers send punycode
        "https://app.example.com:443",  # and leave out a default port
        "http://app.example.com:80",
        "https://app.example.com:70000",
        "https://app.example.com:http",
        "https://",
        "http://[::1",
        "null",
        "*,https://app.example.com",
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"is not an origin|Port|IPv6"):
        parse.origins(raw)


@pytest.mark.parametrize("raw", ["none", "None", "NONE"])
def test_what_is_optional_may_be_none(raw: str) -> None:
    assert parse.optional(parse.size)(raw) is None
    assert parse.optional(parse.size)("1K") == 1024


@pytest.mark.parametrize("raw", ["", "   "])
def test_an_empty_variable_is_an_absent_one(raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_QUOTA", raw)
    assert env.read("QUOTA", 7, parse.size) == 7


@pytest.mark.parametrize(
    ("variable", "raw", "parse", "words"),
    [
        ("MAX_FILE_SIZE", "large", parse.size, "write a size such as 500MB or 10GiB"),
        ("UPLOAD_TIMEOUT", "soon", parse.optional(parse.seconds), "write a time such as 60s"),
        ("DEBUG", "maybe", parse.switch, "write on or off"),
        ("PORT", "70000", parse.number(1, 65535), "write a number from 1 to 65535"),
        ("PORT", "http", parse.number(1, 65535), "invalid literal"),
        ("CLAMD", "clamd.example.com", parse.socket_address, "write HOST:PORT or unix:/PATH"),
        ("CLAMD", "unix:run/clamd.ctl", parse.socket_address, "write HOST:PORT or unix:/PATH"),
        ("CLAMD", "127.0.0.1:70000", parse.socket_address, "write HOST:PORT or unix:/PATH"),
        ("ATTEMPTS", "0", parse.number(1), "write a number of at least 1"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    variable: str, raw: str, parse: Callable[[str], Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"MILLRACE_{variable}", raw)
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.read(variable, None, parse)
    assert f"MILLRACE_{variable}={raw!r}" in str(refusal.value)
    assert words in str(refusal.value)


def test_a_variable_that_nobody_reads_is_a_typing_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("environ.Env.ENVIRON", {"MILLRACE_QUOTE": "1GB", "OTHER": "x"})
    with pytest.raises(ImproperlyConfigured, match="MILLRACE_QUOTE"):
        env.refuse_unknown()


def test_a_variable_that_was_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("environ.Env.ENVIRON", {"MILLRACE_QUOTA": "1GB", "OTHER": "x"})
    env.read("QUOTA", None, str)
    env.refuse_unknown()


@pytest.mark.parametrize(
    ("variable", "read"), [("DATABASE_URL", env.database), ("CACHE_URL", env.cache)], ids=["database", "cache"]
)
@pytest.mark.parametrize("raw", ["nonsense", "gopher://there", "postgres://host:port/x"])
def test_an_address_that_leads_nowhere_is_refused_by_name(
    variable: str, read: Callable[[str], dict[str, Any]], raw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, raw)
    with pytest.raises(ImproperlyConfigured, match=variable) as refusal:
        read("")
    assert raw not in str(refusal.value)  # it may hold a password


@pytest.mark.parametrize(
    ("variable", "raw"),
    [
        ("MILLRACE_MAX_FILE_SIZE", "large"),
        ("MILLRACE_ACCEPT", "video,viedo"),
        ("MILLRACE_PUBLIC_URL", "example.com"),
        ("MILLRACE_CORS_ORIGINS", "https://app.example.com/upload"),
        ("MILLRACE_THROTTLE_USER", "often"),
        ("MILLRACE_UPLOAD_IDLE_TIMEOUT", "0"),
        ("MILLRACE_PROGRESS_INTERVAL", "1min"),
        ("MILLRACE_CHUNK_SIZE", "9MiB"),
        ("MILLRACE_QUOTE", "1GB"),
        ("DATABASE_URL", "nonsense"),
    ],
)
def test_a_wrong_value_stops_the_start(variable: str, raw: str, tmp_path: Any) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MILLRACE_", "DJANGO_"))}
    kept.pop("DATABASE_URL", None)
    stopped = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, text=True, capture_output=True,
        env=kept | {"MILLRACE_HOME": str(tmp_path), variable: raw},
    )  # fmt: skip
    assert stopped.returncode != 0
    assert variable in stopped.stderr.strip().splitlines()[-1]


def test_a_dollar_at_the_beginning_of_a_value_is_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ADMIN_PASSWORD", "$ecret")
    monkeypatch.setenv("MILLRACE_QUOTA", "$1GB")
    assert env.read("ADMIN_PASSWORD", "", str) == "$ecret"
    with pytest.raises(ImproperlyConfigured, match="MILLRACE_QUOTA="):
        env.read("QUOTA", None, parse.optional(parse.size))
