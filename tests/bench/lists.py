"""Every filter, sort, search and page that the admin's lists offer, over HTTP, of a million rows."""

import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from tests.support.server import Server, Template

from .client import BenchError
from .jobs import Figure, percentiles
from .lists_rows import ROWS, fill
from .machine import family
from .servers import millrace

PROMISED = 0.3  # seconds, of 95 in 100
FILES, UPLOADS, JOBS = "uploads/mediafile", "uploads/upload", "media_jobs/job"

IN_SERVER = "tests.bench.lists_in_server"

Asked = dict[str, str]
CASES: dict[str, dict[str, list[Asked]]] = {
    FILES: {
        "pages": [{}, {"p": "2"}, {"p": "100"}, {"p": "9999"}, {"p": "100", "kind__exact": "image"}],
        "filters": [
            *({"kind__exact": one} for one in ("video", "audio", "image", "subtitle")),
            *({"origin__exact": one} for one in ("upload", "ingest", "job")),
            *({"owner": one} for one in ("alice", "carol", "viewer", "nobody")),
            {"created_at_from": "2026-11-01"}, {"created_at_to": "2026-06-01"}, {"created_at_to": "1999-01-01"},
            {"size_from": "1 GB"}, {"size_to": "1 KB"}, {"size_from": "10 GB"},
        ],
        "sorts": [{"o": f"{way}{name}"} for name in ("name", "size_words", "created_at") for way in ("", "-")],
        "sorts, page 100": [{"o": name, "p": "100"} for name in ("name", "-name", "size_words", "created_at")],
        "searches": [{"q": one} for one in ("clip", "CLIP 77", "zebra", "nothing", "0000", "@id", "@sha256")],
        "together": [
            {"kind__exact": "subtitle", "origin__exact": "ingest"}, {"kind__exact": "video", "origin__exact": "job"},
            {"kind__exact": "image", "o": "size_words"}, {"kind__exact": "video", "o": "-size_words", "p": "100"},
            {"kind__exact": "video", "o": "name"}, {"owner": "carol", "o": "name"},
            {"kind__exact": "subtitle", "o": "name", "p": "100"}, {"owner": "carol", "o": "size_words"},
            {"owner": "alice", "kind__exact": "video", "size_from": "4 GB"}, {"owner": "carol", "q": "clip"},
            {"origin__exact": "job", "created_at_to": "2026-06-01", "size_to": "1 KB"},
            {"kind__exact": "subtitle", "q": "clip"}, {"size_from": "10 GB", "o": "name"},
        ],
    },
    JOBS: {
        "pages": [{}, {"p": "2"}, {"p": "100"}, {"p": "9999"}],
        "filters": [
            *({"status__exact": one} for one in ("queued", "running", "succeeded", "failed", "cancelled")),
            *({"operation": one} for one in ("inspect", "thumbnail", "transcode", "audio")),
            *({"lane": one} for one in ("quick", "heavy")), *({"owner": one} for one in ("alice", "carol", "viewer")),
            {"created_at_from": "2026-11-01"}, {"created_at_to": "2026-06-01"},
        ],
        "sorts": [{"o": f"{way}created_at"} for way in ("", "-")],
        "searches": [{"q": one} for one in ("clip", "zebra", "nothing", "inspect", "audio", "@id")],
        "together": [
            {"status__exact": "failed", "operation": "audio"}, {"status__exact": "failed", "p": "100"},
            {"operation": "audio", "lane": "quick"}, {"owner": "alice", "status__exact": "failed", "lane": "heavy"},
            {"owner": "carol", "operation": "inspect"}, {"status__exact": "cancelled", "q": "clip"},
        ],
    },
    UPLOADS: {
        "pages": [{}, {"p": "100"}],
        "filters": [
            *({"state__exact": one} for one in ("receiving", "complete", "failed")),
            *({"protocol__exact": one} for one in ("tus", "form", "ingest")), {"owner": "carol"},
            {"created_at_to": "2026-06-01"},
        ],
        "sorts": [{"o": "created_at"}],
        "searches": [{"q": one} for one in ("clip", "zebra", "@id")],
    },
}  # fmt: skip


