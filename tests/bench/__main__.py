"""`python -m tests.bench`: measure, say how far we are, and end with a table.

Exit code 1 if anything was wrong, or a promise was missed; the last lines name it.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from tests.support.server import ROOT, Server, Template, drop_database, make_template

from . import (
    detect,
    detect_plates,
    download,
    hls,
    hls_copies,
    hls_serving,
    jobs,
    lists,
    memory,
    pictures,
    quality,
    render,
    s3,
    search,
    speech,
    speed,
    split,
)
from .client import BenchError
from .contenders import CONTENDERS
from .lists_rows import ROWS
from .machine import business
from .memory import UPLOAD_SIZE
from .payload import Source, make_source
from .plot import draw
from .report import Results, write_json

SECTIONS = (
    "speed", "memory", "crowd", "download", "jobs", "lists", "s3", "split", "render", "hls", "pictures", "quality",
    "speech", "detect", "search",
)  # fmt: skip
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def size(words: str) -> int:
    match = re.fullmatch(r"(\d+)\s*([KMG]?)(?:iB|B)?", words)
    if match is None or (found := int(match[1]) * _UNITS[match[2]]) < 1024**2:
        raise argparse.ArgumentTypeError("say a size of at least 1MiB, as 512MiB or 1GiB")
    return found


def choice(words: str) -> set[str]:
    keys = [contender.key for contender in CONTENDERS]
    chosen: set[str] = set()
    for word in words.split(","):
        found = {name for name in (*SECTIONS, *keys) if name == word or name.startswith(f"{word}-")}
        if not found:
            raise argparse.ArgumentTypeError(f"{word} is none of {', '.join((*SECTIONS, *keys))}")
        chosen |= found
    if "speed" in chosen or not chosen & set(keys):
        chosen |= set(keys)
    elif chosen & set(keys):
        chosen.add("speed")
    return chosen


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures Millrace against its peers on this machine. All servers listen on 127.0.0.1 only.",
        epilog="DATABASE_URL=postgres://… has crowds, lists and search measured on PostgreSQL, too, and claims.",
    )
    parser.add_argument("--rounds", type=int, default=5, help="of every upload and download (%(default)s)")
    parser.add_argument("--size", type=size, default=size("1GiB"), help="of every upload and download (1GiB)")
    parser.add_argument(
        "--only", type=choice, default=choice(",".join(SECTIONS)), metavar="NAMES",
        help=f"parts ({', '.join(SECTIONS)}) or contenders ({', '.join(one.key for one in CONTENDERS)}), with commas",
    )  # fmt: skip
    parser.add_argument("--clients", default="100,500,1000", help="how many in each crowd (%(default)s)")
    parser.add_argument("--hold", type=float, default=10, help="seconds that a crowd trickles (%(default)s)")
    parser.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS",
        help="before each upload, at most so long, until others leave the machine alone",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the first drawn clip (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 256 MiB, 50 clients: to see that it works")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown, too")
    parser.add_argument("--out", type=Path, default=ROOT / "var/bench/results.json", help="the plot goes beside it")
    parser.add_argument("--scratch", type=Path, default=ROOT / "var/bench", help="a folder on the disk to measure")
    found = parser.parse_args()
    found.big = size("2GiB")
    if found.quick:
        found.rounds, found.size, found.big, found.clients, found.hold = 3, size("256MiB"), size("512MiB"), "50", 3.0
    return found


@contextlib.contextmanager
def prepared(database_url: str, scratch: Path) -> Iterator[Template]:
    template = make_template(scratch / f"template{'-pg' if database_url else ''}", database_url)
    try:
        yield template
    finally:
        drop_database(template.database_url)


def idleness() -> str:
    load = ", ".join(f"core {core} {share:.0%} busy" for core, share in business(2.0).items())
    return f"{load}, load {os.getloadavg()[0]:.1f}"


def measure(chosen: argparse.Namespace, results: Results, scratch: Path, kept: Path) -> None:
    only = chosen.only
    largest = max(chosen.size, chosen.big if only & {"memory", "s3"} else 0, UPLOAD_SIZE)
    say(f"preparing {largest / 1024**2:.0f} MiB that begin like a film")
    source = make_source(scratch / "source", largest)
    database_url = os.environ.get("DATABASE_URL", "")
    with prepared("", scratch) as template:
        single_transfers(chosen, results, source, template, scratch, kept)
        with attempt("crowd", results) as wanted:
            if wanted in only:
                crowds(chosen, results, source, template, scratch)
        setting = jobs.Setting(chosen.rounds, template, database_url, scratch)
        for part in jobs.PARTS if "jobs" in only else ():
            with attempt(f"jobs, {part.__name__}", results):
                keep(part(setting), results.jobs)
        media(chosen, results, template, scratch)
        if "lists" in only:
            with attempt("lists", results):
                long_lists(chosen, results, template, scratch / "lists")
        if "search" in only:
            with attempt("search", results):
                searches(chosen, results, template, scratch / "search")
    if "lists" in only and database_url.startswith("postgres"):
        with attempt("lists on PostgreSQL", results), prepared(database_url, scratch) as template:
            long_lists(chosen, results, template, scratch / "lists-pg")
    if "search" in only and database_url.startswith("postgres"):
        with attempt("search on PostgreSQL", results), prepared(database_url, scratch) as template:
            searches(chosen, results, template, scratch / "search-pg")
    if "crowd" in only and database_url.startswith("postgres"):
        with attempt("crowd on PostgreSQL", results), prepared(database_url, scratch) as template:
            crowds(chosen, results, source, template, scratch)


def media(chosen: argparse.Namespace, results: Results, template: Template, scratch: Path) -> None:
    only = chosen.only
    with attempt("split", results) as wanted:
        if wanted in only:
            keep(split.measure(chosen.rounds, template, scratch / "split"), results.split)
    with attempt("render", results) as wanted:
        if wanted in only:
            keep(render.measure(chosen.rounds, template, scratch / "render"), results.render)
    with attempt("hls", results) as wanted:
        if wanted in only:
            keep(hls.measure(chosen.rounds, template, scratch / "hls"), results.hls)
            keep(hls_copies.measure(chosen.rounds, template, scratch / "hls-copies"), results.hls)
            keep(hls_serving.measure(chosen.rounds, template, scratch / "hls-serving"), results.hls)
    with attempt("pictures", results) as wanted:
        if wanted in only:
            keep(pictures.measure(chosen.rounds, scratch / "pictures"), results.pictures)
    with attempt("quality", results) as wanted:
        if wanted in only:
            keep(quality.measure(scratch / "quality"), results.quality)
    with attempt("speech", results) as wanted:
        if wanted in only:
            keep(speech.measure(0.2 if chosen.quick else 3, scratch / "speech"), results.speech)
    with attempt("detect", results) as wanted:
        if wanted in only:
            hours = 0.2 if chosen.quick else 2
            keep(detect.measure(chosen.rounds, hours, scratch / "detect"), results.detect)
            keep(detect_plates.measure(chosen.rounds, hours, scratch / "plates", chosen.seed), results.detect)


def single_transfers(
    chosen: argparse.Namespace, results: Results, source: Source, template: Template, scratch: Path, kept: Path
) -> None:
    only = chosen.only
    with attempt("speed", results) as wanted:
        if wanted in only:
            results.speed = speed.measure(
                only, chosen.rounds, chosen.size, source, template, scratch, kept, say, chosen.wait
            )
    with attempt("download", results) as wanted:
        if wanted in only:
            results.downloads = download.measure(chosen.rounds, chosen.size, source, template, scratch)
            say("downloads done, digests right")
    with attempt("s3", results) as wanted:
        if wanted in only:
            found = s3.measure(chosen.rounds, chosen.size, chosen.big, source, template, scratch / "s3")
            keep(found, results.s3)
    with attempt("memory", results) as wanted:
        for key in ("ours-raw", "ours-form") if wanted in only else ():
            results.memory.append(memory.one_upload(key, chosen.big, source, template, scratch))
            say(f"memory, {key}: {results.memory[-1].over_idle / 1e6:.1f} MB over idle, digest right")


@contextlib.contextmanager
def attempt(part: str, results: Results) -> Iterator[str]:
    """What goes wrong in one part is said, makes the run fail, and does not keep the others from being measured."""
    try:
        yield part
    except Exception as error:
        if not isinstance(error, BenchError):
            traceback.print_exc()
        results.failures.append(f"{part}: {type(error).__name__}: {error}")


def keep(figures: Iterator[jobs.Figure], kept: list[jobs.Figure]) -> None:
    """Keep each figure as it is found, and say it."""
    for figure in figures:
        kept.append(figure)
        say(f"{figure.title}: {figure.found}; {figure.beside}")


def crowds(chosen: argparse.Namespace, results: Results, source: Source, template: Template, scratch: Path) -> None:
    for clients, at_once in product(map(int, chosen.clients.split(",")), (False, True)):
        results.crowds.append(memory.crowd(clients, chosen.hold, source, template, scratch, at_once=at_once))
        say(f"crowd of {results.crowds[-1].title}: {memory.describe(results.crowds[-1])}")


def long_lists(chosen: argparse.Namespace, results: Results, template: Template, home: Path) -> None:
    rows = ROWS // 100 if chosen.quick else ROWS
    keep(lists.measure(template, home, 4 * chosen.rounds, say, rows), results.lists)


def searches(chosen: argparse.Namespace, results: Results, template: Template, home: Path) -> None:
    transcripts = search.TRANSCRIPTS // 100 if chosen.quick else search.TRANSCRIPTS
    keep(search.measure(template, home, 4 * chosen.rounds, say, transcripts), results.search)


def main() -> int:
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Server.by_hand = True  # nothing that is measured may lean on the tests' short cuts
    chosen.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=chosen.scratch))
    results = Results(size=chosen.size, rounds=chosen.rounds, before=idleness())
    try:
        with attempt("preparing", results):
            measure(chosen, results, scratch, chosen.scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_json(results, chosen.out)
    picture = chosen.out.with_suffix(".png")
    no_picture = draw(results, picture)
    say(f"\n{results.text()}\n")
    if chosen.markdown:
        say(f"{results.markdown()}\n")
    say(f"{chosen.out}, {f'no plot: {no_picture}' if no_picture else picture}")
    wrong = [f"FAILED: {failure}" for failure in results.every_failure()]
    wrong += [f"MISSED: {miss}" for miss in results.every_miss()]
    for line in wrong:
        say(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
