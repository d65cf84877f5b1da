"""Find a word that is said in one of 10,000 transcripts, and other words, over HTTP."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

from tests.support.server import Server, Template

from .client import BenchError
from .jobs import Figure, percentiles
from .servers import millrace

TRANSCRIPTS, WORDS = 10_000, 600
PROMISED = 0.1  # seconds, of 95 in 100
IN_SERVER = "tests.bench.search_in_server"

# What is asked, by whom, and whether it is found. Only the first is promised.
CASES = {
    "a word said once": ({"q": "needle"}, "alice", True),
    "a phrase said once": ({"q": '"needle haystack"'}, "alice", True),
    "a beginning": ({"q": "needl*"}, "alice", True),
    "a word said once, in another's file": ({"q": "needle"}, "bob", False),
    "a word in every cue": ({"q": "common"}, "alice", True),
    "a rare word and one in every cue": ({"q": "common needle"}, "alice", True),
    "a word that nobody says": ({"q": "absent"}, "alice", False),
}


def measure(
    template: Template, home: Path, times: int, say: Callable[[str], None], transcripts: int = TRANSCRIPTS
) -> Iterator[Figure]:
    with millrace(template, home) as running:
        server = running.server
        assert server is not None
        database = "PostgreSQL" if server.database_url else "SQLite"
        began = time.monotonic()
        server.call_by_name(IN_SERVER, "speak", transcripts, WORDS, ["alice", "bob"])
        say(f"{database}: {transcripts} transcripts of {WORDS} words made in {time.monotonic() - began:.0f} s")
        server.restart()
        taken: dict[str, list[float]] = {name: [] for name in CASES}
        for turn in range(times + 1):  # in turns, so that a busy minute of the machine's is shared by all
            for name in CASES:
                seconds = _ask(server, name)
                if turn:
                    taken[name].append(seconds)
        for number, (name, seconds_each) in enumerate(taken.items()):
            middle, most = percentiles(seconds_each)
            yield Figure(
                f"{database}, {transcripts} transcripts: {name}", f"{middle * 1000:.0f} / {most * 1000:.0f} ms",
                "" if number else "p95 ≤ 100 ms", None if number else most <= PROMISED, "p50 / p95",
                {"median": middle, "p95": most},
            )  # fmt: skip


def _ask(server: Server, name: str) -> float:
    asked, user, is_found = CASES[name]
    began = time.monotonic()
    answer = server.get(f"/api/v1/search/?{urlencode(asked)}", user=user)
    seconds = time.monotonic() - began
    if answer.status != 200 or bool(answer.json()["results"]) is not is_found:
        raise BenchError(f"{name}: {answer.status}, {answer.body[:200]!r}")
    return seconds