@dataclass
class Case:
    path: str
    sort: str
    asked: Asked
    query: str
    taken: list[float] = field(default_factory=list)
    cpu: float = 0

    @property
    def p95(self) -> float:
        return percentiles(self.taken)[1]

    def __str__(self) -> str:
        return f"{self.path}/?{'&'.join(f'{name}={value}' for name, value in self.asked.items())}"


class Staff:
    """A browser of an administrator, without its eyes."""

    def __init__(self, server: Server) -> None:
        cookies = server.call_by_name(IN_SERVER, "cookies_of", "admin")
        self._headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        self._wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def get(self, path: str) -> bytes:
        self._wire.request("GET", path, headers=self._headers)
        answer = self._wire.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise BenchError(f"GET {path}: {answer.status}")
        return body


def _cases(server: Server) -> Iterator[Case]:
    columns = server.call_by_name(IN_SERVER, "columns_of", list(CASES))
    known = server.call_by_name(IN_SERVER, "oldest_file")
    for path, sorts in CASES.items():
        for sort, every in sorts.items():
            for asked in every:
                sent = {name: known.get(value, value) for name, value in asked.items()}
                if "o" in sent:
                    name = sent["o"].lstrip("-")
                    sent["o"] = sent["o"].replace(name, str(columns[path].index(name)))
                yield Case(path, sort, asked, urlencode(sent))


def measure(
    template: Template, home: Path, times: int, say: Callable[[str], None], rows: int = ROWS
) -> Iterator[Figure]:
    with millrace(template, home) as running:
        assert running.server is not None
        began = time.monotonic()
        fill(running.server, rows)
        say(f"{_database(running.server)}: {rows} files and jobs made in {time.monotonic() - began:.0f} s")
        running.server.restart()  # without the connections that knew other statistics
        yield from look(running.server, times, say)


def _database(server: Server) -> str:
    return "PostgreSQL" if server.database_url else "SQLite"


def look(server: Server, times: int, say: Callable[[str], None]) -> Iterator[Figure]:
    assert server.process is not None
    staff, cases, pids = Staff(server), list(_cases(server)), family(server.process.pid)
    for turn in range(times + 1):  # in turns, so that a busy minute of the machine's is shared by all
        for case in cases:
            _measure(case, staff, pids, counts=turn > 0)
    for case in sorted(cases, key=lambda one: one.p95, reverse=True):
        middle, most = (one * 1000 for one in percentiles(case.taken))
        say(f"{_database(server)}, {case}: {middle:.0f} / {most:.0f} ms, CPU {case.cpu / times * 1000:.0f} ms")
    yield from _figures(cases, _database(server), times)


def _measure(case: Case, staff: Staff, pids: list[int], *, counts: bool) -> None:
    before, cpu = time.monotonic(), _cpu(pids)
    staff.get(f"/admin/{case.path}/?{case.query}")
    if counts:
        case.taken.append(time.monotonic() - before)
        case.cpu += _cpu(pids) - cpu


def _cpu(pids: list[int]) -> float:
    """In nanoseconds that the scheduler counts, as ticks of 10 ms are too coarse for one page."""
    found = 0
    for pid in pids:
        for one in Path(f"/proc/{pid}/task").parent.glob("task/*/schedstat"):
            found += int(one.read_text().split()[0])
    return found / 1e9


def _figures(cases: list[Case], database: str, times: int) -> Iterator[Figure]:
    for path, sorts in CASES.items():
        for sort in sorts:
            mine = [case for case in cases if (case.path, case.sort) == (path, sort)]
            worst = max(mine, key=lambda case: case.p95)
            middle, most = percentiles(worst.taken)
            yield Figure(
                f"{path}, {database}: {sort}", f"{middle * 1000:.0f} / {most * 1000:.0f} ms", "p95 ≤ 300 ms",
                most <= PROMISED, f"the worst of {len(mine)}: {str(worst).partition('/?')[2] or 'the first'}, "
                f"{worst.cpu / times * 1000:.0f} ms of CPU",
                {str(case): case.p95 for case in mine},
            )  # fmt: skip
